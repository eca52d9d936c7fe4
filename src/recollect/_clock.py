"""Where "now" comes from. Nothing else in the package reads a wall clock."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant: aware, in UTC."""


def utc_now() -> datetime:
    return datetime.now(UTC)
