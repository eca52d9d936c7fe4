"""Whole scopes, taken out and put back: as the server holds them, but for what counts from an instant on."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from .._clock import instant, micros
from .._workspace import (
    Contents,
    DumpCheckpoint,
    DumpScope,
    GetTask,
    ListBlocks,
    ListCheckpoints,
    ListConflicts,
    ListNotes,
    ListScopes,
    PublishScopes,
    Saved,
    ScopeName,
    SetTask,
    StageCheckpoint,
    StageScope,
    WithdrawScopes,
)
from ..errors import Conflict, RecollectError
from ..stores.transfer import GONE, OCCUPIED
from ..types import Block, BlockConflict, Note, TaskState
from . import blocks, checkpoints, conflicts, notes, scripts, task
from .calls import FULL, Asking, Edits, Making, Questions
from .encoding import number
from .keys import scope_name

_MICROSECOND = timedelta(microseconds=1)
Left = dict[str, tuple[str, timedelta | None]]


class _Groups:
    """Values that come in groups, each after its length."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self._values = iter(values)

    def one(self) -> bytes:
        return next(self._values)

    def many(self) -> list[bytes]:
        return [next(self._values) for _ in range(int(next(self._values)))]

    def fields(self) -> dict[bytes, bytes]:
        found = self.many()
        return dict(zip(found[::2], found[1::2], strict=True))


def _name(found: bytes) -> ScopeName:
    agent, session = found.decode().split("/")
    return unquote(agent) or None, unquote(session) or None


def _blocks(fields: dict[bytes, bytes]) -> tuple[Block, ...]:
    flat = [each for pair in fields.items() for each in pair]
    found: tuple[Block, ...] = blocks.QUESTIONS[ListBlocks].read(ListBlocks(), flat)
    return found


def _left(fields: dict[bytes, bytes], now: int) -> Left:
    """Return the variables that are alive at an instant, with the time that they have left then."""
    found: Left = {}
    for field, meta in fields.items():
        value = fields.get(b"v" + field[1:])
        if not field.startswith(b"m") or value is None:
            continue
        _, expires = meta.split()
        left = None if expires == b"-" else (int(expires) - now) * _MICROSECOND
        if left is None or left > timedelta():
            found[field[1:].decode()] = value.decode(), left
    return found


def _task(fields: dict[bytes, bytes]) -> TaskState | None:
    parts = [fields.get(name) for name in (b"j", b"s", b"c", b"p", b"u")]
    found: TaskState | None = task.QUESTIONS[GetTask].read(GetTask(), parts)
    return found


def _notes(found: list[bytes]) -> tuple[Note, ...]:
    listed: tuple[Note, ...] = notes.QUESTIONS[ListNotes].read(ListNotes(None), found)
    return listed


def _dumped(_: DumpScope, found: list[bytes]) -> Contents:
    groups = _Groups(found)
    now = int(groups.one())
    scope, variables, at_hand, apart = (groups.fields() for _ in range(4))
    return Contents(
        created_at=instant(scope[b"c"]) if b"c" in scope else None,
        newest=int(scope.get(b"v", 0)),
        blocks=_blocks(scope),
        variables=_left(variables, now),
        task=_task(at_hand),
        notes=_notes(groups.many()),
        conflicts=conflicts.QUESTIONS[ListConflicts].read(
            ListConflicts(), [each for pair in apart.items() for each in pair]
        ),
        checkpoints=checkpoints.QUESTIONS[ListCheckpoints].read(ListCheckpoints(), groups.many()),
    )


def _checkpoint(_: DumpCheckpoint, found: list[bytes]) -> Saved | None:
    if not found:
        return None
    groups = _Groups(found)
    (made,) = checkpoints.QUESTIONS[ListCheckpoints].read(ListCheckpoints(), [groups.one(), groups.one()])
    of_blocks, variables, at_hand = (groups.fields() for _ in range(3))
    return Saved(
        checkpoint=made,
        blocks=_blocks(of_blocks),
        variables=_left(variables, micros(made.created_at)),
        task=_task(at_hand),
        notes=_notes(groups.many()),
    )


def _group(values: Sequence[bytes]) -> Iterator[bytes]:
    yield number(len(values))
    yield from values


def _block_fields(held: Sequence[Block]) -> list[bytes]:
    return [
        value
        for block in held
        for value in (
            b"t" + block.name.encode(),
            block.text.encode(),
            b"m" + block.name.encode(),
            b"%d %d %d" % (block.version, block.order, micros(block.updated_at)),
        )
    ]


def _variable_fields(held: Left) -> list[bytes]:
    return [
        part
        for key, (value, left) in held.items()
        for part in (key.encode(), value.encode(), b"-" if left is None else number(left // _MICROSECOND))
    ]


def _task_fields(state: TaskState | None) -> list[bytes]:
    if state is None or state.updated_at is None:
        return []
    constant, status, step, percent = task.EDITS[SetTask].arguments(SetTask(state))
    updated = number(micros(state.updated_at))
    return [b"j", constant, b"s", status, b"c", step, b"p", percent, b"u", updated]


def _note_items(held: Sequence[Note]) -> list[bytes]:
    return [b"%d %b" % (micros(note.at), note.text.encode()) for note in held]


def _conflict_fields(held: Sequence[BlockConflict]) -> list[bytes]:
    fields = [b"h", number(len(held))] if held else []
    for order, each in enumerate(held, start=1):
        id = each.id.encode()
        base = b"-" if each.base_version is None else number(each.base_version)
        fields += [b"m" + id, b"%d %d %b" % (order, micros(each.at), base), b"b" + id, each.name.encode()]
        if each.ours is not None:
            fields += [b"t" + id, each.ours.encode()]
    return fields


def _scope_arguments(edit: StageScope) -> Sequence[bytes]:
    held = edit.contents
    return (
        edit.load.encode(),
        b"" if held.created_at is None else number(micros(held.created_at)),
        number(held.newest),
        *_group(_block_fields(held.blocks)),
        *_group(_variable_fields(held.variables)),
        *_group(_task_fields(held.task)),
        *_group(_conflict_fields(held.conflicts)),
        *_group(_note_items(held.notes)),
    )


def _checkpoint_arguments(edit: StageCheckpoint) -> Sequence[bytes]:
    held, made = edit.saved, edit.saved.checkpoint
    return (
        edit.load.encode(),
        made.id.encode(),
        number(micros(made.created_at)),
        made.description.encode(),
        *_group(_block_fields(held.blocks)),
        *_group(_variable_fields(held.variables)),
        *_group(_task_fields(held.task)),
        *_group(_note_items(held.notes)),
    )


def _names(edit: PublishScopes | WithdrawScopes) -> Sequence[bytes]:
    return edit.load.encode(), *_group([scope_name(*name) for name in edit.names])


def _refused(_edit: object, why: int, _detail: object) -> RecollectError:
    return Conflict(OCCUPIED if why == FULL else GONE)


QUESTIONS: Questions = {
    ListScopes: Asking(scripts.look("taking", "list_scopes"), lambda _, found: tuple(map(_name, found))),
    DumpScope: Asking(scripts.look("taking", "dump_scope"), _dumped),
    DumpCheckpoint: Asking(
        scripts.look("taking", "dump_checkpoint"), _checkpoint, lambda look: (look.id.encode(),)
    ),
}


def _nothing(_edit: Any, _found: Any) -> None:
    return None


EDITS: Edits = {
    StageScope: Making(scripts.edit("staging", "stage_scope"), _nothing, _scope_arguments, _refused),
    StageCheckpoint: Making(
        scripts.edit("staging", "stage_checkpoint"), _nothing, _checkpoint_arguments, _refused
    ),
    PublishScopes: Making(scripts.edit("staging", "publish_scopes"), _nothing, _names, _refused),
    WithdrawScopes: Making(scripts.edit("staging", "withdraw_scopes"), _nothing, _names),
}
