"""Working memory that goes on while its server is away, and says so.

For each server there are two circuits (`_circuit`), for looks and for edits: a server may answer the one
and refuse the other. While a circuit is open this process answers from what it has lately written or read
(`_unsaved`), and what it has never seen is `StoreUnavailable`: an outage is never read as "empty".

    closed         everything goes to the server; what it answers is learnt
    open           looks are answered from the replicas, edits are made on them and logged
    half-open      one call is the probe; the others go on as if the circuit were open
    reconciling    the circuit is closed, but this tenant has a log: the next call of the tenant, of
                   whatever kind, sends the log first, edit by edit, each under its id

There is no task for any of this: the next call does it. A tenant with a log is pinned in the tenant map.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from ._circuit import Circuit
from ._clock import Clock, utc_now
from ._standby import Hand, Line, Local
from ._unsaved import Replica, calling
from ._workspace import CountAll, Edit, Look, Taking
from ._workspace.parts import whole
from .errors import Conflict, InvalidInput, NotFound, RecollectError, StoreUnavailable
from .stores import Away, Emptied, Forgotten, Place, RemoteWorking, ReplyLost, Stamp, Wiped, WorkingStore
from .stores.traits import traits_of
from .types import BlockConflict, Health, Limits, Tenant, WorkingStatus

T = TypeVar("T")

GRACE = 0.3
"""Seconds in which unsaved edits may still be saved when the memory closes."""

AWAY = "Redis is away, and this process does not know what is asked for; try later"
KEPT = "Redis is away, and still holds what is to be forgotten; try later"
FULL = "Redis is away, and as much is unsaved as Limits.max_unsaved and max_unsaved_bytes allow; try later"

OnConflict = Callable[[Place, BlockConflict], Awaitable[None]]
Conflicts = list[tuple[Place, BlockConflict]]

logger = logging.getLogger("recollect")


class FallbackWorking(WorkingStore):
    """A store of working memory made of a server's and of what this process knows of it.

    Args:
        primary: on a server that may be away.
        limits: `max_unsaved` and `max_unsaved_bytes` bound what is kept for it.
        clock: for what is made here.
        on_conflict: called with each conflict that comes up, once it is stored; no lock is held.
        now: monotonic clock, in seconds.
    """

    def __init__(
        self,
        primary: RemoteWorking,
        *,
        limits: Limits = Limits(),
        clock: Clock = utc_now,
        on_conflict: OnConflict | None = None,
        now: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._primary = primary
        self.traits = replace(traits_of(primary), falls_back=True)
        self._limits = limits
        self._clock = clock
        self._now = now
        self._lines: dict[Hashable, Line] = {}
        self._weight = 0
        self._on_conflict = on_conflict or _tell_nobody
        self._owing: dict[Local, None] = {}
        self._hand = Hand()

    def local(self) -> Local:
        return Local(self._primary.local())

    def unsaved(self, local: Local) -> int:
        return local.unsaved

    def status(self, local: Local) -> WorkingStatus:
        lines = list(self._lines.values()) if local.line is None else [local.line]
        away = next((line for line in lines if line.since is not None), None)
        return WorkingStatus(
            source="redis" if away is None or away.looks.state == "closed" else "local",
            degraded=away is not None,
            since=None if away is None else away.since,
            unsaved=local.unsaved,
        )

    async def health(self) -> Health:
        return await self._primary.health()

    async def close(self) -> None:
        """Save what is unsaved, if that can be done at once; say what could not be."""
        for line in self._lines.values():
            line.edits.hurry(self._now())
        with anyio.move_on_after(GRACE, shield=True):
            for local in list(self._owing):
                if local.line is not None:
                    await self._save(local, local.line)
        if self._owing:
            edits = sum(local.unsaved for local in self._owing)
            logger.error("closed with %d unsaved edits of %d tenants: they are lost", edits, len(self._owing))

    async def _save(self, local: Local, line: Line) -> None:
        with suppress(RecollectError):  # whatever it is, what is lost by it is told
            try:
                await self._knowing(local, lambda _: self._reconcile(local, line))
            except Emptied:
                self._put_back(local, local.losses)
                await self._reconcile(local, line)

    async def erase(self, local: Local, tenant: Tenant, session_id: str | None) -> Wiped:
        await checkpoint_if_cancelled()
        line = self._line(local, tenant)
        try:
            wiped = await self._through(
                line, line.edits, lambda: self._primary.erase(local.primary, tenant, session_id)
            )
        except (Away, ReplyLost) as exc:
            raise StoreUnavailable(KEPT) from exc
        # Without an await: nobody sends what was forgotten, or learns it.
        with self._hand.using(local):
            self._drop(local, lambda place: session_id in (None, place.session_id))
        return wiped

    async def left(self, local: Local, tenant: Tenant, session_id: str | None) -> Wiped:
        await checkpoint_if_cancelled()
        line = self._line(local, tenant)
        return await self._through(
            line, line.looks, lambda: self._primary.left(local.primary, tenant, session_id)
        )

    async def look(self, local: Local, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        await checkpoint_if_cancelled()
        return await self._knowing(local, lambda losses: self._look(local, places, look, losses))

    async def _look(self, local: Local, places: Sequence[Place], look: Look[T], losses: int) -> tuple[T, ...]:
        line = self._line(local, places[0].tenant)
        replicas = [local.replica(place) for place in places]
        known: Callable[[], bool] = lambda: all(replica.space.knows(look.needs) for replica in replicas)  # noqa: E731
        try:
            await self._reconcile(local, line)
            # What is not asked has not answered either.
            if not (local.unsaved and known()):
                return await self._through(line, line.looks, lambda: self._ask(local, replicas, look))
        except Emptied:
            self._put_back(local, losses)
            if not known():
                raise
            await self._reconcile(local, line)
        except Away:
            if not known():
                raise
        return tuple(look.look(replica.space, self._clock()) for replica in replicas)

    async def apply(self, local: Local, place: Place, edit: Edit[T], stamp: Stamp) -> T:
        await checkpoint_if_cancelled()
        return await self._knowing(local, lambda losses: self._apply(local, place, edit, stamp, losses))

    async def _knowing(self, local: Local, call: Callable[[int], Awaitable[T]]) -> T:
        """Make a call that may be told what was forgotten, and again once that is."""
        with self._hand.using(local):
            while True:
                try:
                    return await call(local.losses)
                except Forgotten as exc:
                    self._drop(local, exc.covers)

    async def _apply(self, local: Local, place: Place, edit: Edit[T], stamp: Stamp, losses: int) -> T:
        line = self._line(local, place.tenant)
        replica = local.replica(place)
        made = replica.repeated(stamp, asks=line.edits.state == "closed")
        if made is not None:
            return cast("T", made[0])
        try:
            await self._reconcile(local, line)
            return await self._edit(local, line, replica, edit, stamp)
        except Emptied:
            self._put_back(local, losses)
            if not replica.space.knows(edit.needs):
                raise
            await self._reconcile(local, line)
            return await self._edit(local, line, replica, edit, stamp)

    async def _edit(self, local: Local, line: Line, replica: Replica, edit: Edit[T], stamp: Stamp) -> T:
        with calling((replica,), edit) as (call,):
            try:
                if local.unsaved:  # what was made before has to arrive before
                    raise Away(AWAY)
                send = lambda: self._primary.apply(local.primary, replica.place, edit, stamp)  # noqa: E731
                result = await self._through(line, line.edits, send)
            except (Away, ReplyLost) as exc:
                return self._keep(local, replica, edit, stamp, exc)
        replica.learn(call, edit, result, self._clock())
        replica.remember(stamp, result, kept=False)
        replica.touched_at = self._now()
        return result

    async def _tell(self, conflicts: Conflicts) -> None:
        for place, conflict in conflicts:
            logger.warning("a block was changed on both sides: conflict %s", conflict.id)
            try:
                await self._on_conflict(place, conflict)
            except Exception as exc:  # noqa: BLE001  # boundary to user code
                # Only the type: the message may quote a block.
                logger.error("on_conflict failed (%s); the conflict stays", type(exc).__name__)  # noqa: TRY400

    async def _ask(self, local: Local, replicas: Sequence[Replica], look: Look[T]) -> tuple[T, ...]:
        """Ask the server, and learn what it answers."""
        if local.unsaved:  # it takes no edits
            return tuple([await self._ask_behind(local, replica, look) for replica in replicas])
        with calling(replicas, look) as calls:
            found = await self._primary.look(local.primary, [replica.place for replica in replicas], look)
        for replica, call, each in zip(replicas, calls, found, strict=True):
            if not call.crossed:
                look.learn(replica.space, each, self._clock())
                replica.touched_at = self._now()
        return found

    async def _ask_behind(self, local: Local, replica: Replica, look: Look[T]) -> T:
        """Answer from a server that does not have the edits of the log yet."""
        if replica.space.knows(look.needs):
            return look.look(replica.space, self._clock())
        if isinstance(look, CountAll | Taking) or replica.may_have_arrived(look.needs):
            raise StoreUnavailable(AWAY)
        asked = whole(look)
        with calling((replica,), asked) as (call,):
            (found,) = await self._primary.look(local.primary, [replica.place], asked)
        if call.crossed:
            raise StoreUnavailable(AWAY)
        asked.learn(replica.space, found, self._clock())
        if not replica.space.knows(look.needs):
            return cast("T", found)  # what only the store has: no edit of the log is about it
        replica.overlay(look.needs, self._clock())
        return look.look(replica.space, self._clock())

    async def _through(self, line: Line, circuit: Circuit, call: Callable[[], Awaitable[T]]) -> T:
        """Ask the server, if it is not to be left alone, and tell the circuit how it went."""
        given = circuit.admit(self._now())
        if given is None:
            raise Away(AWAY)
        try:
            result = await call()
        except (Away, ReplyLost) as exc:
            self._went_away(line, circuit, given, writes_only=isinstance(exc, Away) and exc.writes_only)
            raise
        except (Conflict, NotFound, InvalidInput, Emptied, Forgotten):
            self._answered(line, circuit, given)
            raise
        except BaseException:
            circuit.gave_up(given, self._now())
            raise
        self._answered(line, circuit, given)
        return result

    async def _reconcile(self, local: Local, line: Line) -> None:
        """Send what is unsaved, if the server takes it."""
        if not local.unsaved:
            return
        conflicts: Conflicts = []
        try:
            await self._through(line, line.edits, lambda: self._send(local, line, conflicts))
        except (Away, ReplyLost):
            pass
        finally:
            if conflicts:
                await self._tell(conflicts)

    async def _send(self, local: Local, line: Line, conflicts: Conflicts) -> None:
        local.lock = local.lock or anyio.Lock(fast_acquire=True)
        async with local.lock:
            for replica in list(local.replicas.values()):
                while replica.log and local.holds(replica):
                    if line.edits.state == "open":  # somebody else found out while we waited
                        raise Away(AWAY)
                    await self._send_one(local, replica, conflicts)

    async def _send_one(self, local: Local, replica: Replica, conflicts: Conflicts) -> None:
        entry, edit, stamp = replica.next(self._now())
        with calling((replica,), edit):
            try:
                result = await self._primary.apply(local.primary, replica.place, edit, stamp)
            except (Conflict, NotFound, InvalidInput):
                if local.holds(replica, entry):
                    replica.refused()
            else:
                if local.holds(replica, entry):
                    replica.saved(result, self._clock())
                    replica.touched_at = self._now()
                    if isinstance(result, BlockConflict):
                        conflicts.append((replica.place, result))
        self._count(local)

    # The rest runs without an await.

    def _line(self, local: Local, tenant: Tenant) -> Line:
        server = self._primary.server(tenant)
        local.line = self._lines.get(server)
        if local.line is None:
            local.line = self._lines[server] = Line()
        return local.line

    def _keep(self, local: Local, replica: Replica, edit: Edit[T], stamp: Stamp, exc: Away | ReplyLost) -> T:
        """Make an edit here.

        Raises:
            StoreUnavailable: this process does not know enough, or keeps too much already.
            OutcomeUnknown: the same, and it may have arrived.
        """
        sent = isinstance(exc, ReplyLost)
        if not replica.space.knows(edit.needs) or not local.holds(replica):
            raise exc
        made = replica.repeated(stamp, asks=False)
        if made is not None:
            return cast("T", made[0])
        if local.unsaved >= self._limits.max_unsaved or self._weight >= self._limits.max_unsaved_bytes:
            if sent:
                raise exc
            raise StoreUnavailable(FULL) from exc
        try:
            result = replica.keep(edit, stamp, now=self._clock(), made_at=self._now(), sent=sent)
        except (Conflict, NotFound, InvalidInput):
            if sent:  # the server may have thought otherwise
                raise exc from None
            raise
        if sent and edit.needs and (result is None or result is False):
            # Here there was nothing to change; there may have been something there.
            replica.take_back(stamp)
            raise exc
        self._count(local)
        return result

    def _put_back(self, local: Local, losses: int) -> None:
        """Take everything that is known of a tenant for unsaved: the server has lost it."""
        if local.put_back(losses, self._clock(), self._now()):
            logger.warning("Redis has lost what it held of a tenant: what is known here is saved again")
            self._count(local)

    def _drop(self, local: Local, covers: Callable[[Place], bool]) -> None:
        local.drop(covers)
        self._count(local)

    def _count(self, local: Local) -> None:
        self._weight -= local.weight
        local.unsaved = sum(len(replica.log) for replica in local.replicas.values())
        local.weight = sum(replica.weight for replica in local.replicas.values())
        self._weight += local.weight
        if local.unsaved:
            self._owing[local] = None
        else:
            self._owing.pop(local, None)
            if local.lock is not None and not local.lock.statistics().tasks_waiting:
                local.lock = None  # with somebody waiting for it, another one would let two send at a time

    def _went_away(self, line: Line, circuit: Circuit, given: int, *, writes_only: bool) -> None:
        if not circuit.is_current(given):  # it was sent before the server came back
            return
        now = self._now()
        circuit.failed(given, now)
        for other in (line.edits,) if writes_only else (line.looks, line.edits):
            if other.state == "closed":
                other.open(now)
        if line.since is None:
            line.since = self._clock()
            what = "takes no writes" if writes_only else "does not answer"
            logger.warning("Redis %s: working memory is served from this process", what)

    def _answered(self, line: Line, circuit: Circuit, given: int) -> None:
        if circuit.succeeded(given):
            # Who takes writes answers looks; and looks were away with everything else: edits may try again.
            line.looks.close()
            line.edits.close()
        if line.since is not None and line.looks.state == line.edits.state == "closed":
            line.since = None
            logger.warning("Redis is back: %d tenants have unsaved edits", len(self._owing))


async def _tell_nobody(place: Place, conflict: BlockConflict) -> None:
    """The conflict stays until somebody asks for it."""


@asynccontextmanager
async def open_fallback(
    primary: RemoteWorking, *, limits: Limits, clock: Clock, on_conflict: OnConflict | None = None
) -> AsyncGenerator[FallbackWorking]:
    """Fall back from `primary` within the block; what is unsaved at its end is saved, or logged."""
    working = FallbackWorking(primary, limits=limits, clock=clock, on_conflict=on_conflict)
    try:
        yield working
    finally:
        await working.close()
