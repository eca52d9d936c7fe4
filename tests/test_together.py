"""Two halves of one call: both results, or the first error and nothing left running."""

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from recollect._together import both


async def test_they_run_at_once_and_return_in_order() -> None:
    first_runs, second_runs = anyio.Event(), anyio.Event()

    async def first() -> str:
        first_runs.set()
        await second_runs.wait()
        return "first"

    async def second() -> str:
        second_runs.set()
        await first_runs.wait()
        return "second"

    with anyio.fail_after(15):
        assert await both(first, second) == ("first", "second")


@pytest.mark.parametrize("failing", ["first", "second"])
async def test_error_of_one_cancels_the_other_and_is_raised_as_it_is(failing: str) -> None:
    error = ValueError(failing)
    waiting, cancelled = anyio.Event(), []

    async def fail() -> str:
        await waiting.wait()
        raise error from OSError("cause")

    async def wait() -> str:
        waiting.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    with anyio.fail_after(15), pytest.raises(ValueError, match=failing) as raised:
        await (both(fail, wait) if failing == "first" else both(wait, fail))
    assert raised.value is error
    assert isinstance(error.__cause__, OSError)
    assert cancelled == [True]


async def test_cancellation_reaches_both() -> None:
    waiting, cancelled = [anyio.Event(), anyio.Event()], []

    async def wait(place: int) -> None:
        waiting[place].set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(place)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(both, lambda: wait(0), lambda: wait(1))
            for event in waiting:
                await event.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert sorted(cancelled) == [0, 1]


async def test_cancellation_is_not_lost_when_it_ended_only_the_second() -> None:
    ending, waiting = anyio.Event(), anyio.Event()
    returned: list[object] = []

    async def first() -> str:
        with anyio.CancelScope(shield=True), anyio.fail_after(15):
            await ending.wait()
        return "first"

    async def second() -> str:
        waiting.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def call() -> None:
        returned.append(await both(first, second))

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await waiting.wait()
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
            ending.set()
    assert scope.cancelled_caught
    assert returned == []
