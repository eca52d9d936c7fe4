"""A scope of working memory as plain values, and what a question or an edit is.

A workspace is the whole of a scope in the store that lives in process. Where another store is away, it is
what this process happens to know of a scope: `known` says which parts are, and nobody is told of the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from ..types import Block, BlockConflict, Checkpoint, Note, TaskState

T = TypeVar("T")

Part = tuple[str, ...]
"""A part of a workspace: all of a kind, as `("blocks",)`, or one of them, as `("blocks", "persona")`."""

BLOCKS: Part = ("blocks",)
VARIABLES: Part = ("variables",)
TASK: Part = ("task",)
NOTES: Part = ("notes",)
CHECKPOINTS: Part = ("checkpoints",)
STORE: Part = ("store",)
"""Never known: what can be done by the store alone."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A value as JSON text, when it ceases to be, if ever, and when it was set, where that is known."""

    value: str
    expires_at: datetime | None = None
    written_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint keeps. The time that variables have left is a duration: it does not pass in there."""

    checkpoint: Checkpoint
    blocks: tuple[Block, ...]
    variables: dict[str, tuple[str, timedelta | None]]
    task: TaskState | None
    notes: tuple[Note, ...]


@dataclass(slots=True, eq=False)
class Workspace:
    """What a scope holds, as far as it is known.

    Attributes:
        created_at: of the first edit.
        newest: the highest version that a block had which is gone: its name starts above it.
        variables: with those that have ceased to be, until somebody counts them.
        task_at: when the task was last written, or cleared.
        notes: oldest first.
        known: parts that are as the store has them.
    """

    created_at: datetime | None = None
    blocks: dict[str, Block] = field(default_factory=dict[str, Block])
    newest: int = 0
    variables: dict[str, Variable] = field(default_factory=dict[str, Variable])
    task: TaskState | None = None
    task_at: datetime | None = None
    notes: list[Note] = field(default_factory=list[Note])
    checkpoints: dict[str, Saved] = field(default_factory=dict[str, Saved])
    conflicts: dict[str, BlockConflict] = field(default_factory=dict[str, BlockConflict])
    known: set[Part] = field(default_factory=set[Part])

    def knows(self, parts: Iterable[Part]) -> bool:
        return all(part in self.known or part[:1] in self.known for part in parts)

    def in_order(self) -> tuple[Block, ...]:
        return tuple(sorted(self.blocks.values(), key=lambda block: block.order))

    def variable(self, key: str, now: datetime) -> Variable | None:
        found = self.variables.get(key)
        return found if found is not None and is_alive(found, now) else None

    def sweep(self, now: datetime) -> dict[str, Variable]:
        """Drop the variables that have ceased to be; return the others."""
        self.variables = {key: each for key, each in self.variables.items() if is_alive(each, now)}
        return self.variables


def is_alive(variable: Variable, now: datetime) -> bool:
    return variable.expires_at is None or now < variable.expires_at


class Look(Generic[T]):
    """A question to a scope. Subclasses are frozen dataclasses."""

    @property
    def needs(self) -> tuple[Part, ...]:
        """Return what has to be known to answer it."""
        raise NotImplementedError

    def look(self, space: Workspace, now: datetime) -> T:
        """Answer it; changes nothing."""
        raise NotImplementedError

    def learn(self, space: Workspace, found: T, now: datetime) -> None:
        """Have `space` know what a store answered."""


class Edit(Generic[T]):
    """A change of a scope: atomic, and refused before any effect. Subclasses are frozen dataclasses."""

    @property
    def needs(self) -> tuple[Part, ...]:
        """Return what has to be known to make it without the store."""
        return ()

    @property
    def settles(self) -> tuple[Part, ...]:
        """Return what is known once it is made, whatever there was before."""
        return ()

    def apply(self, space: Workspace, now: datetime) -> T:
        """Make it, and return its result."""
        raise NotImplementedError

    def apply_late(self, space: Workspace, made_at: datetime) -> T:
        """Make what was to be made at that instant, if nothing that was made later stands in its way."""
        return self.apply(space, made_at)

    def learn(self, space: Workspace, result: T, now: datetime) -> None:
        """Have `space` know what a store has made of it."""
        raise NotImplementedError
