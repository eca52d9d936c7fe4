"""What a process knows of a scope while its store is away, and the edits that the store has yet to get.

Every edit is made on the replica at once, and logged. The log is kept short: of edits that replace each
other the last one stays, and what was added stays as it was added. An edit that may have arrived already
is never changed any more: it goes out again under its own id, and so counts once.

What an edit of the log means when it arrives late:

* a block gets our text if it still has the version that ours was made from; else ours becomes a conflict;
* an append goes at the end of what is there;
* of two writes of a variable, or of the task, the later one stays;
* notes are added with the instant that they were made at, and clearing them clears what was there by then.

Pure: no I/O, and time is an argument.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from zlib import crc32

from ._ids import derived, uuid7
from ._workspace import (
    BLOCKS,
    NOTES,
    VARIABLES,
    AppendBlock,
    AppendNote,
    DeleteBlock,
    Edit,
    Look,
    MoveBlock,
    Part,
    ResolveConflict,
    RestoreCheckpoint,
    SaveBlock,
    SetBlock,
    SetTask,
    SetVariable,
    UpdateTask,
    Workspace,
    put,
)
from ._workspace.parts import block_of, deletes, is_about, overlap, part_of, replaces
from .errors import IdempotencyConflict
from .stores import Place, Stamp
from .types import Block

T = TypeVar("T")

NEVER = -1
"""A base version that no block has: what is saved on it becomes a conflict."""

UNBOUNDED = 2**31 - 1
"""The bounds of a scope are checked when an edit is made: what was accepted is not refused afterwards."""

KEYS = 256
"""Keys of a user whose results are remembered in a scope; the oldest go."""


@dataclass(slots=True, eq=False)
class Entry:
    """An edit that is not saved.

    Attributes:
        stamp: with an age of 0.
        made_at: monotonic, seconds.
        sent: it may have arrived.
    """

    edit: Edit[Any]
    stamp: Stamp
    made_at: float
    sent: bool = False

    @property
    def weight(self) -> int:
        """Bytes, roughly."""
        texts = (getattr(self.edit, name, None) for name in ("text", "value"))
        return 256 + sum(len(text) for text in texts if text is not None)


@dataclass(slots=True, eq=False)
class UnderWay:
    """A call of the store that has not ended.

    Attributes:
        parts: that it asks for, or changes.
        crossed: an edit of them was under way at the same time, and nobody knows which of them came first.
    """

    parts: tuple[Part, ...]
    edits: bool
    crossed: bool = False


@dataclass(slots=True, eq=False)
class Replica:
    """A scope as far as this process knows it.

    Attributes:
        space: with the edits of the log.
        log: what is not saved, in order.
        bases: of each block in the log, the version that the store has, as far as is known: 0 for none,
            None if it was never seen, `NEVER` after a conflict.
        done: digests and results of what was made under keys of the user's, and whether it was kept here.
        touched_at: when it last was as the store had it, monotonic, seconds.
        under_way: calls of the store, in the order in which they began.
    """

    place: Place
    space: Workspace = field(default_factory=Workspace)
    log: list[Entry] = field(default_factory=list[Entry])
    bases: dict[str, int | None] = field(default_factory=dict[str, int | None])
    done: dict[str, tuple[str, Any, bool]] = field(default_factory=dict[str, tuple[str, Any, bool]])
    touched_at: float = 0.0
    under_way: list[UnderWay] = field(default_factory=list[UnderWay])

    @property
    def weight(self) -> int:
        return sum(entry.weight for entry in self.log)

    def repeated(self, stamp: Stamp, *, asks: bool) -> tuple[Any] | None:
        """Return the result of an edit that was made under the same key.

        Args:
            asks: whether the store can be asked: it knows what it made, and what was forgotten since.

        Raises:
            IdempotencyConflict: the key belongs to another edit.
        """
        if stamp.id not in self.done or (asks and not self.done[stamp.id][2]):
            return None
        digest, result, _ = self.done[stamp.id]
        if digest != stamp.digest:
            raise IdempotencyConflict(stamp.id)
        return (result,)

    def keep(self, edit: Edit[T], stamp: Stamp, *, now: datetime, made_at: float, sent: bool) -> T:
        """Make an edit here, and log it. What it needs is known; refused, it has changed nothing."""
        base = self._base(edit)
        result = edit.apply(self.space, now)
        if isinstance(result, Block) and base is not None and result.name not in self.bases:
            # A version of ours must not be one that the store gives to somebody else's text meanwhile.
            update = {"version": result.version + crc32(stamp.id.encode()) % 2**20}
            self.space.blocks[result.name] = result = result.model_copy(update=update)
        self.space.known.update(edit.settles)
        if base is not None:
            self.bases.setdefault(*base)
        late = self._late(edit, stamp.id, sent=sent)
        if late is not None:
            self._drop_what_is_replaced_by(late)
            self.log.append(Entry(late, stamp, made_at, sent))
        self.remember(stamp, result)
        return result

    def remember(self, stamp: Stamp, result: Any, *, kept: bool = True) -> None:
        """Note what came of an edit under a key of the user's: made again, here or there, it counts once."""
        if stamp.digest:
            self.done[stamp.id] = (stamp.digest, result, kept)
            if len(self.done) > KEYS:
                del self.done[next(iter(self.done))]

    def begin(self, call: UnderWay) -> UnderWay:
        for other in self.under_way:
            if (call.edits or other.edits) and overlap(call.parts, other.parts):
                call.crossed = call.crossed or other.edits
                other.crossed = other.crossed or call.edits
        self.under_way.append(call)
        return call

    def learn(self, call: UnderWay, edit: Edit[Any], result: Any, now: datetime) -> None:
        """Note what the store has made of an edit that was not kept here.

        What was kept here meanwhile was not made from that, and stands until the store has both.
        """
        adds = isinstance(edit, AppendNote | ResolveConflict | RestoreCheckpoint)  # or has us forget
        kept = not adds and any(is_about(each.edit, call.parts) for each in self.log)
        known = self.space.blocks.get(block_of(edit) or "") if call.crossed else None
        overtaken = known is not None and known.version > getattr(result, "version", known.version)
        if not kept and not overtaken:
            edit.learn(self.space, result, now)

    def take_back(self, stamp: Stamp) -> None:
        """Leave it to the caller what becomes of an edit that was kept last."""
        self.done.pop(stamp.id, None)
        if self.log and self.log[-1].stamp == stamp:
            self.log.pop()

    def next(self, now: float) -> tuple[Entry, Edit[Any], Stamp]:
        """Return what is to be sent next, and as what; from now on it may have arrived."""
        entry = self.log[0]
        entry.sent = True
        edit = entry.edit
        if isinstance(edit, SaveBlock) and edit.base != NEVER:
            edit = replace(edit, base=self.bases.get(edit.name))
        return entry, edit, replace(entry.stamp, age=max(now - entry.made_at, 1e-6))

    def saved(self, result: Any, now: datetime) -> None:
        """The store has made what was sent last."""
        edit = self.log.pop(0).edit
        if isinstance(edit, SaveBlock | AppendBlock):
            if isinstance(result, bool):  # it had arrived already, as the deletion that it was at first
                result = None
            self._rebase(edit, result)
            if not any(block_of(entry.edit) == edit.name for entry in self.log):
                edit.learn(self.space, result, now)
                self.bases.pop(edit.name, None)

    def refused(self) -> None:
        """The store cannot make what was sent last: text of a block is kept as a conflict of it."""
        entry = self.log[0]
        if isinstance(entry.edit, AppendBlock) or (isinstance(entry.edit, SaveBlock) and entry.stamp.digest):
            id = uuid7()
            entry.edit = SaveBlock(id, entry.edit.name, entry.edit.text, NEVER, 0)
            entry.stamp = Stamp(id)
        else:
            self.log.pop(0)

    def may_have_arrived(self, parts: Sequence[Part]) -> bool:
        """Whether the store may have edits of the log that are about these parts, or may not."""
        return any(entry.sent and is_about(entry.edit, parts) for entry in self.log)

    def overlay(self, parts: Sequence[Part], now: datetime) -> None:
        """Make the edits of the log on parts that were learnt just now of a store that has none of them."""
        for edit in [entry.edit for entry in self.log]:
            if not is_about(edit, parts):
                continue
            if isinstance(edit, SaveBlock):
                put(self.space, edit.name, edit.text, now, version=edit.version)
            elif not isinstance(edit, MoveBlock) or edit.name in self.space.blocks:
                edit.apply(self.space, now)

    def put_back(self, now: datetime, made_at: float) -> None:
        """The store has lost all it had: what is known here is what it has yet to get."""
        # Others may have put back what was changed or deleted here meanwhile: that is later than theirs.
        made = {part_of(entry.edit): entry.made_at for entry in self.log}
        gone = [entry for entry in self.log if deletes(entry.edit)]
        rest = [entry for entry in self.log if isinstance(entry.edit, AppendNote)]
        edits: list[Edit[Any]] = [
            *(SaveBlock(uuid7(), block.name, block.text, 0, block.version) for block in self._blocks()),
            *self._variables(now, lambda part: made_at - made.get(part, self.touched_at)),
            *([] if self.space.task is None else [SetTask(self.space.task)]),
        ]
        notes = self._notes(now, made_at) if self.space.knows((NOTES,)) else rest
        self.log = [*gone, *(self._entry(edit, made) for edit in edits), *notes]
        self.bases = {entry.edit.name: 0 for entry in self.log if isinstance(entry.edit, SaveBlock)}

    # What follows is how.

    def _base(self, edit: Edit[Any]) -> tuple[str, int | None] | None:
        """Return a block that is changed, and its version before that."""
        name = block_of(edit)
        if name is None or isinstance(edit, MoveBlock):
            return None
        known = self.space.blocks.get(name)
        if known is not None:
            return name, known.version
        return name, 0 if self.space.knows(((*BLOCKS, name),)) else None

    def _late(self, edit: Edit[Any], id: str, *, sent: bool) -> Edit[Any] | None:
        """Return what has to be made of an edit later on; None if nothing has."""
        match edit:
            case SetBlock() | DeleteBlock():
                block = self.space.blocks.get(edit.name)
                text, version = (None, 0) if block is None else (block.text, block.version)
                return SaveBlock(id, edit.name, text, None, version)
            case AppendBlock():
                block = self.space.blocks[edit.name]
                of_it = [entry for entry in self.log if block_of(entry.edit) == edit.name]
                if not sent and of_it and isinstance(of_it[-1].edit, SaveBlock) and not of_it[-1].sent:
                    return SaveBlock(id, edit.name, block.text, None, block.version)
                return replace(edit, at_most=UNBOUNDED)
            case SetVariable():
                return replace(edit, at_most=UNBOUNDED)
            case UpdateTask() if not sent:
                return None if self.space.task is None else SetTask(self.space.task)
            case _:
                return edit

    def _drop_what_is_replaced_by(self, edit: Edit[Any]) -> None:
        self.log = [entry for entry in self.log if entry.sent or not replaces(edit, entry.edit)]

    def _rebase(self, edit: SaveBlock | AppendBlock, result: Any) -> None:
        """Note what the next edit of a block is made from, now that this one has arrived."""
        base = self.bases.get(edit.name)
        if result is None:
            self.bases[edit.name] = 0
        elif not isinstance(result, Block):
            self.bases[edit.name] = NEVER
        elif (isinstance(edit, SaveBlock) and result.text == edit.text) or (
            isinstance(edit, AppendBlock) and result.version == (base or 0) + 1
        ):
            self.bases[edit.name] = result.version
        else:
            # Somebody else has changed it, before or after, and what we went on to make of it has not that.
            self.bases[edit.name] = NEVER

    def _entry(self, edit: Edit[Any], made: Mapping[Part, float]) -> Entry:
        id = edit.id if isinstance(edit, SaveBlock) else uuid7()
        return Entry(edit, Stamp(id), made.get(part_of(edit), self.touched_at))

    def _blocks(self) -> list[Block]:
        return [block for block in self.space.in_order() if self.space.knows(((*BLOCKS, block.name),))]

    def _variables(self, now: datetime, age: Callable[[Part], float]) -> list[SetVariable]:
        found: list[SetVariable] = []
        for key, each in self.space.sweep(now).items():
            part = (*VARIABLES, key)
            ttl = None if each.expires_at is None else (each.expires_at - now).total_seconds() + age(part)
            if self.space.knows((part,)):
                found.append(SetVariable(key, each.value, ttl, UNBOUNDED))
        return found

    def _notes(self, now: datetime, made_at: float) -> list[Entry]:
        """Return the notes under ids that every process makes of them: who puts back first has done it."""
        return [
            Entry(
                AppendNote(note.text, UNBOUNDED),
                Stamp(derived(f"{note.at.isoformat()}\0{note.text}", position)),
                made_at - max((now - note.at).total_seconds(), 0.0),
            )
            for position, note in enumerate(self.space.notes)
        ]


@contextmanager
def calling(replicas: Sequence[Replica], what: Look[Any] | Edit[Any]) -> Generator[list[UnderWay]]:
    """Note that a call of the store is under way for as long as the block lasts."""
    parts = (part_of(what),) if isinstance(what, Edit) else what.needs
    calls = [replica.begin(UnderWay(parts, isinstance(what, Edit))) for replica in replicas]
    try:
        yield calls
    finally:
        for replica, call in zip(replicas, calls, strict=True):
            replica.under_way.remove(call)
