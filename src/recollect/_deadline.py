from collections.abc import Generator
from contextlib import contextmanager

import anyio

from .errors import DeadlineExceeded


def half_of_the_rest() -> float:
    """Return half of the seconds that the caller has left: what code of the user's may take of them.

    Whatever hangs is then given up in time to go on without it. Infinite without a deadline.
    """
    return max(anyio.current_effective_deadline() - anyio.current_time(), 0.0) / 2


@contextmanager
def bounded(seconds: float | None) -> Generator[None]:
    """Cancel the block after `seconds`, None for no bound, and raise `DeadlineExceeded`."""
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineExceeded(seconds or 0.0)
