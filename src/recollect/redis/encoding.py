"""Values as Redis holds them, which is bytes."""

from datetime import UTC, datetime, timedelta

_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Return an instant in microseconds since 1970, exactly."""
    return (at - _START) // _MICROSECOND


def instant(found: bytes | int) -> datetime:
    return _START + timedelta(microseconds=int(found))


def number(value: float) -> bytes:
    return b"%d" % value


def lifetime(seconds: float | None) -> bytes:
    """Return a time to live in microseconds; b"" for ever, or for longer than any calendar reaches."""
    try:
        return b"" if seconds is None else number(timedelta(seconds=seconds) // _MICROSECOND)
    except OverflowError:
        return b""
