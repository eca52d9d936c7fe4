"""What this process holds for the time that a server is away: of each server, and of each tenant."""

from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import anyio

from ._circuit import Circuit
from ._packing import packed, unpacked
from ._unsaved import Entry, Replica
from .stores import Place
from .types import Tenant

SCOPES = 64
"""Scopes of a tenant that are known while its server is away; those that were used least lately go."""

AT_HAND = 128
"""Tenants that nobody uses and that are not packed: who is asked about again and again is among them."""

PACKED = 8
"""Scopes of a tenant that are packed, at most: to unpack many for the sake of one would cost too much."""


@dataclass(slots=True, eq=False)
class Line:
    """What is known of one server.

    Attributes:
        since: when it went away; None while it is there.
    """

    looks: Circuit = field(default_factory=Circuit)
    edits: Circuit = field(default_factory=Circuit)
    since: datetime | None = None


@dataclass(slots=True, eq=False)
class Local:
    """What this process keeps of a tenant.

    Attributes:
        primary: what the server's store keeps.
        losses: how often the server was found to have lost what it held of the tenant.
        unsaved: edits in the logs of all replicas; `weight` is their size in bytes.
        lock: there while somebody sends the logs.
        calls: that are under way, and may hold a replica.
    """

    primary: Any
    line: Line | None = None
    losses: int = 0
    unsaved: int = 0
    weight: int = 0
    lock: anyio.Lock | None = None
    calls: int = 0
    _known: dict[Place, Replica] | bytes = field(default_factory=dict[Place, Replica])
    _tenant: Tenant | None = None  # there if what is known is packed

    @property
    def replicas(self) -> dict[Place, Replica]:
        if isinstance(self._known, bytes):
            self._known = unpacked(self._known, cast("Tenant", self._tenant))
        return self._known

    def pack(self) -> None:
        """Take less room until somebody asks; nothing is unsaved or under way."""
        if 0 < len(self.replicas) <= PACKED:
            self._tenant = next(iter(self.replicas)).tenant
            self._known = packed(self.replicas.values())

    def replica(self, place: Place) -> Replica:
        replicas = self.replicas
        if len(replicas) == 1 and place in replicas:
            return replicas[place]
        # The one that was used last comes last.
        found = replicas.pop(place, None) or Replica(place)
        replicas[place] = found
        if len(replicas) > SCOPES:
            self._drop_one()
        return found

    def holds(self, replica: Replica, first: Entry | None = None) -> bool:
        """Whether a replica is still that of its scope: else it was dropped while a call was under way.

        Args:
            first: also, whether this is still the first of its log: else all was put back meanwhile.
        """
        return self.replicas.get(replica.place) is replica and (first is None or replica.log[:1] == [first])

    def put_back(self, losses: int, now: datetime, made_at: float) -> bool:
        """Take all that is known for unsaved, unless somebody has since so many losses were counted."""
        if self.losses != losses:
            return False
        self.losses += 1
        for replica in self.replicas.values():
            replica.put_back(now, made_at)
        return True

    def drop(self, covers: Callable[[Place], bool]) -> None:
        """Know nothing of some scopes any more, not even what is unsaved of them."""
        for place in [place for place in self.replicas if covers(place)]:
            del self.replicas[place]

    def _drop_one(self) -> None:
        for place, replica in self.replicas.items():
            if not replica.log:
                del self.replicas[place]
                return


class Hand:
    """Has what is known of few tenants at hand, and of all others packed."""

    def __init__(self) -> None:
        self._idle: OrderedDict[Local, None] = OrderedDict()  # the one that was used last comes last

    @contextmanager
    def using(self, local: Local) -> Generator[None]:
        """Keep the replicas of a tenant as they are for as long as the block lasts."""
        self._idle.pop(local, None)
        local.calls += 1
        try:
            yield
        finally:
            local.calls -= 1
            if not local.calls and not local.unsaved:
                self._idle[local] = None
                if len(self._idle) > AT_HAND:
                    longest, _ = self._idle.popitem(last=False)
                    longest.pack()
