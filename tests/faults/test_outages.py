"""Connections die, replies are lost, servers fall silent: the outcome is named, and it heals."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pytest
from anyio.lowlevel import checkpoint

from recollect import (
    DeadlineExceeded,
    EpisodeDraft,
    Memory,
    OutcomeUnknown,
    StoreUnavailable,
    TryLater,
    UserMemory,
    open_memory,
)
from recollect._bridge import over_bridge
from recollect.postgres.upkeep import migrate_schema

from ..conftest import PrivateServer
from .conftest import Locked, with_option
from .interruption import HANGS, one_waits_for_a_lock, running_tasks, until
from .proxy import Proxy, open_proxy

MARGIN = 15.0
"""Seconds beyond its deadline after which a call counts as hanging, on a machine with slow moments."""

Call = Callable[[UserMemory], Coroutine[Any, Any, Any]]


@pytest.fixture
async def memory(anyio_backend: object, named_dsn: str, shared_schema: str) -> AsyncIterator[Memory]:
    async with open_memory(
        postgres=named_dsn, schema=shared_schema, namespace=str(uuid4()), deadline=HANGS
    ) as opened:
        yield opened


async def _kill(watch: asyncpg.Connection, application: str) -> int:
    return await watch.fetchval(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1",
        application,
    )


async def test_idle_connections_that_died_are_replaced_unnoticed(
    memory: Memory, watch: asyncpg.Connection, application: str
) -> None:
    alice = memory.user("alice")
    calls: tuple[Call, ...] = (
        lambda alice: alice.remember("hello", id="e"),
        lambda alice: alice.remember_many([EpisodeDraft("a", id="a"), EpisodeDraft("b", id="b")]),
        lambda alice: alice.recall("hello"),
        lambda alice: alice.episodes.count(),
    )
    for call in calls:
        await alice.episodes.count()
        assert await _kill(watch, application) > 0
        await call(alice)
    assert await alice.episodes.count() == 3


async def test_connection_that_dies_during_a_call_is_replaced_and_the_call_done_once(
    memory: Memory, watch: asyncpg.Connection, application: str, locked: Locked
) -> None:
    alice = memory.user("alice")
    async with anyio.create_task_group() as tasks, locked():
        tasks.start_soon(lambda: alice.remember("hello", id="e"))
        await one_waits_for_a_lock(watch, application)
        await _kill(watch, application)
    assert await alice.episodes.count() == 1


@asynccontextmanager
async def _killing(watch: asyncpg.Connection, application: str) -> AsyncIterator[None]:
    """End every connection of the application for as long as the block lasts."""

    async def kill() -> None:
        while True:
            await _kill(watch, application)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def test_calls_while_every_connection_dies_say_what_became_of_them(
    memory: Memory, watch: asyncpg.Connection, application: str, locked: Locked
) -> None:
    alice = memory.user("alice")
    # What waits for the lock has been sent; its connection dies for sure, each time it is tried again.
    async with locked(), _killing(watch, application):
        with pytest.raises(StoreUnavailable):
            await alice.episodes.count()
        with pytest.raises((OutcomeUnknown, StoreUnavailable)) as single:
            await alice.remember("hello", id="e")
        # Of several with ids it is known that their transaction was never committed.
        with pytest.raises(StoreUnavailable):
            await alice.remember_many([EpisodeDraft("a", id="a"), EpisodeDraft("b", id="b")])
    if isinstance(single.value, OutcomeUnknown):
        assert single.value.key == "e"
    assert await alice.episodes.get("a") is None
    await alice.remember("hello", id="e")
    assert await alice.episodes.count() == 1


@pytest.mark.parametrize("guarded", [False, True], ids=["single", "several with ids"])
async def test_write_that_does_not_end_in_time_is_of_unknown_outcome_and_safe_to_repeat(
    named_dsn: str, shared_schema: str, locked: Locked, guarded: bool
) -> None:
    drafts = [EpisodeDraft(str(i), id=f"e{i}") for i in range(1 + 2 * guarded)]
    async with open_memory(
        postgres=named_dsn, schema=shared_schema, namespace=str(uuid4()), deadline=1.5
    ) as memory:
        alice = memory.user("alice")
        await alice.episodes.count()
        async with locked():
            with anyio.fail_after(MARGIN), pytest.raises(OutcomeUnknown) as caught:
                await alice.remember_many(drafts)
            assert caught.value.key == "e0"
            with anyio.fail_after(MARGIN), pytest.raises(DeadlineExceeded):
                await alice.episodes.count()
        assert len(await alice.remember_many(drafts)) == len(drafts)
        assert await alice.episodes.count() == len(drafts)


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@over_bridge
async def _processes(server: PrivateServer, application: str) -> list[int]:
    connection = await asyncpg.connect(server.dsn)
    try:
        rows = await connection.fetch(
            "select pid from pg_stat_activity where application_name = $1", application
        )
        directory = await connection.fetchval("show data_directory")
    finally:
        await connection.close()
    postmaster = await anyio.Path(directory, "postmaster.pid").read_text()
    return [int(postmaster.splitlines()[0]), *(row["pid"] for row in rows)]


async def test_stopped_server_costs_a_call_its_deadline_and_no_more(
    private_server: PrivateServer, shared_schema: str, application: str, postgres_dsn: str
) -> None:
    if postgres_dsn != private_server.dsn:
        pytest.skip("the server under test runs elsewhere and cannot be stopped")
    dsn = with_option(private_server.dsn, f"application_name={application}")
    async with open_memory(
        postgres=dsn, schema=shared_schema, namespace=str(uuid4()), deadline=1.5
    ) as memory:
        alice = memory.user("alice")
        await alice.remember("before")
        with _stopped(await _processes(private_server, application)):
            with anyio.fail_after(MARGIN), pytest.raises((DeadlineExceeded, StoreUnavailable)):
                await alice.episodes.count()
            with anyio.fail_after(MARGIN), pytest.raises((OutcomeUnknown, DeadlineExceeded)) as caught:
                await alice.remember("during", id="e")
            with anyio.fail_after(MARGIN), pytest.raises(TryLater):
                await alice.recall("hello")
        if isinstance(caught.value, OutcomeUnknown):
            assert caught.value.key == "e"
    async with open_memory(
        postgres=dsn, schema=shared_schema, namespace=alice.namespace, deadline=HANGS
    ) as memory:
        again = memory.user("alice")
        await again.remember("during", id="e")
        assert await again.episodes.count() == 2


@pytest.fixture
async def proxy(anyio_backend: object, postgres_dsn: str) -> AsyncIterator[Proxy]:
    async with open_proxy(postgres_dsn) as opened:
        yield opened


async def test_silent_network_costs_a_call_its_deadline_and_then_it_heals(
    proxy: Proxy, shared_schema: str
) -> None:
    async with open_memory(
        postgres=proxy.dsn, schema=shared_schema, namespace=str(uuid4()), deadline=1.5
    ) as memory:
        alice = memory.user("alice")
        await alice.remember("before")
        proxy.silence()
        for _ in range(2):
            with anyio.fail_after(MARGIN), pytest.raises((DeadlineExceeded, StoreUnavailable)):
                await alice.episodes.count()
        with anyio.fail_after(MARGIN), pytest.raises(OutcomeUnknown):
            await alice.remember("during", id="e")
        proxy.speak()
        with anyio.fail_after(MARGIN):
            while True:
                try:
                    await alice.remember("during", id="e")
                    break
                except TryLater:
                    await checkpoint()
        assert await alice.episodes.count() == 2


@pytest.mark.asyncio_only
@pytest.mark.parametrize("replies", [1, 2, 3])
async def test_call_that_its_host_cancels_ends_although_its_new_connection_hears_nothing_more(
    proxy: Proxy, shared_schema: str, replies: int
) -> None:
    async with open_memory(postgres=proxy.dsn, schema=shared_schema, deadline=None) as memory:
        heard = 0

        def silent_from_there() -> bool:
            nonlocal heard
            heard += 1
            if heard == replies:
                proxy.silence()
            return False

        proxy.loses = silent_from_there
        call = asyncio.create_task(memory.user("alice").episodes.count())
        await until(lambda: heard == replies, "the call made no connection")
        await anyio.sleep(0.1)  # what the reply is answered with is on its way
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=MARGIN)
        proxy.speak()
        assert done == {call}
        assert call.cancelled()


async def test_no_server_answers_and_opening_gives_up_in_time(proxy: Proxy, shared_schema: str) -> None:
    proxy.silence()
    with anyio.fail_after(MARGIN), pytest.raises((DeadlineExceeded, StoreUnavailable)):
        async with open_memory(postgres=proxy.dsn, schema=shared_schema, deadline=1.5):
            raise AssertionError("it was opened")


async def test_lost_replies_lose_and_double_no_write_that_is_repeated_with_its_key(
    proxy: Proxy, shared_schema: str
) -> None:
    rng = random.Random(7)
    unknown: list[tuple[str, str]] = []
    async with open_memory(
        postgres=proxy.dsn, schema=shared_schema, namespace=str(uuid4()), deadline=HANGS
    ) as memory:
        alice = memory.user("alice")
        proxy.loses = lambda: rng.random() < 0.12
        places = anyio.Semaphore(4)

        async def remember(n: int) -> None:
            async with places:
                while True:
                    try:
                        await alice.remember(f"operation {n}", id=f"e{n}")
                    except OutcomeUnknown as exc:
                        unknown.append((exc.key, f"e{n}"))
                    except TryLater:
                        pass
                    else:
                        return

        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                for n in range(300):
                    tasks.start_soon(remember, n)
        proxy.loses = lambda: False
        stored = await alice.episodes.list(limit=1_000)
    assert sorted(each.id for each in stored) == sorted(f"e{n}" for n in range(300))
    assert len({each.seq for each in stored}) == 300
    assert proxy.cuts > 30
    assert unknown
    assert all(key == id for key, id in unknown)


REFUSING_MORE = """
create function {schema}.refuse() returns trigger language plpgsql as $$
begin
    if exists (
        select from {schema}.{table} where tenant = new.tenant and xmin <> pg_current_xact_id()::xid
    ) then
        raise exception 'refused' using errcode = '55P03';
    end if;
    return new;
end $$;
create trigger refuse before insert or update on {schema}.tenant
    for each row execute function {schema}.refuse();
"""

LANDED: dict[str, tuple[Call, Call]] = {
    "episode": (lambda alice: alice.remember("hello", id="e"), lambda alice: alice.episodes.list()),
    "fact_transaction": (
        lambda alice: alice.facts.add("alice", "likes", "tea"),
        lambda alice: alice.facts.changes(),
    ),
}


@pytest.mark.parametrize("table", LANDED)
async def test_write_that_was_not_answered_is_of_unknown_outcome_even_if_it_is_refused_when_it_is_sent_again(
    proxy: Proxy, postgres_dsn: str, schema: str, watch: asyncpg.Connection, table: str
) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    await watch.execute(REFUSING_MORE.format(schema=schema, table=table))
    write, read = LANDED[table]
    unknown = 0
    async with open_memory(postgres=proxy.dsn, schema=schema, deadline=HANGS) as memory:
        for replies in count():
            await write(memory.user(f"before {replies}"))  # over a connection that knows the statements
            left, alice = replies, memory.user(f"user {replies}")

            def loses() -> bool:
                nonlocal left
                left -= 1
                return left == -1

            proxy.loses = loses
            try:
                await write(alice)
            except OutcomeUnknown:
                unknown += len(await read(alice))
            except TryLater:
                assert not await read(alice)
            if left >= 0:
                break
    assert unknown


async def test_server_that_does_not_answer_is_told_in_the_words_of_the_driver(
    proxy: Proxy, shared_schema: str
) -> None:
    async with open_memory(
        postgres=proxy.dsn, schema=shared_schema, namespace=str(uuid4()), deadline=HANGS
    ) as memory:
        proxy.loses = lambda: True
        with pytest.raises(StoreUnavailable) as caught:
            await memory.user("alice").facts.add("alice", "likes", "tea")
        assert isinstance(caught.value.__cause__, (OSError, asyncpg.PostgresError, asyncpg.InterfaceError))


async def test_nothing_remains_after_the_block(
    named_dsn: str, shared_schema: str, watch, application: str
) -> None:
    tasks = running_tasks()

    async def failing() -> None:
        async with open_memory(postgres=named_dsn, schema=shared_schema) as memory:
            await memory.user("alice").remember("hello")
            raise ZeroDivisionError

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:
            async with (
                open_memory(postgres=named_dsn, schema=shared_schema) as memory,
                anyio.create_task_group() as group,
            ):
                for _ in range(5):
                    group.start_soon(memory.user("alice").episodes.count)
                await checkpoint()
                scope.cancel()

    with pytest.raises(ZeroDivisionError):
        await failing()
    await cancelled()
    await until(lambda: running_tasks() <= tasks, "a task stayed behind")
    with anyio.fail_after(HANGS):
        while await watch.fetchval(
            "select count(*) from pg_stat_activity where application_name = $1", application
        ):
            await checkpoint()
