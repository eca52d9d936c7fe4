import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar, cast

from redis import exceptions as driver

from .._clock import Clock, aware, micros
from .._ids import uuid7
from .._workspace import Edit, Look
from ..errors import ConfigurationError, IdempotencyConflict, Overloaded, RecollectError
from ..stores import Away, Emptied, Forgotten, Place, RemoteWorking, ReplyLost, Stamp, Wiped
from ..stores.traits import Traits
from ..types import Health, Tenant, WorkingStatus
from . import blocks, checkpoints, conflicts, notes, scopes, task, variables
from ._errors import Broken
from .calls import Edits, Questions
from .connections import Server
from .encoding import number, unpacked
from .forgetting import ERASE, FORGOTTEN, is_later, news, suffix
from .keys import Keys, scope_name
from .scripts import Script

T = TypeVar("T")

_KINDS = (blocks, variables, task, notes, checkpoints, conflicts, scopes)
QUESTIONS: Questions = {look: asking for kind in _KINDS for look, asking in kind.QUESTIONS.items()}
EDITS: Edits = {edit: making for kind in _KINDS for edit, making in kind.EDITS.items()}

OK, EMPTIED, TAKEN = 0, 1, 2
"""What a script replies first; above that, why it refused an edit."""

FORGOTTEN_MEANWHILE = "something of this user was forgotten while this call was under way; call again"


@dataclass(slots=True, eq=False)
class Known:
    """What this process knows of a tenant.

    Attributes:
        epoch: of what the server holds of the tenant, when it was last asked; b"" if there was nothing.
        since: when this process began to know anything, microseconds by a clock of its own.
    """

    epoch: bytes = b""
    since: int = 0


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
        return Known(since=self._here())

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
        while True:
            epoch = local.epoch
            reply = await self._answer(
                asking.script,
                (key, *map(self._keys.root, places)),
                (epoch, self._now(0), self._session_ttl, sessions, *asking.arguments(look)),
            )
            status, end = await self._learnt(local, key, epoch, reply)
            if status != EMPTIED:
                break
        found: list[T] = []
        for _ in places:
            values, end = unpacked(reply, end)
            found.append(asking.read(look, values))
        return tuple(found)

    async def apply(self, local: Known, place: Place, edit: Edit[T], stamp: Stamp) -> T:
        making = EDITS[type(edit)]
        age = round(stamp.age * 1_000_000)
        key = self._keys.tenant(place.tenant)
        while True:
            epoch = local.epoch
            reply = await self._answer(
                making.script,
                (key, self._keys.operation(place, stamp.id), self._keys.root(place)),
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
            status, end = await self._learnt(local, key, epoch, reply)
            if status != EMPTIED:
                break
            if age:  # whoever kept it has to look whether it is to be made at all
                raise Forgotten(FORGOTTEN_MEANWHILE)
        if status == TAKEN:
            raise IdempotencyConflict(stamp.id)
        result, _ = unpacked(reply, end)
        if status != OK:
            if making.refusal is None:
                raise AssertionError(status)
            raise making.refusal(edit, status, result)
        return cast("T", making.read(edit, result))

    async def erase(self, local: Known, tenant: Tenant, session_id: str | None) -> Wiped:
        known = local.epoch
        wiped, before, epoch = await self._erase(b"1", tenant, session_id)
        # Who was behind stays behind, and hears of all there is when he asks next.
        if local.epoch == known and before == known:
            local.epoch = epoch
        return wiped

    async def left(self, local: Known, tenant: Tenant, session_id: str | None) -> Wiped:  # noqa: ARG002
        wiped, _, _ = await self._erase(b"0", tenant, session_id)
        return wiped

    async def _erase(
        self, drops: bytes, tenant: Tenant, session_id: str | None
    ) -> tuple[Wiped, bytes, bytes]:
        """Return what there was, and the epochs before and after."""
        key, id = self._keys.tenant(tenant), uuid7().encode()
        reply = await self._answer(
            ERASE,
            (key, key + b":o:" + id),
            (drops, self._now(0), self._session_ttl, suffix(session_id), id),
        )
        end = reply.index(b"\n")
        (*counts, before), _ = unpacked(reply, end + 1)
        return Wiped(*map(int, counts)), before, reply[2:end]

    async def health(self) -> Health:
        started = perf_counter()  # an event loop may only count milliseconds
        try:
            try:
                await self._server.ask(b"", b"PING")
            except Broken as exc:
                if exc.silent:
                    raise
                await self._server.ask(b"", b"PING", fresh=True)  # one connection may have died by itself
        except Broken:
            return Health(ok=False, source="redis", latency=None, error="Redis did not answer")
        except (Away, Overloaded, ConfigurationError) as exc:
            return Health(ok=False, source="redis", latency=None, error=str(exc))
        return Health(ok=True, source="redis", latency=perf_counter() - started)

    def _now(self, age: int) -> bytes:
        return b"" if self._clock is None else number(micros(self._clock()) - age)

    def _here(self) -> int:
        """Return the time by the clock that `Known.since` is told by."""
        return time.monotonic_ns() // 1_000 if self._clock is None else micros(self._clock())

    async def _learnt(self, local: Known, key: bytes, epoch: bytes, reply: bytes) -> tuple[int, int]:
        """Note the epoch that a reply tells of; return its status, and where the rest of it begins.

        The status is `EMPTIED` if the call has to be made again: something was forgotten, but nothing that
        this process knows.
        """
        end = reply.index(b"\n")
        status, there = int(reply[:1]), reply[2:end]
        if status != EMPTIED:
            local.epoch = there or local.epoch
        elif is_later(there, epoch):
            await self._catch_up(local, key)
        elif local.epoch != epoch:
            # Somebody else has been told meanwhile, and what he knew has been dealt with.
            raise Emptied("Redis began anew while this call was under way; call again")
        else:
            local.epoch = there
            raise Emptied("Redis has lost what it held of this user, and begins anew; call again")
        return status, end + 1

    async def _catch_up(self, local: Known, key: bytes) -> None:
        """Learn what was forgotten; that nobody else has been told meanwhile is seen without an await."""
        reply = await self._answer(FORGOTTEN, (key,), (self._now(0),))
        end = reply.index(b"\n")
        epoch, ((listed, now), _) = reply[2:end], unpacked(reply, end + 1)
        known, since = local.epoch, int(now) - (self._here() - local.since)
        if not is_later(epoch, known):
            return  # or it was lost: the call that is made again finds out
        found = news(epoch, listed, known=known, is_older=lambda at: since <= at)
        local.epoch = epoch
        if found:
            raise Forgotten(FORGOTTEN_MEANWHILE, found.covers)

    async def _answer(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes], *, id: str | None = None
    ) -> bytes:
        """Run a script; a second time, over a new connection, if the first one broke.

        Args:
            id: of the operation, if it is an edit: it is known by that, and made once.
        """
        try:
            return await self._run(script, keys, arguments, fresh=False)
        except Broken as exc:
            if exc.silent and exc.sent and id is not None:
                raise ReplyLost(id) from exc.__cause__
            if exc.silent or not exc.sent:
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
