"""Checkpoints: copies of a scope that do not contain each other. Only the store makes and restores them."""

from dataclasses import dataclass
from datetime import datetime

from ..errors import NotFound
from ..types import Checkpoint, WorkingStats
from .space import (
    BLOCKS,
    CHECKPOINTS,
    NOTES,
    STORE,
    TASK,
    VARIABLES,
    Edit,
    Look,
    Part,
    Saved,
    Variable,
    Workspace,
)
from .variables import after


@dataclass(frozen=True, slots=True)
class ListCheckpoints(Look[tuple[Checkpoint, ...]]):
    """All checkpoints, oldest first."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)

    def look(self, space: Workspace, now: datetime) -> tuple[Checkpoint, ...]:
        return tuple(saved.checkpoint for saved in space.checkpoints.values())


@dataclass(frozen=True, slots=True)
class CreateCheckpoint(Edit[Checkpoint]):
    """Copy the scope; the oldest copies go.

    Attributes:
        at_most: checkpoints in the scope.
    """

    id: str
    description: str
    at_most: int

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)

    def apply(self, space: Workspace, now: datetime) -> Checkpoint:
        made = Checkpoint.model_construct(id=self.id, description=self.description, created_at=now)
        variables = {
            key: (each.value, None if each.expires_at is None else each.expires_at - now)
            for key, each in space.sweep(now).items()
        }
        space.checkpoints[self.id] = Saved(made, space.in_order(), variables, space.task, tuple(space.notes))
        while len(space.checkpoints) > self.at_most:
            del space.checkpoints[next(iter(space.checkpoints))]
        return made

    def learn(self, space: Workspace, result: Checkpoint, now: datetime) -> None:
        """Nothing: a copy is the store's."""


@dataclass(frozen=True, slots=True)
class RestoreCheckpoint(Edit[Checkpoint]):
    """Make the scope what it was; its checkpoints stay, the later ones too. The blocks get new versions."""

    id: str

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)

    def apply(self, space: Workspace, now: datetime) -> Checkpoint:
        saved = space.checkpoints.get(self.id)
        if saved is None:
            raise NotFound("checkpoint", self.id)
        versions = [block.version for block in (*space.blocks.values(), *saved.blocks)]
        space.newest = max([space.newest, *versions])
        update = {"version": space.newest + 1, "updated_at": now}
        space.blocks = {block.name: block.model_copy(update=update) for block in saved.blocks}
        space.variables = {
            key: Variable(value, None if left is None else after(now, left), now)
            for key, (value, left) in saved.variables.items()
        }
        space.task, space.task_at = saved.task, now
        space.notes = list(saved.notes)
        return saved.checkpoint

    def learn(self, space: Workspace, result: Checkpoint, now: datetime) -> None:
        space.known.clear()


@dataclass(frozen=True, slots=True)
class DeleteCheckpoint(Edit[bool]):
    id: str

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)

    def apply(self, space: Workspace, now: datetime) -> bool:
        return space.checkpoints.pop(self.id, None) is not None

    def learn(self, space: Workspace, result: bool, now: datetime) -> None:
        """Nothing: a copy is the store's."""


@dataclass(frozen=True, slots=True)
class CountAll(Look[WorkingStats]):
    """How much of each kind there is."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (BLOCKS, VARIABLES, TASK, NOTES, CHECKPOINTS)

    def look(self, space: Workspace, now: datetime) -> WorkingStats:
        return WorkingStats.model_construct(
            variables=len(space.sweep(now)),
            blocks=len(space.blocks),
            notes=len(space.notes),
            checkpoints=len(space.checkpoints),
            has_task=space.task is not None,
            created_at=space.created_at,
        )
