"""A memory on servers, on trio: what its drivers do in another loop ends with the call that it is for."""

import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import anyio
import psutil
import pytest

from recollect import (
    BlockConflict,
    DeadlineExceeded,
    FactDraft,
    Memory,
    MemoryClosed,
    OutcomeUnknown,
    StoreUnavailable,
    TryLater,
    UserMemory,
    blocking,
    open_memory,
)
from recollect.testing import HashEmbedder

from ..redis_servers import RedisServer
from .conftest import Locked
from .interruption import HANGS, cancelled_by_a_scope, one_waits_for_a_lock
from .redis_memories import TEXT, Start, heal, opened, texts

TIMES = 60

_caller = ContextVar("_caller", default="nobody")

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
            for _ in range(2):  # the second one is as long as those to come
                began = anyio.current_time()
                await CALLS[call](alice, TIMES)
                took = anyio.current_time() - began
            cut = 0
            for i in range(TIMES):
                with anyio.move_on_after(rng.uniform(0, took)) as scope:
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


@pytest.mark.parametrize("call", CALLS)
async def test_calls_cut_off_anywhere_leave_nothing_behind(
    named_dsn: str,
    shared_schema: str,
    redis_url: str,
    namespace: str,
    watch: Any,
    application: str,
    call: str,
) -> None:
    async with open_memory(
        postgres=named_dsn, schema=shared_schema, redis=redis_url, namespace=namespace, deadline=HANGS
    ) as memory:
        alice = memory.user("alice")
        await CALLS[call](alice, 0)
        at, interrupted = 0, True
        while interrupted:
            at += 1
            with anyio.fail_after(HANGS):
                interrupted = await cancelled_by_a_scope(lambda i=at: CALLS[call](alice, i), at)  # type: ignore[misc]
                await nothing_runs(watch, application)
            statistics = memory.statistics()
            assert (statistics.leased, statistics.waiting) == (0, 0)
        assert at > 1


async def nothing_runs(watch: Any, application: str) -> None:
    while await watch.fetchval(
        "select count(*) from pg_stat_activity where application_name = $1 and state <> 'idle'", application
    ):
        pass


async def test_a_write_that_was_handed_over_outlives_the_scope_of_its_leader(
    named_dsn: str, shared_schema: str, namespace: str, watch: Any, application: str, locked: Locked
) -> None:
    async with open_memory(postgres=named_dsn, schema=shared_schema, namespace=namespace) as memory:
        alice = memory.user("alice")
        with anyio.fail_after(HANGS):
            async with anyio.create_task_group() as tasks, locked():
                tasks.start_soon(CALLS["remember"], alice, 1)
                await one_waits_for_a_lock(watch, application)
                tasks.cancel_scope.cancel()
        assert await alice.episodes.count() == 1
        await nothing_runs(watch, application)


async def test_a_write_that_was_handed_over_does_not_outlive_the_deadline(
    named_dsn: str, shared_schema: str, namespace: str, watch: Any, application: str, locked: Locked
) -> None:
    async with open_memory(
        postgres=named_dsn, schema=shared_schema, namespace=namespace, deadline=1.5
    ) as memory:
        users = [memory.user(f"user {i}") for i in range(20)]
        unknown = list[str]()

        async def write(user: UserMemory) -> None:
            with suppress(DeadlineExceeded):  # of those that were not handed over
                try:
                    await user.remember("hello")
                except OutcomeUnknown as exc:
                    unknown.append(exc.key)

        with anyio.fail_after(HANGS):
            async with locked():
                async with anyio.create_task_group() as tasks:
                    for user in users:
                        tasks.start_soon(write, user)
                await nothing_runs(watch, application)
            assert unknown
            for user in users:
                assert await user.episodes.count() == 0


async def test_calls_that_the_block_is_left_under_end_and_say_so(
    postgres_dsn: str, shared_schema: str, redis_url: str, namespace: str
) -> None:
    ends = set[str]()

    async def write(alice: UserMemory, i: int) -> None:
        try:
            while True:
                await CALLS["remember"](alice, i)
                await CALLS["set"](alice, i)
        except (MemoryClosed, StoreUnavailable, OutcomeUnknown) as exc:
            ends.add(type(exc).__name__)

    with anyio.fail_after(HANGS):
        async with (
            anyio.create_task_group() as tasks,
            open_memory(
                postgres=postgres_dsn, schema=shared_schema, redis=redis_url, namespace=namespace, deadline=60
            ) as memory,
        ):
            for i in range(40):
                tasks.start_soon(write, memory.user("alice"), i)
            await CALLS["remember"](memory.user("bob"), 1)
    assert "MemoryClosed" in ends


async def test_the_clock_sees_the_context_variables_of_the_caller(
    postgres_dsn: str, shared_schema: str, redis_url: str, namespace: str
) -> None:
    """As on asyncio, although it is not always called in its thread."""
    seen = set[tuple[str, bool]]()
    here = threading.get_ident()

    def clock() -> datetime:
        seen.add((_caller.get(), threading.get_ident() == here))
        return datetime.now(UTC)

    async with open_memory(
        postgres=postgres_dsn, schema=shared_schema, redis=redis_url, namespace=namespace, clock=clock
    ) as memory:
        seen.clear()
        _caller.set("alice")
        alice = memory.user("alice")
        for name in ("remember", "add", "set", "find"):
            await CALLS[name](alice, 1)
    assert seen == {("alice", True), ("alice", False)}


@pytest.mark.parametrize("given", [{}, {"postgres": ""}, {"redis": ""}], ids=["nothing", "postgres", "redis"])
def test_without_await_as_well(
    postgres_dsn: str, shared_schema: str, redis_url: str, namespace: str, given: dict[str, str]
) -> None:
    before = remains()
    options: dict[str, Any] = {name: {"postgres": postgres_dsn, "redis": redis_url}[name] for name in given}
    if "postgres" in given:
        options["schema"] = shared_schema
    with blocking.open_memory(backend="trio", namespace=namespace, **options) as memory:
        alice, copy = memory.user("alice"), memory.user("copy of alice")
        alice.remember("hello")
        alice.blocks.set("persona", "kind")
        copy.restore_lines(alice.export_lines())
        assert copy.episodes.count() == 1
        assert [block.text for block in copy.blocks.list()] == ["kind"]
    assert remains() == before


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
