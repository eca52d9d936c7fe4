from dataclasses import dataclass
from datetime import datetime

from ..types import TaskState
from .space import TASK, Edit, Look, Part, Workspace


@dataclass(frozen=True, slots=True)
class GetTask(Look[TaskState | None]):
    @property
    def needs(self) -> tuple[Part, ...]:
        return (TASK,)

    def look(self, space: Workspace, now: datetime) -> TaskState | None:
        return space.task

    def learn(self, space: Workspace, found: TaskState | None, now: datetime) -> None:
        _learn(space, found)


@dataclass(frozen=True, slots=True)
class SetTask(Edit[TaskState]):
    state: TaskState

    @property
    def settles(self) -> tuple[Part, ...]:
        return (TASK,)

    def apply(self, space: Workspace, now: datetime) -> TaskState:
        space.task = self.state.model_copy(update={"updated_at": now})
        space.task_at = now
        return space.task

    def apply_late(self, space: Workspace, made_at: datetime) -> TaskState:
        if _is_newer(space, made_at):
            return self.state.model_copy(update={"updated_at": made_at})
        return self.apply(space, made_at)

    def learn(self, space: Workspace, result: TaskState, now: datetime) -> None:
        _learn(space, result)


@dataclass(frozen=True, slots=True)
class UpdateTask(Edit[TaskState | None]):
    """Change what is given of the task; None if there is no task."""

    current_step: int | None
    progress_percent: float | None
    status: str | None

    @property
    def needs(self) -> tuple[Part, ...]:
        return (TASK,)

    def apply(self, space: Workspace, now: datetime) -> TaskState | None:
        if space.task is not None:
            given = {
                "current_step": self.current_step,
                "progress_percent": self.progress_percent,
                "status": self.status,
            }
            changed = {name: value for name, value in given.items() if value is not None}
            space.task = space.task.model_copy(update={**changed, "updated_at": now})
            space.task_at = now
        return space.task

    def apply_late(self, space: Workspace, made_at: datetime) -> TaskState | None:
        return space.task if _is_newer(space, made_at) else self.apply(space, made_at)

    def learn(self, space: Workspace, result: TaskState | None, now: datetime) -> None:
        _learn(space, result)


@dataclass(frozen=True, slots=True)
class ClearTask(Edit[bool]):
    @property
    def needs(self) -> tuple[Part, ...]:
        return (TASK,)

    def apply(self, space: Workspace, now: datetime) -> bool:
        found, space.task, space.task_at = space.task is not None, None, now
        return found

    def apply_late(self, space: Workspace, made_at: datetime) -> bool:
        return not _is_newer(space, made_at) and self.apply(space, made_at)

    def learn(self, space: Workspace, result: bool, now: datetime) -> None:
        _learn(space, None)


def _is_newer(space: Workspace, made_at: datetime) -> bool:
    return space.task_at is not None and space.task_at > made_at


def _learn(space: Workspace, found: TaskState | None) -> None:
    space.task = found
    space.known.add(TASK)
