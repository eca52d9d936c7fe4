"""Cancel every public call at every suspension: nothing stays behind, and the next call works."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pytest

from recollect import EpisodeDraft, FactDraft, Memory, UserMemory, open_memory
from recollect.postgres import Pool, open_pool
from recollect.testing import HashEmbedder

from .conftest import Locked
from .interruption import (
    HANGS,
    cancelled_by_a_scope,
    cancelled_by_its_host,
    everything_is_given_back,
    one_waits_for_a_lock,
)

THREE = [EpisodeDraft("one"), EpisodeDraft("two"), EpisodeDraft("three")]


def _guarded() -> list[EpisodeDraft]:
    return [EpisodeDraft(text, id=str(uuid4())) for text in ("one", "two", "three")]


CALLS: dict[str, Callable[[Memory, UserMemory], Coroutine[Any, Any, Any]]] = {
    "remember": lambda memory, alice: alice.remember_many(
        [EpisodeDraft("a"), EpisodeDraft("b"), EpisodeDraft("c")]
    ),
    "remember with ids": lambda memory, alice: alice.remember_many(_guarded()),
    "recall": lambda memory, alice: alice.recall("one two", neighbours=1),
    "messages": lambda memory, alice: alice.messages(),
    "context": lambda memory, alice: alice.context("one two"),
    "profile": lambda memory, alice: alice.profile(),
    "get": lambda memory, alice: alice.episodes.get("e"),
    "list": lambda memory, alice: alice.episodes.list(),
    "sessions": lambda memory, alice: alice.episodes.sessions(),
    "count": lambda memory, alice: alice.episodes.count(),
    "embed_pending": lambda memory, alice: alice.episodes.embed_pending(),
    "users": lambda memory, alice: memory.users(),
    "facts.add": lambda memory, alice: alice.facts.add_many(
        [FactDraft("a", "b", uuid4().hex) for _ in THREE]
    ),
    "facts.end": lambda memory, alice: alice.facts.end("a", "b"),
    "facts.rollback": lambda memory, alice: alice.facts.rollback(),
    "facts.find": lambda memory, alice: alice.facts.find(known_at=datetime.now(UTC)),
    "facts.timeline": lambda memory, alice: alice.facts.timeline("a", "b"),
    "facts.diff": lambda memory, alice: alice.facts.diff(0, 9),
    "facts.why": lambda memory, alice: alice.facts.why("f"),
    "facts.embed_pending": lambda memory, alice: alice.facts.embed_pending(),
    "recall_facts": lambda memory, alice: alice.recall_facts("one two"),
}
CANCELLATIONS = {"scope": cancelled_by_a_scope, "host": cancelled_by_its_host}


@pytest.fixture
async def pool(anyio_backend: object, named_dsn: str) -> AsyncIterator[Pool]:
    async with open_pool(named_dsn, max_size=3) as opened:
        yield opened


@pytest.fixture
async def memory(pool: Pool, shared_schema: str) -> AsyncIterator[Memory]:
    async with open_memory(
        postgres=pool, schema=shared_schema, namespace=str(uuid4()), embedder=HashEmbedder(), deadline=HANGS
    ) as opened:
        yield opened


@pytest.mark.asyncio_only
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("how", CANCELLATIONS)
@pytest.mark.parametrize("name", CALLS)
async def test_call_cancelled_at_any_suspension_leaves_nothing_behind(
    memory: Memory,
    pool: Pool,
    watch: asyncpg.Connection,
    application: str,
    name: str,
    how: str,
    cold: bool,
) -> None:
    alice = memory.user("alice")
    await alice.remember_many(THREE, embed="later")
    facts = [FactDraft("a", "b", i, id="f" if i == 0 else None) for i in range(3)]
    await alice.facts.add_many(facts)
    tasks = asyncio.all_tasks()
    at, interrupted = 0, True
    while interrupted:
        at += 1
        if cold:
            await pool.expire_connections()
        with anyio.fail_after(HANGS):
            interrupted = await CANCELLATIONS[how](lambda: CALLS[name](memory, alice), at)
        await everything_is_given_back(pool, tasks, watch, application)
        statistics = memory.statistics()
        assert (statistics.leased, statistics.waiting) == (0, 0)
        with anyio.fail_after(HANGS):
            assert await alice.episodes.count() % 3 == 0, "a part of a write was stored"
            if not await alice.facts.count():
                # So that there is something to end, and to roll back.
                await alice.facts.add_many([*facts[1:], FactDraft("a", "b", f"at {at}")])
            assert await alice.facts.count() % 3 == 0, "a part of a write was stored"
    assert at > 2, "the call was hardly interrupted"


@pytest.mark.asyncio_only
async def test_write_cancelled_by_its_host_is_rolled_back_at_once(
    memory: Memory, pool: Pool, watch: asyncpg.Connection, application: str, locked: Locked
) -> None:
    alice = memory.user("alice")
    await alice.remember("taken")
    tasks = asyncio.all_tasks()
    async with locked():
        task = asyncio.create_task(alice.remember_many(_guarded()))
        await one_waits_for_a_lock(watch, application)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await everything_is_given_back(pool, tasks, watch, application)
    assert await alice.episodes.count() == 1


@pytest.mark.asyncio_only
async def test_write_that_was_handed_over_outlives_the_scope_of_its_leader(
    memory: Memory, pool: Pool, watch: asyncpg.Connection, application: str, locked: Locked
) -> None:
    alice = memory.user("alice")
    tasks = asyncio.all_tasks()
    async with anyio.create_task_group() as group, locked():
        group.start_soon(alice.remember_many, _guarded())
        await one_waits_for_a_lock(watch, application)
        group.cancel_scope.cancel()
    await everything_is_given_back(pool, tasks, watch, application)
    assert await alice.episodes.count() == 3


@pytest.mark.asyncio_only
async def test_writers_cancelled_at_random_leave_a_clean_pool(
    memory: Memory, pool: Pool, watch: asyncpg.Connection, application: str
) -> None:
    alice = memory.user("alice")
    tasks = asyncio.all_tasks()
    kept: list[str] = []

    async def write(n: int) -> None:
        call = lambda: alice.remember_many([EpisodeDraft(f"{n}", id=f"{n}-{i}") for i in range(1 + n % 2)])  # noqa: E731
        how = CANCELLATIONS["host" if n % 3 else "scope"]
        if not await how(call, 1 + n % 11):  # it went through before it was its turn to be cancelled
            kept.append(f"{n}-0")

    async with anyio.create_task_group() as group:
        for n in range(60):
            group.start_soon(write, n)
    await everything_is_given_back(pool, tasks, watch, application)
    found = [each.id for each in await alice.episodes.list(limit=1_000)]
    assert set(kept) <= set(found)
    assert len(found) == len(set(found))
    pairs = {id.split("-")[0] for id in found if int(id.split("-")[0]) % 2}
    assert all({f"{n}-0", f"{n}-1"} <= set(found) for n in pairs), "a part of a write was stored"
