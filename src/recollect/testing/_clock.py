from datetime import UTC, datetime, timedelta

_START = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is set. Give it to `open_memory(clock=)`.

    Attributes:
        now: what it says; aware, UTC. May be set to the past.
    """

    def __init__(self, now: datetime = _START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        """Move it by `seconds`, which may be negative; return what it says then."""
        self.now += timedelta(seconds=seconds)
        return self.now
