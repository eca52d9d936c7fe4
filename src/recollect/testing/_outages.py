"""A server of working memory that can be away in every way, in process: what a fallback is tried against."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

from anyio.lowlevel import checkpoint

from .._clock import Clock, utc_now
from .._workspace import Edit, Look
from ..errors import IdempotencyConflict
from ..inprocess import Desk, InProcessWorking
from ..stores import Away, Emptied, Forgotten, Place, RemoteWorking, ReplyLost, Stamp, Wiped
from ..types import Health, Tenant, WorkingStatus

T = TypeVar("T")

Outage = Literal["away", "read-only", "reply lost"]


@dataclass(slots=True, eq=False)
class _Seen:
    """What a client knows of a tenant, and since when."""

    epoch: int | None = None
    forgotten: int | None = None
    since: datetime | None = None


class SwitchedServer:
    """Holds working memory for any number of clients, and can be emptied.

    Attributes:
        epoch: how often it was.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self.epoch = 0
        self.store = InProcessWorking(clock=clock)
        self.desks: dict[Tenant, Desk] = {}
        self.done: dict[tuple[Place, str], tuple[str, Any]] = {}
        self.forgotten: dict[Tenant, list[tuple[datetime, str | None]]] = {}
        self.clock = clock

    def empty(self) -> None:
        """Lose everything, as a server does that comes back without its files."""
        self.epoch += 1
        self.desks.clear()
        self.done.clear()
        self.forgotten.clear()

    def connect(self) -> "SwitchedWorking":
        """Return a client of its own: one process."""
        return SwitchedWorking(self)


class SwitchedWorking(RemoteWorking):
    """A client of a `SwitchedServer`.

    Attributes:
        outage: "away"; "read-only": it answers looks; "reply lost": edits are made, and nobody is told.
        calls: how often the server was asked.
    """

    def __init__(self, server: SwitchedServer) -> None:
        self._server = server
        self.outage: Outage | None = None
        self.calls = 0

    def local(self) -> _Seen:
        return _Seen(since=self._server.clock())

    def unsaved(self, local: _Seen) -> int:
        return 0

    def status(self, local: _Seen) -> WorkingStatus:
        return WorkingStatus(source="redis")

    def server(self, tenant: Tenant) -> Hashable:
        return None

    async def look(self, local: _Seen, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        await checkpoint()
        self.calls += 1
        if self.outage == "away":
            raise Away("away")
        desk = self._desk(local, places[0].tenant)
        return await self._server.store.look(desk, places, look)

    async def apply(self, local: _Seen, place: Place, edit: Edit[T], stamp: Stamp) -> T:
        await checkpoint()
        self.calls += 1
        if self.outage in ("away", "read-only"):
            raise Away("away", writes_only=self.outage == "read-only")
        desk = self._desk(local, place.tenant)
        made = self._server.done.get((place, stamp.id))
        if made is None:
            made = stamp.digest, await self._server.store.apply(desk, place, edit, stamp)
            self._server.done[place, stamp.id] = made
        digest, result = made
        if digest != stamp.digest:
            raise IdempotencyConflict(stamp.id)
        if self.outage == "reply lost":
            raise ReplyLost(stamp.id)
        return cast("T", result)

    async def erase(self, local: _Seen, tenant: Tenant, session_id: str | None) -> Wiped:
        await checkpoint()
        self.calls += 1
        if self.outage in ("away", "read-only"):
            raise Away("away", writes_only=self.outage == "read-only")
        server = self._server
        wiped = await server.store.erase(server.desks.setdefault(tenant, Desk()), tenant, session_id)
        for place, id in list(server.done):
            if place.tenant == tenant and session_id in (None, place.session_id):
                del server.done[place, id]
        listed = server.forgotten.setdefault(tenant, [])
        listed.append((server.clock(), session_id))
        if local.epoch == server.epoch and local.forgotten == len(listed) - 1:
            local.forgotten = len(listed)  # who is behind stays behind
        if self.outage == "reply lost":
            raise Away("away")
        return wiped

    async def left(self, local: _Seen, tenant: Tenant, session_id: str | None) -> Wiped:
        await checkpoint()
        self.calls += 1
        if self.outage == "away":
            raise Away("away")
        return await self._server.store.left(
            self._server.desks.setdefault(tenant, Desk()), tenant, session_id
        )

    async def health(self) -> Health:
        await checkpoint()
        return Health(ok=self.outage is None, source="redis", latency=None, error=self.outage)

    def _desk(self, seen: _Seen, tenant: Tenant) -> Desk:
        known, seen.epoch = seen.epoch, self._server.epoch
        listed = self._server.forgotten.get(tenant, [])
        if known not in (None, self._server.epoch):
            seen.forgotten = len(listed)
            raise Emptied("emptied")
        missed = listed[seen.forgotten or 0 :]
        if seen.forgotten is None:
            missed = [each for each in missed if seen.since is None or seen.since <= each[0]]
        seen.forgotten = len(listed)
        if missed:
            sessions = {session for _, session in missed}
            raise Forgotten("forgotten", lambda place: None in sessions or place.session_id in sessions)
        return self._server.desks.setdefault(tenant, Desk())
