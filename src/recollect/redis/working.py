from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar, cast

from redis import exceptions as driver

from .._clock import Clock, aware
from .._ids import uuid7
from .._workspace import Edit, Look
from ..errors import ConfigurationError, IdempotencyConflict, Overloaded, RecollectError
from ..stores import Away, Emptied, Place, RemoteWorking, ReplyLost, Stamp
from ..stores.traits import Traits
from ..types import Health, Tenant, WorkingStatus
from . import blocks, checkpoints, conflicts, notes, task, variables
from ._errors import Broken
from .calls import Edits, Questions
from .connections import Server
from .encoding import micros, number, unpacked
from .keys import Keys, scope_name
from .scripts import Script

T = TypeVar("T")

_KINDS = (blocks, variables, task, notes, checkpoints, conflicts)
QUESTIONS: Questions = {look: asking for kind in _KINDS for look, asking in kind.QUESTIONS.items()}
EDITS: Edits = {edit: making for kind in _KINDS for edit, making in kind.EDITS.items()}

OK, EMPTIED, TAKEN = 0, 1, 2
"""What a script replies first; above that, why it refused an edit."""


@dataclass(slots=True, eq=False)
class Known:
    """What this process knows of a tenant.

    Attributes:
        epoch: of what the server holds of the tenant, when it was last asked; b"" if there was nothing.
    """

    epoch: bytes = b""


class RedisWorking(RemoteWorking):
    """Working memory in Redis. Every call is one script: one round trip, atomic.

    Args:
        server: borrowed.
        keys: names keys.
        session_ttl: seconds after which a scope with a session is dropped unless it is used; None for never.
        clock: gives "now"; None for the server's own.
    """

    traits = Traits("redis", durable=True)

    def __init__(self, server: Server, *, keys: Keys, session_ttl: float | None, clock: Clock | None) -> None:
        self._server = server
        self._keys = keys
        self._session_ttl = b"0" if session_ttl is None else number(max(session_ttl * 1_000, 1))
        self._clock = None if clock is None else aware(clock)

    def local(self) -> Known:
        return Known()

    def unsaved(self, local: Known) -> int:  # noqa: ARG002
        return 0

    def status(self, local: Known) -> WorkingStatus:  # noqa: ARG002
        return WorkingStatus(source="redis")

    def server(self, tenant: Tenant) -> Hashable:
        return self._server.name(self._keys.tenant(tenant))

    async def look(self, local: Known, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        asking = QUESTIONS[type(look)]
        key = self._keys.tenant(places[0].tenant)
        sessions = b"".join(b"0" if place.session_id is None else b"1" for place in places)
        epoch = local.epoch
        reply = await self._answer(
            asking.script,
            (key, *map(self._keys.root, places)),
            (epoch, self._now(0), self._session_ttl, sessions, *asking.arguments(look)),
        )
        _, end = self._learnt(local, epoch, reply)
        found: list[T] = []
        for _ in places:
            values, end = unpacked(reply, end)
            found.append(asking.read(look, values))
        return tuple(found)

    async def apply(self, local: Known, place: Place, edit: Edit[T], stamp: Stamp) -> T:
        making = EDITS[type(edit)]
        age = round(stamp.age * 1_000_000)
        epoch = local.epoch
        reply = await self._answer(
            making.script,
            (self._keys.tenant(place.tenant), self._keys.operation(place, stamp.id), self._keys.root(place)),
            (
                epoch,
                b"" if epoch else uuid7().encode(),
                self._now(age),
                number(age),
                b"" if place.session_id is None else self._session_ttl,
                stamp.digest.encode(),
                scope_name(place.agent_id, place.session_id),
                *making.arguments(edit),
            ),
            id=stamp.id,
        )
        status, end = self._learnt(local, epoch, reply)
        if status == TAKEN:
            raise IdempotencyConflict(stamp.id)
        result, _ = unpacked(reply, end)
        if status != OK:
            if making.refusal is None:
                raise AssertionError(status)
            raise making.refusal(edit, status, result)
        return cast("T", making.read(edit, result))

    async def health(self) -> Health:
        started = perf_counter()  # an event loop may only count milliseconds
        try:
            await self._server.ask(b"", b"PING")
        except Broken:
            return Health(ok=False, source="redis", latency=None, error="Redis did not answer")
        except (Away, Overloaded, ConfigurationError) as exc:
            return Health(ok=False, source="redis", latency=None, error=str(exc))
        return Health(ok=True, source="redis", latency=perf_counter() - started)

    def _now(self, age: int) -> bytes:
        return b"" if self._clock is None else number(micros(self._clock()) - age)

    def _learnt(self, local: Known, epoch: bytes, reply: bytes) -> tuple[int, int]:
        """Note the epoch that a reply tells of; return its status, and where the rest of it begins."""
        end = reply.index(b"\n")
        status, there = int(reply[:1]), reply[2:end]
        if status != EMPTIED:
            local.epoch = there or local.epoch
            return status, end + 1
        if local.epoch != epoch:
            # Somebody else has been told meanwhile, and what he knew has been dealt with.
            raise Emptied("Redis began anew while this call was under way; call again")
        local.epoch = there
        raise Emptied("Redis has lost what it held of this user, and begins anew; call again")

    async def _answer(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes], *, id: str | None = None
    ) -> bytes:
        """Run a script; a second time, over a new connection, if its reply was lost.

        Args:
            id: of the operation, if it is an edit: it is known by that, and made once.
        """
        try:
            return await self._run(script, keys, arguments, fresh=False)
        except Broken as exc:
            if not exc.sent:
                raise _away() from exc.__cause__
            lost = exc
        try:
            return await self._run(script, keys, arguments, fresh=True)
        except (Broken, Away, Overloaded) as exc:
            # Whatever became of the second, the first may have arrived.
            if id is not None:
                raise ReplyLost(id) from lost.__cause__
            raise (_away() if isinstance(exc, Broken) else exc) from exc.__cause__

    async def _run(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes], *, fresh: bool
    ) -> bytes:
        rest = (b"%d" % len(keys), *keys, *arguments)
        try:
            reply = await self._server.ask(keys[0], b"EVALSHA", script.sha, *rest, fresh=fresh)
        except driver.NoScriptError:
            reply = await self._server.ask(keys[0], b"EVAL", script.source, *rest, fresh=fresh)
        return cast("bytes", reply)


def _away() -> RecollectError:
    return Away("Redis did not answer; try later")
