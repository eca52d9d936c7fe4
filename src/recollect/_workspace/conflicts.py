"""What comes of edits that were made while the store was away: they are saved, or kept as conflicts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ..errors import NotFound
from ..types import Block, BlockConflict
from .blocks import block_part, learn_block, put
from .space import BLOCKS, STORE, Edit, Look, Part, Workspace

Keep = Literal["ours", "theirs"]


@dataclass(frozen=True, slots=True)
class ListConflicts(Look[tuple[BlockConflict, ...]]):
    """All conflicts, oldest first."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)

    def look(self, space: Workspace, now: datetime) -> tuple[BlockConflict, ...]:
        return tuple(space.conflicts.values())


@dataclass(frozen=True, slots=True)
class ResolveConflict(Edit[Block | None]):
    """End a conflict; return the block as it is then.

    Attributes:
        keep: "ours" puts our text (or our deletion) in place, "theirs" leaves what is there.
        text: put in place instead, if given.
    """

    id: str
    keep: Keep
    text: str | None

    @property
    def needs(self) -> tuple[Part, ...]:
        return (STORE,)

    def apply(self, space: Workspace, now: datetime) -> Block | None:
        conflict = space.conflicts.pop(self.id, None)
        if conflict is None:
            raise NotFound("conflict", self.id)
        if self.text is None and self.keep == "theirs":
            return space.blocks.get(conflict.name)
        return put(space, conflict.name, conflict.ours if self.text is None else self.text, now)

    def learn(self, space: Workspace, result: Block | None, now: datetime) -> None:
        space.known.discard(BLOCKS)


@dataclass(frozen=True, slots=True)
class SaveBlock(Edit[Block | BlockConflict | None]):
    """Give a block the text that it got while the store was away, unless somebody else changed it meanwhile.

    If it still has the base version, or has our text already, it gets ours; otherwise theirs stays, and
    ours becomes a conflict.

    Attributes:
        id: of the conflict, if it becomes one.
        text: None deletes the block.
        base: the version that ours was made from, 0 if there was no such block; None if it was never seen:
            then ours is saved unless the block was changed later than ours was made.
        version: that ours had here; it gets this one, or a higher one.
    """

    id: str
    name: str
    text: str | None
    base: int | None
    version: int

    def apply(self, space: Workspace, now: datetime) -> Block | BlockConflict | None:
        current = space.blocks.get(self.name)
        if self.text == (current.text if current else None):
            return current
        if self.base is None:
            is_newer = current is not None and current.updated_at > now
        else:
            is_newer = self.base != (current.version if current else 0)
        if is_newer:
            conflict = BlockConflict.model_construct(
                id=self.id, name=self.name, ours=self.text, base_version=self.base, at=now
            )
            space.conflicts[self.id] = conflict
            return conflict
        return put(space, self.name, self.text, now, version=self.version)

    def learn(self, space: Workspace, result: Block | BlockConflict | None, now: datetime) -> None:
        if isinstance(result, BlockConflict):
            space.known -= {BLOCKS, block_part(self.name)}
        else:
            learn_block(space, self.name, result)
