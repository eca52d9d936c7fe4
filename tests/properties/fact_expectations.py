"""What an operation on facts has to do, by definition: the log before it, and the log after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from recollect._draft import slot_of
from recollect._timeline import Assertion
from recollect.errors import Conflict, FactConflict, InvalidInput, NotFound, RollbackConflict, VersionConflict
from recollect.stores.changes import (
    Assert,
    Change,
    Committed,
    Discard,
    Entry,
    Operation,
    Promote,
    Replace,
    Retract,
    Rollback,
    Rule,
    Void,
)

from . import oracle

MAIN, NOW = "", 1 << 60
Place = tuple[str, str, str, str]
Log = Sequence[Assertion]


def of(log: Log, place: Place) -> list[Assertion]:
    return [each for each in log if each.place == place]


def by_place(log: Log) -> dict[Place, list[Assertion]]:
    return {place: of(log, place) for place in dict.fromkeys(each.place for each in log)}


def shown(log: Log) -> list[Assertion]:
    return oracle.known(log, NOW)


def tells(log: Log, vs: Sequence[datetime], k: int = NOW) -> list[tuple[str, str | None, datetime] | None]:
    """Return all that can be told of the winners at these instants."""
    return [w and (w.op, w.object, w.claimed_from) for w in oracle.winners(log, vs, k)]


@dataclass(frozen=True)
class Expectation:
    """One operation that was a change of its own, and what the log was before.

    Attributes:
        occurred: of the episodes that are there.
        erased: episodes that must not come back.
        at: the instant of its transaction.
        undoable: transactions of the session that are not undone, newest first.
    """

    before: list[Assertion]
    rules: Mapping[str, Rule]
    occurred: Mapping[str, datetime]
    erased: frozenset[str]
    at: datetime
    change: Change
    undoable: Sequence[int]

    def check(self, operation: Operation, outcome: Committed, log: list[Assertion]) -> None:
        """Check the log after an operation that took effect."""
        new = log[len(self.before) :]
        entries = outcome.entries[0]
        match operation:
            case Assert():
                self._check_statement(operation, entries[0], new)
            case Void():
                self._check_void(operation, entries, new)
            case Retract():
                self._check_retract(operation, log, new)
            case Replace():
                self._check_replace(operation, entries[0], log)
            case Promote():
                self._check_promote(operation, log)
            case Discard():
                assert not self._staged(log, operation.session_id)
                assert {each.op for each in new} <= {"retract"}
            case Rollback():
                self._check_rollback(operation, log)

    def _requested(self, operation: Assert | Void) -> Assertion:
        staged = isinstance(operation, Assert) and operation.staged
        branch = (self.change.session_id or MAIN) if staged else MAIN
        return self._record(operation, branch, operation.object, operation.sources)

    def _record(
        self, operation: Assert | Void, branch: str, object: str | None, sources: tuple[str, ...]
    ) -> Assertion:
        claim = operation.claim
        start = claim.start or min((self.occurred[source] for source in sources), default=self.at)
        rule = self.rules.get(operation.predicate, Rule())
        return Assertion(
            id=operation.id, tx=NOW, seq=0, recorded_at=self.at,
            op="assert" if isinstance(operation, Assert) else "void",
            branch=branch, subject=operation.subject, predicate=operation.predicate,
            slot=slot_of(rule, object), object=object,
            claimed_from=start, claimed_to=claim.end, onset=claim.onset, sources=sources,
        )  # fmt: skip

    def _check_statement(self, operation: Assert, entry: Entry, new: list[Assertion]) -> None:
        became, asked = entry.assertion, self._requested(operation)
        taken = became.id == asked.id and not entry.changed
        # Under an id that is taken, the beginning is compared only if it was given.
        assert same(became, asked, start=operation.claim.start is not None or not taken)
        assert became.place == asked.place
        if entry.changed:
            assert became in new
            assert became.id == asked.id
            assert became.sources == asked.sources
        elif became.id == asked.id:
            assert operation.chosen
            assert became in self.before
        else:
            assert became in shown(of(self.before, asked.place))
            assert oracle.says_nothing_new(of(self.before, asked.place), asked)

    def _check_void(self, operation: Void, entries: Sequence[Entry], new: list[Assertion]) -> None:
        rule = self.rules.get(operation.predicate, Rule())
        if operation.object is not None or rule.cardinality == "one":
            objects = {operation.object}
        else:
            objects = self.ended(operation)
        assert {entry.assertion.object for entry in entries} == objects
        for entry in entries:
            asked = self._record(operation, MAIN, entry.assertion.object, operation.sources)
            assert same(entry.assertion, asked)
            assert (entry.assertion in new) == entry.changed

    def ended(self, operation: Void) -> set[str | None]:
        """Return the objects of a predicate that a void of all of them ends."""
        asked = self._record(operation, MAIN, None, operation.sources)
        found: set[str | None] = set()
        for place, log in by_place(self.before).items():
            if place[:3] == (MAIN, operation.subject, operation.predicate):
                vs = [asked.claimed_from]
                if not asked.onset:
                    vs += [v for v in oracle.moments(log, [asked]) if oracle.covers(asked, v)]
                found |= {oracle.held(w) for w in oracle.winners(log, vs, NOW)}
        return found - {None}

    def _check_retract(self, operation: Retract, log: list[Assertion], new: list[Assertion]) -> None:
        target = next(each for each in self.before if each.id == operation.ref)
        if target not in shown(self.before):
            assert not new
            return
        (retraction,) = new
        assert (retraction.id, retraction.op, retraction.ref) == (operation.id, "retract", target.id)
        assert retraction.place == target.place
        without = [each for each in of(self.before, target.place) if each.id != target.id]
        vs = oracle.moments(log)
        assert tells(of(log, target.place), vs) == tells(without, vs)

    def _check_replace(self, operation: Replace, entry: Entry, log: list[Assertion]) -> None:
        old = next(each for each in self.before if each.id == operation.ref)
        object = old.object if operation.object is None else operation.object
        became = entry.assertion
        assert became.object == object
        assert became.branch == old.branch
        assert became in shown(log)
        if became.id == old.id:
            assert log == self.before
            return
        assert (old in shown(log)) == (not operation.correct)
        held = shown(of(log, became.place))
        assert oracle.winner(held, became.claimed_from, NOW) is not None
        if entry.changed:
            assert became.replaces == old.id
            assert (became.confidence, became.sources) == (old.confidence, old.sources)
        if not operation.correct and old.place != became.place:
            # What was true of the old object is, from the beginning of the new one on, over.
            assert oracle.answer(of(log, old.place), became.claimed_from, NOW) is None

    def _staged(self, log: Log, session: str) -> list[Assertion]:
        return [each for each in shown(log) if each.branch == session and each.op != "retract"]

    def _check_promote(self, operation: Promote, log: list[Assertion]) -> None:
        staged = self._staged(self.before, operation.session_id)
        chosen = [each for each in staged if operation.only is None or each.id in operation.only]
        assert self._staged(log, operation.session_id) == [each for each in staged if each not in chosen]
        vs = oracle.moments(log)
        for _, of_place in groupby(sorted(chosen, key=lambda e: e.place), key=lambda e: e.place):
            moved = sorted(of_place, key=lambda each: (each.tx, each.seq))
            place = (MAIN, *moved[0].place[1:])
            main = [*shown(of(self.before, place)), *moved]
            expected = [w and (w.op, w.object, w.claimed_from) for w in ordered_winners(main, vs)]
            assert tells(of(log, place), vs) == expected

    def _check_rollback(self, operation: Rollback, log: list[Assertion]) -> None:
        undone = set(self.undoable[: operation.steps])
        gone = {each.id for each in self.before if each.tx in undone}
        never = [each for each in self.before if each.id not in gone and each.ref not in gone]
        vs = oracle.moments(log)
        for place, after in by_place(log).items():
            assert tells(after, vs) == tells(of(never, place), vs)

    # When it is refused.

    def refusal(self, operation: Operation) -> type[Exception] | None:
        """Return the error that an operation has to be refused with."""
        match operation:
            case Assert() | Void():
                return self._refused_statement(operation)
            case Retract(ref=ref):
                return None if any(each.id == ref for each in self.before) else NotFound
            case Replace():
                return self._refused_replacement(operation)
            case Promote():
                ids = {each.id for each in self._staged(self.before, operation.session_id)}
                return NotFound if operation.only is not None and operation.only - ids else None
            case Rollback():
                return RollbackConflict if self._disturbed(operation) else None
            case _:
                return None

    def possible(self, operation: Operation) -> set[type[Exception]]:
        """Return errors not foreseen here: of immutable predicates, and of ends before beginnings."""
        found: set[type[Exception]] = set()
        if any(rule.immutable for rule in self.rules.values()):
            found.add(FactConflict)
        if isinstance(operation, Replace):
            found.add(InvalidInput)
        return found

    def _refused_statement(self, operation: Assert | Void) -> type[Exception] | None:
        for source in operation.sources:
            if source in self.erased:
                return Conflict
            if source not in self.occurred:
                return NotFound
        rule = self.rules.get(operation.predicate, Rule())
        asked = self._requested(operation)
        if asked.claimed_to is not None and asked.claimed_to <= asked.claimed_from:
            return InvalidInput
        if isinstance(operation, Void):
            nothing = operation.object is None and rule.cardinality == "many" and not self.ended(operation)
            return NotFound if nothing else None
        taken = next((each for each in self.before if each.id == operation.id), None)
        if taken is not None and operation.chosen:
            given = operation.claim.start is not None
            alike = same(taken, asked, start=given) and taken.place == asked.place
            kept = (taken.sources, taken.confidence) == (operation.sources, operation.confidence)
            return None if alike and kept else FactConflict
        places = {asked.place, (MAIN, *asked.place[1:])}
        said = {each.object for each in shown(self.before) if each.place in places and each.op == "assert"}
        return FactConflict if rule.immutable and said and asked.object not in said else None

    def _refused_replacement(self, operation: Replace) -> type[Exception] | None:
        old = next((each for each in self.before if each.id == operation.ref), None)
        if old is None:
            return NotFound
        log = of(self.before, old.place)
        now = oracle.winner(log, self.at, NOW)
        begun = old.claimed_from <= self.at
        passed = not operation.correct and begun and now is not None and now.id != old.id
        held = {w.id for w in oracle.winners(log, [*oracle.moments(log), self.at], NOW) if w is not None}
        return VersionConflict if old.op != "assert" or passed or old.id not in held else None

    def _disturbed(self, operation: Rollback) -> bool:
        undone = set(self.undoable[: operation.steps])
        for log in by_place(self.before).values():
            first = min((each.tx for each in log if each.tx in undone), default=NOW)
            later = [
                each
                for each in log
                if each.tx > first and each.tx not in undone and each.session_id != operation.session_id
            ]
            ids = {each.id for each in later}
            if any(each in shown(log) and each.ref not in ids for each in later):
                return True
        return False


def same(one: Assertion, other: Assertion, *, start: bool = True) -> bool:
    """Whether they say the same of the same time."""
    return (one.op, one.object, one.claimed_to, one.onset) == (
        other.op, other.object, other.claimed_to, other.onset,
    ) and (one.claimed_from == other.claimed_from or not start)  # fmt: skip


def ordered_winners(records: Log, vs: Sequence[datetime]) -> list[Assertion | None]:
    """Return the winners among visible records that are in order already, whatever their transactions."""
    return oracle.winners([replace(each, tx=i, seq=0) for i, each in enumerate(records)], vs, NOW)


def assert_ordered(log: list[Assertion]) -> None:
    assert [(each.tx, each.seq) for each in log] == sorted({(each.tx, each.seq) for each in log})
    assert len({each.id for each in log}) == len(log)
    instants = {each.tx: each.recorded_at for each in log}
    assert list(instants.values()) == sorted(set(instants.values()))
