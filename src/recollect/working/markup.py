"""Blocks as text for a prompt. Whatever a block says, it cannot leave its place."""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from ..types import Block

# What XML 1.0 (section 2.2) has no character reference for either.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REPLACEMENT = "\ufffd"
_RETURN = {"\r": "&#13;"}  # a parser would read a bare one as a line feed


def as_xml(blocks: Sequence[Block]) -> str:
    """Return `<blocks>` with one `<block name="...">` each: well-formed XML; "" if there are none."""
    if not blocks:
        return ""
    lines = (f"<block name={_attribute(block.name)}>{_content(block.text)}</block>" for block in blocks)
    return "\n".join(("<blocks>", *lines, "</blocks>"))


def as_markdown(blocks: Sequence[Block]) -> str:
    """Return a heading and a fenced text for each block; "" if there are none."""
    return "\n\n".join(map(_section, blocks))


def _content(text: str) -> str:
    return escape(_ILLEGAL.sub(_REPLACEMENT, text), _RETURN)


def _attribute(text: str) -> str:
    return quoteattr(_ILLEGAL.sub(_REPLACEMENT, text))


def _section(block: Block) -> str:
    longest = max(map(len, re.findall(r"`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    title = " ".join(block.name.split())
    return f"## {title}\n\n{fence}text\n{block.text}\n{fence}"
