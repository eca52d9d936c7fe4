from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio import create_task_group
from anyio.lowlevel import checkpoint_if_cancelled

A = TypeVar("A")
B = TypeVar("B")


async def both(first: Callable[[], Awaitable[A]], second: Callable[[], Awaitable[B]]) -> tuple[A, B]:
    """Run two calls at once and return both results; if one fails, the other is cancelled.

    Raises the first error itself: two halves of one call are not a group to their caller.
    """
    ones: list[A] = []
    others: list[B] = []

    async def run_second() -> None:
        others.append(await second())

    try:
        async with create_task_group() as tasks:
            tasks.start_soon(run_second)
            ones.append(await first())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group.exceptions[0].__cause__
    if not others:  # cancelled when the first had just ended: the group does not raise that by itself
        await checkpoint_if_cancelled()
    return ones[0], others[0]
