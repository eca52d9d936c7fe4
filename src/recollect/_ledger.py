"""What changes do to a tenant's facts: decided here, under the tenant's clock, the same for every store.

A store reads what is `wanted`, then the `places` that follow from it, puts all of it into a `State`, lets a
`Ledger` apply the changes one after the other, and stores what is then in `written`. No I/O happens here.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, islice

from ._draft import MAIN, MICROSECOND, Draft, State, digest, slot_of, text_digest
from ._entries import entries
from ._timeline import Assertion, Piece, Slot, projected, visible
from .errors import Conflict, IdempotencyConflict, NotFound, RecollectError
from .stores.changes import (
    Assert,
    Change,
    Committed,
    Discard,
    Entry,
    Promote,
    Replace,
    Retract,
    Rollback,
    Rule,
    Void,
)


@dataclass(slots=True)
class Wanted:
    """What has to be read before changes can be applied, apart from slots: for those see `places`.

    Attributes:
        keys: hashes of idempotency keys, with all assertions of the transactions that had them.
        ids: of assertions, which may be missing.
        sources: ids of episodes, which may be missing.
        subjects: pairs of subject and predicate, with all assertions of the main branch.
        branches: sessions, with all assertions in their branch.
        steps: sessions, and how many of their newest transactions that are not undone, with all assertions.
        marks: ids of episodes, some of `sources`, that are to be consolidated.
        predicates: whose rules matter.
        said: digests of what is to be said: whether it was said before.
    """

    keys: set[bytes] = field(default_factory=set[bytes])
    ids: set[str] = field(default_factory=set[str])
    sources: set[str] = field(default_factory=set[str])
    subjects: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    branches: set[str] = field(default_factory=set[str])
    steps: dict[str | None, int] = field(default_factory=dict[str | None, int])
    marks: set[str] = field(default_factory=set[str])
    predicates: set[str] = field(default_factory=set[str])
    said: set[bytes] = field(default_factory=set[bytes])


def wanted(changes: Sequence[Change]) -> Wanted:
    found = Wanted()
    for change in changes:
        found.keys.add(digest(change.key))
        if change.consolidates is not None:
            found.sources.add(change.consolidates)
            found.marks.add(change.consolidates)
        for operation in change.operations:
            match operation:
                case Assert(subject=subject, predicate=predicate, object=object):
                    found.sources.update(operation.sources)
                    found.predicates.add(predicate)
                    found.said.add(text_digest(subject, predicate, object))
                    if operation.chosen:
                        found.ids.add(operation.id)
                case Void():
                    found.sources.update(operation.sources)
                    found.predicates.add(operation.predicate)
                    if operation.object is None:
                        found.subjects.add((operation.subject, operation.predicate))
                case Retract() | Replace():
                    found.ids.add(operation.ref)
                case Promote() | Discard():
                    found.branches.add(operation.session_id)
                case Rollback():
                    steps = found.steps.get(operation.session_id, 0) + operation.steps
                    found.steps[operation.session_id] = steps
    return found


def places(changes: Sequence[Change], read: Iterable[Assertion], rules: Mapping[str, Rule]) -> set[Slot]:
    """Return the slots whose logs and current pieces are needed, given the assertions that were wanted.

    A predicate without a rule may have one value or many: both possible slots of an object are among them.
    """
    named: dict[str, set[tuple[str, str, str]]] = {}
    found: set[Slot] = set()
    for each in read:
        named.setdefault(each.id, set()).add(each.place[:3])
        found |= {each.place, (MAIN, *each.place[1:])}
    for change in changes:
        for operation in change.operations:
            match operation:
                case Assert(subject=subject, predicate=predicate, object=object):
                    branches = {MAIN, (operation.staged and change.session_id) or MAIN}
                    pairs = {(branch, subject, predicate) for branch in branches}
                case Void(subject=subject, predicate=predicate, object=object):
                    pairs = {(MAIN, subject, predicate)}
                case Replace(ref=ref, object=object):
                    pairs = named.get(ref, set())
                case _:
                    continue
            # What is replaced may be on its way itself, in these changes.
            named.setdefault(operation.id, set()).update(pairs)
            for branch, subject, predicate in pairs:
                known = [rules[predicate]] if predicate in rules else [Rule("one"), Rule("many")]
                slots = {slot_of(rule, object) for rule in known}
                found |= {(at, subject, predicate, slot) for at in (branch, MAIN) for slot in slots}
    return found


def grounds(
    changes: Sequence[Change], needed: Iterable[Slot], state: State, said: Container[bytes]
) -> dict[Slot, datetime]:
    """Return the slots of which no log is needed, and from when on their current pieces are.

    To assert what was never said before takes ground, and looks at nothing else. Everything else looks back:
    what may repeat, hide or replace something; a key that was used before; an immutable predicate.

    Args:
        needed: the `places`.
        state: apart from slots.
        said: what was said before, of that which is `wanted`.
    """
    if state.keys or len({change.key for change in changes}) < len(changes):
        return {}
    starts: dict[tuple[str, str], datetime] = {}
    look_back: set[tuple[str, str]] = set()
    for change in changes:
        for each in change.operations:
            if not isinstance(each, Assert):
                return {}
            about, rule = (each.subject, each.predicate), state.rules[each.predicate]
            if rule.cardinality == "many" or rule.immutable or text_digest(*about, each.object) in said:
                look_back.add(about)
            # Without a source it begins now, which is later than the clock.
            occurred = (state.sources[source] for source in each.sources if source in state.sources)
            start = each.claim.start or min(occurred, default=state.at)
            starts[about] = min(start, starts.get(about, start))
    return {
        place: starts[about]
        for place in needed
        if (about := (place[1], place[2])) in starts and about not in look_back
    }


@dataclass(slots=True)
class Written:
    """What changes have done, to be stored.

    Attributes:
        tx, at: the clock afterwards.
        headers: transaction, its instant, and the change.
        assertions: in order.
        hidden: assertion and transaction, once for each time that it was hidden or shown again.
        closed: pieces that were stored before, as they are now.
        opened: pieces that are new; some of them closed already.
        undone: transaction, and the one that has undone it.
        marks: numbers of episodes that are consolidated now; these may be there without anything else.
    """

    tx: int
    at: datetime
    headers: list[tuple[int, datetime, Change]] = field(default_factory=list[tuple[int, datetime, Change]])
    assertions: list[Assertion] = field(default_factory=list[Assertion])
    hidden: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    closed: list[Piece] = field(default_factory=list[Piece])
    opened: list[Piece] = field(default_factory=list[Piece])
    undone: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    marks: list[int] = field(default_factory=list[int])

    def __bool__(self) -> bool:
        return bool(self.headers or self.marks)


class Ledger:
    """Applies changes to a state, one after the other."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.written = Written(state.tx, state.at)
        self._fresh: dict[tuple[str, datetime, int], int] = {}

    def apply(self, change: Change) -> Committed | RecollectError:
        """Apply a change, or return why it is refused; then nothing has changed."""
        try:
            return self._apply(change)
        except RecollectError as exc:
            return exc

    def _apply(self, change: Change) -> Committed:
        key = digest(change.key)
        before = self.state.keys.get(key)
        if key in self.state.erased_keys or (before is not None and not self._is_left_of(before[0])):
            msg = "what was written with this key was erased; use a new key to write it again"
            raise Conflict(msg)
        if before is not None:
            tx, content = before
            if content != change.digest:
                raise IdempotencyConflict(change.key)
            return Committed(tx, _entries(_drafted(self._before(change, tx), self._as_it_was(change, tx))))
        episode = change.consolidates
        if episode is not None:
            if episode not in self.state.sources or episode in self.state.erased:
                raise NotFound("episode", episode)
            if episode not in self.state.unconsolidated:
                return Committed(self.state.tx, (), landed=False)
        draft = _drafted(self.state, change)
        draft.check()
        entries = _entries(draft)
        if draft.new:
            self._take(draft)
        if episode is not None:
            self.written.marks.append(self.state.unconsolidated.pop(episode))
        return Committed(self.state.tx, entries)

    def _is_left_of(self, tx: int) -> bool:
        return any(each.tx == tx for each in self.state.by_id.values())

    def _before(self, change: Change, tx: int) -> State:
        """Return the state that a transaction found, as far as its change looked at it.

        Drafted again there, a change becomes what it became then: for nothing else goes into it.
        """
        state, want = self.state, wanted((change,))
        every = {each.id: each for log in state.logs.values() for each in log}
        of_tx = [each for each in every.values() if each.tx == tx]
        read = [
            each
            for each in every.values()
            if each.tx == tx
            or each.id in want.ids
            or each.branch in want.branches
            or (each.subject, each.predicate) in want.subjects
        ]
        logs = {
            place: [each for each in state.logs.get(place, []) if each.tx < tx]
            for place in places((change,), read, state.rules)
        }
        # What a rollback hid tells what it has undone.
        undone = sorted({every[each.ref].tx for each in of_tx if each.ref in every}, reverse=True)
        at = of_tx[0].recorded_at if of_tx else state.at
        return State(
            tx - 1, at - MICROSECOND, at, state.rules,
            logs=logs,
            pieces={place: _current(log) for place, log in logs.items()},
            sources=state.sources,
            erased=state.erased,
            undoable=dict.fromkeys(want.steps, undone),
            by_id={id: each for id, each in every.items() if each.tx < tx},
        )  # fmt: skip

    def _as_it_was(self, change: Change, tx: int) -> Change:
        """Return a change with what was selected then: what is selected now may be something else."""
        taken = {
            each.ref: each.branch
            for log in self.state.logs.values()
            for each in log
            if each.tx == tx and each.ref is not None
        }
        return replace(
            change,
            operations=tuple(
                replace(each, only=frozenset(id for id, at in taken.items() if at == each.session_id))
                if isinstance(each, Promote) and each.only is not None
                else each
                for each in change.operations
            ),
        )

    def _take(self, draft: "Draft") -> None:
        """Make a draft's assertions part of the state, and of what is to be written."""
        written, state = self.written, self.state
        for place in draft.touched:
            step = draft.step(place)
            log, new = state.logs.setdefault(place, []), draft.of(place)
            if any(each.ref is not None for each in new):
                shown = {each.id for each in (*visible(log), *new)}
                now_shown = {each.id for each in visible([*log, *new])}
                written.hidden.extend((id, draft.tx) for id in sorted(shown ^ now_shown))
            log.extend(new)
            for piece in step.closed:
                at = self._fresh.get(_key(piece))
                if at is None:
                    written.closed.append(piece)
                else:  # opened by an earlier change of this batch
                    written.opened[at] = piece
            self._fresh.update((_key(piece), i) for i, piece in enumerate(step.opened, len(written.opened)))
            written.opened.extend(step.opened)
            state.pieces[place] = step.current
        self.state.by_id.update((each.id, each) for each in draft.new)
        written.assertions.extend(draft.new)
        written.headers.append((draft.tx, draft.at, draft.change))
        written.undone.extend((tx, draft.tx) for tx in draft.undone)
        for session, waiting in state.undoable.items():
            state.undoable[session] = [tx for tx in waiting if tx not in draft.undone]
        if draft.change.name != "rollback":
            state.undoable.setdefault(draft.change.session_id, []).insert(0, draft.tx)
        state.keys[digest(draft.change.key)] = (draft.tx, draft.change.digest)
        state.tx, state.at = written.tx, written.at = draft.tx, draft.at


def _key(piece: Piece) -> tuple[str, datetime, int]:
    return piece.assertion.id, piece.valid_from, piece.tx_from


def _drafted(state: State, change: Change) -> Draft:
    draft = Draft(state, change)
    for operation in change.operations:
        draft.add(operation)
    return draft


def _current(log: Sequence[Assertion]) -> list[Piece]:
    current: list[Piece] = []
    for _, current in projected(log):  # noqa: B007
        pass
    return current


def _entries(draft: Draft) -> tuple[tuple[Entry, ...], ...]:
    """Return what each operation of a draft has become."""
    found = iter(entries(chain.from_iterable(draft.noted), draft))
    return tuple(tuple(islice(found, len(noted))) for noted in draft.noted)
