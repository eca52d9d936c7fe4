"""The task: what of it never changes is one value, opaque to the server, and the rest fields of their own."""

from typing import Any

from .. import _json
from .._clock import instant, micros
from .._workspace import ClearTask, GetTask, SetTask, UpdateTask
from ..types import TaskState
from . import scripts
from .calls import Asking, Edits, Making, Questions
from .encoding import number


def _constant(state: TaskState) -> bytes:
    started = None if state.started_at is None else micros(state.started_at)
    parts = [state.task_id, state.description, state.total_steps, state.context, started]
    return _json.dumps(parts).encode()


def _state(found: Any) -> TaskState:
    constant, status, step, percent, updated = found
    task_id, description, total_steps, context, started = _json.loads(constant)
    return TaskState.model_construct(
        task_id=task_id,
        description=description,
        status=status.decode(),
        current_step=int(step),
        total_steps=total_steps,
        progress_percent=float(percent),
        context=context,
        started_at=None if started is None else instant(started),
        updated_at=instant(updated),
    )


def _set(edit: SetTask) -> tuple[bytes, ...]:
    state = edit.state
    percent = repr(state.progress_percent).encode()
    return _constant(state), state.status.encode(), number(state.current_step), percent


def _was_set(edit: SetTask, found: Any) -> TaskState:
    if len(found) > 1:
        return _state(found)
    # Dropped by a later edit, it is returned as it was for a moment.
    updated = edit.state.updated_at if found[0] == b"gone" else instant(found[0])
    return edit.state.model_copy(update={"updated_at": updated})


def _update(edit: UpdateTask) -> tuple[bytes, ...]:
    given = (edit.status, edit.current_step, edit.progress_percent)
    return tuple(b"0" if value is None else f"1{value}".encode() for value in given)


QUESTIONS: Questions = {
    GetTask: Asking(scripts.look("get_task"), lambda _, found: None if found[0] is None else _state(found))
}

EDITS: Edits = {
    SetTask: Making(scripts.edit("task", "set_task"), _was_set, _set),
    UpdateTask: Making(
        scripts.edit("task", "update_task"), lambda _, found: _state(found) if found else None, _update
    ),
    ClearTask: Making(scripts.edit("task", "clear_task"), lambda _, found: found[0] == b"1"),
}
