"""A restoration that is cut off, by whatever, leaves nothing, or all."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import asyncpg
import pytest

from recollect import Memory, OutcomeUnknown, StoreUnavailable, UserMemory, open_memory
from recollect.testing import Clock
from recollect.types import Export

from ..transferring import PREDICATES, fill
from .interruption import (
    HANGS,
    cancelled_by_a_scope,
    cancelled_by_its_host,
    everything_is_given_back,
)
from .proxy import open_proxy
from .redis_memories import Start

Cancel = Callable[[Callable[[], Coroutine[Any, Any, Any]], int], Coroutine[Any, Any, bool]]


async def assert_all_or_nothing(user: UserMemory, export: Export) -> bool:
    """Return whether all of it is there."""
    records = (await user.export()).records
    assert records in ((), export.records)
    return bool(records)


async def by_lines(user: UserMemory, export: Export) -> None:
    async def lines() -> AsyncIterator[str]:
        for line in export.lines():
            yield line

    await user.restore_lines(lines())


WAYS: dict[str, Callable[[UserMemory, Export], Coroutine[Any, Any, None]]] = {
    "restore": lambda user, export: user.restore(export),
    "restore_lines": by_lines,
}


async def cut_off(memory: Memory, export: Export, way: str, cancel: Cancel, step: int) -> None:
    """Cancel a restoration at every `step`-th suspension."""
    at, interrupted, whole = 1, True, 0
    while interrupted:
        user = memory.user(f"{way} {at}")
        with anyio.fail_after(HANGS):
            interrupted = await cancel(lambda user=user: WAYS[way](user, export), at)
        whole += await assert_all_or_nothing(user, export)
        assert memory.statistics().leased == 0
        at += step
    assert at > 3 * step, "it was not interrupted"
    assert whole >= 1, "the last one went through"


@pytest.mark.parametrize("way", WAYS)
async def test_in_process_nothing_stays_behind_a_cancellation(clock: Clock, way: str) -> None:
    async with open_memory(clock=clock, predicates=PREDICATES) as memory:
        await fill(memory.user("one"), clock)
        export = await memory.user("one").export()
        await cut_off(memory, export, way, cancelled_by_a_scope, 7)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("cancel", [cancelled_by_a_scope, cancelled_by_its_host])
@pytest.mark.parametrize("way", WAYS)
async def test_on_servers_nothing_stays_behind_a_cancellation(
    named_dsn: str,
    application: str,
    namespace: str,
    shared_schema: str,
    redis_url: str,
    watch: asyncpg.Connection,
    clock: Clock,
    way: str,
    cancel: Cancel,
) -> None:
    tasks = asyncio.all_tasks()
    async with open_memory(
        postgres=named_dsn, schema=shared_schema, redis=redis_url, namespace=namespace, clock=clock,
        predicates=PREDICATES, deadline=HANGS,
    ) as memory:  # fmt: skip
        await fill(memory.user("one"), clock)
        export = await memory.user("one").export()
        await cut_off(memory, export, way, cancel, 11)
        archive: Any = memory._composition.archive
        await everything_is_given_back(archive._postgres._pool, tasks, watch, application)


@pytest.mark.parametrize("server", ["postgres", "redis"])
async def test_a_connection_that_dies_leaves_nothing_or_all(
    postgres_dsn: str, namespace: str, shared_schema: str, redis_url: str, clock: Clock, server: str
) -> None:
    chance = random.Random(server)
    given: dict[str, Any] = {
        "schema": shared_schema, "namespace": namespace, "clock": clock, "predicates": PREDICATES,
        "deadline": HANGS, "on_outage": "error",
    }  # fmt: skip
    async with (
        open_proxy(postgres_dsn if server == "postgres" else redis_url) as proxy,
        open_memory(postgres=postgres_dsn, redis=redis_url, **given) as direct,
        open_memory(
            postgres=proxy.dsn if server == "postgres" else postgres_dsn,
            redis=proxy.dsn if server == "redis" else redis_url,
            **given,
        ) as memory,
    ):
        await fill(direct.user("one"), clock)
        export = await direct.user("one").export()
        proxy.loses = lambda: chance.random() < 0.05
        refused = whole = 0
        for i in range(12):
            user = memory.user(f"user {i}")
            with anyio.fail_after(HANGS * 3):
                try:
                    await user.restore(export)
                except (StoreUnavailable, OutcomeUnknown):
                    refused += 1
                else:
                    whole += 1
                    assert (await direct.user(user.user_id).export()).records == export.records
            await assert_all_or_nothing(direct.user(user.user_id), export)
        assert proxy.cuts
        assert refused + whole == 12


async def test_while_redis_is_away_there_is_no_export_and_no_restoration(
    redis_server: Start, namespace: str, clock: Clock
) -> None:
    server = redis_server()
    async with open_memory(redis=server.url, namespace=namespace, deadline=1.5) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", "known here")
        await alice.remember("hello")
        server.stop()
        await alice.blocks.set("persona", "changed here")
        assert alice.working.status.degraded
        bob = memory.user("bob")
        with pytest.raises(StoreUnavailable):
            await alice.export()
        with pytest.raises(StoreUnavailable):
            _ = [line async for line in alice.export_lines()]
        with pytest.raises(StoreUnavailable):
            await bob.restore(_nothing())


def _nothing() -> Export:
    header: dict[str, Any] = {
        "version": 1, "namespace": "n", "user_id": None, "tx": 0, "at": None, "episodes": 0,
        "transactions": 0, "assertions": 0, "erased": 0, "erasure_key": None, "predicates": {}, "model": None,
        "dimensions": None,
    }  # fmt: skip
    return Export.model_validate({"header": header, "records": []})
