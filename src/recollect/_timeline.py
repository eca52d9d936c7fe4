"""The bi-temporal algebra of one slot: what was held true of which instants, and when. Pure, without I/O.

A slot's log is its assertions in the order of `(tx, seq)`. It is the truth; what a read touches is a
projection of it, disjoint pieces, that this module derives. What the log says is defined for each
instant v of valid time and each transaction k of known time:

    winner(v, k):
        w = none
        for each assertion r with r.tx <= k, not hidden at k, in order:
            if r does not cover v: continue
            if r is onset and w exists and w.claimed_from > r.claimed_from: continue
            w = r
        return w                    # what is true is w's object; nothing if there is no w, or w is a void

* r covers v if `claimed_from <= v < claimed_to`; None is unbounded. A retraction covers nothing.
* An **onset** has no end of its own: "since then, until something else is known". What is known to start
  later keeps its ground against it. Any other assertion is **bounded**, even if it claims to last for ever.
* A **void** is an assertion of nothing: it ends, or denies, what was held true before.
* A **retraction** hides the assertion it refers to, from its own tx on, unless it is itself hidden.

Pieces are never edited. One that loses ground is closed at that transaction, and what remains of it, to
the left and to the right, is opened anew: so the answer at an earlier transaction stays what it was.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, takewhile
from typing import Literal

Op = Literal["assert", "void", "retract"]

Slot = tuple[str, str, str, str]
"""Branch, subject, predicate, and what keeps values of one predicate apart. Within a tenant."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """An entry of a tenant's fact log. Never changed, only erased.

    Attributes:
        id: unique in the tenant.
        tx, seq: transaction, and position in it.
        recorded_at: of its transaction.
        branch: empty for the main one; else the session whose staged facts these are.
        slot: empty for a predicate with one value at a time; else a digest of the object.
        ref: the assertion that a retraction hides; None for any other.
        object: canonical JSON text; None for a void that names none, and for JSON null the text "null".
        claimed_from, claimed_to: half-open, UTC, None for no end.
        onset: whether it lasts only until something else is known.
        sources: ids of episodes.
        replaces: the assertion that a correction, an update or a promotion took the place of.
    """

    id: str
    tx: int
    seq: int
    recorded_at: datetime
    op: Op
    branch: str
    subject: str
    predicate: str
    slot: str
    object: str | None
    claimed_from: datetime
    claimed_to: datetime | None
    onset: bool
    ref: str | None = None
    confidence: float = 1.0
    sources: tuple[str, ...] = ()
    session_id: str | None = None
    actor: str | None = None
    reason: str | None = None
    replaces: str | None = None

    @property
    def place(self) -> Slot:
        return self.branch, self.subject, self.predicate, self.slot

    def covers(self, instant: datetime) -> bool:
        return self.claimed_from <= instant and _before(instant, self.claimed_to)


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle: what an assertion holds of valid time, while it is known to.

    Attributes:
        valid_from, valid_to: half-open, what other assertions leave of its claim.
        tx_from, tx_to: half-open; None while it is current.
        recorded_at, superseded_at: instants of these transactions.
        superseded_by: the assertion that closed it.
    """

    assertion: Assertion
    valid_from: datetime
    valid_to: datetime | None
    tx_from: int
    recorded_at: datetime
    tx_to: int | None = None
    superseded_at: datetime | None = None
    superseded_by: str | None = None

    def known(self, tx: int | None) -> bool:
        """Whether it was current after transaction `tx`; None for now."""
        if tx is None:
            return self.tx_to is None
        return self.tx_from <= tx and (self.tx_to is None or tx < self.tx_to)

    def covers(self, instant: datetime) -> bool:
        return self.valid_from <= instant and _before(instant, self.valid_to)

    def overlaps(self, start: datetime | None, end: datetime | None) -> bool:
        return (end is None or self.valid_from < end) and (start is None or _before(start, self.valid_to))


@dataclass(frozen=True, slots=True)
class Step:
    """What a transaction does to the projection of a slot.

    Attributes:
        closed: pieces that were current, as they are now.
        opened: pieces that are current from now on.
        current: all that are, in order of valid time.
    """

    closed: tuple[Piece, ...]
    opened: tuple[Piece, ...]
    current: list[Piece]


def advance(current: Sequence[Piece], log: Sequence[Assertion], new: Sequence[Assertion]) -> Step:
    """Return what assertions of one transaction do to the current pieces of their slot.

    Args:
        current: in order of valid time.
        log: what precedes the new ones; read only if there is a retraction among them.
        new: not empty, all of one transaction, in order.
    """
    if any(each.op == "retract" for each in new):
        after = fold([*log, *new])
    else:
        after = list(current)
        for each in new:
            after = _with(after, each)
    last = new[-1]
    # What is the same at either end need not be compared: as a rule that is nearly all.
    low = _same(zip(current, after, strict=False))
    high = _same(zip(reversed(current[low:]), reversed(after[low:]), strict=False))
    stop = len(after) - high
    before = {_extent(piece): piece for piece in current[low : len(current) - high]}
    opened: list[Piece] = []
    for i, piece in enumerate(after[low:stop], low):
        kept = before.pop(_extent(piece), None)
        if kept is None:
            kept = _opened(piece, last)
            opened.append(kept)
        after[i] = kept
    closed = tuple(_closed(piece, last) for piece in before.values())
    return Step(closed, tuple(opened), after)


def _opened(piece: Piece, by: Assertion) -> Piece:
    # Not by `replace`, which takes three times as long: that would be felt in every assertion.
    return Piece(piece.assertion, piece.valid_from, piece.valid_to, by.tx, by.recorded_at)


def _closed(piece: Piece, by: Assertion) -> Piece:
    return Piece(
        piece.assertion, piece.valid_from, piece.valid_to, piece.tx_from, piece.recorded_at,
        by.tx, by.recorded_at, by.id,
    )  # fmt: skip


def _same(pairs: Iterable[tuple[Piece, Piece]]) -> int:
    """Return how many pairs there are before the first one of two pieces."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))


def fold(log: Sequence[Assertion]) -> list[Piece]:
    """Return the current pieces of a log, in order of valid time, as if it were all of one transaction."""
    pieces: list[Piece] = []
    for each in visible(log):
        if each.op != "retract":
            pieces = _with(pieces, each)
    return pieces


def replay(log: Sequence[Assertion]) -> list[Piece]:
    """Return every piece there ever was, in order of `(tx_from, valid_from)`: the projection of a log."""
    closed: list[Piece] = []
    current: list[Piece] = []
    for step, now in projected(log):
        closed.extend(step.closed)
        current = now
    return sorted([*closed, *current], key=lambda piece: (piece.tx_from, piece.valid_from))


def projected(log: Sequence[Assertion]) -> Iterator[tuple[Step, list[Piece]]]:
    """Yield, for each transaction of a log, what it does to the projection and what is current afterwards."""
    current: list[Piece] = []
    done: list[Assertion] = []
    for _, of_one in groupby(log, key=lambda each: each.tx):
        new = list(of_one)
        step = advance(current, done, new)
        current = step.current
        done.extend(new)
        yield step, current


def visible(log: Sequence[Assertion]) -> list[Assertion]:
    """Return the assertions that no retraction hides, in order; retractions are among them."""
    hidden: set[str] = set()
    shown: list[Assertion] = []
    for each in reversed(log):  # whatever hides an assertion comes after it
        if each.id in hidden:
            continue
        shown.append(each)
        if each.ref is not None:
            hidden.add(each.ref)
    return shown[::-1]


def supporters(log: Sequence[Assertion], object: str | None, instant: datetime) -> list[Assertion]:
    """Return the visible assertions of an object that cover an instant."""
    return [
        each
        for each in visible(log)
        if each.op == "assert" and each.object == object and each.covers(instant)
    ]


def overlay(under: Iterable[Piece], over: Sequence[Piece]) -> list[Piece]:
    """Lay current pieces of one branch over those of another, slot by slot; in order of valid time."""
    found = list(over)
    for piece in under:
        remains = [piece]
        for above in over:
            if above.assertion.place[1:] == piece.assertion.place[1:]:
                remains = [
                    part for each in remains for part in _without(each, above.valid_from, above.valid_to)
                ]
        found.extend(remains)
    return sorted(found, key=lambda piece: piece.valid_from)


def _with(pieces: Sequence[Piece], new: Assertion) -> list[Piece]:
    """Return the pieces after `new` has taken its region; what it displaces leaves its remainders."""
    start, end = new.claimed_from, new.claimed_to
    # Only what is between these can overlap it.
    low = max(bisect_right(pieces, start, key=_start) - 1, 0)
    high = len(pieces) if end is None else bisect_left(pieces, end, key=_start)
    result: list[Piece] = []
    free: datetime | None = start  # from where on the region is not spoken for
    for piece in pieces[low:high]:
        if new.onset and piece.assertion.claimed_from > start:
            if free is not None and free < piece.valid_from:
                result.append(Piece(new, free, piece.valid_from, new.tx, new.recorded_at))
            free = piece.valid_to
            result.append(piece)
        else:
            result.extend(_without(piece, start, end))
    if free is not None:
        result.append(Piece(new, free, end, new.tx, new.recorded_at))
    return [*pieces[:low], *sorted(result, key=_start), *pieces[high:]]


def _start(piece: Piece) -> datetime:
    return piece.valid_from


def _without(piece: Piece, start: datetime, end: datetime | None) -> list[Piece]:
    """Return what is left of a piece outside `[start, end)`: at most a left and a right remainder."""
    if not piece.overlaps(start, end):
        return [piece]
    remainders: list[Piece] = []
    if piece.valid_from < start:
        remainders.append(replace(piece, valid_to=start))
    if end is not None and _before(end, piece.valid_to):
        remainders.append(replace(piece, valid_from=end))
    return remainders


def _before(instant: datetime, end: datetime | None) -> bool:
    return end is None or instant < end


def _extent(piece: Piece) -> tuple[str, datetime, datetime | None]:
    return piece.assertion.id, piece.valid_from, piece.valid_to
