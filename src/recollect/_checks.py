"""The border: what is accepted, in one place. Everything behind it trusts its types."""

import math
import unicodedata
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, cast, get_args

from . import _json
from .errors import InvalidInput
from .types import Mode

MAX_ID_BYTES = 256
MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
"""Largest integer that every JSON reader returns unchanged."""

MAX_FILTER_BYTES = 8_192
"""JSON of one value that a filter compares with."""

TimeRange = tuple[datetime | None, datetime | None]


def check_text(field: str, value: object, *, limit: int) -> str:
    """Return `value` if it is text that every store gives back unchanged."""
    if not isinstance(value, str):
        raise InvalidInput(field, f"expected a string, got {type(value).__name__}")
    _check_characters(field, value)
    if len(value.encode()) > limit:
        raise InvalidInput(field, f"longer than {limit} bytes of UTF-8")
    return value


def _check_characters(field: str, value: str) -> None:
    if "\0" in value:
        raise InvalidInput(field, "contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(field, "contains a lone surrogate, which is not Unicode text") from None


def check_id(field: str, value: object) -> str:
    """Return `value` if it is an id: NFC, 1 to 256 bytes, not blank, without NUL."""
    if not isinstance(value, str):
        raise InvalidInput(field, f"expected a string, got {type(value).__name__}")
    _check_characters(field, value)
    if not value.strip():
        raise InvalidInput(field, "is empty or blank")
    if len(value.encode()) > MAX_ID_BYTES:
        raise InvalidInput(field, f"longer than {MAX_ID_BYTES} bytes of UTF-8")
    if not unicodedata.is_normalized("NFC", value):
        raise InvalidInput(field, 'is not in Unicode form NFC; use unicodedata.normalize("NFC", ...)')
    return value


def check_optional_id(field: str, value: object) -> str | None:
    return None if value is None else check_id(field, value)


def check_instant(field: str, value: object) -> datetime:
    """Return `value` in UTC if it is an aware datetime."""
    if not isinstance(value, datetime):
        raise InvalidInput(field, f"expected an aware datetime, got {type(value).__name__}")
    if value.utcoffset() is None:
        raise InvalidInput(field, "is naive; give it a time zone, such as tzinfo=UTC")
    try:
        instant = value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field, "leaves the years 1..9999 in UTC") from None
    if instant.replace(tzinfo=None) in (datetime.min, datetime.max):  # noqa: DTZ901
        raise InvalidInput(field, "is datetime.min or datetime.max; unbounded is None")
    return instant


def check_time_range(field: str, value: object) -> TimeRange:
    """Return a half-open range of instants, each side None for unbounded."""
    if value is None:
        return None, None
    if not isinstance(value, tuple) or len(pair := cast("tuple[object, ...]", value)) != 2:
        raise InvalidInput(field, "expected a pair (start or None, end or None)")
    start, end = (
        None if bound is None else check_instant(f"{field}[{i}]", bound) for i, bound in enumerate(pair)
    )
    if start is not None and end is not None and start >= end:
        raise InvalidInput(field, "is empty or reversed; the end must be after the start")
    return start, end


def check_count(field: str, value: object, *, low: int = 1, high: int = 1_000) -> int:
    """Return `value` if it is an integer in `low..high`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(field, f"expected an integer, got {type(value).__name__}")
    if not low <= value <= high:
        raise InvalidInput(field, f"must be in {low}..{high}, got {value}")
    return value


def check_mode(value: object) -> Mode:
    modes: tuple[Mode, ...] = get_args(Mode)
    for mode in modes:
        if value == mode:
            return mode
    raise InvalidInput("mode", f"must be one of {', '.join(modes)}")


def check_json(field: str, value: object, *, limit: int) -> str:
    """Return `value` as JSON text if it comes back equal from there."""
    _check_json(field, value, depth=1, budget=[limit])
    text = _json.dumps(value)
    if len(text.encode()) > limit:
        raise InvalidInput(field, f"longer than {limit} bytes of JSON")
    return text


def check_object(field: str, value: object, *, limit: int) -> str:
    """Like `check_json`, for a JSON object."""
    if not isinstance(value, dict):
        raise InvalidInput(field, f"expected a dict, got {type(value).__name__}")
    return check_json(field, cast("object", value), limit=limit)


def _check_json(field: str, value: object, *, depth: int, budget: list[int]) -> None:
    # A value takes a byte of JSON at least. Counting them ends the walk through a list of shared lists.
    budget[0] -= 1
    if budget[0] < 0:
        raise InvalidInput(field, "has more values than bytes of JSON are allowed")
    match value:
        case None | bool():
            return
        case str():
            _check_characters(field, value)
        case int():
            if abs(value) > MAX_INTEGER:
                raise InvalidInput(field, "contains an integer beyond 2^53-1; use a string")
        case float():
            if not math.isfinite(value):
                raise InvalidInput(field, "contains NaN or infinity, which JSON does not have")
        case list() | dict():
            if depth > MAX_DEPTH:
                raise InvalidInput(field, f"is deeper than {MAX_DEPTH}, or contains itself")
            container = cast("list[object] | dict[object, object]", value)
            _check_container(field, container, depth=depth, budget=budget)
        case _:
            raise InvalidInput(field, f"contains {type(value).__name__}, which is not JSON")


def _check_container(
    field: str, value: list[object] | dict[object, object], *, depth: int, budget: list[int]
) -> None:
    if isinstance(value, list):
        for i, item in enumerate(value):
            _check_json(f"{field}[{i}]", item, depth=depth + 1, budget=budget)
        return
    for key, item in value.items():
        # A key is the user's text, so the path in the message stops here.
        if not isinstance(key, str):
            raise InvalidInput(field, f"has a key that is {type(key).__name__}, not a string")
        _check_characters(field, key)
        _check_json(field, item, depth=depth + 1, budget=budget)


def check_where(field: str, value: object) -> dict[tuple[str, ...], Any]:
    """Return a filter: dotted path into `metadata`, split, to the JSON value expected there."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(field, f"expected a mapping of dotted paths, got {type(value).__name__}")
    if len(cast("Mapping[object, object]", value)) > MAX_DEPTH:
        raise InvalidInput(field, f"has more than {MAX_DEPTH} conditions")
    where: dict[tuple[str, ...], Any] = {}
    for path, expected in cast("Mapping[object, object]", value).items():
        names = tuple(check_id(f"{field} path", path).split("."))
        if not all(names) or len(names) > MAX_DEPTH:
            raise InvalidInput(field, "has a path with an empty part, or too many parts")
        check_json(field, expected, limit=MAX_FILTER_BYTES)
        if isinstance(expected, dict) and any(
            key.startswith("$") for key in cast("dict[str, object]", expected)
        ):
            raise InvalidInput(field, "has an operator; only equality with a JSON value is supported")
        where[names] = expected
    return where


def check_confidence(field: str, value: object) -> float:
    """Return `value` if it is a number in 0..1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(field, f"expected a number, got {type(value).__name__}")
    if not 0 <= value <= 1:
        raise InvalidInput(field, "must be in 0..1")
    return float(value)


def check_ids(field: str, value: object, *, limit: int) -> tuple[str, ...]:
    """Return distinct ids, in their order."""
    if not isinstance(value, list | tuple | set | frozenset):
        raise InvalidInput(field, f"expected a list of ids, got {type(value).__name__}")
    given = cast("Collection[object]", value)
    if len(given) > limit:
        raise InvalidInput(field, f"more than {limit}")
    return tuple(dict.fromkeys(check_id(f"{field}[{i}]", each) for i, each in enumerate(given)))


def check_optional_text(field: str, value: object, *, limit: int = MAX_FILTER_BYTES) -> str | None:
    return None if value is None else check_text(field, value, limit=limit)
