"""Blocks as text for a prompt. Whatever a block says, it cannot leave its place."""

from collections.abc import Sequence

from .._markup import attribute, content, fenced, one_line
from ..types import Block


def as_xml(blocks: Sequence[Block]) -> str:
    """Return `<blocks>` with one `<block name="...">` each: well-formed XML; "" if there are none."""
    if not blocks:
        return ""
    lines = (f"<block name={attribute(block.name)}>{content(block.text)}</block>" for block in blocks)
    return "\n".join(("<blocks>", *lines, "</blocks>"))


def as_markdown(blocks: Sequence[Block]) -> str:
    """Return a heading and a fenced text for each block; "" if there are none."""
    return "\n\n".join(f"## {one_line(block.name)}\n\n{fenced(block.text)}" for block in blocks)
