"""Cancel a consolidation at every suspension, lose each reply: what has landed is whole, all else waits."""

import asyncio
import random
from itertools import count
from uuid import uuid4

import anyio
import asyncpg
import pytest
from anyio.lowlevel import checkpoint

from recollect import Episode, EpisodeDraft, FactDraft, UserMemory, open_memory
from recollect.postgres import open_pool
from recollect.testing import HashEmbedder

from ..extraction import FunctionExtractor, Gate
from .interruption import HANGS, cancelled_by_a_scope, cancelled_by_its_host, everything_is_given_back
from .proxy import open_proxy

CANCELLATIONS = {"scope": cancelled_by_a_scope, "host": cancelled_by_its_host}
THREE = [EpisodeDraft(f"turn {n}", id=f"e{n}") for n in range(3)]


async def both(episode: Episode) -> list[FactDraft]:
    await checkpoint()
    return [FactDraft(episode.id, "said", n) for n in range(2)]


async def check_halves(alice: UserMemory) -> int:
    """Return how many episodes have landed: each of them with all that it says, and with its mark."""
    objects: dict[str, list[int]] = {}
    for fact in await alice.facts.find(limit=1_000):
        objects.setdefault(fact.subject, []).append(fact.object)
    assert all(sorted(each) == [0, 1] for each in objects.values()), "a part of an episode has landed"
    store = alice._composition.archive.episodes
    left = await store.unconsolidated(alice._scope.tenant, after=0, limit=100)
    assert {each.id for each in left} == {draft.id for draft in THREE} - set(objects)
    return len(objects)


async def test_cancelled_at_any_suspension_in_process() -> None:
    at, interrupted, seen = 0, True, set[int]()
    while interrupted:
        at += 1
        async with open_memory(embedder=HashEmbedder(), extractor=FunctionExtractor(both)) as memory:
            alice = memory.user("alice")
            await alice.remember_many(THREE)
            with anyio.fail_after(HANGS):
                interrupted = await cancelled_by_a_scope(alice.consolidate, at)
            statistics = memory.statistics()
            assert (statistics.leased, statistics.waiting) == (0, 0)
            assert memory._composition.fact_writes == {}
            seen.add(await check_halves(alice))
            assert (await alice.consolidate()).remaining == 0
            assert await check_halves(alice) == 3
    # Workers suspend in tasks of their own: the call itself is seen to suspend less often.
    assert at > 2
    assert seen >= {0, 3}


@pytest.mark.asyncio_only
@pytest.mark.parametrize("how", CANCELLATIONS)
async def test_cancelled_at_any_suspension_on_postgres(
    named_dsn: str, shared_schema: str, watch: asyncpg.Connection, application: str, how: str
) -> None:
    async with open_pool(named_dsn, max_size=3) as pool:
        at, interrupted = 0, True
        while interrupted:
            at += 1
            async with open_memory(
                postgres=pool, schema=shared_schema, namespace=str(uuid4()), embedder=HashEmbedder(),
                extractor=FunctionExtractor(both), deadline=HANGS,
            ) as memory:  # fmt: skip
                alice = memory.user("alice")
                await alice.remember_many(THREE)
                tasks = asyncio.all_tasks()
                with anyio.fail_after(HANGS):
                    interrupted = await CANCELLATIONS[how](alice.consolidate, at)
                await everything_is_given_back(pool, tasks, watch, application)
                statistics = memory.statistics()
                assert (statistics.leased, statistics.waiting) == (0, 0)
                await check_halves(alice)
                assert (await alice.consolidate()).remaining == 0
                assert await check_halves(alice) == 3
        assert at > 2


@pytest.mark.asyncio_only
@pytest.mark.parametrize("suspension", range(1, 25))
async def test_a_worker_cancelled_in_the_middle_of_its_work_leaves_nothing_half_done(
    named_dsn: str, shared_schema: str, watch: asyncpg.Connection, application: str, suspension: int
) -> None:
    """Cancels after so many turns of the event loop, since the landing suspends in a task of its own."""
    async with (
        open_pool(named_dsn, max_size=3) as pool,
        open_memory(
            postgres=pool, schema=shared_schema, namespace=str(uuid4()), extractor=FunctionExtractor(both),
            deadline=HANGS,
        ) as memory,
    ):  # fmt: skip
        alice = memory.user("alice")
        await alice.remember_many(THREE)
        tasks = asyncio.all_tasks()
        async with anyio.create_task_group() as group:
            group.start_soon(alice.consolidate)
            for _ in range(3 * suspension):
                await checkpoint()
            group.cancel_scope.cancel()
        await everything_is_given_back(pool, tasks, watch, application)
        await check_halves(alice)
        assert (await alice.consolidate()).remaining == 0
        assert await check_halves(alice) == 3


async def test_cut_off_at_any_time_on_servers_on_every_event_loop(
    postgres_dsn: str, shared_schema: str, namespace: str
) -> None:
    rng, seen = random.Random(7), set[int]()
    async with open_memory(
        postgres=postgres_dsn, schema=shared_schema, namespace=namespace, embedder=HashEmbedder(),
        extractor=FunctionExtractor(both), deadline=HANGS,
    ) as memory:  # fmt: skip
        took = 0.0
        for i in range(20):
            user = memory.user(f"user {i}")
            await user.remember_many(THREE)
            began = anyio.current_time()
            with anyio.fail_after(HANGS), anyio.move_on_after(rng.uniform(0, took) if i > 1 else None):
                await user.consolidate()
            # The second one is as long as those to come.
            took = anyio.current_time() - began if i < 2 else took
            seen.add(await check_halves(user))
            assert (await user.consolidate()).remaining == 0
            assert await check_halves(user) == 3
        assert memory.statistics().leased == 0
    assert min(seen) < 3, "none was cut off"


async def test_a_cancelled_extraction_ends_at_once_and_its_episode_waits() -> None:
    gate = Gate()
    async with open_memory(extractor=FunctionExtractor(gate.extract)) as memory:
        alice = memory.user("alice")
        await alice.remember_many(THREE)
        with anyio.fail_after(HANGS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(alice.consolidate)
                await gate.arrived.wait()
                tasks.cancel_scope.cancel()
        assert await alice.facts.count() == 0
        gate.opened.set()
        assert (await alice.consolidate()).consolidated == 3


async def test_episode_without_facts_is_consolidated_and_not_skipped_whichever_reply_is_lost(
    postgres_dsn: str, shared_schema: str
) -> None:
    async def nothing(_episode: Episode) -> list[FactDraft]:
        await checkpoint()
        return []

    options = {"schema": shared_schema, "namespace": str(uuid4()), "extractor": FunctionExtractor(nothing)}
    async with (
        open_proxy(postgres_dsn) as proxy,
        open_memory(postgres=proxy.dsn, deadline=HANGS, **options) as memory,
    ):
        for replies in count():
            alice = memory.user(f"user {replies}")
            await alice.remember("hello")
            left = replies

            def loses() -> bool:
                nonlocal left
                left -= 1
                return left == -1

            proxy.loses = loses
            report = await alice.consolidate()
            assert (report.consolidated, report.skipped, report.remaining) == (1, 0, 0)
            if left >= 0:
                break
    assert replies > 5
