"""From what a language model answered to drafts of facts. Pure; any text is read, or refused in words.

What is wrong with an answer is said without a word of it.
"""

import json
import math
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from ..errors import InvalidInput
from ..types import FactDraft

MAX_CHARS = 262_144
MAX_STARTS = 32
"""Places in an answer where JSON may begin that are tried."""

_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_START = re.compile(r"[\[{]")
_YEAR = re.compile(r"\d{4}")
_MONTH = re.compile(r"\d{4}-\d{2}")


def drafts_in(answer: object, *, predicates: Collection[str] | None = None) -> tuple[FactDraft, ...]:
    """Return the facts that an answer holds: an object with a list of `facts`, or such a list.

    There may be prose around the JSON, or a fence; then the first JSON that is of this form counts.

    Args:
        predicates: what is said with others is left out; None for any.

    Raises:
        InvalidInput: there is no such JSON, or a fact in it is not of the form.
    """
    if not isinstance(answer, str):
        raise InvalidInput("answer", f"expected a string, got {type(answer).__name__}")
    if len(answer) > MAX_CHARS:
        raise InvalidInput("answer", f"is longer than {MAX_CHARS} characters")
    for value in _values(answer):
        items = cast("dict[str, object]", value).get("facts") if isinstance(value, dict) else value
        if isinstance(items, list) and all(isinstance(item, dict) for item in cast("list[object]", items)):
            facts = cast("list[dict[str, object]]", items)
            return tuple(
                _draft(f"facts[{i}]", fact)
                for i, fact in enumerate(facts)
                if predicates is None or fact.get("predicate") in predicates
            )
    raise InvalidInput("answer", "holds no JSON of the form that was asked for")


def _values(answer: str) -> Iterator[object]:
    """Yield what JSON there is: all of it, what is in a fence, what begins anywhere."""
    for text in (answer, *_FENCED.findall(answer)):
        try:
            yield _DECODER.decode(text.strip())
        except (ValueError, RecursionError):
            continue
    end = tried = 0
    for start in _START.finditer(answer):
        if start.start() < end:
            continue  # within what was read
        tried += 1
        if tried > MAX_STARTS:
            return
        try:
            value, end = _DECODER.raw_decode(answer, start.start())
        except (ValueError, RecursionError):
            continue
        yield value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _draft(at: str, fact: dict[str, object]) -> FactDraft:
    if "object" not in fact:
        raise InvalidInput(f"{at}.object", "is missing")
    return FactDraft(
        _text(f"{at}.subject", fact.get("subject")),
        _text(f"{at}.predicate", fact.get("predicate")),
        fact["object"],
        valid_from=_instant(f"{at}.valid_from", fact.get("valid_from")),
        valid_to=_instant(f"{at}.valid_to", fact.get("valid_to")),
        confidence=_confidence(f"{at}.confidence", fact.get("confidence")),
    )


def _text(at: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(at, "must be a text")
    return value.strip()


def _instant(at: str, value: object) -> datetime | None:
    """Return an instant; without a time zone it is in UTC, and of a year or a month its beginning."""
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if _YEAR.fullmatch(text):
        text += "-01-01"
    elif _MONTH.fullmatch(text):
        text += "-01"
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(at, "must be null or an ISO 8601 date") from None


def _confidence(at: str, value: Any) -> float:
    """Return what is a number, in 0..1 if it is not."""
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(at, "must be a number in 0..1")
    return float(min(max(value, 0.0), 1.0))
