"""Where "now" comes from, and what an instant is as a number.

But for the time in an id, nothing else in the package reads a wall clock.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .errors import ConfigurationError

Clock = Callable[[], datetime]
"""Returns the present instant: aware, in UTC."""

_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def aware(clock: Clock) -> Clock:
    """Return `clock` in UTC, held to what it promises."""

    def now() -> datetime:
        instant = clock()
        if instant.utcoffset() is None:
            msg = "the clock returned a naive datetime; it must return aware ones"
            raise ConfigurationError(msg)
        return instant.astimezone(UTC)

    return now


def utc_now() -> datetime:
    return datetime.now(UTC)


def micros(at: datetime) -> int:
    """Return an instant in microseconds since 1970, exactly."""
    return (at - _START) // _MICROSECOND


def instant(found: bytes | int) -> datetime:
    return _START + timedelta(microseconds=int(found))
