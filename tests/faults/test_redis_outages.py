"""What passes is absorbed, what is ours is not blamed on Redis, and nothing is left behind."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

import anyio
import pytest
import redis.asyncio
from anyio.lowlevel import checkpoint

from recollect import (
    DeadlineExceeded,
    Limits,
    Memory,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
    UserMemory,
)
from recollect._bridge import driven, front_of
from recollect._clock import utc_now
from recollect._fallback import open_fallback
from recollect.inprocess import InProcessArchive
from recollect.redis import open_redis
from recollect.stores import WorkingStore

from ..redis_servers import RedisServer
from .interruption import HANGS
from .proxy import Proxy, open_proxy
from .redis_memories import (
    DEADLINE,
    PASSWORD,
    TEXT,
    THERE,
    Start,
    heal,
    lines,
    opened,
    texts,
)
from .redis_situations import control, kill_connections, stopped

OnOutage = Literal["local", "error"]
EITHER = pytest.mark.parametrize("on_outage", ["local", "error"])

DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
def server(redis_server: Start) -> RedisServer:
    return redis_server(requirepass=PASSWORD, **DURABLE)


@EITHER
async def test_script_that_the_server_has_forgotten_is_sent_again(
    server: RedisServer, namespace: str, on_outage: OnOutage, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, namespace, on_outage=on_outage) as memory:
        alice = memory.user("alice")
        for piece in "ab":
            server.command("SCRIPT", "FLUSH")
            await alice.blocks.append("persona", piece)
            server.command("SCRIPT", "FLUSH")
            assert (await texts(alice))[0].endswith(piece)
            assert alice.working.status == THERE
    assert lines(caplog) == []


@EITHER
@pytest.mark.parametrize("how", ["killed", "restarted"])
async def test_dead_connections_of_the_pool_are_replaced_unnoticed(
    server: RedisServer, namespace: str, how: str, on_outage: OnOutage, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, namespace, on_outage=on_outage, deadline=HANGS) as memory:
        users = [memory.user(f"user {i}") for i in range(20)]

        async def all_of(call: Callable[[UserMemory], Awaitable[object]]) -> None:
            async with anyio.create_task_group() as tasks:
                for user in users:
                    tasks.start_soon(call, user)

        await all_of(lambda user: user.blocks.append("persona", "a"))
        calls: tuple[Callable[[UserMemory], Awaitable[object]], ...] = (
            lambda user: user.blocks.append("persona", "b"),
            lambda user: user.blocks.list(),
        )
        for call in calls:
            with control(server) as client:
                assert len(client.client_list()) > 5, "the pool has hardly a connection"
                if how == "killed":
                    kill_connections(client)
            if how == "restarted":
                server.restart()
            await all_of(call)
        assert [await texts(user) for user in users] == [["ab"]] * 20
    assert lines(caplog) == []


async def test_connections_that_are_reset_all_the_time_lose_and_double_nothing(
    server: RedisServer, namespace: str
) -> None:
    rng = random.Random(7)
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        await alice.blocks.list()
        with control(server) as client:

            async def write(i: int) -> None:
                await alice.scratchpad.append(f"{i}")
                await checkpoint()
                if rng.random() < 0.5:
                    kill_connections(client)

            for first in range(0, 100, 10):
                async with anyio.create_task_group() as tasks:
                    for i in range(first, first + 10):
                        tasks.start_soon(write, i)
        await heal(alice)
        assert sorted(int(note.text) for note in await alice.scratchpad.entries()) == list(range(100))


@pytest.fixture
async def proxy(anyio_backend: object, server: RedisServer) -> AsyncIterator[Proxy]:
    async with open_proxy(server.url) as opened:
        yield opened


async def test_lost_reply_is_an_unknown_outcome_and_safe_to_repeat(
    proxy: Proxy, server: RedisServer, namespace: str
) -> None:
    async with opened(proxy.dsn, namespace, on_outage="error", deadline=HANGS) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        proxy.loses = lambda: True
        with pytest.raises(OutcomeUnknown) as caught:
            await alice.blocks.append("persona", "!")
        with pytest.raises(StoreUnavailable):
            await alice.blocks.list()
        proxy.loses = lambda: False
        for _ in range(2):
            assert (await alice.blocks.append("persona", "!", key=caught.value.key)).text == f"{TEXT}!"


async def test_lost_reply_is_bridged_and_what_was_sent_counts_once(
    proxy: Proxy, server: RedisServer, namespace: str
) -> None:
    async with opened(proxy.dsn, namespace, deadline=HANGS) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        proxy.loses = lambda: True
        assert (await alice.blocks.append("persona", "!")).text == f"{TEXT}!"
        await alice.scratchpad.append("one")
        assert alice.working.status.unsaved == 2
        proxy.loses = lambda: False
        await heal(alice)
        assert await texts(alice) == [f"{TEXT}!"]
        assert [note.text for note in await alice.scratchpad.entries()] == ["one"]


@pytest.mark.asyncio_only
@EITHER
async def test_pool_of_ours_that_is_full_is_no_outage(
    server: RedisServer, namespace: str, on_outage: OnOutage
) -> None:
    pool = redis.asyncio.ConnectionPool.from_url(server.url, max_connections=1)
    client = redis.asyncio.Redis(connection_pool=pool)
    async with client, opened(server, namespace, redis=client, on_outage=on_outage) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        taken = await pool.get_connection()
        with anyio.fail_after(HANGS):
            with pytest.raises(Overloaded):
                await alice.blocks.list()
            with pytest.raises(Overloaded):
                await alice.blocks.append("persona", "!")
        assert alice.working.status == THERE
        await pool.release(taken)
        assert (await alice.blocks.append("persona", "!")).text == f"{TEXT}!"
    await pool.disconnect()


@pytest.mark.asyncio_only
@EITHER
async def test_waiting_for_a_connection_of_ours_is_no_outage(
    server: RedisServer, namespace: str, on_outage: OnOutage
) -> None:
    pool = redis.asyncio.BlockingConnectionPool.from_url(server.url, max_connections=1, timeout=None)
    client = redis.asyncio.Redis(connection_pool=pool)
    async with (
        client,
        opened(server, namespace, redis=client, on_outage=on_outage, deadline=DEADLINE) as memory,
    ):
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        taken = await pool.get_connection()
        with anyio.fail_after(HANGS), pytest.raises(Overloaded):
            await alice.blocks.append("persona", "!")
        assert alice.working.status == THERE
        await pool.release(taken)
        assert await texts(alice) == [TEXT]
    await pool.disconnect()


@asynccontextmanager
async def without_deadline(server: RedisServer, on_outage: OnOutage) -> AsyncIterator[WorkingStore]:
    async with (
        open_redis(server.url, session_ttl=None, deadline=None) as primary,
        open_fallback(primary, limits=Limits(), clock=utc_now) as fallback,
    ):
        yield fallback if on_outage == "local" else primary


@EITHER
async def test_deadline_of_a_call_is_no_outage(
    server: RedisServer, namespace: str, on_outage: OnOutage
) -> None:
    # The server is given longer than a call.
    async with driven(partial(without_deadline, server, on_outage), front_of) as working:
        archive = InProcessArchive(clock=utc_now)
        alice = Memory(working=working, archive=archive, namespace=namespace, deadline=1.0).user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        with stopped(server), anyio.fail_after(HANGS):
            with pytest.raises(OutcomeUnknown) as caught:
                await alice.blocks.append("persona", "!")
            with pytest.raises(DeadlineExceeded):
                await alice.blocks.list()
            assert alice.working.status == THERE
        block = await alice.blocks.append("persona", "!", key=caught.value.key)
        assert block.text == f"{TEXT}!"


@EITHER
async def test_patience_of_the_caller_is_no_outage(
    server: RedisServer, namespace: str, on_outage: OnOutage
) -> None:
    async with opened(server, namespace, on_outage=on_outage) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        with stopped(server):
            for call in (alice.blocks.list, lambda: alice.blocks.append("persona", "!")):
                with anyio.move_on_after(0.05) as scope:
                    await call()
                assert scope.cancelled_caught
            assert alice.working.status == THERE
        assert (await texts(alice))[0] in (TEXT, f"{TEXT}!")


async def test_call_to_a_stopped_server_ends_by_its_deadline(server: RedisServer, namespace: str) -> None:
    async with opened(server, namespace, on_outage="error", deadline=1.0) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        with stopped(server), anyio.fail_after(DEADLINE * 4):
            with pytest.raises((OutcomeUnknown, DeadlineExceeded)):
                await alice.blocks.append("persona", "!")
            with pytest.raises((StoreUnavailable, DeadlineExceeded)):
                await alice.blocks.list()
