"""Cancel a coroutine at its k-th suspension, and look whether anything stayed behind."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any

import anyio
import asyncpg
from anyio.lowlevel import checkpoint

from recollect._loop import is_asyncio
from recollect.postgres import Pool

HANGS = 20


class Interrupted(Awaitable[Any]):
    """Awaits a coroutine and calls `interrupt` when it suspends for the `at`-th time, counted from 1."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int, interrupt: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._left = at
        self._interrupt = interrupt

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value]  # has all that await uses of a generator

    def __iter__(self) -> "Interrupted":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._suspended(self._coroutine.send(value))

    def throw(
        self, kind: Any, value: BaseException | None = None, traceback: TracebackType | None = None
    ) -> Any:
        exc = kind if value is None else value
        return self._suspended(self._coroutine.throw(exc))

    def close(self) -> None:
        self._coroutine.close()

    def _suspended(self, on: Any) -> Any:
        self._left -= 1
        if not self._left:
            self._interrupt()
        return on

    @property
    def done(self) -> bool:
        """Whether it suspended that often, and `interrupt` was called."""
        return self._left <= 0


async def cancelled_by_a_scope(call: Callable[[], Coroutine[Any, Any, Any]], at: int) -> bool:
    """Return whether the call was interrupted; False if it does not suspend that often."""
    with anyio.CancelScope() as scope:
        interrupted = Interrupted(call(), at, scope.cancel)
        await interrupted
    return interrupted.done


async def cancelled_by_its_host(call: Callable[[], Coroutine[Any, Any, Any]], at: int) -> bool:
    """The same with `Task.cancel`, as `asyncio.wait_for` does: no shield of anyio stops it."""
    interrupted: list[Interrupted] = []

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        interrupted.append(Interrupted(call(), at, task.cancel))
        await interrupted[0]

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return interrupted[0].done


def running_tasks() -> set[Any]:
    """Return the tasks of this event loop, where it tells; on trio none outlives its block."""
    return asyncio.all_tasks() if is_asyncio() else set()


async def until(holds: Callable[[], bool], what: str) -> None:
    """Let the event loop run until something holds, and fail if it does not come to that."""
    with anyio.move_on_after(HANGS) as scope:
        while not holds():
            await checkpoint()
    assert not scope.cancelled_caught, what


async def everything_is_given_back(pool: Pool, tasks: set[Any], watch: asyncpg.Connection, name: str) -> None:
    """Wait for what the driver tidies up by itself; then nothing of the call may be there."""
    await until(lambda: asyncio.all_tasks() <= tasks, "a task stayed behind")
    await until(lambda: pool.get_idle_size() == pool.get_size(), "a connection was not given back")
    busy = ""
    with anyio.move_on_after(HANGS) as scope:
        while busy := await watch.fetchval(
            "select string_agg(concat(state, ' ', wait_event, ': ', query), '; ')"
            " from pg_stat_activity where application_name = $1 and state <> 'idle'",
            name,
        ):
            await checkpoint()
    assert not scope.cancelled_caught, f"the server still has {busy}"


async def one_waits_for_a_lock(watch: asyncpg.Connection, name: str) -> None:
    with anyio.fail_after(HANGS):
        while not await watch.fetchval(
            "select count(*) from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'",
            name,
        ):
            await checkpoint()
