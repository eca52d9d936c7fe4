"""Reads and keyed writes are repeated a few times, with pauses that spread those who repeat."""

import random
from collections.abc import Awaitable

import anyio
import pytest

from recollect import InvalidInput, StoreUnavailable
from recollect._retry import ATTEMPTS, FIRST_PAUSE, retrying

from .properties import virtual_time


class Script:
    """Fails with one error after the other, then returns; notes how often it ran, and the pauses."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.pauses: list[float] = []
        self.bounds: list[tuple[float, float]] = []

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def uniform(self, low: float, high: float) -> float:
        self.bounds.append((low, high))
        return high

    def retried(self) -> Awaitable[str]:
        return retrying(self, retryable=is_unavailable, sleep=self.sleep, uniform=self.uniform)


def is_unavailable(exc: Exception) -> bool:
    return isinstance(exc, StoreUnavailable)


def away() -> StoreUnavailable:
    return StoreUnavailable("away")


async def test_what_succeeds_is_done_once_without_a_pause() -> None:
    script = Script()
    assert await script.retried() == "done"
    assert (script.calls, script.pauses) == (1, [])


@pytest.mark.parametrize("failures", range(1, ATTEMPTS))
async def test_what_fails_in_passing_is_repeated_after_growing_pauses(failures: int) -> None:
    script = Script(*(away() for _ in range(failures)))
    assert await script.retried() == "done"
    assert script.calls == failures + 1
    assert script.bounds == [(0, FIRST_PAUSE * 2**attempt) for attempt in range(failures)]
    assert script.pauses == [high for _, high in script.bounds]


async def test_last_error_is_raised_as_it_is_and_no_pause_follows_it() -> None:
    errors = [away() for _ in range(ATTEMPTS + 1)]
    script = Script(*errors)
    with pytest.raises(StoreUnavailable) as raised:
        await script.retried()
    assert raised.value is errors[ATTEMPTS - 1]
    assert raised.value.__context__ is None
    assert (script.calls, len(script.pauses)) == (ATTEMPTS, ATTEMPTS - 1)


async def test_what_cannot_get_better_is_not_repeated() -> None:
    script = Script(away(), InvalidInput("field", "reason"), away())
    with pytest.raises(InvalidInput):
        await script.retried()
    assert (script.calls, len(script.pauses)) == (2, 1)


async def test_end_of_the_task_is_not_repeated() -> None:
    script = Script(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await script.retried()
    assert script.calls == 1


@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_deadline_of_the_caller_bounds_all_attempts(loop: str) -> None:
    async def scenario() -> None:
        calls = 0

        async def call() -> None:
            nonlocal calls
            calls += 1
            await anyio.sleep(2)
            raise away()

        with anyio.move_on_after(5) as scope:
            await retrying(call, retryable=is_unavailable)
        assert scope.cancelled_caught
        assert calls == ATTEMPTS

    virtual_time.run(scenario, loop=loop)


@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_pauses_are_real_and_random(loop: str) -> None:
    async def scenario() -> None:
        start = anyio.current_time()
        await retrying(Script(*(away() for _ in range(ATTEMPTS - 1))), retryable=is_unavailable)
        elapsed.add(anyio.current_time() - start)

    elapsed: set[float] = set()
    longest = sum(FIRST_PAUSE * 2**attempt for attempt in range(ATTEMPTS - 1))
    for seed in range(5):
        random.seed(seed)
        virtual_time.run(scenario, loop=loop)
    assert len(elapsed) == 5
    assert all(0 < seconds <= longest for seconds in elapsed)
