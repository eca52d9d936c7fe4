from typing import Any

from .._checks import check_count, check_id, check_instant, check_object, check_text
from .._workspace import ClearTask, GetTask, SetTask, UpdateTask
from ..errors import InvalidInput
from ..types import Limits, TaskState
from .reach import Reach

MAX_STEP = 2**53 - 1
MAX_STATUS_BYTES = 1024


class Task(Reach):
    """The state of the task at hand: one for each scope."""

    async def set(self, state: TaskState) -> TaskState:
        """Store the state of the task in the place of any other.

        Returns:
            What is stored: with `updated_at`, and `progress_percent` within 0..100.
        """
        return _own(await self._edit(SetTask(_checked(state, self._composition.limits))))

    async def get(self) -> TaskState | None:
        """Return the state of the task, or None."""
        found = await self._look(GetTask())
        return None if found is None else _own(found)

    async def update(
        self,
        *,
        current_step: int | None = None,
        progress_percent: float | None = None,
        status: str | None = None,
    ) -> TaskState | None:
        """Change what is given, and nothing else. Returns None, and does nothing, if there is no task.

        Args:
            progress_percent: clamped to 0..100.
        """
        if current_step is not None:
            check_count("current_step", current_step, low=0, high=MAX_STEP)
        if progress_percent is not None:
            progress_percent = _clamped("progress_percent", progress_percent)
        if status is not None:
            check_text("status", status, limit=MAX_STATUS_BYTES)
        found = await self._edit(UpdateTask(current_step, progress_percent, status))
        return None if found is None else _own(found)

    async def clear(self) -> bool:
        """Drop the task; return whether there was one."""
        return await self._edit(ClearTask())


def _clamped(field: str, percent: object) -> float:
    if isinstance(percent, bool) or not isinstance(percent, int | float) or percent != percent:  # noqa: PLR0124
        raise InvalidInput(field, "must be a number")
    return float(min(max(percent, 0), 100))


def _own(state: TaskState) -> TaskState:
    """Return a copy: the context of a state can be changed by whoever holds it."""
    return state.model_copy(deep=True)


def _checked(state: object, limits: Limits) -> TaskState:
    """Return an own copy, if there is nothing wrong with it."""
    if not isinstance(state, TaskState):
        raise InvalidInput("state", f"expected a TaskState, got {type(state).__name__}")
    check_id("state.task_id", state.task_id)
    check_text("state.description", state.description, limit=limits.max_text_bytes)
    check_text("state.status", state.status, limit=MAX_STATUS_BYTES)
    for name in ("current_step", "total_steps"):
        check_count(f"state.{name}", getattr(state, name), low=0, high=MAX_STEP)
    check_object("state.context", state.context, limit=limits.max_variable_bytes)
    started_at = None if state.started_at is None else check_instant("state.started_at", state.started_at)
    percent = _clamped("state.progress_percent", state.progress_percent)
    fields: dict[str, Any] = {name: getattr(state, name) for name in TaskState.model_fields}
    fields |= {"started_at": started_at, "progress_percent": percent}
    return _own(TaskState.model_construct(**fields))
