from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

from .errors import DeadlineExceeded, RecollectError


@contextmanager
def bounded(seconds: float | None, *, late: Callable[[], RecollectError] | None = None) -> Generator[None]:
    """Cancel the block after `seconds`, None for no bound, and raise what `late` makes of it."""
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineExceeded(seconds or 0.0) if late is None else late()
