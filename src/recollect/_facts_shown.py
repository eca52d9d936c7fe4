"""Pieces and assertions as the values that users get."""

from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from . import _json
from ._ids import derived
from ._timeline import Assertion, Piece, Slot, supporters
from ._values import made
from .stores.changes import Entry
from .stores.facts import FoundFact
from .types import Change, Fact, Span

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
Interval = tuple[datetime, datetime | None]


class Standing:
    """How well pieces are supported.

    Args:
        log: of whole slots, in order.
    """

    def __init__(self, log: Iterable[Assertion]) -> None:
        # By what is said: only an equal assertion supports another, and only its retractions take that away.
        self._said: dict[tuple[Slot, str | None], list[Assertion]] = {}
        said_by: dict[str, tuple[Slot, str | None]] = {}
        for each in log:
            said = said_by.get(each.ref or "", (each.place, each.object))
            said_by[each.id] = said
            self._said.setdefault(said, []).append(each)

    def found(self, piece: Piece, *, known: int | None = None) -> FoundFact:
        """Return a piece with the support it has where it begins.

        Args:
            known: as far as was known after this transaction; None for now.
        """
        assertion = piece.assertion
        held = self.supporters(assertion, piece.valid_from, known=known) if assertion.op == "assert" else []
        return FoundFact(
            piece=piece,
            support=len(held),
            sources=tuple(dict.fromkeys(source for each in held for source in each.sources)),
            confidence=max((each.confidence for each in held), default=assertion.confidence),
        )

    def supporters(self, said: Assertion, instant: datetime, *, known: int | None = None) -> list[Assertion]:
        """Return all that says the same of an instant."""
        log = self._said.get((said.place, said.object), [])
        if known is not None:
            log = [each for each in log if each.tx <= known]
        return supporters(log, said.object, instant)


def last_known(piece: Piece) -> int | None:
    """Return the last transaction after which a piece was current; None if it still is."""
    return None if piece.tx_to is None else piece.tx_to - 1


def shown(
    fact: FoundFact, *, known: int | None = None, changed: bool = True, within: Interval | None = None
) -> Fact:
    """Return a fact as a read gives it; what was not known yet after `known` is left out.

    Args:
        within: the part of its valid time that is looked at; None for all of it.
    """
    piece = fact.piece
    assertion = piece.assertion
    closed = piece.tx_to is not None and (known is None or piece.tx_to <= known)
    valid_from, valid_to = (piece.valid_from, piece.valid_to) if within is None else within
    return made(
        Fact,
        fact_id=assertion.id,
        version_id=version_of(piece),
        subject=assertion.subject,
        predicate=assertion.predicate,
        object=_object(assertion),
        valid_from=valid_from,
        valid_to=valid_to,
        claimed_from=assertion.claimed_from,
        claimed_to=assertion.claimed_to,
        tx_from=piece.tx_from,
        tx_to=piece.tx_to if closed else None,
        asserted_at=assertion.recorded_at,
        recorded_at=piece.recorded_at,
        superseded_at=piece.superseded_at if closed else None,
        superseded_by=piece.superseded_by if closed else None,
        confidence=fact.confidence,
        support=fact.support,
        sources=fact.sources,
        session_id=assertion.session_id,
        actor=assertion.actor,
        reason=assertion.reason,
        staged=bool(assertion.branch),
        void=assertion.op == "void",
        retracts=assertion.ref,
        replaces=assertion.replaces,
        changed=changed,
    )


def entered(entry: Entry) -> Fact:
    """Return what became of an operation; without ground of its own, it shows what it claims."""
    assertion = entry.assertion
    piece = entry.piece or Piece(
        assertion, assertion.claimed_from, assertion.claimed_to, assertion.tx, assertion.recorded_at
    )
    return shown(FoundFact(piece, entry.support, entry.sources, entry.confidence), changed=entry.changed)


def logged(assertion: Assertion) -> Change:
    """Return an entry of the log."""
    return made(
        Change,
        tx=assertion.tx,
        seq=assertion.seq,
        op=assertion.op,
        fact_id=assertion.id,
        subject=assertion.subject,
        predicate=assertion.predicate,
        object=_object(assertion),
        claimed_from=assertion.claimed_from,
        claimed_to=assertion.claimed_to,
        onset=assertion.onset,
        confidence=assertion.confidence,
        sources=assertion.sources,
        recorded_at=assertion.recorded_at,
        session_id=assertion.session_id,
        actor=assertion.actor,
        reason=assertion.reason,
        staged=bool(assertion.branch),
        retracts=assertion.ref,
        replaces=assertion.replaces,
    )


def spans(pieces: Iterable[FoundFact], *, known: int | None) -> tuple[Span, ...]:
    """Return current pieces, of any number of slots, as one line from the first bound to the end of time.

    Spans are disjoint, in order, and without gaps: where nothing is true, there is a span without facts.
    Neighbours that say the same are one.
    """
    coming = sorted(pieces, key=lambda each: each.piece.valid_from, reverse=True)
    if not coming:
        return ()
    bounds = {each.piece.valid_from for each in coming}
    bounds |= {each.piece.valid_to for each in coming if each.piece.valid_to is not None}
    line: list[tuple[datetime, list[FoundFact]]] = []
    here: list[FoundFact] = []
    for instant in sorted(bounds):
        here = [each for each in here if each.piece.covers(instant)]
        while coming and coming[-1].piece.valid_from == instant:
            each = coming.pop()
            if each.piece.assertion.op == "assert":
                insort(here, each, key=lambda each: each.position)
        if not line or not _same(line[-1][1], here):
            line.append((instant, list(here)))
    ends = [*(start for start, _ in line[1:]), None]
    return tuple(
        Span(
            valid_from=start,
            valid_to=end,
            facts=tuple(shown(each, known=known, within=(start, end)) for each in here),
        )
        for (start, here), end in zip(line, ends, strict=True)
    )


def _same(a: Sequence[FoundFact], b: Sequence[FoundFact]) -> bool:
    """Whether two neighbours hold equal objects of equal standing."""

    def said(facts: Sequence[FoundFact]) -> list[tuple[object, ...]]:
        return sorted((each.piece.assertion.place, each.piece.assertion.object or "") for each in facts)

    return said(a) == said(b)


def version_of(piece: Piece) -> str:
    # Where it begins, in both times, tells the pieces of an assertion apart.
    return derived(f"{piece.assertion.id}\0{piece.tx_from}", (piece.valid_from - EPOCH) // MICROSECOND)


def _object(assertion: Assertion) -> object:
    return None if assertion.object is None else _json.loads(assertion.object)
