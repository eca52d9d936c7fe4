"""One JSON object that somebody else has written: nothing of it is believed."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from .._checks import MAX_INTEGER, check_count, check_id, check_instant, check_json, check_text
from ..errors import InvalidInput

T = TypeVar("T")


class Fields:
    """The fields of an object, each of which is taken once.

    Args:
        path: names the object in errors.
        given: what is said to be one.
    """

    def __init__(self, path: str, given: object) -> None:
        if not isinstance(given, dict):
            raise InvalidInput(path, f"expected an object, got {type(given).__name__}")
        self.path = path
        self._left = dict(cast("Mapping[str, object]", given))

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if name else self.path

    def take(self, name: str) -> object:
        if name not in self._left:
            raise InvalidInput(self.at(name), "is missing")
        return self._left.pop(name)

    def has(self, name: str) -> bool:
        return name in self._left

    def end(self) -> None:
        """Refuse what nobody has taken: a field of another version may mean anything."""
        if self._left:
            # A name is the user's text, so it is not told.
            raise InvalidInput(self.path, f"has {len(self._left)} fields that version 1 does not have")

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """Return what `read` makes of a field, None for null."""
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return None
        return read(name)

    def id(self, name: str) -> str:
        return check_id(self.at(name), self.take(name))

    def ids(self, name: str) -> tuple[str, ...]:
        return tuple(check_id(f"{self.at(name)}[{i}]", each) for i, each in enumerate(self.list(name)))

    def text(self, name: str, limit: int) -> str:
        return check_text(self.at(name), self.take(name), limit=limit)

    def instant(self, name: str) -> datetime:
        value = self.take(name)
        try:
            return check_instant(self.at(name), datetime.fromisoformat(cast("str", value)))
        except (TypeError, ValueError) as exc:
            if isinstance(exc, InvalidInput):
                raise
            raise InvalidInput(self.at(name), "expected an instant as ISO 8601 has it") from None

    def count(self, name: str, *, low: int = 0, high: int = MAX_INTEGER) -> int:
        return check_count(self.at(name), self.take(name), low=low, high=high)

    def number(self, name: str, *, low: float, high: float) -> float:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(self.at(name), f"expected a number, got {type(value).__name__}")
        if not low <= value <= high:
            raise InvalidInput(self.at(name), f"must be in {low:g}..{high:g}")
        return float(value)

    def truth(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise InvalidInput(self.at(name), f"expected true or false, got {type(value).__name__}")
        return value

    def one_of(self, name: str, choices: Sequence[str]) -> str:
        value = self.take(name)
        if not isinstance(value, str) or value not in choices:
            raise InvalidInput(self.at(name), f"must be one of {', '.join(choices)}")
        return value

    def digits(self, name: str, *sizes: int) -> bytes:
        """Return what is spelled in hexadecimal digits."""
        value = self.take(name)
        try:
            found = bytes.fromhex(cast("str", value))
        except (TypeError, ValueError):
            raise InvalidInput(self.at(name), "expected hexadecimal digits") from None
        if len(found) not in sizes or found.hex() != value:
            raise InvalidInput(self.at(name), f"must be {' or '.join(map(str, sizes))} bytes")
        return found

    def encoded(self, name: str) -> bytes:
        """Return what is spelled in base64."""
        value = self.take(name)
        try:
            return b64decode(cast("str", value), validate=True)
        except (TypeError, ValueError, NotBase64):
            raise InvalidInput(self.at(name), "expected base64") from None

    def list(self, name: str) -> Sequence[object]:
        value = self.take(name)
        if not isinstance(value, list):
            raise InvalidInput(self.at(name), f"expected a list, got {type(value).__name__}")
        return cast("Sequence[object]", value)

    def json(self, name: str, limit: int) -> tuple[Any, str]:
        """Return any JSON value, and its text."""
        value = self.take(name)
        return value, check_json(self.at(name), value, limit=limit)
