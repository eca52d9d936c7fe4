"""What a memory can do, by what it is made of, and whether all of it answers."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from recollect import ConfigurationError, Memory, MemoryClosed, StoreUnavailable, open_memory
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.postgres import open_postgres
from recollect.testing import HashEmbedder
from recollect.types.capabilities import Capabilities, MemoryHealth

from .redis_servers import RedisServer

NOWHERE = "redis://127.0.0.1:1/0"


class OtherArchive:
    """A store that says nothing of itself: only what the contract asks for."""

    def __init__(self, directory: Any) -> None:
        inner = InProcessArchive()
        self.episodes, self.facts, self.directory = inner.episodes, inner.facts, directory


class OtherDirectory:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def users(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        return []

    async def has_named_users(self, namespace: str) -> bool:
        if self.error is not None:
            raise self.error
        return False


class SilentDirectory(OtherDirectory):
    async def has_named_users(self, namespace: str) -> bool:
        await anyio.sleep_forever()
        return False


def other(directory: OtherDirectory, **options: Any) -> Memory:
    return Memory(archive=OtherArchive(directory), working=InProcessWorking(), **options)  # type: ignore[arg-type]


async def ranked(query: str, texts: Sequence[str]) -> Sequence[float]:
    return [0.0 for _ in texts]


async def test_in_process_nothing_is_durable_and_without_an_embedder_nothing_is_semantic() -> None:
    async with open_memory() as memory:
        assert memory.capabilities() == Capabilities(
            archive="inprocess", working="inprocess", durable_episodes=False, durable_facts=False,
            durable_working=False, local_fallback=False, semantic_recall=False, reranked_recall=False,
            extraction=False,
        )  # fmt: skip
    async with open_memory(embedder=HashEmbedder(), reranker=ranked) as memory:
        able = memory.capabilities()
        assert (able.semantic_recall, able.reranked_recall, able.staged_facts) == (True, True, True)


async def test_servers_are_durable(postgres_dsn: str, shared_schema: str, redis_url: str) -> None:
    servers: dict[str, Any] = {"postgres": postgres_dsn, "schema": shared_schema, "redis": redis_url}
    async with open_memory(**servers) as memory:
        able = memory.capabilities()
        assert (able.archive, able.durable_episodes, able.durable_facts) == ("postgres", True, True)
        assert (able.working, able.durable_working, able.local_fallback) == ("redis", True, True)
        health = await memory.health()
        assert (health.ok, health.archive.source, health.working.source) == (True, "postgres", "redis")
        for each in (health.archive, health.working):
            assert each.ok
            assert each.error is None
            assert each.latency is not None
            assert each.latency > 0
    async with open_memory(**servers, on_outage="error") as memory:
        assert not memory.capabilities().local_fallback


async def test_capabilities_and_health_are_data(memory: Memory) -> None:
    for kind, value in ((Capabilities, memory.capabilities()), (MemoryHealth, await memory.health())):
        assert kind.model_validate_json(value.model_dump_json()) == value


async def test_in_process_all_is_well_and_says_where_it_is() -> None:
    async with open_memory() as memory:
        health = await memory.health()
        assert (health.ok, health.archive.source, health.working.source) == (True, "local", "local")


async def test_an_outage_is_an_answer(redis_server: Callable[..., RedisServer]) -> None:
    async with open_memory(redis=NOWHERE, deadline=5.0) as memory:
        health = await memory.health()
        assert (health.ok, health.archive.ok, health.working.ok) == (False, True, False)
        assert health.working.error
        assert health.working.latency is None
        assert memory.capabilities().durable_working


@pytest.mark.asyncio_only
async def test_an_archive_that_is_gone_is_an_answer(postgres_dsn: str, shared_schema: str) -> None:
    import asyncpg

    pool = await asyncpg.create_pool(postgres_dsn, min_size=0, max_size=2)
    async with open_postgres(pool, schema=shared_schema) as archive:
        memory = Memory(archive=archive, working=InProcessWorking())
        assert (await memory.health()).ok
        await pool.close()
        health = await memory.health()
    assert (health.ok, health.archive.ok, health.working.ok) == (False, False, True)
    assert health.archive.source == "postgres"
    assert health.archive.error


async def test_a_store_that_does_not_answer_is_given_up_at_the_deadline() -> None:
    memory = other(SilentDirectory(), deadline=0.5)
    health = await memory.health()
    assert (health.ok, health.archive.ok, health.working.ok) == (False, False, True)
    assert health.archive.error == "no answer within 0.5 s"


async def test_a_store_that_says_nothing_of_itself_is_asked_for_little_and_taken_to_be_of_this_process() -> (
    None
):
    memory = other(OtherDirectory())
    able = memory.capabilities()
    assert (able.archive, able.durable_episodes) == ("OtherArchive", False)
    assert (await memory.health()).ok


@pytest.mark.parametrize("error", [StoreUnavailable("away; try later"), ConfigurationError("wrong password")])
async def test_why_a_store_does_not_answer_is_said(error: Exception) -> None:
    health = await other(OtherDirectory(error)).health()
    assert (health.archive.ok, health.archive.error) == (False, str(error))


async def test_what_is_a_bug_is_raised() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        await other(OtherDirectory(RuntimeError("broken"))).health()


async def test_a_memory_that_is_closed_has_no_health() -> None:
    async with open_memory() as memory:
        pass
    with pytest.raises(MemoryClosed):
        await memory.health()


async def test_asking_how_it_is_can_be_cancelled() -> None:
    memory = other(SilentDirectory(), deadline=None)
    with anyio.move_on_after(0.05) as scope:
        await memory.health()
    assert scope.cancelled_caught
