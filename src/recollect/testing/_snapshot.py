from collections.abc import Sequence
from typing import Any, cast

from anyio.lowlevel import checkpoint_if_cancelled

from .._composition import Composition, Scope
from .._transfer.dumping import Dump, scopes_of
from ..errors import ConfigurationError
from ..inprocess import InProcessArchive, InProcessWorking
from ..memory import Memory
from ..types import Tenant

PAGE = 1_000
HASHES = ("key", "digest")
LISTS = {"episode": "episodes", "transaction": "transactions", "assertion": "facts"}
PARTS = {"block": "blocks", "note": "notes", "conflict": "conflicts"}

Record = dict[str, Any]


async def snapshot(memory: Memory) -> dict[str, dict[str, Record]]:
    """Return all that a memory in process holds, as plain JSON: dicts, lists, text and numbers.

    For the assertions of a test, such as that nothing was changed:

        before = await snapshot(memory)
        await agent.answer("what is the time?")
        assert await snapshot(memory) == before

    By namespace, and in there by user; "" is the anonymous one. Who holds nothing is left out, whatever was
    there before. Each user has

    * "working", the scopes: "agent_id", "session_id", "created_at", "newest_version", "blocks" in order,
      "variables" by key with "value" and "ttl" in seconds, "task" or None, "notes", "conflicts", and
      "checkpoints", each of which has the same once more, but for the last two;
    * "episodes" in the order in which they were stored;
    * "facts", their log: what was asserted, ended, denied and retracted, in that order. What holds at an
      instant, `facts.find` says;
    * "transactions", the journal of the facts.

    All of it comes in an order that stays the same, with the fields of an export. Left out are hashes: of
    contents, of keys, and of what was forgotten. To compare it with something that is written down, give
    ids, and `open_memory(clock=Clock())`: else ids and instants are new in each run.

    To look is no use of a user or a session, and keeps nothing alive. Users are looked at one by one:
    nobody should write meanwhile.

    Raises:
        ConfigurationError: it is not all in process; export its users one by one.
    """
    composition = memory._composition if isinstance(cast("object", memory), Memory) else None
    if composition is None or not (
        isinstance(composition.archive, InProcessArchive)
        and isinstance(composition.working, InProcessWorking)
    ):
        msg = (
            "a snapshot is that of an async memory all of which is in process; use UserMemory.export instead"
        )
        raise ConfigurationError(msg)
    composition.ensure_open()
    await checkpoint_if_cancelled()
    found: dict[str, dict[str, Record]] = {}
    for tenant in await _tenants(composition):
        held = await _held(composition, tenant)
        if any(held.values()):
            found.setdefault(tenant.namespace, {})[tenant.user_id or ""] = held
    return found


async def _tenants(composition: Composition) -> Sequence[Tenant]:
    """Return who may hold something, in order."""
    alive = composition.tenants
    tenants = {tenant for tenant in alive.known() if not alive.is_over(tenant)}
    after: Tenant | None = None
    while page := await composition.archive.directory.tenants(after=after, limit=PAGE):
        tenants.update(page)
        after = page[-1]
    return sorted(tenants, key=lambda tenant: (tenant.namespace, tenant.user_id or ""))


async def _held(composition: Composition, tenant: Tenant) -> Record:
    held: Record = {"working": [], "episodes": [], "facts": [], "transactions": []}
    dump = Dump(composition, Scope(tenant), vectors=False)
    await dump.open()
    async for page in dump.history():
        for record in page:
            shown = {name: value for name, value in record.items() if name not in HASHES}
            held[LISTS[shown.pop("kind")]].append(shown)
    # Not leased: that would be a use, and might put somebody else out of a map that is full.
    local = composition.tenants.peek(tenant)
    if local is not None and not composition.tenants.is_over(tenant):
        async for page in scopes_of(composition.working, local, tenant):
            _add(held["working"], page)
    return held


def _add(scopes: list[Record], records: Sequence[Record]) -> None:
    """Put records into one another: what follows a scope or a checkpoint belongs to it."""
    for record in records:
        given = dict(record)
        match given.pop("kind"):
            case "scope":
                scopes.append({**given, **_empty(), "conflicts": [], "checkpoints": []})
            case "checkpoint":
                scopes[-1]["checkpoints"].append({**given, **_empty()})
            case "variable":
                _holder(scopes)["variables"][given.pop("key")] = given
            case "task":
                _holder(scopes)["task"] = given
            case part:
                _holder(scopes)[PARTS[part]].append(given)


def _empty() -> Record:
    return {"blocks": [], "variables": {}, "task": None, "notes": []}


def _holder(scopes: list[Record]) -> Record:
    scope = scopes[-1]
    return scope["checkpoints"][-1] if scope["checkpoints"] else scope
