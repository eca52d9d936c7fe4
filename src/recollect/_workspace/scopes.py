"""Scopes as a whole, as they go from one store to another. Only the store has all of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from ..types import Block, BlockConflict, Checkpoint, Note, TaskState
from .space import STORE, Edit, Look, Part, Saved, Workspace

T = TypeVar("T")

ScopeName = tuple[str | None, str | None]
"""Agent and session."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a scope holds, but for what its checkpoints do.

    Attributes:
        created_at: of its first edit; None if it was never there.
        newest: the highest version that a block had which is gone.
        variables: JSON text, and the time that it has left; None for ever.
        checkpoints: oldest first.
    """

    created_at: datetime | None
    newest: int
    blocks: tuple[Block, ...]
    variables: dict[str, tuple[str, timedelta | None]]
    task: TaskState | None
    notes: tuple[Note, ...]
    conflicts: tuple[BlockConflict, ...]
    checkpoints: tuple[Checkpoint, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing is in there: versions and the beginning of a scope are none of its contents."""
        held = (self.blocks, self.variables, self.notes, self.conflicts, self.checkpoints)
        return self.task is None and not any(held)


class Taking(Look[T]):
    """What only the store can answer, once it has every edit. It does not count as a use of a session."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)


@dataclass(frozen=True, slots=True)
class ListScopes(Taking[tuple[ScopeName, ...]]):
    """The scopes of the tenant, in any order, asked in any of them."""


@dataclass(frozen=True, slots=True)
class DumpScope(Taking[Contents]):
    """All of a scope; its checkpoints by name."""

    def look(self, space: Workspace, now: datetime) -> Contents:
        return Contents(
            created_at=space.created_at,
            newest=space.newest,
            blocks=space.in_order(),
            variables={
                key: (each.value, None if each.expires_at is None else each.expires_at - now)
                for key, each in space.sweep(now).items()
            },
            task=space.task,
            notes=tuple(space.notes),
            conflicts=tuple(space.conflicts.values()),
            checkpoints=tuple(saved.checkpoint for saved in space.checkpoints.values()),
        )


@dataclass(frozen=True, slots=True)
class DumpCheckpoint(Taking[Saved | None]):
    """What a checkpoint keeps; None if there is none."""

    id: str

    def look(self, space: Workspace, now: datetime) -> Saved | None:
        return space.checkpoints.get(self.id)


class Transfer(Edit[None]):
    """A part of a load: what is staged is nobody's, and goes by itself, until all of it is published.

    Atomic by themselves, and the same if they are made twice: whatever id they are made under.

    Attributes:
        load: tells one load from another; of two loads of a tenant the later one ends the other.
    """

    load: str

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)

    def learn(self, space: Workspace, result: None, now: datetime) -> None:
        space.known.clear()


@dataclass(frozen=True, slots=True)
class StageScope(Transfer):
    """Stage what a scope is to hold, without its checkpoints."""

    load: str
    contents: Contents


@dataclass(frozen=True, slots=True)
class StageCheckpoint(Transfer):
    """Stage a checkpoint of a scope that is staged; it is the newest."""

    load: str
    saved: Saved


@dataclass(frozen=True, slots=True)
class PublishScopes(Transfer):
    """Make all that is staged the tenant's, at once; made in any scope.

    Refused with `Conflict` if the tenant holds anything, or what was staged is gone.

    Attributes:
        names: of the scopes that were staged.
    """

    load: str
    names: Sequence[ScopeName]


@dataclass(frozen=True, slots=True)
class WithdrawScopes(Transfer):
    """Drop what a load has staged, or published; made in any scope."""

    load: str
    names: Sequence[ScopeName]
