"""What a tenant owns of facts in process: logs and their projections, and the ways to find them."""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .._draft import digest, text_digest
from .._ledger import Written
from .._timeline import Assertion, Piece, Slot
from .._tombstones import SECRET_BYTES, tombstone
from ..stores.changes import FactText
from ._columns import VectorTable, best_cosines

if TYPE_CHECKING:
    from ..stores import Floats, Vectors

PART = 1_000
"""Vectors that are copied before other tasks have their turn."""

Way = tuple[str, ...]
"""What leads to slots: a kind, and what of that kind."""


class SlotTable:
    """The log of a slot and its projection, as of any transaction.

    A commit appends, and closes pieces; erasure puts another one in its place. So whoever holds one can
    read it as it was, with other tasks running in between.

    Attributes:
        log: in order of `(tx, seq)`.
        pieces: all of them, in order of `(tx_from, valid_from)`.
        current: in order of valid time.
    """

    def __init__(self, log: Sequence[Assertion] = (), pieces: Iterable[Piece] = ()) -> None:
        self.log = list(log)
        self.pieces: list[Piece] = []
        self._at: dict[tuple[str, datetime, int], int] = {}
        self._closed: dict[int, list[int]] = {}
        self.open(pieces)
        self.current = sorted(
            (piece for piece in self.pieces if piece.tx_to is None), key=lambda piece: piece.valid_from
        )

    def open(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._at[_key(piece)] = len(self.pieces)
            self.pieces.append(piece)
            self._note_end(piece)

    def close(self, piece: Piece) -> None:
        self.pieces[self._at[_key(piece)]] = piece
        self._note_end(piece)

    def _note_end(self, piece: Piece) -> None:
        if piece.tx_to is not None:
            self._closed.setdefault(piece.tx_to, []).append(self._at[_key(piece)])

    def known(self, tx: int) -> Sequence[Piece]:
        """Return what was current after a transaction, in order of valid time."""
        if not self.log or tx >= self.log[-1].tx:
            return self.current
        end = bisect_right(self.pieces, tx, key=lambda piece: piece.tx_from)
        known = (piece for piece in islice(self.pieces, end) if piece.known(tx))
        return sorted(known, key=lambda piece: piece.valid_from)

    def known_log(self, tx: int) -> Sequence[Assertion]:
        if not self.log or tx >= self.log[-1].tx:
            return self.log
        return self.log[: bisect_right(self.log, tx, key=lambda each: each.tx)]

    def opened_by(self, tx: int) -> Sequence[Piece]:
        start = bisect_left(self.pieces, tx, key=lambda piece: piece.tx_from)
        return self.pieces[start : bisect_right(self.pieces, tx, start, key=lambda piece: piece.tx_from)]

    def closed_by(self, tx: int) -> Sequence[Piece]:
        return [self.pieces[i] for i in self._closed.get(tx, ())]


def _key(piece: Piece) -> tuple[str, datetime, int]:
    return piece.assertion.id, piece.valid_from, piece.tx_from


@dataclass(slots=True)
class Journaled:
    """A header, without the pieces: these are found by the transaction's assertions."""

    tx: int
    recorded_at: datetime
    name: str
    session_id: str | None
    actor: str | None
    reason: str | None
    key: bytes
    digest: bytes
    undone_by: int | None = None


class TextTable:
    """What a tenant's facts are found by. Index i is owner i of its vectors."""

    def __init__(self) -> None:
        self._texts: list[FactText | None] = []
        self._index: dict[bytes, int] = {}
        self._vectors = VectorTable()
        self._edits = 0  # of what is not only added

    def __len__(self) -> int:
        return len(self._index)

    def add(self, text: FactText) -> None:
        """Take a text in, or the vector of one that had none."""
        index = self._index.get(text.digest)
        vectors = text.vectors
        if index is not None:
            if vectors is not None:
                self.set(text.digest, vectors)
            return
        if vectors is not None and not self._vectors.fits(vectors):
            vectors, text = None, replace(text, embedding_state="pending")
        index = self._index[text.digest] = len(self._texts)
        self._texts.append(replace(text, vectors=None))
        if vectors is not None:
            self._vectors.add(index, vectors)

    def set(self, digest: bytes, vectors: "Vectors") -> bool:
        """Make a text ready; return whether it was not."""
        index = self._index.get(digest)
        text = None if index is None else self._texts[index]
        if (
            index is None
            or text is None
            or text.embedding_state == "ready"
            or not self._vectors.fits(vectors)
        ):
            return False
        self._vectors.add(index, vectors)
        self._texts[index] = replace(text, embedding_state="ready")
        return True

    def drop(self, digests: Iterable[bytes]) -> None:
        self._edits += 1
        indices = [self._index.pop(digest) for digest in digests if digest in self._index]
        for index in indices:
            self._texts[index] = None
        self._vectors.blank(indices)

    @property
    def blank(self) -> int:
        """How many vectors are kept of texts that were dropped."""
        return self._vectors.owned([index for index, text in enumerate(self._texts) if text is None])

    def compact(self) -> Iterator[int]:
        """Give up the room of what was dropped; yield how many vectors that were, in the end.

        In parts, after each of which others may run. It is worked out beside what is, and takes its place at
        once; if something is dropped meanwhile, that was in vain, and nothing changes.
        """
        edits, vectors, copied = self._edits, self._vectors.empty(), 0
        keep = np.array([text is not None for text in self._texts], dtype=np.bool_)
        while copied < len(self._vectors):
            stop = min(copied + PART, len(self._vectors))
            self._vectors.copy(vectors, keep, start=copied, stop=stop)
            copied = stop
            yield 0
            if self._edits != edits:
                return
        kept = [text for text in self._texts if text is not None]
        gone = len(self._vectors) - len(vectors)
        self._texts, self._vectors = list[FactText | None](kept), vectors
        self._index = {text.digest: index for index, text in enumerate(kept)}
        self._edits += 1
        yield gone

    def make_pending(self) -> None:
        self._edits += 1
        self._vectors = VectorTable()
        self._texts = [each and replace(each, embedding_state="pending") for each in self._texts]

    def pending(self, limit: int) -> Sequence[FactText]:
        waiting = (each for each in self._texts if each is not None and each.embedding_state != "ready")
        return sorted(waiting, key=lambda each: each.digest)[:limit]

    def kept(self, digests: Iterable[bytes]) -> dict[bytes, FactText]:
        """Return texts, those that are ready with their vectors."""
        at = {digest: self._index[digest] for digest in digests if digest in self._index}
        vectors = self._vectors.of(list(at.values()))
        texts = {digest: self._texts[index] for digest, index in at.items()}
        return {
            digest: replace(text, vectors=vectors.get(at[digest]))
            for digest, text in texts.items()
            if text is not None
        }

    def terms(self, digest: bytes) -> tuple[str, ...]:
        index = self._index.get(digest)
        text = None if index is None else self._texts[index]
        return () if text is None else text.terms

    def cosines(self, digests: Sequence[bytes], query: "Vectors") -> "Floats":
        """Return the cosine of each text, NaN where there is no vector."""
        # One more, which has none, stands for what is not there.
        every = best_cosines(*self._vectors.view(), query, len(self._texts) + 1)
        at = [self._index.get(digest, len(self._texts)) for digest in digests]
        return every[np.array(at, dtype=np.int64)]


@dataclass(slots=True)
class FactTable:
    """The facts of one tenant."""

    slots: dict[Slot, SlotTable] = field(default_factory=dict[Slot, SlotTable])
    assertions: list[Assertion] = field(default_factory=list[Assertion])
    by_id: dict[str, Assertion] = field(default_factory=dict[str, Assertion])
    headers: list[Journaled] = field(default_factory=list[Journaled])
    by_session: dict[str | None, list[Journaled]] = field(default_factory=dict[str | None, list[Journaled]])
    by_key: dict[bytes, Journaled] = field(default_factory=dict[bytes, Journaled])
    texts: TextTable = field(default_factory=TextTable)
    tombstones: set[bytes] = field(default_factory=set[bytes])
    _ways: dict[Way, dict[Slot, None]] = field(default_factory=dict[Way, dict[Slot, None]])
    secret: bytes = field(default_factory=lambda: os.urandom(SECRET_BYTES))

    def ways(self, kind: str) -> Iterator[Way]:
        """Yield the ways of a kind."""
        return (way for way in self._ways if way[0] == kind)

    def at(self, *ways: Way) -> Collection[Slot]:
        """Return slots among which are those that every way leads to."""
        if not ways:
            return self.slots
        return min((self._ways.get(way, {}) for way in ways), key=len)

    def sourced(self, episodes: Iterable[str]) -> dict[Slot, None]:
        """Return the slots in which one of these episodes is a source."""
        ways = self._ways
        return {place: None for id in episodes if (at := ways.get(("source", id))) for place in at}

    def of(self, tx: int) -> Sequence[Assertion]:
        """Return the assertions of a transaction."""
        start = bisect_left(self.assertions, tx, key=lambda each: each.tx)
        return self.assertions[start : bisect_right(self.assertions, tx, start, key=lambda each: each.tx)]

    def undoable(self, session_id: str | None, steps: int) -> list[int]:
        """Return a session's newest transactions that are not undone, newest first.

        One of which erasure left nothing has nothing to undo.
        """
        waiting = (
            each.tx
            for each in reversed(self.by_session.get(session_id, ()))
            if each.undone_by is None and each.name != "rollback" and self.of(each.tx)
        )
        return list(islice(waiting, steps))

    def touched(self, tx: int) -> Iterator[SlotTable]:
        """Yield the slots that a transaction has written to."""
        return (self.slots[place] for place in dict.fromkeys(each.place for each in self.of(tx)))

    def erased(self, episodes: Iterable[str]) -> Iterator[str]:
        return (id for id in episodes if self.tombstones and self.tombstone(id) in self.tombstones)

    def erased_keys(self, keys: Iterable[bytes]) -> Iterator[bytes]:
        return (key for key in keys if self.tombstones and self.tombstone(key) in self.tombstones)

    def bury(self, episodes: Iterable[str]) -> None:
        """Keep episodes from coming back, whether they exist or not."""
        self.tombstones.update(map(self.tombstone, episodes))

    def emptied(self, tombstones: Iterable[bytes]) -> "FactTable":
        """Return a table that has nothing but these tombstones and those that are here."""
        return FactTable(tombstones=self.tombstones.union(tombstones), secret=self.secret)

    def tombstone(self, of: str | bytes) -> bytes:
        """Return what is kept of an episode's id, or of the hash of a key."""
        return tombstone(self.secret, of)

    def apply(self, written: Written, current: Mapping[Slot, list[Piece]]) -> None:
        """Make what a ledger has written part of the tables."""
        for each in written.assertions:
            self.say(each)
        for piece in written.closed:
            self.slots[piece.assertion.place].close(piece)
        for piece in written.opened:
            self.slots[piece.assertion.place].open((piece,))
        for place in dict.fromkeys(each.place for each in written.assertions):
            self.slots[place].current = current[place]
        for tx, at, change in written.headers:
            self.enter(
                Journaled(
                    tx, at, change.name, change.session_id, change.actor, change.reason,
                    key=digest(change.key), digest=change.digest,
                )
            )  # fmt: skip
            for text in change.texts:
                self.texts.add(text)
        for tx, by in written.undone:
            self.headers[bisect_left(self.headers, tx, key=lambda each: each.tx)].undone_by = by

    def substitute(self, old: Iterable[Slot], new: Mapping[Slot, SlotTable]) -> int:
        """Put slots in the place of others, with all that follows; return assertions that are gone."""
        gone: dict[str, Assertion] = {}
        for place in old:
            for each in self.slots.pop(place).log:
                gone[each.id] = each
                for way in _ways(each):
                    self._ways.get(way, {}).pop(place, None)
        kept: dict[str, Assertion] = {}
        for place, slot in new.items():
            self.slots[place] = slot
            for each in slot.log:
                kept[each.id] = each
                self._lead(each)
        for id in gone.keys() - kept.keys():
            del self.by_id[id]
        self.by_id.update(kept)
        self.assertions = [self.by_id[each.id] for each in self.assertions if each.id in self.by_id]
        self._forget(gone.values())
        emptied = {each.tx for id, each in gone.items() if id not in kept}
        self._scrub({tx for tx in emptied if not self.of(tx)})
        return len(gone) - len(kept)

    def _scrub(self, emptied: Collection[int]) -> None:
        """Drop what tells of what is gone from headers of which nothing is left."""
        sessions: set[str | None] = set()
        for tx in emptied:
            header = self.headers[bisect_left(self.headers, tx, key=lambda each: each.tx)]
            sessions.add(header.session_id)
            header.session_id = header.actor = header.reason = None
            header.digest = b""
        for session in sessions - {None}:
            left = [each for each in self.by_session.pop(session) if each.session_id is not None]
            if left:
                self.by_session[session] = left
        for header in self.headers if emptied else ():
            if header.undone_by in emptied:  # whoever undid it was never there
                header.undone_by = None

    def say(self, assertion: Assertion) -> None:
        """Add the newest assertion; the projection of its slot is not derived."""
        self.assertions.append(assertion)
        self.by_id[assertion.id] = assertion
        self.slots.setdefault(assertion.place, SlotTable()).log.append(assertion)
        self._lead(assertion)

    def _lead(self, assertion: Assertion) -> None:
        for way in _ways(assertion):
            self._ways.setdefault(way, {})[assertion.place] = None

    def _forget(self, gone: Iterable[Assertion]) -> None:
        """Drop what led to assertions that are not there any more, unless others need it."""
        texts: set[bytes] = set()
        for old in gone:
            for way in _ways(old):
                if not self._ways.get(way, True):
                    del self._ways[way]
            if old.object is not None and not self._ways.get(_said(old, old.object)):
                texts.add(text_digest(old.subject, old.predicate, old.object))
        self.texts.drop(texts)

    def enter(self, header: Journaled) -> None:
        self.headers.append(header)
        self.by_session.setdefault(header.session_id, []).append(header)
        self.by_key[header.key] = header


def _ways(assertion: Assertion) -> Iterator[Way]:
    yield "branch", assertion.branch
    yield "subject", assertion.subject
    yield "predicate", assertion.predicate
    yield "both", assertion.subject, assertion.predicate
    if assertion.object is not None:
        yield "object", assertion.object
        if assertion.op == "assert":
            yield _said(assertion, assertion.object)
    for source in assertion.sources:
        yield "source", source


def _said(assertion: Assertion, object: str) -> Way:
    return "said", assertion.subject, assertion.predicate, object
