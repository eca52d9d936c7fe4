"""Event loops whose time passes only when nobody has anything left to do: a schedule is data, not luck."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import trio
import trio.testing
from hypothesis import register_random

LOOPS = ("asyncio", "trio")

# Trio shuffles the tasks that are ready; hypothesis has to be able to repeat a shuffle.
trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True
register_random(trio._core._run._r)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__()

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready:
            timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]
            self._now = max(self._now, min(timers, default=0.0))
        super()._run_once()


def run(scenario: Callable[[], Awaitable[Any]], *, loop: str) -> Any:
    """Run a scenario to its end; one that is stuck fails after a virtual day."""

    async def bounded() -> Any:
        with anyio.fail_after(86_400):
            return await scenario()

    options: dict[str, Any] = (
        {"loop_factory": VirtualTimeLoop}
        if loop == "asyncio"
        else {"clock": trio.testing.MockClock(autojump_threshold=0)}
    )
    return anyio.run(bounded, backend=loop, backend_options=options)
