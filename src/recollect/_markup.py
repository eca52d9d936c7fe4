"""Any text as a part of XML or of Markdown. Whatever it says, it cannot leave its place."""

import re
from xml.sax.saxutils import escape, quoteattr

# What XML 1.0 (section 2.2) has no character reference for either.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REPLACEMENT = "\ufffd"
_RETURN = {"\r": "&#13;"}  # a parser would read a bare one as a line feed
_TICKS = re.compile("`+")


def legal(text: str) -> str:
    """Return `text` with U+FFFD in the place of what no XML can hold."""
    return _ILLEGAL.sub(_REPLACEMENT, text)


def content(text: str) -> str:
    """Return `text` as what stands between two tags."""
    return escape(legal(text), _RETURN)


def attribute(text: str) -> str:
    """Return `text` as the value of an attribute, quoted."""
    return quoteattr(legal(text))


def one_line(text: str) -> str:
    """Return `text` with a space for each stretch of white space, none at its ends."""
    return " ".join(text.split())


def fenced(text: str) -> str:
    """Return `text` as a block of Markdown, between fences that do not occur in it."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def code(text: str) -> str:
    """Return `text` on one line, as a code span of Markdown."""
    text = one_line(text)
    ticks = "`" * (_longest(text) + 1)
    # CommonMark takes one space off on either side; without it, a tick of the text would be one of ours.
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{padding}{text}{padding}{ticks}"


def _longest(text: str) -> int:
    return max(map(len, _TICKS.findall(text)), default=0)
