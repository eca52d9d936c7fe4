"""The part of a text that says why it was found. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from .._analysis import analyze

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\s]+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ELLIPSIS = "… "


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text, abridged.

    Attributes:
        text: on one line, with an ellipsis where something is left out.
        matches: half-open ranges of `text` that match the query.
        terms: that occur in it.
    """

    text: str
    matches: tuple[tuple[int, int], ...]
    terms: frozenset[str]


def printable(text: str) -> str:
    """Return `text` on one line, without what would steer a terminal instead of being read."""
    return _UNPRINTABLE.sub(" ", text).strip()


def excerpt(text: str, terms: Collection[str], *, limit: int) -> Excerpt:
    """Cut `text` to the stretch that has most of the terms; of equal ones the first.

    Args:
        text: of one side of an episode.
        terms: of the query, analysed.
        limit: characters, >= 20.
    """
    text = printable(text)
    found = [
        (word.start(), word.end(), matched)
        for word in _WORD.finditer(text)
        if (matched := frozenset(analyze(word.group())).intersection(terms))
    ]
    start, end = _stretch(text, found, limit)
    before = _ELLIPSIS if start else ""
    after = _ELLIPSIS[::-1] if end < len(text) else ""
    shift = len(before) - start
    inside = [each for each in found if start <= each[0] and each[1] <= end]
    return Excerpt(
        text=f"{before}{text[start:end]}{after}",
        matches=tuple((first + shift, last + shift) for first, last, _ in inside),
        terms=frozenset[str]().union(*(matched for _, _, matched in inside)),
    )


def _stretch(text: str, found: list[tuple[int, int, frozenset[str]]], limit: int) -> tuple[int, int]:
    """Return the range to keep: whole words, and some of what leads up to the first match."""
    if len(text) <= limit:
        return 0, len(text)
    room = limit - 2 * len(_ELLIPSIS)

    def gain(start: int) -> int:
        inside = [matched for first, last, matched in found if start <= first and last <= start + room]
        return len(frozenset[str]().union(*inside))

    starts = [0, *(_word_start(text, first - room // 3) for first, _, _ in found)]
    start = max(starts, key=gain)  # the first of equal ones
    end = start + room
    if end >= len(text):
        return _word_start(text, len(text) - room), len(text)
    space = text.rfind(" ", start, end + 1)
    return start, space if space > start else end


def _word_start(text: str, index: int) -> int:
    """Return the start of the word that begins at `index` or after it; `index` itself if none does soon."""
    if index <= 0:
        return 0
    space = text.find(" ", index - 1, index + 20)
    return index if space < 0 else space + 1
