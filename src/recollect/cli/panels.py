"""Where the pieces of facts lie in a picture of both times, and where belief has changed in it. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import sqrt

from .. import _json
from ..types import Fact
from .excerpts import printable

ROW, THINNEST, NEWEST = 46.0, 14.0, 30.0
"""Pixels of a transaction: with few of them, with many, and of the newest at least."""

TALLEST = 560.0
"""Pixels that the transactions of a panel share, before they get thin."""

APART = 70.0
"""Pixels between bounds of valid time, at least, while there are few."""

ENDLESS = 60.0
"""Pixels by which what has no end reaches beyond the last bound."""

_NOT_XML = re.compile("[^\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Box:
    """A piece where it is drawn. `top` is where it ceases to be believed."""

    fact: Fact
    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A stretch of valid time of which something else is believed from a transaction on.

    Attributes:
        box: what was believed until then.
        corrected: nothing of its fact is believed any more; else it has lost some of its ground.
    """

    box: Box
    left: float
    right: float
    corrected: bool


@dataclass(frozen=True, slots=True)
class Across:
    """The axis of valid time.

    Attributes:
        left, right: of everything; what has no end is cut off at the right.
        places: where the bounds are.
    """

    left: float
    right: float
    places: Mapping[datetime, float]


@dataclass(frozen=True, slots=True)
class Panel:
    """Pieces that do not overlap, the places of their transactions, and where belief has changed."""

    heading: str
    boxes: Sequence[Box]
    ticks: Mapping[int, tuple[float, datetime]]
    edges: Sequence[Edge]
    top: float
    bottom: float


def grouped(facts: Sequence[Fact]) -> list[tuple[str, list[Fact]]]:
    """Gather pieces that do not overlap; return each group after what its pieces have in common."""
    places: dict[tuple[str, str, str], list[Fact]] = {}
    for fact in sorted(facts, key=lambda each: (each.tx_from, each.valid_from)):
        staged = f" · staged in {fact.session_id}" if fact.staged else ""
        places.setdefault((fact.subject, fact.predicate, staged), []).append(fact)
    groups: list[tuple[str, list[Fact]]] = []
    for (subject, predicate, staged), pieces in places.items():
        heading = f"{subject} · {predicate}{staged}"
        # Only values that may be true at the same time overlap, and those are kept apart by what they are.
        if not any(_overlap(a, b) for i, a in enumerate(pieces) for b in pieces[:i]):
            groups.append((heading, pieces))
            continue
        values: dict[str, list[Fact]] = {}
        for fact in pieces:
            values.setdefault(_json.canonical(fact.object), []).append(fact)  # what has ended is named, too
        groups.extend((f"{heading} · {said(own[0].object)}", own) for own in values.values())
    return groups


def _overlap(a: Fact, b: Fact) -> bool:
    return (
        (a.valid_to is None or b.valid_from < a.valid_to)
        and (b.valid_to is None or a.valid_from < b.valid_to)
        and (a.tx_to is None or b.tx_from < a.tx_to)
        and (b.tx_to is None or a.tx_from < b.tx_to)
    )


def valid_bounds(facts: Iterable[Fact]) -> Iterator[datetime]:
    for fact in facts:
        yield fact.valid_from
        if fact.valid_to is not None:
            yield fact.valid_to


def known_bounds(fact: Fact) -> dict[int, datetime]:
    """Return the transactions that opened and closed a piece, with their instants."""
    bounds = {fact.tx_from: fact.recorded_at}
    if fact.tx_to is not None and fact.superseded_at is not None:
        bounds[fact.tx_to] = fact.superseded_at
    return bounds


def spread(instants: Collection[datetime], *, left: float, right: float) -> Across:
    """Give instants their places: in order, and none too near to another to be seen."""
    ordered = sorted(instants)
    gaps = [sqrt((b - a).total_seconds()) for a, b in pairwise(ordered)]
    length = right - ENDLESS - left
    least = min(APART, 0.6 * length / max(1, len(gaps)))
    rest = length - least * len(gaps)
    x = left
    places = {ordered[0]: round(x, 2)}
    for instant, gap in zip(ordered[1:], gaps, strict=True):
        x += least + rest * gap / sum(gaps)
        places[instant] = round(x, 2)
    return Across(left, right, places)


def placed(heading: str, facts: Sequence[Fact], across: Across, *, top: float, room: float) -> Panel:
    """Lay pieces out below `top`, a row for each transaction, the newest above.

    Args:
        room: pixels for all rows together, if there are many.
    """
    bounds: dict[int, datetime] = {}
    for fact in facts:
        bounds |= known_bounds(fact)
    row = min(ROW, max(THINNEST, TALLEST / len(bounds)), room / len(bounds))
    newest = top + max(row, NEWEST)
    ticks = {
        tx: (round(newest + i * row, 2), bounds[tx]) for i, tx in enumerate(sorted(bounds, reverse=True))
    }
    boxes = [
        Box(
            fact,
            left=across.places[fact.valid_from],
            right=across.right if fact.valid_to is None else across.places[fact.valid_to],
            top=top if fact.tx_to is None else ticks[fact.tx_to][0],
            bottom=ticks[fact.tx_from][0],
        )
        for fact in facts
    ]
    return Panel(heading, boxes, ticks, list(_edges(boxes)), top, max(y for y, _ in ticks.values()))


def _edges(boxes: Sequence[Box]) -> Iterator[Edge]:
    """Yield where belief has changed: what a piece held, less what is held the same afterwards."""
    for box in boxes:
        tx = box.fact.tx_to
        if tx is None:
            continue
        after = [b for b in boxes if b.fact.tx_from <= tx and (b.fact.tx_to is None or tx < b.fact.tx_to)]
        remains = [(box.left, box.right)]
        for other in after:
            if key_of(other.fact) == key_of(box.fact):
                remains = [
                    (start, end)
                    for left, right in remains
                    for start, end in ((left, min(right, other.left)), (max(left, other.right), right))
                    if start < end
                ]
        corrected = all(other.fact.fact_id != box.fact.fact_id for other in after)
        yield from (Edge(box, left, right, corrected) for left, right in remains)


def key_of(fact: Fact) -> str:
    """Return what tells values apart: JSON of the object; nothing of a void."""
    return "" if fact.void else _json.canonical(fact.object)


def said(value: object) -> str:
    """Return a JSON value for people: text as it is, anything else as JSON."""
    return clean(value if isinstance(value, str) else _json.dumps(value))


def clean(text: str) -> str:
    """Return text on one line, without what XML cannot hold."""
    return _NOT_XML.sub("\ufffd", printable(text))
