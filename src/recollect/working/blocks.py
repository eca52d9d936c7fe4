from typing import Literal

from .._checks import check_count, check_id, check_text
from .._workspace import AppendBlock, DeleteBlock, GetBlock, ListBlocks, MoveBlock, SetBlock
from ..errors import InvalidInput
from ..types import Block
from .markup import as_markdown, as_xml
from .reach import Reach

MAX_INDEX = 1_000_000


class Blocks(Reach):
    """Named text that is pinned in the prompt, in an order of its own."""

    async def list(self, *, inherit: bool = False) -> tuple[Block, ...]:
        """Return the blocks in their order.

        Args:
            inherit: also those of the agent, the tenant and the parents of the handle, after its own; of
                several with one name the nearest.
        """
        if not inherit:
            return await self._look(ListBlocks())
        found: dict[str, Block] = {}
        with self._as_one_call():
            for places in self._lineage():
                for blocks in await self._look_in(places, ListBlocks()):
                    for block in blocks:
                        found.setdefault(block.name, block)
        return tuple(found.values())

    async def get(self, name: str, *, inherit: bool = False) -> Block | None:
        """Return a block, or None.

        Args:
            inherit: if there is none, that of the agent, the tenant, or a parent of the handle.
        """
        look = GetBlock(check_id("name", name))
        if not inherit:
            return await self._look(look)
        with self._as_one_call():
            for places in self._lineage():
                for block in await self._look_in(places, look):
                    if block is not None:
                        return block
        return None

    async def set(
        self, name: str, text: str, *, if_version: int | None = None, key: str | None = None
    ) -> Block:
        """Give a block this text. A new one goes last, an old one keeps its place.

        Atomic, and with a `key` idempotent: repeated, it returns the block and changes nothing.

        Args:
            if_version: only if the block has this version; 0: only if there is no such block.
            key: of this edit, to repeat it with after `OutcomeUnknown`.

        Raises:
            VersionConflict: the block has another version; it is in `.current`.
            IdempotencyConflict: the key belongs to another edit.
            OutcomeUnknown: it may have been set; call again with `key=error.key`.
        """
        limits = self._composition.limits
        check_id("name", name)
        check_text("text", text, limit=limits.max_text_bytes)
        if if_version is not None:
            check_count("if_version", if_version, low=0, high=2**53)
        edit = SetBlock(name, text, if_version, limits.max_blocks)
        return await self._edit(edit, key=key, content=[name, text, if_version])

    async def append(self, name: str, text: str, *, key: str | None = None) -> Block:
        """Add text at the end of a block, as it is; makes the block if there is none.

        Atomic: of concurrent calls, none is lost. With a `key` idempotent.

        Raises:
            InvalidInput: the block would become longer than `Limits.max_text_bytes`.
            IdempotencyConflict: the key belongs to another edit.
            OutcomeUnknown: it may have been added; call again with `key=error.key`.
        """
        limits = self._composition.limits
        check_id("name", name)
        check_text("text", text, limit=limits.max_text_bytes)
        edit = AppendBlock(name, text, limits.max_text_bytes, limits.max_blocks)
        return await self._edit(edit, key=key, content=[name, text])

    async def delete(self, name: str) -> bool:
        """Delete a block; return whether there was one."""
        return await self._edit(DeleteBlock(check_id("name", name)))

    async def move(self, name: str, index: int) -> Block:
        """Put a block at an index, from 0; beyond the end it goes last.

        Raises:
            NotFound: there is no such block.
        """
        check_id("name", name)
        return await self._edit(MoveBlock(name, check_count("index", index, low=0, high=MAX_INDEX)))

    async def render(self, format: Literal["xml", "markdown"] = "xml", *, inherit: bool = False) -> str:
        """Return the blocks as text for a prompt; "" if there are none.

        No text can close its own tag or open another: markup in it is escaped in XML, and fenced in
        Markdown with a fence that does not occur in it.
        """
        if format not in ("xml", "markdown"):
            raise InvalidInput("format", 'must be "xml" or "markdown"')
        blocks = await self.list(inherit=inherit)
        return as_xml(blocks) if format == "xml" else as_markdown(blocks)
