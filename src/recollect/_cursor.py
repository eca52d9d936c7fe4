"""Where a page ended, as an opaque string that only its own query accepts."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import TypeVar

from . import _json
from .errors import InvalidInput

P = TypeVar("P", int, str)

_TAG = 8
"""Bytes. The tag finds mistakes, it keeps no secret: a forged one leads nowhere but into one's own pages."""


def sealed(position: int | str, *query: object) -> str:
    """Return a cursor at `position` of what `query` (JSON values) lists."""
    payload = _json.canonical(position).encode()
    tag = blake2b(payload + b"\0" + _json.canonical(list(query)).encode(), digest_size=_TAG).digest()
    return urlsafe_b64encode(tag + payload).decode()


def _is_place(position: int | str) -> bool:
    """Whether a store can look for it: the tag is no secret, so anybody can seal anything."""
    return 0 <= position < 2**63 if isinstance(position, int) else "\0" not in position


def opened(cursor: object, kind: type[P], *query: object) -> P | None:
    """Return the position of a cursor, None for none.

    Raises:
        InvalidInput: it is not a cursor, or one of another query.
    """
    if cursor is None:
        return None
    if not isinstance(cursor, str):
        raise InvalidInput("cursor", f"expected a string, got {type(cursor).__name__}")
    try:
        payload = urlsafe_b64decode(cursor.encode("ascii"))[_TAG:]
        position = _json.loads(payload.decode())
        # Sealing again shows whether it is one of ours, to the last character.
        if type(position) is kind and sealed(position, *query) == cursor and _is_place(position):
            return position
    except (ValueError, RecursionError):
        raise InvalidInput("cursor", "is not a cursor; pass one back as it was given") from None
    raise InvalidInput("cursor", "belongs to another query; start again without one")
