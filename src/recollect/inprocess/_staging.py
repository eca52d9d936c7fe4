"""Scopes on their way into a desk, which nobody sees before all of them are there."""

from dataclasses import dataclass, field
from datetime import datetime

from .._workspace import (
    Contents,
    DumpScope,
    PublishScopes,
    ScopeName,
    StageCheckpoint,
    StageScope,
    Transfer,
    Variable,
    WithdrawScopes,
    Workspace,
)
from .._workspace.variables import after
from ..errors import Conflict
from ..stores.transfer import GONE, OCCUPIED


@dataclass(slots=True, eq=False)
class Staging:
    """What one load has staged.

    Attributes:
        load: the newest one; another one begins anew.
        published: the one whose scopes the tenant has been given.
    """

    load: str = ""
    spaces: dict[ScopeName, Workspace] = field(default_factory=dict[ScopeName, Workspace])
    published: str = ""

    def stage(self, name: ScopeName, edit: Transfer, now: datetime) -> None:
        """Stage a part."""
        if self.load != edit.load:
            self.load, self.spaces = edit.load, {}
        if isinstance(edit, StageScope):
            self.spaces[name] = space_of(edit.contents, now)
        elif isinstance(edit, StageCheckpoint):
            if name not in self.spaces:
                raise Conflict(GONE)
            self.spaces[name].checkpoints[edit.saved.checkpoint.id] = edit.saved

    def publish(self, edit: PublishScopes, *, occupied: bool) -> dict[ScopeName, Workspace] | None:
        """Return the scopes that the tenant is to have from now on; None if it has them already."""
        if self.published == edit.load:
            return None
        if occupied:
            raise Conflict(OCCUPIED)
        if self.load != edit.load or self.spaces.keys() != set(edit.names):
            raise Conflict(GONE)
        spaces = self.spaces
        self.load, self.spaces, self.published = "", {}, edit.load
        return spaces

    def withdraw(self, edit: WithdrawScopes) -> bool:
        """Drop what is staged; return whether it was published."""
        if self.load == edit.load:
            self.load, self.spaces = "", {}
        published = self.published == edit.load
        if published:
            self.published = ""
        return published


def space_of(contents: Contents, now: datetime) -> Workspace:
    return Workspace(
        created_at=contents.created_at,
        blocks={block.name: block for block in contents.blocks},
        newest=contents.newest,
        variables={
            key: Variable(value, None if left is None else after(now, left), now)
            for key, (value, left) in contents.variables.items()
        },
        task=contents.task,
        task_at=now,
        notes=list(contents.notes),
        conflicts={conflict.id: conflict for conflict in contents.conflicts},
    )


def is_empty(space: Workspace, now: datetime) -> bool:
    return DumpScope().look(space, now).empty
