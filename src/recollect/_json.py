"""JSON as text: one spelling for what is stored, compared and hashed."""

import json
from collections.abc import Sequence
from typing import Any, cast

# Made once: `json.dumps` makes an encoder for every call that does not want its defaults.
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_SORTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def dumps(value: object) -> str:
    """Encode without white space, keeping the order of keys."""
    return _COMPACT.encode(value)


def canonical(value: object) -> str:
    """Encode so that two values give the same text if only the order of keys tells them apart.

    1 and 1.0 give different texts: they come back different.
    """
    return _SORTED.encode(value)


def loads(text: str) -> Any:
    return {} if text == "{}" else json.loads(text)  # most metadata


def at_path(value: object, path: Sequence[str]) -> tuple[bool, object]:
    """Follow `path` through objects; return whether it exists, and the value there."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = cast("dict[str, object]", value)[name]
    return True, value


def equal(a: object, b: object) -> bool:
    """Compare as JSON does, and PostgreSQL's jsonb: 1 equals 1.0, but true does not equal 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        one, other = cast("dict[str, object]", a), cast("dict[str, object]", b)
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(a, list) and isinstance(b, list):
        items, others = cast("list[object]", a), cast("list[object]", b)
        return len(items) == len(others) and all(map(equal, items, others))
    return bool(a == b)
