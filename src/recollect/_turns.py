"""Who waits, of several parties that take turns: a party with much to do holds up the others by one turn.

    x: a b c d     y: e f     z: g        in turns: a e g b f c d

Within a party it is the order of arrival. A party that had a turn goes behind the others: where there are
more of them than one flush takes, each of them comes before any has two.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting", bound=Hashable)


class Turns(Generic[Waiting]):
    """Those who wait, each of a party. Joining, leaving and the next in turn are O(1)."""

    def __init__(self) -> None:
        # Ordered sets: who is cancelled leaves from anywhere, and who was cut off returns to the head.
        self._parties: OrderedDict[Hashable, OrderedDict[Waiting, None]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Waiting]:
        parties: deque[Iterator[Waiting]] = deque()
        for waiting in self._parties.values():
            others = iter(waiting)
            yield next(others)
            parties.append(others)
        while parties:
            others = parties.popleft()
            for each in others:
                yield each
                parties.append(others)
                break

    def of(self, party: Hashable) -> int:
        """Return how many of a party wait."""
        return len(self._parties.get(party, ()))

    def join(self, party: Hashable, each: Waiting, *, first: bool = False) -> None:
        """Have somebody wait, who does not: as the last of a party, or as the first of all."""
        waiting = self._parties.setdefault(party, OrderedDict())
        waiting[each] = None
        self._size += 1
        if first:
            waiting.move_to_end(each, last=False)
            self._parties.move_to_end(party, last=False)

    def leave(self, party: Hashable, each: Waiting) -> None:
        """Have somebody go, who may be gone already."""
        waiting = self._parties.get(party)
        if waiting is None or each not in waiting:
            return
        del waiting[each]
        self._size -= 1
        if waiting:
            self._parties.move_to_end(party)
        else:
            del self._parties[party]
