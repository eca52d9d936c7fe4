"""A memory on servers, on trio: what its drivers do in another loop ends with the call that it is for."""

import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import psutil
import pytest

from recollect import BlockConflict, FactDraft, Memory, TryLater, UserMemory, open_memory
from recollect.testing import HashEmbedder

from ..redis_servers import RedisServer
from .interruption import HANGS
from .redis_memories import TEXT, Start, heal, opened, texts

TIMES = 60
CALLS: dict[str, Callable[[UserMemory, int], Awaitable[object]]] = {
    "remember": lambda alice, i: alice.remember(f"hello {i}", id=f"e{i}"),
    "recall": lambda alice, i: alice.recall("hello"),
    "add": lambda alice, i: alice.facts.add("alice", "likes", f"thing {i}", key=f"k{i}"),
    "find": lambda alice, i: alice.facts.find("alice"),
    "set": lambda alice, i: alice.blocks.set(f"block {i}", "text", key=f"b{i}"),
    "append": lambda alice, i: alice.scratchpad.append(f"note {i}"),
    "export": lambda alice, i: alice.export(),
}


pytestmark = pytest.mark.trio_only


def remains() -> tuple[set[str], int]:
    """Return the threads that are not the event loop's own, and how many sockets there are."""
    threads = {thread.name for thread in threading.enumerate()}
    own = {name for name in threads if name.startswith(("AnyIO", "Trio"))}
    return threads - own, len(psutil.Process().net_connections(kind="all"))


@pytest.mark.parametrize("end", ["left", "raised", "cancelled"])
async def test_nothing_remains_after_the_block(
    postgres_dsn: str, shared_schema: str, redis_url: str, namespace: str, end: str
) -> None:
    before = remains()
    with suppress(LookupError), anyio.CancelScope() as scope:
        async with open_memory(
            postgres=postgres_dsn, schema=shared_schema, redis=redis_url, namespace=namespace
        ) as memory:
            alice = memory.user("alice")
            async with anyio.create_task_group() as tasks:
                for i in range(8):
                    tasks.start_soon(CALLS["remember"], alice, i)
                    tasks.start_soon(CALLS["set"], alice, i)
            assert remains() != before
            if end == "raised":
                raise LookupError
            if end == "cancelled":
                scope.cancel()
                await anyio.sleep_forever()
    with anyio.fail_after(HANGS):
        while remains() != before:  # noqa: ASYNC110  # sockets close a turn later
            await anyio.sleep(0.01)


async def test_nothing_remains_of_a_memory_whose_server_is_not_there(redis_url: str) -> None:
    before = remains()
    with pytest.raises(TryLater):
        async with open_memory(postgres="postgresql://nobody@127.0.0.1:1/none", redis=redis_url):
            raise AssertionError("it was opened")
    assert remains() == before


@pytest.mark.parametrize("call", CALLS)
async def test_calls_cut_off_at_any_time_leave_a_memory_that_works(
    postgres_dsn: str, shared_schema: str, redis_url: str, namespace: str, call: str
) -> None:
    rng = random.Random(call)
    with anyio.fail_after(HANGS * 3):
        async with open_memory(
            postgres=postgres_dsn, schema=shared_schema, redis=redis_url, namespace=namespace, deadline=60
        ) as memory:
            alice = memory.user("alice")
            await CALLS[call](alice, TIMES)
            cut = 0
            for i in range(TIMES):
                with anyio.move_on_after(rng.uniform(0, 0.006)) as scope:
                    await CALLS[call](alice, i)
                cut += scope.cancelled_caught
            assert cut > 0, "none was cut off"
            assert memory.statistics().leased == 0
            # What was cut off can be repeated, and counts once.
            for i in range(TIMES):
                if call in {"remember", "add", "set"}:
                    await CALLS[call](alice, i)
            await CALLS[call](alice, TIMES)
            assert await counted(alice, call)


async def counted(alice: UserMemory, call: str) -> bool:
    """Whether each write of a call is there once."""
    match call:
        case "remember":
            return await alice.episodes.count() == TIMES + 1
        case "add":
            return await alice.facts.count() == TIMES + 1
        case "set":
            return len(await alice.blocks.list()) == TIMES + 1
        case _:
            return True


async def test_many_tasks_get_their_own_answers(
    postgres_dsn: str, shared_schema: str, redis_url: str, namespace: str
) -> None:
    async with open_memory(
        postgres=postgres_dsn,
        schema=shared_schema,
        redis=redis_url,
        namespace=namespace,
        embedder=HashEmbedder(),
        deadline=60,
    ) as memory:

        async def live(i: int) -> None:
            user = memory.user(f"user {i}")
            await user.remember(f"I am number {i}")
            await user.variables.set("number", i)
            (hit,) = await user.recall("number")
            assert hit.episode.input == f"I am number {i}"
            assert await user.variables.get("number") == i

        async with anyio.create_task_group() as tasks:
            for i in range(100):
                tasks.start_soon(live, i)


async def test_code_of_the_users_runs_in_the_users_loop(
    postgres_dsn: str, shared_schema: str, redis_server: Start, namespace: str
) -> None:
    """Embedder, extractor, hook and what is told of conflicts: all of them on trio, in its thread."""
    import trio

    here = threading.get_ident()
    seen = set[str]()

    def note(who: str) -> None:
        assert threading.get_ident() == here
        assert trio.lowlevel.current_task() is not None
        seen.add(who)

    class Embedder(HashEmbedder):
        async def embed(self, texts: Any, *, kind: Any) -> Any:
            note("embedder")
            await trio.lowlevel.checkpoint()
            return await super().embed(texts, kind=kind)

    class Extractor:
        async def extract(self, episode: Any) -> list[FactDraft]:
            note("extractor")
            await trio.lowlevel.checkpoint()
            return [FactDraft("alice", "likes", "tea")]

    async def on_conflict(user: UserMemory, conflict: BlockConflict) -> None:
        note("on_conflict")
        await trio.lowlevel.checkpoint()
        assert await user.working.conflicts() == (conflict,)
        await user.working.resolve(conflict.id, text="both")

    async def hook(transaction: Any) -> None:
        note("hook")
        await trio.lowlevel.checkpoint()

    server = redis_server(appendonly="yes", appendfsync="always")
    async with opened(
        server,
        namespace,
        postgres=postgres_dsn,
        schema=shared_schema,
        embedder=Embedder(),
        extractor=Extractor(),
        on_conflict=on_conflict,
    ) as memory:
        memory.add_hook(hook)
        alice = memory.user("alice")
        await alice.remember("I like tea")
        await alice.consolidate()
        await alice.facts.add("alice", "likes", "coffee")
        await conflict_of(memory, server, namespace)
        assert await texts(alice) == ["both"]
    assert seen == {"embedder", "extractor", "on_conflict", "hook"}


async def conflict_of(memory: Memory, server: RedisServer, namespace: str) -> None:
    """Have a block changed here while the server is away, and there before it is heard of."""
    alice = memory.user("alice")
    await alice.blocks.set("persona", TEXT)
    server.kill()
    await alice.blocks.set("persona", "ours")
    server.restart()
    async with opened(server, namespace) as other:
        await other.user("alice").blocks.set("persona", "theirs")
    await heal(alice)


async def test_pages_of_the_callers_are_read_in_the_callers_task(
    postgres_dsn: str, shared_schema: str, namespace: str
) -> None:
    """What is restored may come out of an async generator with a task group of its own."""
    import trio

    async with open_memory(postgres=postgres_dsn, schema=shared_schema, namespace=namespace) as memory:
        alice, copy = memory.user("alice"), memory.user("copy of alice")
        for i in range(20):
            await alice.remember(f"hello {i}", id=f"e{i}")
        lines = [line async for line in alice.export_lines()]
        tasks = set[object]()

        async def slowly() -> Any:
            async with trio.open_nursery():
                for line in lines:
                    tasks.add(trio.lowlevel.current_task())
                    await trio.lowlevel.checkpoint()
                    yield line

        await copy.restore_lines(slowly())
        assert tasks == {trio.lowlevel.current_task()}
        assert await copy.episodes.count() == 20
