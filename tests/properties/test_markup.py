"""Blocks as text for a prompt: whatever they say, none leaves its place."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from hypothesis import example, given
from hypothesis import strategies as st

from recollect import Block
from recollect.working.markup import as_markdown, as_xml

ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What no XML document can contain, in whatever spelling."""

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
MARKUP = st.sampled_from(
    ["<", ">", "&", "</block>", "</blocks>", "]]>", "<![CDATA[", "<!--", "&lt;", "&#13;", "&#0;", '"', "'",
     "\r", "\n", "\r\n", "\t", "`", "```", "~~~", "\n# ", "\x0c", "\x85", "\u2028", "\ufffe", "\uffff"]
)  # fmt: skip
TEXTS = st.lists(MARKUP | st.text(CHARACTERS, max_size=8), max_size=8).map("".join)
NAMES = TEXTS.filter(str.strip)


def _block(order: int, name: str, text: str) -> Block:
    return Block(name=name, text=text, order=order, version=1, updated_at=datetime(2024, 5, 1, tzinfo=UTC))


BLOCKS = st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=5)


@given(BLOCKS)
@example([("a", "</block><block name='b'>"), ("a\r\nb\tc", "\r\n\r\t ")])
@example([("\x0c\ufffe", "\x1f\uffff"), (" ", " ")])
def test_xml_is_well_formed_and_gives_each_text_back(given: list[tuple[str, str]]) -> None:
    root = ET.fromstring(as_xml([_block(i, *each) for i, each in enumerate(given)]))
    assert root.tag == "blocks"
    assert [child.tag for child in root] == ["block"] * len(given)
    assert len(list(root.iter())) == 1 + len(given), "a text has opened an element of its own"
    found = [(child.attrib, child.text or "") for child in root]
    assert found == [
        ({"name": ILLEGAL.sub("\ufffd", name)}, ILLEGAL.sub("\ufffd", text)) for name, text in given
    ]
    assert not (root.text or "").strip()
    assert not any((child.tail or "").strip() for child in root)


def _sections(markdown: str) -> list[tuple[str, str]]:
    """Read headings and fenced texts as CommonMark does: a fence ends at one that is at least as long."""
    lines = markdown.split("\n")
    found: list[tuple[str, str]] = []
    while lines:
        heading, blank, opening, *lines = lines
        assert heading.startswith("## ")
        assert blank == ""
        fence, info = opening[: -len("text")], opening[-len("text") :]
        assert info == "text"
        assert set(fence) == {"`"}
        text: list[str] = []
        while not re.fullmatch(rf" {{0,3}}`{{{len(fence)},}}[ \t]*", lines[0]):
            text.append(lines.pop(0))
        found.append((heading[3:], "\n".join(text)))
        lines = lines[1:]
        if lines:
            assert lines.pop(0) == ""
    return found


@given(BLOCKS)
@example([("a", "```"), ("b", "````text\n`````\n# c")])
@example([("# a\n## b", "")])
def test_fence_is_not_in_its_text(given: list[tuple[str, str]]) -> None:
    markdown = as_markdown([_block(i, *each) for i, each in enumerate(given)])
    assert _sections(markdown) == [(" ".join(name.split()), text) for name, text in given]


def test_nothing_is_rendered_of_no_blocks() -> None:
    assert as_xml([]) == as_markdown([]) == ""
