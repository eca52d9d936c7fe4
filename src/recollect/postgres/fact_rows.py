"""Rows of the fact tables as what the contract speaks of."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from operator import itemgetter
from typing import Any, cast, overload

import asyncpg

from .._timeline import Assertion, Piece, Slot
from ..stores.facts import FoundFact, Header, Slots

Fields = Callable[[asyncpg.Record], tuple[Any, ...]]

_FIELDS = tuple(each.name for each in fields(Assertion))
_SOURCES = _FIELDS.index("sources")
_before_sources = cast("Fields", itemgetter(*_FIELDS[:_SOURCES]))
_after_sources = cast("Fields", itemgetter(*_FIELDS[_SOURCES + 1 :]))


def assertion_of(row: asyncpg.Record) -> Assertion:
    values: tuple[Any, ...] = (*_before_sources(row), tuple(row["sources"]), *_after_sources(row))
    return Assertion(*values)


def piece_of(row: asyncpg.Record, assertion: Assertion) -> Piece:
    return Piece(
        assertion=assertion,
        valid_from=row["valid_from"],
        valid_to=row["valid_to"],
        tx_from=row["tx_from"],
        recorded_at=row["opened_at"],
        tx_to=row["tx_to"],
        superseded_at=row["superseded_at"],
        superseded_by=row["superseded_by"],
    )


def found_of(row: asyncpg.Record) -> FoundFact:
    assertion = assertion_of(row)
    return FoundFact(
        piece=piece_of(row, assertion),
        support=row["support"],
        sources=tuple(dict.fromkeys(row["all_sources"] or ())),
        confidence=assertion.confidence if row["best"] is None else row["best"],
    )


class FoundFacts(Sequence[FoundFact]):
    """The facts of rows, made when they are asked for: of all that a query looks at, few are."""

    def __init__(self, rows: Sequence[asyncpg.Record]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> FoundFact: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FoundFact]: ...
    def __getitem__(self, index: int | slice) -> FoundFact | Sequence[FoundFact]:
        if isinstance(index, slice):
            return FoundFacts(self._rows[index])
        return found_of(self._rows[index])


@dataclass(slots=True)
class Read:
    """The logs of slots with their pieces, from rows of an assertion and one of its pieces, if it has any.

    Attributes:
        logs: in the order of the rows.
        pieces: likewise.
        by_id: all assertions.
    """

    logs: dict[Slot, list[Assertion]] = field(default_factory=dict[Slot, list[Assertion]])
    pieces: dict[Slot, list[Piece]] = field(default_factory=dict[Slot, list[Piece]])
    by_id: dict[str, Assertion] = field(default_factory=dict[str, Assertion])

    def add(self, row: asyncpg.Record) -> None:
        if row["id"] is None:
            return
        assertion = self.by_id.get(row["id"])
        if assertion is None:
            assertion = self.by_id[row["id"]] = assertion_of(row)
            self.logs.setdefault(assertion.place, []).append(assertion)
        if row["valid_from"] is not None:
            self.pieces.setdefault(assertion.place, []).append(piece_of(row, assertion))

    def slots(self, places: Iterable[Slot], clock: asyncpg.Record | None) -> Slots:
        """Return what was read of some slots as one."""
        chosen = list(places)
        return Slots(
            log=sorted(
                (each for place in chosen for each in self.logs.get(place, ())),
                key=lambda each: (each.tx, each.seq),
            ),
            pieces=sorted(
                (each for place in chosen for each in self.pieces.get(place, ())),
                key=lambda each: (each.tx_from, each.valid_from),
            ),
            basis=0 if clock is None else clock["basis"],
            at=None if clock is None else clock["at"],
        )


def read_of(rows: Iterable[asyncpg.Record]) -> Read:
    read = Read()
    for row in rows:
        read.add(row)
    return read


def basis_of(rows: Sequence[asyncpg.Record]) -> int:
    """Return the basis of a read that has a row even if nothing was found; a tenant without one has none."""
    return rows[0]["basis"] if rows else 0


def columns(rows: Sequence[tuple[object, ...]], width: int) -> Sequence[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def headers_of(rows: Iterable[asyncpg.Record]) -> Sequence[Header]:
    """Return headers from rows of one and a piece that its transaction opened or closed, if there is any."""
    first: dict[int, asyncpg.Record] = {}
    pieces: dict[tuple[int, bool], list[Piece]] = {}
    for row in rows:
        if row["of_tx"] is None:
            continue
        first.setdefault(row["of_tx"], row)
        if row["id"] is not None:
            piece = piece_of(row, assertion_of(row))
            pieces.setdefault((row["of_tx"], row["opened"]), []).append(piece)
    return [
        Header(
            tx=tx,
            recorded_at=row["of_instant"],
            name=row["name"],
            session_id=row["of_session"],
            actor=row["of_actor"],
            reason=row["of_reason"],
            undone_by=row["undone_by"],
            before=tuple(pieces.get((tx, False), ())),
            after=tuple(pieces.get((tx, True), ())),
        )
        for tx, row in first.items()
    ]
