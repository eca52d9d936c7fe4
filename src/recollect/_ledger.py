"""What changes do to a tenant's facts: decided here, under the tenant's clock, the same for every store.

A store reads what is `wanted`, then the `places` that follow from it, puts all of it into a `State`, lets a
`Ledger` apply the changes one after the other, and stores what is then in `written`. No I/O happens here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ._draft import MAIN, UNDECLARED, Draft, State, digest, slot_of
from ._ids import derived
from ._timeline import Assertion, Piece, Slot, after, visible
from .errors import IdempotencyConflict, RecollectError
from .stores.changes import (
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
    """

    keys: set[bytes] = field(default_factory=set[bytes])
    ids: set[str] = field(default_factory=set[str])
    sources: set[str] = field(default_factory=set[str])
    subjects: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    branches: set[str] = field(default_factory=set[str])
    steps: dict[str | None, int] = field(default_factory=dict[str | None, int])


def wanted(changes: Sequence[Change]) -> Wanted:
    found = Wanted()
    for change in changes:
        found.keys.add(digest(change.key))
        for operation in change.operations:
            match operation:
                case Assert():
                    found.sources.update(operation.sources)
                    if operation.chosen:
                        found.ids.add(operation.id)
                case Void():
                    found.sources.update(operation.sources)
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


def places(changes: Sequence[Change], read: Iterable[Assertion]) -> set[Slot]:
    """Return the slots whose logs and current pieces are needed, given the assertions that were wanted.

    A predicate may have one value or many: both possible slots of an object are among them.
    """
    by_id = {each.id: each for each in read}
    found = {each.place for each in by_id.values()}
    found |= {(MAIN, *place[1:]) for place in found}
    for change in changes:
        for operation in change.operations:
            match operation:
                case Assert(subject=subject, predicate=predicate, object=object):
                    branches = {MAIN, (operation.staged and change.session_id) or MAIN}
                case Void(subject=subject, predicate=predicate, object=object):
                    branches = {MAIN}
                case Replace(ref=ref, object=str(object)) if ref in by_id:
                    old = by_id[ref]
                    branches, subject, predicate = {old.branch, MAIN}, old.subject, old.predicate
                case _:
                    continue
            slots = {"", "" if object is None else slot_of(UNDECLARED, object)}
            found |= {(branch, subject, predicate, slot) for branch in branches for slot in slots}
    return found


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
    """

    tx: int
    at: datetime
    headers: list[tuple[int, datetime, Change]] = field(default_factory=list[tuple[int, datetime, Change]])
    assertions: list[Assertion] = field(default_factory=list[Assertion])
    hidden: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    closed: list[Piece] = field(default_factory=list[Piece])
    opened: list[Piece] = field(default_factory=list[Piece])
    undone: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


class Ledger:
    """Applies changes to a state, one after the other."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.written = Written(state.tx, state.at)

    def apply(self, change: Change) -> Committed | RecollectError:
        """Apply a change, or return why it is refused; then nothing has changed."""
        try:
            return self._apply(change)
        except RecollectError as exc:
            return exc

    def _apply(self, change: Change) -> Committed:
        before = self.state.keys.get(digest(change.key))
        if before is not None:
            tx, content = before
            if content != change.digest:
                raise IdempotencyConflict(change.key)
            return Committed(tx, self._repeated(change, tx))
        draft = Draft(self.state, change)
        for operation in change.operations:
            draft.add(operation)
        draft.check()
        entries = tuple(
            tuple(draft.entry(each, changed=changed) for each, changed in noted) for noted in draft.noted
        )
        if draft.new:
            self._take(draft)
        return Committed(self.state.tx, entries)

    def _repeated(self, change: Change, tx: int) -> tuple[tuple[Entry, ...], ...]:
        """Return what each operation of a change became when it was committed."""
        of_tx = sorted(
            (each for each in self.state.by_id.values() if each.tx == tx), key=lambda each: each.seq
        )
        draft = Draft(self.state, change)
        return tuple(
            tuple(draft.entry(each, changed=True) for each in of_tx if _is_of(each, operation, len(of_tx)))
            for operation in change.operations
        )

    def _take(self, draft: "Draft") -> None:
        """Make a draft's assertions part of the state, and of what is to be written."""
        written, state = self.written, self.state
        for place, step in draft.steps().items():
            shown = {each.id for each in visible(state.logs.get(place, []))}
            log = state.logs.setdefault(place, [])
            log.extend(draft.of(place))
            now_shown = {each.id for each in visible(log)}
            new = {each.id for each in draft.of(place)}
            written.hidden.extend((id, draft.tx) for id in sorted((shown | new) ^ now_shown))
            fresh = {
                (each.assertion.id, each.valid_from, each.tx_from): i for i, each in enumerate(written.opened)
            }
            for piece in step.closed:
                at = fresh.get((piece.assertion.id, piece.valid_from, piece.tx_from))
                if at is None:
                    written.closed.append(piece)
                else:  # opened by an earlier change of this batch
                    written.opened[at] = piece
            written.opened.extend(step.opened)
            state.pieces[place] = after(state.pieces.get(place, []), step)
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


def _is_of(assertion: Assertion, operation: Operation, count: int) -> bool:
    """Whether an assertion of a transaction is what an operation became."""
    match operation:
        case Promote():
            return assertion.branch == MAIN
        case Discard() | Rollback():
            return True
        case Void():
            return assertion.id in {operation.id, *(derived(operation.id, i) for i in range(1, count))}
        case _:
            return assertion.id == operation.id
