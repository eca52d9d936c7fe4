"""A read of one tenant's facts, as of one moment, however long it takes."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from heapq import nsmallest

from .. import _json
from .._draft import MAIN
from .._timeline import Piece, Slot, overlay, supporters
from ..stores.facts import FactFilter, FactPosition, FoundFact, Slots
from ._fact_tables import SlotTable, Way
from ._revision import Pace
from ._tables import TenantTable

Seen = tuple[Piece, SlotTable]
"""A piece, and the slot that it was seen in."""


class Look:
    """Finds the pieces that pass a filter, while others write.

    Args:
        ways: look only where one of these leads, and the filter; None for everywhere.
    """

    def __init__(self, table: TenantTable, filter: FactFilter, ways: Sequence[Way] | None = None) -> None:
        self.table = table
        self.basis = table.tx
        self._filter = filter
        self._known = table.tx if filter.known is None else min(filter.known, table.tx)
        self._point = filter.valid_at or max(filter.now, table.at)
        self.pace = Pace()
        # The slots themselves: others may take their place while this read goes on.
        self._slots = list(self._chosen(ways))

    def _chosen(self, ways: Sequence[Way] | None) -> Iterable[tuple[SlotTable | None, SlotTable | None]]:
        """Yield slots of the main branch, each with that of the branch that lies over it."""
        facts, filter = self.table.facts, self._filter
        narrow: list[Way] = []
        if filter.subject is not None and filter.predicate is not None:
            narrow.append(("both", filter.subject, filter.predicate))
        elif filter.subject is not None:
            narrow.append(("subject", filter.subject))
        elif filter.predicate is not None:
            narrow.append(("predicate", filter.predicate))
        if filter.object is not None:
            narrow.append(("object", filter.object))
        places: Iterable[Slot] = facts.at(*narrow)
        if ways is not None:
            places = dict.fromkeys(place for way in ways for place in facts.at(way))
        if filter.branch is None:
            every = facts.slots.items() if places is facts.slots else ((at, facts.slots[at]) for at in places)
            yield from ((slot, None) for place, slot in every if place[0] == MAIN)
            return
        # What a branch says of a slot counts even where it does not say what is looked for.
        for rest in dict.fromkeys(place[1:] for place in places if place[0] in (MAIN, filter.branch)):
            yield facts.slots.get((MAIN, *rest)), facts.slots.get((filter.branch, *rest))

    async def count(self) -> int:
        return len(await self._seen())

    async def pieces(self, *, after: FactPosition | None = None, limit: int | None = None) -> list[Seen]:
        """Return the pieces that pass, in order of position, or the first of them."""
        seen = await self._seen()
        if after is not None:
            seen = [each for each in seen if position(each[0]) > after]
        if limit is not None:
            return nsmallest(limit, seen, key=lambda each: position(each[0]))
        return sorted(seen, key=lambda each: position(each[0]))

    async def _seen(self) -> list[Seen]:
        seen: list[Seen] = []
        for under, over in self._slots:
            pieces = () if under is None else under.known(self._known)
            if over is not None:
                pieces = overlay(pieces, over.known(self._known))
            where = self._where(pieces)
            await self.pace.step(1 + len(where))
            for piece in where:
                slot = under if piece.assertion.branch == MAIN else over
                if slot is not None and self._passes(piece):
                    seen.append((piece, slot))
        return seen

    async def supported(self, pieces: Iterable[Seen]) -> list[FoundFact]:
        """Return pieces with the support they have where they were looked at."""
        found: list[FoundFact] = []
        for piece, slot in pieces:
            log = slot.known_log(self._known)
            await self.pace.step(1 + len(log))
            instant = self._point if self._filter.during is None else piece.valid_from
            held = supporters(log, piece.assertion.object, instant)
            found.append(
                FoundFact(
                    piece=piece,
                    support=len(held),
                    sources=tuple(dict.fromkeys(source for each in held for source in each.sources)),
                    confidence=max((each.confidence for each in held), default=piece.assertion.confidence),
                )
            )
        return found

    def _where(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """Return those of a slot's pieces that are where the filter looks."""
        if self._filter.during is not None:
            return [piece for piece in pieces if piece.overlaps(*self._filter.during)]
        i = bisect_right(pieces, self._point, key=lambda piece: piece.valid_from)
        return pieces[i - 1 : i] if i and pieces[i - 1].covers(self._point) else ()

    def _passes(self, piece: Piece) -> bool:
        said, filter = piece.assertion, self._filter
        return (
            said.op == "assert"
            and filter.subject in (None, said.subject)
            and filter.predicate in (None, said.predicate)
            and filter.object in (None, said.object)
            and filter.session_id in (None, said.session_id)
            and (not filter.where or self._matches(said.object))
        )

    def _matches(self, object: str | None) -> bool:
        value = _json.loads(object or "null")
        for path, expected in self._filter.where.items():
            exists, found = _json.at_path(value, path)
            if not exists or not _json.equal(found, expected):
                return False
        return True


def position(piece: Piece) -> FactPosition:
    return piece.assertion.tx, piece.assertion.seq, piece.valid_from


def slots_of(table: TenantTable, slots: Sequence[SlotTable]) -> Slots:
    """Return several slots as one."""
    log = [each for slot in slots for each in slot.log]
    pieces = [piece for slot in slots for piece in slot.pieces]
    return Slots(
        log=sorted(log, key=lambda each: (each.tx, each.seq)),
        pieces=sorted(pieces, key=lambda piece: (piece.tx_from, piece.valid_from)),
        basis=table.tx,
        at=table.at if table.tx else None,
    )
