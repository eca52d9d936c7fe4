"""What this process holds for the time that a server is away: of each server, and of each tenant."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import anyio

from ._circuit import Circuit
from ._unsaved import Entry, Replica
from .stores import Place

SCOPES = 64
"""Scopes of a tenant that are known while its server is away; those that were used least lately go."""


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
    """

    primary: Any
    replicas: dict[Place, Replica] = field(default_factory=dict[Place, Replica])
    line: Line | None = None
    losses: int = 0
    unsaved: int = 0
    weight: int = 0
    lock: anyio.Lock | None = None

    def replica(self, place: Place) -> Replica:
        if len(self.replicas) == 1 and place in self.replicas:
            return self.replicas[place]
        # The one that was used last comes last.
        found = self.replicas.pop(place, None) or Replica(place)
        self.replicas[place] = found
        if len(self.replicas) > SCOPES:
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
