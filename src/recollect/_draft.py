"""One change on its way: what each of its operations adds to the log, and why it may be refused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import cast

from ._entries import entries
from ._ids import derived
from ._repetition import claim_of, repeated, same_content
from ._timeline import Assertion, Op, Piece, Slot, Step, advance, visible
from .errors import Conflict, FactConflict, InvalidInput, NotFound, RollbackConflict, VersionConflict
from .stores.changes import (
    Assert,
    Change,
    Claim,
    Discard,
    Operation,
    Promote,
    Replace,
    Retract,
    Rollback,
    Rule,
    Void,
)

MICROSECOND = timedelta(microseconds=1)
UNDECLARED = Rule()
MAIN = ""
IMMUTABLE = "the predicate is immutable and has another object here; retract that one first"


def digest(*parts: str) -> bytes:
    """Return what stands for texts without NUL, in 16 bytes."""
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def slot_of(rule: Rule, object: str | None) -> str:
    """Return what keeps the values of a predicate apart: nothing if there is one at a time."""
    return "" if rule.cardinality == "one" or object is None else digest(object).hex()


def text_digest(subject: str, predicate: str, object: str) -> bytes:
    return digest(subject, predicate, object)


@dataclass(slots=True)
class State:
    """What is stored of what was wanted.

    Attributes:
        tx, at: the tenant's clock.
        now: of the wall clock.
        rules: of the predicates that were ever declared.
        logs: every assertion of each slot of `places`, in order of `(tx, seq)`; none of those in `grounds`.
        pieces: the current ones of a slot, in order of valid time; those in `grounds` from an instant on.
        sources: `occurred_at` of the episodes that exist.
        erased: episodes that must not come back.
        keys: transaction and digest of the changes that had a key, by its hash.
        erased_keys: hashes of keys of changes that must not come back.
        by_id: all assertions that were read.
        undoable: transactions of a session that are not undone yet, newest first.
        unconsolidated: numbers of those episodes, of the ones to be marked, that are not yet.
    """

    tx: int
    at: datetime
    now: datetime
    rules: dict[str, Rule]
    logs: dict[Slot, list[Assertion]] = field(default_factory=dict[Slot, list[Assertion]])
    pieces: dict[Slot, list[Piece]] = field(default_factory=dict[Slot, list[Piece]])
    sources: dict[str, datetime] = field(default_factory=dict[str, datetime])
    erased: frozenset[str] = frozenset()
    keys: dict[bytes, tuple[int, bytes]] = field(default_factory=dict[bytes, tuple[int, bytes]])
    erased_keys: frozenset[bytes] = frozenset()
    undoable: dict[str | None, list[int]] = field(default_factory=dict[str | None, list[int]])
    unconsolidated: dict[str, int] = field(default_factory=dict[str, int])
    by_id: dict[str, Assertion] = field(default_factory=dict[str, Assertion])


class Draft:
    """A change on its way: what it would add, seen by its own later operations."""

    def __init__(self, state: State, change: Change) -> None:
        self.change = change
        self.tx = state.tx + 1
        self.at = max(state.now, state.at + MICROSECOND)
        self.new: list[Assertion] = []
        self._of: dict[Slot, list[Assertion]] = {}
        self._steps: dict[Slot, Step] = {}  # what is known of them, until something comes after it
        self._by_id: dict[str, Assertion] = {}
        self.noted: list[list[tuple[Assertion, bool]]] = []
        self.undone: list[int] = []
        self._state = state

    def of(self, place: Slot) -> list[Assertion]:
        """Return what is new in a slot."""
        return self._of.get(place, [])

    def log(self, place: Slot) -> list[Assertion]:
        """Return the log of a slot with what is new."""
        return [*self._state.logs.get(place, []), *self.of(place)]

    def current(self, place: Slot) -> list[Piece]:
        """Return the current pieces of a slot with what is new."""
        return self.step(place).current if place in self._of else self._state.pieces.get(place, [])

    def step(self, place: Slot) -> Step:
        """Return what the change does to the projection of a slot that has something new."""
        step = self._steps.get(place)
        if step is None:
            pieces, log = self._state.pieces.get(place, []), self._state.logs.get(place, [])
            step = self._steps[place] = advance(pieces, log, self._of[place])
        return step

    @property
    def touched(self) -> Iterable[Slot]:
        """The slots that have something new."""
        return self._of

    def add(self, operation: Operation) -> None:
        self.noted.append([])
        match operation:
            case Assert():
                self._assert(operation)
            case Void():
                self._void(operation)
            case Retract():
                self._note(*self._retract(operation.id, self._named(operation.ref)))
            case Replace():
                self._replace(operation)
            case Promote():
                self._promote(operation)
            case Discard():
                for i, each in enumerate(self._staged(operation.session_id)):
                    self._note(*self._retract(derived(operation.id, i), each))
            case Rollback():
                self._rollback(operation)

    def check(self) -> None:
        """Pass if no slot of an immutable predicate has two objects.

        Raises:
            FactConflict: one would have.
        """
        for place in self._of:
            if not self._rule(place[2]).immutable:
                continue
            shown = [each for at in {place, (MAIN, *place[1:])} for each in visible(self.log(at))]
            if len({each.object for each in shown if each.op == "assert"}) > 1:
                raise FactConflict(IMMUTABLE)

    # What each operation adds.

    def _assert(self, operation: Assert) -> None:
        start = self._start(operation.claim, operation.sources)
        branch = (self.change.session_id or MAIN) if operation.staged else MAIN
        slot = self._slot(operation.predicate, operation.object)
        assertion = self._assertion(
            operation.id,
            "assert",
            (branch, operation.subject, operation.predicate, slot),
            object=operation.object,
            claim=Claim(start, operation.claim.end, operation.claim.onset),
            confidence=operation.confidence,
            sources=operation.sources,
        )
        taken = self._known(operation.id) if operation.chosen else None
        if taken is None:
            self._note(*self._stored(assertion))
        elif same_content(taken, assertion, started=operation.claim.start is not None):
            self._note(taken, changed=False)
        else:
            msg = "the id is taken by another fact; use update or correct to replace it"
            raise FactConflict(msg)

    def _void(self, operation: Void) -> None:
        start = self._start(operation.claim, operation.sources)
        rule = self._rule(operation.predicate)
        objects: list[str | None] = [operation.object]
        if operation.object is None and rule.cardinality == "many":
            objects = list(self._held(operation.subject, operation.predicate, start, operation.claim))
            if not objects:
                raise NotFound("fact of this subject and predicate at that time")  # words of a user
        for i, object in enumerate(objects):
            assertion = self._assertion(
                operation.id if i == 0 else derived(operation.id, i),
                "void",
                (MAIN, operation.subject, operation.predicate, slot_of(rule, object)),
                object=object,
                claim=replace(operation.claim, start=start),
                sources=operation.sources,
            )
            self._note(*self._stored(assertion))

    def _held(self, subject: str, predicate: str, start: datetime, claim: Claim) -> Iterable[str]:
        """Return the objects that are true where a void begins, or anywhere that a bounded one covers."""
        held: dict[str, tuple[int, int]] = {}
        for place in dict.fromkeys([*self._state.pieces, *self._of]):
            for piece in self.current(place) if place[:3] == (MAIN, subject, predicate) else ():
                said = piece.assertion
                meets = piece.covers(start) if claim.onset else piece.overlaps(start, claim.end)
                if meets and said.op == "assert" and said.object is not None:
                    held.setdefault(said.object, (said.tx, said.seq))
        return sorted(held, key=held.__getitem__)  # ids follow from the order, and places have none

    def _retract(self, id: str, target: Assertion) -> tuple[Assertion, bool]:
        shown = visible(self.log(target.place))
        if target.id not in {each.id for each in shown}:
            hiding = next((each for each in reversed(shown) if each.ref == target.id), target)
            return hiding, False
        retraction = self._assertion(
            id, "retract", target.place, object=None, claim=claim_of(target), ref=target.id
        )
        return self._add(retraction), True

    def _replace(self, operation: Replace) -> None:
        old = self._named(operation.ref)
        object = old.object if operation.object is None else operation.object
        claim = self._claim_of(operation, old)
        if object == old.object and (claim == claim_of(old) or not operation.correct):
            self._note(old, changed=False)
            return
        if self._rule(old.predicate).immutable and object != old.object:
            raise FactConflict(IMMUTABLE)
        new = self._assertion(
            operation.id, "assert", (*old.place[:3], self._slot(old.predicate, object)),
            object=object, claim=claim, confidence=old.confidence, sources=old.sources, replaces=old.id,
        )  # fmt: skip
        if operation.correct:
            self._retract(derived(operation.id, 1), old)
        elif new.place != old.place:
            # With the sources of what it ends: erased with them, as if there had been nothing to end.
            ended = self._assertion(
                derived(operation.id, 1), "void", old.place,
                object=old.object, claim=claim, sources=old.sources,
            )  # fmt: skip
            self._add(ended)
        self._note(*self._stored(new))

    def _claim_of(self, operation: Replace, old: Assertion) -> Claim:
        """Return what is claimed instead of an assertion, which must be held still."""
        pieces = self.current(old.place)
        held = [piece for piece in pieces if piece.assertion.id == old.id]
        now = next((piece for piece in pieces if piece.covers(self.at)), None)
        outdated = (
            not operation.correct and now is not None and now not in held and old.claimed_from <= self.at
        )
        if old.op != "assert" or not held or outdated:
            newer = now or next(
                (p for p in reversed(pieces) if p.overlaps(old.claimed_from, old.claimed_to)), None
            )
            current = None if newer is None else entries([(newer.assertion, False)], self)[0]
            raise VersionConflict("the fact", current)
        start, end, onset = operation.start or old.claimed_from, old.claimed_to, old.onset
        if not operation.correct and operation.start is None and now in held:
            start = self.at
        if operation.bounded:
            end, onset = operation.end, False
        if operation.opened:
            end, onset = None, True
        if end is not None and end <= start:
            raise InvalidInput("valid_to", "must be after valid_from")
        return Claim(start, end, onset)

    def _promote(self, operation: Promote) -> None:
        staged = self._staged(operation.session_id)
        if operation.only is not None:
            if missing := operation.only - {each.id for each in staged}:
                raise NotFound("staged fact", min(missing))
            staged = [each for each in staged if each.id in operation.only]
        for i, each in enumerate(staged):
            self._retract(derived(operation.id, 2 * i), each)
            copy = self._assertion(
                derived(operation.id, 2 * i + 1),
                each.op,
                (MAIN, *each.place[1:]),
                object=each.object,
                claim=claim_of(each),
                confidence=each.confidence,
                sources=each.sources,
                replaces=each.id,
            )
            self._note(*self._stored(copy))

    def _staged(self, session_id: str) -> list[Assertion]:
        """Return what is visible in the branch of a session, in order."""
        staged = [
            each
            for place in dict.fromkeys([*self._state.logs, *self._of])
            if place[0] == session_id
            for each in visible(self.log(place))
            if each.op != "retract"
        ]
        return sorted(staged, key=lambda each: (each.tx, each.seq))

    def _rollback(self, operation: Rollback) -> None:
        self.undone = self._state.undoable.get(operation.session_id, [])[: operation.steps]
        chosen = set(self.undone)
        undone = [each for each in self._state.by_id.values() if each.tx in chosen]
        for place in dict.fromkeys(each.place for each in undone):
            first = min(each.tx for each in undone if each.place == place)
            if self._disturbed(place, first, chosen, operation.session_id):
                msg = "another session changed the same facts since; undo that first, or correct by hand"
                raise RollbackConflict(msg)
        undone.sort(key=lambda each: (each.tx, each.seq), reverse=True)
        for i, each in enumerate(undone):
            self._note(*self._retract(derived(operation.id, i), each))

    def _disturbed(self, place: Slot, first: int, undone: set[int], session_id: str | None) -> bool:
        """Whether what other sessions did in a slot after a transaction has any effect."""
        log = self.log(place)
        others = (each for each in log if each.session_id != session_id)
        later = {each.id: each for each in others if each.tx > first and each.tx not in undone}
        return any(each.id in later and each.ref not in later for each in visible(log))

    # What they share.

    def _note(self, assertion: Assertion, changed: bool) -> None:  # noqa: FBT001
        self.noted[-1].append((assertion, changed))

    def _add(self, assertion: Assertion) -> Assertion:
        if assertion.seq != len(self.new):  # something was added after it was drafted
            assertion = replace(assertion, seq=len(self.new))
        self.new.append(assertion)
        place = assertion.place
        self._of.setdefault(place, []).append(assertion)
        self._steps.pop(place, None)
        self._by_id[assertion.id] = assertion
        return assertion

    def _stored(self, assertion: Assertion) -> tuple[Assertion, bool]:
        """Add an assertion, unless it says nothing new; return it or what says it already."""
        known = repeated(self.log(assertion.place), assertion)
        if known is not None:
            return known, False
        return self._add(assertion), True

    def _named(self, id: str) -> Assertion:
        found = self._known(id)
        if found is None:
            raise NotFound("fact", id)
        return found

    def _known(self, id: str) -> Assertion | None:
        return self._state.by_id.get(id) or self._by_id.get(id)

    def _rule(self, predicate: str) -> Rule:
        return self._state.rules.get(predicate, UNDECLARED)

    def _slot(self, predicate: str, object: str | None) -> str:
        return slot_of(self._rule(predicate), object)

    def _start(self, claim: Claim, sources: Sequence[str]) -> datetime:
        for source in sources:
            if source in self._state.erased:
                msg = "a source was erased; what it said cannot be remembered any more"
                raise Conflict(msg)
            if source not in self._state.sources:
                raise NotFound("episode", source)
        start = claim.start or min((self._state.sources[source] for source in sources), default=self.at)
        if claim.end is not None and claim.end <= start:
            raise InvalidInput("valid_to", "must be after valid_from, which defaults to when it was learned")
        return start

    def _assertion(
        self,
        id: str,
        op: Op,
        place: Slot,
        *,
        object: str | None,
        claim: Claim,
        confidence: float = 1.0,
        sources: tuple[str, ...] = (),
        ref: str | None = None,
        replaces: str | None = None,
    ) -> Assertion:
        branch, subject, predicate, slot = place
        return Assertion(
            id=id, tx=self.tx, seq=len(self.new), recorded_at=self.at, op=op, branch=branch, subject=subject,
            predicate=predicate, slot=slot, object=object,
            claimed_from=cast("datetime", claim.start), claimed_to=claim.end, onset=claim.onset,
            ref=ref, confidence=confidence, sources=sources, session_id=self.change.session_id,
            actor=self.change.actor, reason=self.change.reason, replaces=replaces,
        )  # fmt: skip
