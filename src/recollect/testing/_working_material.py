"""A few words in which the checks of working memory say what is done and read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from .. import _json
from .._ids import uuid7
from .._workspace import (
    AppendBlock,
    AppendNote,
    ClearNotes,
    ClearTask,
    ClearVariables,
    CountAll,
    CreateCheckpoint,
    DeleteBlock,
    Edit,
    GetBlock,
    GetTask,
    GetVariables,
    ListBlocks,
    ListCheckpoints,
    ListKeys,
    ListNotes,
    ListVariables,
    Look,
    MoveBlock,
    SetBlock,
    SetTask,
    SetVariable,
)
from ..errors import RecollectError, TryLater
from ..stores import Place, Stamp, WorkingStore
from ..types import Block, Checkpoint, Note, TaskState, Tenant
from ._clock import Clock
from ._material import fresh_tenant

T = TypeVar("T")

WorkingCheck = Callable[[WorkingStore], Awaitable[None]]
"""Raises AssertionError if the store breaks the promise that the check is named after."""

WorkingClockCheck = Callable[[WorkingStore, Clock], Awaitable[None]]
"""The same for a store that was opened with this clock, and a `session_ttl` of `SESSION_TTL`."""

SESSION_TTL = 7 * 86_400.0
"""Seconds: what `Limits` say if nothing is said."""

MAX_BYTES = 262_144
MANY = 1_000


@dataclass(frozen=True)
class Seat:
    """A scope in a store, with what the process keeps of its tenant: where a check does its work."""

    store: WorkingStore
    place: Place
    local: Any

    def at(self, *, agent_id: str | None = None, session_id: str | None = None) -> "Seat":
        """Return another scope of the same tenant."""
        return Seat(self.store, Place(self.place.tenant, agent_id, session_id), self.local)

    async def ask(self, look: Look[T]) -> T:
        (found,) = await self.store.look(self.local, (self.place,), look)
        return found

    async def make(self, edit: Edit[T], *, id: str | None = None, digest: str = "", age: float = 0.0) -> T:
        return await self.store.apply(self.local, self.place, edit, Stamp(id or uuid7(), digest, age))

    async def put(self, name: str, text: str, *, if_version: int | None = None) -> Block:
        return await self.make(SetBlock(name, text, if_version, MANY))

    async def append(self, name: str, text: str) -> Block:
        return await self.make(AppendBlock(name, text, MAX_BYTES, MANY))

    async def block(self, name: str) -> Block | None:
        return await self.ask(GetBlock(name))

    async def blocks(self) -> list[tuple[str, str]]:
        """Return names and texts in their order, which no two blocks share."""
        found = await self.ask(ListBlocks())
        orders = [block.order for block in found]
        assert orders == sorted(set(orders)), f"blocks share an order, or are not in it: {orders}"
        return [(block.name, block.text) for block in found]

    async def store_value(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        await self.make(SetVariable(key, _json.dumps(value), ttl, MANY))

    async def values(self) -> dict[str, Any]:
        return {key: _json.loads(each.value) for key, each in (await self.ask(ListVariables())).items()}

    async def keys(self) -> tuple[str, ...]:
        return await self.ask(ListKeys())

    async def value(self, key: str) -> Any:
        """Return a value; an ellipsis if there is none."""
        found = await self.ask(GetVariables((key,)))
        return _json.loads(found[key].value) if key in found else ...

    async def note(self, text: str) -> Note:
        return await self.make(AppendNote(text, MANY))

    async def notes(self, limit: int | None = None) -> list[str]:
        return [note.text for note in await self.ask(ListNotes(limit))]

    async def checkpoint(self, description: str = "") -> Checkpoint:
        return await self.make(CreateCheckpoint(uuid7(), description, 32))

    async def everything(self) -> object:
        """Return all that can be read of the scope."""
        variables = await self.ask(ListVariables())
        return (
            await self.ask(ListBlocks()),
            {key: (each.value, each.expires_at is None) for key, each in variables.items()},
            await self.ask(GetTask()),
            await self.ask(ListNotes(None)),
            await self.ask(ListCheckpoints()),
            await self.ask(CountAll()),
        )


def seated(
    store: WorkingStore,
    *,
    tenant: Tenant | None = None,
    agent_id: str | None = None,
    session_id: str | None = None,
) -> Seat:
    """Return a scope of a tenant that nobody has used, unless one is given."""
    return Seat(store, Place(tenant or fresh_tenant(), agent_id, session_id), store.local())


async def error_of(call: Awaitable[Any]) -> RecollectError:
    """Return what a call raises; not that its store is away: that says nothing of the call."""
    try:
        result = await call
    except TryLater:
        raise
    except RecollectError as exc:
        return exc
    raise AssertionError(f"not refused: {result!r}")


async def refused(seat: Seat, edit: Edit[Any], *, id: str | None = None, digest: str = "") -> RecollectError:
    """Return why an edit is refused, once it is sure that nothing is left of it."""
    before = await seat.everything()
    error = await error_of(seat.make(edit, id=id, digest=digest))
    assert await seat.everything() == before, "something is left of what was refused"
    return error


async def furnish(seat: Seat) -> None:
    """Put something of each kind into a scope."""
    await seat.put("persona", "short answers")
    await seat.put("goal", "find a flat")
    await seat.store_value("city", "Lisbon")
    await seat.store_value("none", None, ttl=3_600)
    await seat.make(SetTask(TaskState(task_id="t", context={"k": [1]})))
    await seat.note("first")
    await seat.note("second")


async def empty(seat: Seat) -> None:
    """Take away what `furnish` has put there, piece by piece."""
    for name in ("persona", "goal"):
        assert await delete(seat, name)
    assert await seat.make(ClearVariables()) > 0
    assert await seat.make(ClearNotes()) > 0
    assert await seat.make(ClearTask())


async def contents(seat: Seat) -> object:
    """Return what `furnish` fills, but for versions and instants of blocks."""
    task = await seat.ask(GetTask())
    return await seat.blocks(), await seat.values(), task, await seat.ask(ListNotes(None))


async def delete(seat: Seat, name: str) -> bool:
    return await seat.make(DeleteBlock(name))


async def move(seat: Seat, name: str, index: int) -> Block:
    return await seat.make(MoveBlock(name, index))
