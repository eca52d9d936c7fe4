"""The circuit breaker: when a server is asked, and when it is left alone.

    closed     every call goes to the server
      | a call fails
      v
    open       no call goes, until the pause is over; then the next one that comes does
      |
      v
    half-open  that one call is the probe, and the only one
      | succeeds: closed       | fails: open, for twice as long       | never ends: open, no pause

Whoever is admitted gets a pass, and says with it how it went. A pass is good for one state of the circuit:
what was sent before the circuit opened neither closes it when it succeeds after all, nor lengthens the
pause when it fails like the others.

Pure: time is an argument, in seconds of any monotonic clock.
"""

from dataclasses import dataclass
from typing import Literal

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0
"""Seconds. Short enough that nobody waits for a server that is back, long enough to leave one alone."""

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class Circuit:
    """One circuit.

    Attributes:
        state: see above.
        retry_at: when an open circuit lets a probe through.
        pause: that the next failure of a probe is followed by.
    """

    state: State = "closed"
    retry_at: float = 0.0
    pause: float = FIRST_PAUSE
    _pass: int = 0

    def admit(self, now: float) -> int | None:
        """Return a pass to the server, or None if it is to be left alone."""
        if self.state == "closed":
            return self._pass
        if self.state == "half-open" or now < self.retry_at:
            return None
        self._become("half-open")
        return self._pass

    def is_current(self, given: int) -> bool:
        """Whether a pass is of the present state: else it says nothing of it."""
        return given == self._pass

    def succeeded(self, given: int) -> bool:
        """The server answered; return whether that has closed the circuit."""
        if given != self._pass or self.state == "closed":
            return False
        self.close()
        return True

    def failed(self, given: int, now: float) -> bool:
        """The server is away; return whether that has opened a closed circuit."""
        if given != self._pass:
            return False
        was_closed = self.state == "closed"
        self.open(now)
        return was_closed

    def gave_up(self, given: int, now: float) -> None:
        """Nothing is known of the server: its caller went away before it answered."""
        if given == self._pass and self.state == "half-open":
            self._become("open")
            self.retry_at = now

    def hurry(self, now: float) -> None:
        """Do not wait for the pause to be over: there will be no later call."""
        self.retry_at = min(self.retry_at, now)

    def open(self, now: float) -> None:
        self._become("open")
        self.retry_at = now + self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE)

    def close(self) -> None:
        self._become("closed")
        self.pause = FIRST_PAUSE

    def _become(self, state: State) -> None:
        self.state = state
        self._pass += 1
