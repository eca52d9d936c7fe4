from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..errors import InvalidInput, NotFound, VersionConflict
from ..types import Block
from .space import BLOCKS, Edit, Look, Part, Workspace


@dataclass(frozen=True, slots=True)
class ListBlocks(Look[tuple[Block, ...]]):
    """All blocks, in order."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (BLOCKS,)

    def look(self, space: Workspace, now: datetime) -> tuple[Block, ...]:
        return space.in_order()

    def learn(self, space: Workspace, found: tuple[Block, ...], now: datetime) -> None:
        space.blocks = {block.name: block for block in found}
        space.known.add(BLOCKS)


@dataclass(frozen=True, slots=True)
class GetBlock(Look[Block | None]):
    name: str

    @property
    def needs(self) -> tuple[Part, ...]:
        return (block_part(self.name),)

    def look(self, space: Workspace, now: datetime) -> Block | None:
        return space.blocks.get(self.name)

    def learn(self, space: Workspace, found: Block | None, now: datetime) -> None:
        learn_block(space, self.name, found)


@dataclass(frozen=True, slots=True)
class SetBlock(Edit[Block]):
    """Give a block this text; a new one goes last, a known one keeps its place.

    Attributes:
        if_version: only if it has this version, 0 if there is none; None in any case.
        at_most: blocks in the scope.
    """

    name: str
    text: str
    if_version: int | None
    at_most: int

    @property
    def needs(self) -> tuple[Part, ...]:
        return () if self.if_version is None else (block_part(self.name),)

    @property
    def settles(self) -> tuple[Part, ...]:
        return (block_part(self.name),)

    def apply(self, space: Workspace, now: datetime) -> Block:
        current = space.blocks.get(self.name)
        if self.if_version is not None and self.if_version != (current.version if current else 0):
            raise VersionConflict(f"block {self.name!r}", current)
        return _put_new(space, self.name, self.text, now, at_most=self.at_most)

    def learn(self, space: Workspace, result: Block, now: datetime) -> None:
        learn_block(space, self.name, result)


@dataclass(frozen=True, slots=True)
class AppendBlock(Edit[Block]):
    """Add text at the end of a block, which is made if there is none.

    Attributes:
        max_bytes: of the whole text, as UTF-8.
        at_most: blocks in the scope.
    """

    name: str
    text: str
    max_bytes: int
    at_most: int

    @property
    def needs(self) -> tuple[Part, ...]:
        return (block_part(self.name),)

    def apply(self, space: Workspace, now: datetime) -> Block:
        current = space.blocks.get(self.name)
        text = self.text if current is None else current.text + self.text
        if len(text.encode()) > self.max_bytes:
            raise too_long(self.max_bytes)
        return _put_new(space, self.name, text, now, at_most=self.at_most)

    def learn(self, space: Workspace, result: Block, now: datetime) -> None:
        learn_block(space, self.name, result)


@dataclass(frozen=True, slots=True)
class DeleteBlock(Edit[bool]):
    name: str

    @property
    def needs(self) -> tuple[Part, ...]:
        return (block_part(self.name),)

    def apply(self, space: Workspace, now: datetime) -> bool:
        found = self.name in space.blocks
        put(space, self.name, None, now)
        return found

    def learn(self, space: Workspace, result: bool, now: datetime) -> None:
        learn_block(space, self.name, None)


@dataclass(frozen=True, slots=True)
class MoveBlock(Edit[Block]):
    """Put a block at an index; beyond the end it goes last. Its version stays: its text does."""

    name: str
    index: int

    @property
    def needs(self) -> tuple[Part, ...]:
        return (BLOCKS,)

    def apply(self, space: Workspace, now: datetime) -> Block:
        if self.name not in space.blocks:
            raise NotFound("block", self.name)
        names = moved([block.name for block in space.in_order()], self.name, self.index)
        for order, name in enumerate(names):
            if space.blocks[name].order != order:
                space.blocks[name] = space.blocks[name].model_copy(update={"order": order})
        return space.blocks[self.name]

    def learn(self, space: Workspace, result: Block, now: datetime) -> None:
        if space.knows(self.needs) and self.name in space.blocks:
            self.apply(space, now)
        else:
            # Where the others are now is not known.
            space.known.discard(BLOCKS)
        learn_block(space, self.name, result)


def moved(names: Sequence[str], name: str, index: int) -> list[str]:
    """Return names with one of them at an index."""
    rest = [each for each in names if each != name]
    return [*rest[:index], name, *rest[index:]]


def too_long(max_bytes: int) -> InvalidInput:
    return InvalidInput("text", f"the block would be longer than {max_bytes} bytes of UTF-8")


def too_many(at_most: int) -> InvalidInput:
    return InvalidInput("name", f"there are {at_most} blocks already; delete one, or raise Limits.max_blocks")


def put(space: Workspace, name: str, text: str | None, now: datetime, *, version: int = 0) -> Block | None:
    """Give a block this text, and the next version or a higher one; None deletes it."""
    current = space.blocks.get(name)
    if text is None:
        gone = space.blocks.pop(name, None)
        space.newest = max(space.newest, gone.version if gone else 0)
        return None
    if current is None:
        order = max((block.order for block in space.blocks.values()), default=-1) + 1
    else:
        order = current.order
    version = max(version, (current.version if current else space.newest) + 1)
    block = Block.model_construct(name=name, text=text, order=order, version=version, updated_at=now)
    space.blocks[name] = block
    return block


def block_part(name: str) -> Part:
    return (*BLOCKS, name)


def learn_block(space: Workspace, name: str, found: Block | None) -> None:
    if found is None:
        space.blocks.pop(name, None)
    else:
        space.blocks[name] = found
    space.known.add(block_part(name))


def _put_new(space: Workspace, name: str, text: str, now: datetime, *, at_most: int) -> Block:
    if name not in space.blocks and len(space.blocks) >= at_most:
        raise too_many(at_most)
    put(space, name, text, now)
    return space.blocks[name]
