"""Where "now" comes from. But for the time in an id, nothing else in the package reads a wall clock."""

from collections.abc import Callable
from datetime import UTC, datetime

from .errors import ConfigurationError

Clock = Callable[[], datetime]
"""Returns the present instant: aware, in UTC."""


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
