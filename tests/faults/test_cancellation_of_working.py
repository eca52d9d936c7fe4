"""Cancel every call of working memory at every suspension: it is made as a whole, or not at all."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from recollect import TaskState, UserMemory, open_memory
from recollect.testing import Clock

from ..conftest import Connect
from ..redis_servers import RedisServer
from ..working_calls import CALLS
from .interruption import HANGS, cancelled_by_a_scope, cancelled_by_its_host, until

Call = Callable[[UserMemory], Coroutine[Any, Any, object]]


async def _restore(alice: UserMemory) -> None:
    (first, *_) = await alice.checkpoints.list()
    await alice.checkpoints.restore(first.id)


async def _forget(alice: UserMemory) -> None:
    (first, *_) = await alice.checkpoints.list()
    await alice.checkpoints.delete(first.id)


MADE: dict[str, Call] = {
    **CALLS,
    "blocks.move": lambda alice: alice.blocks.move("c", 0),
    "blocks.set with a key": lambda alice: alice.blocks.set("a", "x", key="k"),
    "checkpoints.restore": _restore,
    "checkpoints.delete": _forget,
}
del MADE["working.resolve"]  # there is nothing to resolve without an outage


CANCELLATIONS = {"scope": cancelled_by_a_scope, "host": cancelled_by_its_host}


async def _furnish(alice: UserMemory) -> None:
    await alice.blocks.set("z", "before")
    await alice.variables.set("z", "before")
    await alice.checkpoints.create("first")
    for name in "abc":
        await alice.blocks.set(name, name)
        await alice.variables.set(name, name)
        await alice.scratchpad.append(name)
    await alice.task.set(TaskState(task_id="before"))


async def _state(alice: UserMemory) -> object:
    """Return what a scope holds. The clock of the tests stands still: instants are alike."""
    return (
        await alice.blocks.list(),
        await alice.variables.items(),
        await alice.task.get(),
        await alice.scratchpad.entries(),
        [each.description for each in await alice.checkpoints.list()],
        await alice.working.stats(),
    )


@pytest.mark.parametrize("name", MADE)
async def test_call_cancelled_at_any_suspension_is_whole_or_not_at_all(sit: Connect, name: str) -> None:
    async with sit() as memory:
        whole = memory.user("whole")
        await _furnish(whole)
        before = await _state(whole)
        await MADE[name](whole)
        after = await _state(whole)
        at, interrupted = 0, True
        while interrupted:
            at += 1
            alice = memory.user(f"alice {at}")
            await _furnish(alice)
            with anyio.fail_after(HANGS):
                interrupted = await cancelled_by_a_scope(lambda user=alice: MADE[name](user), at)
                assert await _state(alice) in ((before, after) if interrupted else (after,))
                await alice.blocks.set("the next", "one")
            statistics = memory.statistics()
            assert (statistics.leased, statistics.waiting) == (0, 0)
        assert at > 1, "the call was not interrupted"


@pytest.mark.asyncio_only
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("how", CANCELLATIONS)
@pytest.mark.parametrize("name", MADE)
async def test_call_on_redis_cancelled_at_any_suspension_leaves_a_clean_pool(
    anyio_backend: object, redis_server: Callable[..., RedisServer], name: str, how: str, cold: bool
) -> None:
    server = redis_server()
    tasks = asyncio.all_tasks()
    async with open_memory(redis=server.url, clock=Clock(), deadline=HANGS) as memory:
        whole = memory.user("whole")
        await _furnish(whole)
        before = await _state(whole)
        await MADE[name](whole)
        after = await _state(whole)
        at, interrupted = 0, True
        while interrupted:
            at += 1
            alice = memory.user(f"alice {at}")
            await _furnish(alice)
            if cold:
                server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with anyio.fail_after(HANGS):
                interrupted = await CANCELLATIONS[how](lambda user=alice: MADE[name](user), at)
                await until(lambda: asyncio.all_tasks() <= tasks, "a task stayed behind")
                assert await _state(alice) in ((before, after) if interrupted else (after,))
            statistics = memory.statistics()
            assert (statistics.leased, statistics.waiting) == (0, 0)
            assert not memory.user("x").working.status.degraded, "it was taken for an outage"
        # Over a connection that is there a call waits once, for the reply.
        assert at > 1 + (cold and name != "working.health"), "the call was hardly interrupted"
    assert asyncio.all_tasks() <= tasks
    await until(lambda: _clients(server) == 1, "a connection was left open")


def _clients(server: RedisServer) -> int:
    return int(server.command("INFO", "clients")["connected_clients"])
