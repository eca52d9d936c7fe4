"""Composition and handles: who owns what, how long it lives, and who sees whom."""

import warnings
from collections.abc import Awaitable, Callable
from inspect import currentframe

import anyio
import asyncpg
import pytest
from anyio import wait_all_tasks_blocked

from recollect import (
    Archive,
    ConfigurationError,
    DeadlineExceeded,
    EpisodeDraft,
    IsolationWarning,
    LeaseError,
    Limits,
    Memory,
    MemoryClosed,
    Overloaded,
    UserMemory,
    open_memory,
)
from recollect.inprocess import InProcessWorking
from recollect.memory import open_tenants
from recollect.testing import Clock, HashEmbedder

from .conftest import Connect


async def test_first_minute_without_a_server_or_a_key() -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        await alice.remember("I moved to Lisbon last week", "Congratulations!", session_id="s1")
        await alice.remember("My sister plays the violin", session_id="s2")
        (hit,) = await alice.recall("who moved to Lisbon?")
        assert hit.episode.input == "I moved to Lisbon last week"
        assert hit.score > 0
        assert await memory.user("bob").recall("Lisbon") == ()


async def test_handle_says_whose_it_is(memory: Memory) -> None:
    alice = memory.user("alice", agent_id="a", session_id="s", namespace="n")
    assert (alice.user_id, alice.namespace, alice.agent_id, alice.session_id) == ("alice", "n", "a", "s")
    assert memory.user(None).user_id is None
    assert "alice" in repr(alice)


async def test_at_narrows_and_keeps_what_it_does_not_name(memory: Memory) -> None:
    alice = memory.user("alice", agent_id="a")
    narrow = alice.at(session_id="s")
    assert (narrow.user_id, narrow.agent_id, narrow.session_id) == ("alice", "a", "s")
    assert (alice.agent_id, alice.session_id) == ("a", None)
    other = narrow.at(agent_id="b")
    assert (other.agent_id, other.session_id) == ("b", "s")


async def test_what_a_narrow_handle_writes_is_of_its_agent_and_session(memory: Memory) -> None:
    narrow = memory.user("alice").at(agent_id="a", session_id="s")
    stored = await narrow.remember("hello")
    assert (stored.agent_id, stored.session_id) == ("a", "s")
    (drafted, elsewhere) = await narrow.remember_many([EpisodeDraft("b"), EpisodeDraft("c", session_id="t")])
    assert (drafted.session_id, elsewhere.session_id) == ("s", "t")
    assert (await narrow.remember("d", session_id="t")).session_id == "t"


async def test_what_a_narrow_handle_reads_is_of_the_whole_tenant(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember("lisbon in spring", session_id="other")
    narrow = alice.at(agent_id="a", session_id="s")
    assert len(await narrow.recall("lisbon")) == 1
    assert await narrow.episodes.count() == 1
    assert len(await narrow.episodes.list()) == 1
    assert await narrow.messages() == ()


async def test_lease_counts_up_and_down(memory: Memory) -> None:
    alice = memory.user("alice")
    async with alice as held, alice:
        assert held is alice
        assert alice.leases == 2
        assert memory.statistics().leased == 1
    assert alice.leases == 0
    assert memory.statistics().leased == 0
    assert await alice.acquire() is alice
    alice.release()


async def test_release_without_an_acquire_is_an_error_and_never_a_close(memory: Memory) -> None:
    alice = memory.user("alice")
    with pytest.raises(LeaseError):
        alice.release()
    async with alice:
        pass
    with pytest.raises(LeaseError):
        alice.release()
    assert not alice.closed
    await alice.remember("still here")


async def test_handles_on_one_tenant_are_independent(memory: Memory) -> None:
    one, other = memory.user("alice"), memory.user("alice")
    async with one:
        assert (one.leases, other.leases) == (1, 0)
        with pytest.raises(LeaseError):
            other.release()
        async with other:
            pass
        assert memory.statistics().leased == 1
        await one.remember("still held")
    assert memory.statistics().leased == 0


async def test_lease_is_given_back_when_its_block_raises(memory: Memory) -> None:
    alice = memory.user("alice")
    with pytest.raises(ZeroDivisionError):
        async with alice:
            _ = 1 / 0
    assert memory.statistics().leased == 0


async def test_leased_tenant_survives_any_pressure_and_the_map_stays_bounded(connect: Connect) -> None:
    async with connect(limits=Limits(max_users=3)) as memory, memory.user("alice"):
        for i in range(20):
            await memory.user(f"visitor {i}").remember("hello")
            statistics = memory.statistics()
            assert statistics.users <= 3
            assert statistics.leased == 1


async def test_call_is_refused_when_every_place_stays_leased(connect: Connect) -> None:
    async with connect(limits=Limits(max_users=1, patience=0)) as memory:
        bob = memory.user("bob")
        async with memory.user("alice"):
            with pytest.raises(Overloaded):
                await bob.remember("hello")
            with pytest.raises(Overloaded):
                await bob.acquire()
            assert bob.leases == 0
        assert await bob.episodes.count() == 0
        await bob.remember("hello")


async def test_call_that_waits_for_a_place_gets_the_first_that_is_free(connect: Connect) -> None:
    async with connect(limits=Limits(max_users=1)) as memory:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks, memory.user("alice"):
                tasks.start_soon(memory.user("bob").remember, "hello")
                await wait_all_tasks_blocked()
                assert memory.statistics().writes == 0
        assert await memory.user("bob").episodes.count() == 1


async def test_deadline_counts_the_wait_for_a_place(connect: Connect) -> None:
    # Long enough to connect as well, which it bounds too.
    async with connect(limits=Limits(max_users=1), deadline=1.0) as memory, memory.user("alice"):
        with pytest.raises(DeadlineExceeded) as caught:
            await memory.user("bob").remember("hello")
        assert caught.value.seconds == 1.0


CALLS: dict[str, Callable[[Memory, UserMemory], Awaitable[object]]] = {
    "remember": lambda memory, alice: alice.remember("hello"),
    "remember_many": lambda memory, alice: alice.remember_many([EpisodeDraft("hello")]),
    "remember_many of none": lambda memory, alice: alice.remember_many([]),
    "recall": lambda memory, alice: alice.recall("hello"),
    "messages": lambda memory, alice: alice.messages(),
    "acquire": lambda memory, alice: alice.acquire(),
    "get": lambda memory, alice: alice.episodes.get("e"),
    "list": lambda memory, alice: alice.episodes.list(),
    "sessions": lambda memory, alice: alice.episodes.sessions(),
    "count": lambda memory, alice: alice.episodes.count(),
    "embed_pending": lambda memory, alice: alice.episodes.embed_pending(),
    "users": lambda memory, alice: memory.users(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_every_call_after_the_owner_closed_says_so(connect: Connect, name: str) -> None:
    async with connect() as memory:
        alice = memory.user("alice")
        assert not alice.closed
    with pytest.raises(MemoryClosed):
        await CALLS[name](memory, alice)
    assert alice.closed
    assert memory.closed


async def test_no_handle_is_made_after_the_owner_closed(connect: Connect) -> None:
    async with connect() as memory:
        alice = memory.user("alice")
    with pytest.raises(MemoryClosed):
        memory.user("bob")
    with pytest.raises(MemoryClosed):
        alice.at(session_id="s")


@pytest.mark.parametrize("name", CALLS)
async def test_every_call_notices_that_it_was_cancelled(memory: Memory, name: str) -> None:
    alice = memory.user("alice")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await CALLS[name](memory, alice)
    assert scope.cancelled_caught
    assert memory.statistics().leased == 0
    await alice.remember("still here")


async def test_lease_outlives_the_memory_without_harm(connect: Connect) -> None:
    async with connect() as memory:
        alice = await memory.user("alice").acquire()
    alice.release()
    assert alice.leases == 0


async def test_memory_borrows_the_archive_it_is_given(archive: Archive, clock: Clock) -> None:
    first = Memory(working=InProcessWorking(), archive=archive, clock=clock, namespace=str(id(clock)))
    await first.user("alice").remember("hello")
    first.close()
    second = Memory(working=InProcessWorking(), archive=archive, clock=clock, namespace=str(id(clock)))
    assert await second.user("alice").episodes.count() == 1


async def test_memories_may_share_a_tenant_map(archive: Archive) -> None:
    working = InProcessWorking()
    tenants = open_tenants(Limits(max_users=1, patience=0), working)
    one, other = (Memory(working=working, archive=archive, tenants=tenants) for _ in range(2))
    async with one.user("alice"):
        with pytest.raises(Overloaded):
            await other.user("bob").acquire()
        async with other.user("alice"):
            assert one.statistics().leased == other.statistics().leased == 1


@pytest.mark.parametrize(
    "options",
    [
        {"language": "klingon"},
        {"embedder": HashEmbedder(model="")},
        {"embedder": HashEmbedder(dimensions=0)},
        {"embedder": HashEmbedder(dimensions=16_001)},
        {"namespace": " "},
        {"on_embedding_mismatch": "ignore"},
        {"migrate": True},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_what_can_never_work_is_refused_on_opening(connect: Connect, options) -> None:
    with pytest.raises((ConfigurationError, ValueError)):
        async with connect(**options):
            raise AssertionError("it was opened")


@pytest.mark.parametrize(
    "options",
    [
        {"max_users": 0},
        {"patience": -1},
        {"chunk_chars": True},
        {"max_batch": "9"},
        {"max_notes": 1.5},
        {"max_unsaved": float("inf")},
        {"session_ttl": float("inf")},
        {"session_ttl": 1e12},
    ],
)
def test_impossible_limits_are_refused(options) -> None:
    with pytest.raises(ConfigurationError):
        Limits(**options)


async def test_users_are_paged_in_byte_order_and_by_namespace(memory: Memory) -> None:
    for name in ("b", None, "a", "Z", "é"):
        await memory.user(name).remember("hello")
    await memory.user("elsewhere", namespace="another").remember("hello")
    found, cursor = [], None
    while True:
        page = await memory.users(cursor=cursor, limit=2)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [None, "Z", "a", "b", "é"]
    assert "elsewhere" in (await memory.users(namespace="another")).items


async def test_last_page_of_users_has_no_cursor(memory: Memory) -> None:
    for name in ("a", "b"):
        await memory.user(name).remember("hello")
    assert (await memory.users(limit=2)).cursor is None
    assert (await memory.users(limit=1)).cursor is not None


READS: dict[str, Callable[[UserMemory], Awaitable[object]]] = {
    "recall": lambda user: user.recall("hello"),
    "recall recent": lambda user: user.recall(""),
    "messages": lambda user: user.messages(),
    "context": lambda user: user.context("hello"),
    "context of the newest": lambda user: user.context(),
    "profile": lambda user: user.profile(),
}


@pytest.mark.parametrize("name", READS)
async def test_reading_the_anonymous_tenant_beside_named_ones_warns_once(memory: Memory, name: str) -> None:
    anonymous = memory.user(None)
    await anonymous.remember("hello")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await READS[name](anonymous)  # nobody else is there
    await memory.user("alice").remember("hello")
    with pytest.warns(IsolationWarning) as caught:
        await READS[name](anonymous)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.raises(IsolationWarning):  # as -W error does
        await READS[name](anonymous)


@pytest.mark.parametrize("name", READS)
async def test_warning_points_at_the_line_of_the_caller(memory: Memory, name: str) -> None:
    await memory.user("alice").remember("hello")

    async def read() -> int:
        frame = currentframe()
        assert frame is not None
        await READS[name](memory.user(None))
        return frame.f_lineno - 1

    with pytest.warns(IsolationWarning) as caught:
        line = await read()
    assert [(each.filename, each.lineno) for each in caught] == [(__file__, line)]


@pytest.mark.parametrize("name", READS)
async def test_named_tenants_and_other_namespaces_are_read_without_a_warning(
    memory: Memory, name: str
) -> None:
    await memory.user("alice").remember("hello")
    await memory.user(None).remember("hello")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await READS[name](memory.user("alice"))
        await READS[name](memory.user("nobody"))
        await READS[name](memory.user(None, namespace=f"{memory.user(None).namespace} of its own"))


@pytest.mark.asyncio_only
async def test_pool_of_the_caller_is_never_closed(postgres_dsn: str, shared_schema: str) -> None:
    async with asyncpg.create_pool(postgres_dsn, min_size=0, max_size=2) as pool:
        for _ in range(2):
            async with open_memory(postgres=pool, schema=shared_schema, namespace="pool") as memory:
                await memory.user("alice").remember("hello")
            assert pool.get_idle_size() == pool.get_size()
        assert await pool.fetchval("select 1") == 1
