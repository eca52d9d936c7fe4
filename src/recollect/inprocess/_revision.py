"""Deriving slots from their logs again, in parts, while other tasks run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from anyio.lowlevel import checkpoint

from .._draft import slot_of
from .._timeline import Assertion, Piece, Slot, projected
from ..stores.changes import Rule
from ._fact_tables import FactTable, SlotTable

AT_ONCE = 1_000
"""Pieces or assertions to look at before other tasks have their turn: a few milliseconds."""

Logs = Mapping[Slot, Sequence[Assertion]]


class Pace:
    """Lets other tasks run after so much work."""

    def __init__(self) -> None:
        self._done = 0

    async def step(self, work: int = 1) -> None:
        self._done += work
        if self._done >= AT_ONCE:
            self._done = 0
            await checkpoint()


async def replayed(log: Sequence[Assertion], pace: Pace) -> list[Piece]:
    """Return what `_timeline.replay` does."""
    pieces: list[Piece] = []
    current: list[Piece] = []
    for step, now in projected(log):
        pieces.extend(step.closed)
        current = now
        await pace.step(len(current) + len(step.closed))
    return sorted([*pieces, *current], key=lambda piece: (piece.tx_from, piece.valid_from))


@dataclass(slots=True)
class _Part:
    """Slots whose logs go into one another, how long these were, and what they become."""

    old: dict[Slot, tuple[SlotTable, int]]
    new: dict[Slot, SlotTable]

    def is_fresh(self, facts: FactTable, places: Iterable[Slot]) -> bool:
        """Whether nobody has written to these slots meanwhile."""
        return self.old == {place: (facts.slots[place], len(facts.slots[place].log)) for place in places}


class Revision:
    """Slots of a tenant as they are to be, worked out beforehand, so that they can change at one moment.

    Args:
        affected: returns the slots to derive again as they are now, in groups that go into one another.
        rewrite: returns the logs that replace those of a group.
    """

    def __init__(
        self,
        facts: FactTable,
        affected: Callable[[FactTable], Iterable[Sequence[Slot]]],
        rewrite: Callable[[Logs], Logs],
    ) -> None:
        self.facts = facts
        self._affected = affected
        self._rewrite = rewrite
        self._parts: dict[Slot, _Part] = {}

    async def prepare(self, pace: Pace | None = None) -> bool:
        """Work out what is missing; return whether nothing was: then `apply` is exact until an await."""
        groups = list(self._affected(self.facts))
        self._parts = {group[0]: part for group in groups if (part := self._parts.get(group[0])) is not None}
        stale = [
            group
            for group in groups
            if (part := self._parts.get(group[0])) is None or not part.is_fresh(self.facts, group)
        ]
        pace = pace or Pace()
        for group in stale:
            slots = {place: self.facts.slots[place] for place in group if place in self.facts.slots}
            logs = {place: list(slot.log) for place, slot in slots.items()}
            old = {place: (slot, len(logs[place])) for place, slot in slots.items()}
            new = {
                place: SlotTable(log, await replayed(log, pace))
                for place, log in self._rewrite(logs).items()
                if log
            }
            self._parts[group[0]] = _Part(old, new)
        return not stale

    def apply(self) -> int:
        """Make it so; return how many assertions are gone."""
        old = [place for part in self._parts.values() for place in part.old]
        new = {place: slot for part in self._parts.values() for place, slot in part.new.items()}
        return self.facts.substitute(old, new) if old else 0


async def prepared(revisions: Callable[[], Iterable[Revision]]) -> None:
    """Prepare revisions until nobody writes in between: they can be applied until the next await."""
    while True:
        # All of them are asked each time: a write to one takes place while another is prepared.
        ready = [await revision.prepare() for revision in revisions()]
        if all(ready):
            return


def by_subject(places: Iterable[Slot]) -> list[list[Slot]]:
    """Return slots in groups of one branch, subject and predicate."""
    groups: dict[tuple[str, str, str], list[Slot]] = {}
    for place in places:
        groups.setdefault(place[:3], []).append(place)
    return list(groups.values())


def slotted(logs: Logs, rule: Rule) -> Logs:
    """Return the logs of a subject and a predicate as another rule divides them."""
    placed: dict[str, Slot] = {}
    result: dict[Slot, list[Assertion]] = {}
    ordered = sorted((each for log in logs.values() for each in log), key=lambda each: (each.tx, each.seq))
    for each in ordered:
        # A retraction is where what it hides is.
        place = placed[each.ref] if each.ref is not None else (*each.place[:3], slot_of(rule, each.object))
        placed[each.id] = place
        result.setdefault(place, []).append(replace(each, slot=place[3]))
    return result
