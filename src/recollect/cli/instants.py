"""Instants as people write and read them. Shown in UTC."""

from collections.abc import Iterable
from datetime import UTC, datetime

_DETAIL = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")


def instant(text: str) -> datetime:
    """Read an instant in ISO 8601, with a time zone.

    Raises:
        ValueError: it is none; the message says what is expected.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is no instant; write it like 2024-05-01T08:15:00Z"
        raise ValueError(msg) from None
    if found.tzinfo is None:
        msg = f"{text!r} has no time zone; write it like 2024-05-01T08:15:00Z"
        raise ValueError(msg)
    return found


def known(text: str) -> datetime | int:
    """Read a point of known time: an instant, or the number of a transaction."""
    return int(text) if text.isdecimal() else instant(text)


def labels(instants: Iterable[datetime], *, to_second: bool = False) -> dict[datetime, str]:
    """Return a text for each: the day, and as much of the time of day as tells all of them apart.

    Args:
        to_second: no more than that, even if some stay alike.
    """
    found = list(dict.fromkeys(instants))
    written: dict[datetime, str] = {}
    for detail in _DETAIL[:3] if to_second else _DETAIL:
        written = {each: _written(each.astimezone(UTC), detail) for each in found}
        if len(set(written.values())) == len(found):
            break
    return written


def _written(moment: datetime, detail: str) -> str:
    return f"{moment.day} {moment:%b} {moment.year}" + (moment.strftime(detail) if detail else "")
