import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

ATTEMPTS = 3
FIRST_PAUSE = 0.05
"""Seconds, doubled with every attempt; the pause is drawn between 0 and that (full jitter)."""


async def retrying(
    call: Callable[[], Awaitable[T]],
    *,
    retryable: Callable[[Exception], bool],
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    uniform: Callable[[float, float], float] = random.uniform,
) -> T:
    """Await `call` up to `ATTEMPTS` times. It must be idempotent; the caller's deadline bounds it all."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return await call()
        except Exception as exc:
            if not retryable(exc):
                raise
        await sleep(uniform(0, FIRST_PAUSE * 2**attempt))
    return await call()
