"""A tenant with many vectors is searched by an index of its own, with the answers of an exact search."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any

import anyio
import asyncpg
import numpy as np
import pytest

from recollect import (
    ConfigurationError,
    EpisodeDraft,
    Limits,
    Memory,
    MemoryClosed,
    Overloaded,
    RecallWeights,
    Recollection,
    Tenant,
    UserMemory,
    open_memory,
)
from recollect.postgres import open_postgres
from recollect.postgres.upkeep import migrate_schema
from recollect.stores import Embedder, Filters, Query
from recollect.types import Indexed

from .beside import connected, execute, in_transaction, made_schema
from .faults.interruption import HANGS, cancelled_by_a_scope

LARGE, SMALL, ABOVE = 1_500, 200, 1_000
DIMENSIONS = 16
CLUSTERS = 30
COPIES = 300
QUERIES = 20
NONE = Indexed(built=0, kept=0, dropped=0)

Open = Callable[..., AbstractAsyncContextManager[Memory]]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


class Made(Embedder):
    """Vectors around centres by "cluster number"; "far" from all of them; "copy" always the same."""

    def __init__(self, dimensions: int = DIMENSIONS) -> None:
        rng = np.random.default_rng(1)
        self._centres = np.abs(rng.standard_normal((CLUSTERS, dimensions)))
        self._dimensions = dimensions

    @property
    def model(self) -> str:
        return f"made-{self._dimensions}"

    @property
    def dimensions(self) -> int:
        return self._dimensions

    def vector(self, text: str) -> np.ndarray:
        kind, number = text.split()[:2]
        rng = np.random.default_rng([int(number), len(kind)])
        noise = rng.standard_normal(self._dimensions)
        if kind == "far":  # hardly above 0 for any of them
            return unit(noise - self._centres.mean(axis=0) * noise.sum() / self._centres.mean(axis=0).sum())
        if kind == "copy":
            return unit(self._centres[0])
        return unit(self._centres[int(number) % CLUSTERS] + 0.4 * noise)

    async def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        return np.stack([self.vector(text) for text in texts])


async def fill(user: UserMemory, count: int, *, kind: str = "turn") -> None:
    drafts = [
        EpisodeDraft(
            id=f"{kind}{i}",
            input=f"{kind} {i} about topic{i % CLUSTERS}",
            session_id=None if kind == "copy" else f"session {i // 10}",
            metadata={"group": "many" if i % CLUSTERS >= 5 else "few"},
        )
        for i in range(count)
    ]
    for start in range(0, count, 500):
        await user.remember_many(drafts[start : start + 500])


@pytest.fixture(scope="module")
def filled_schema(postgres_dsn: str) -> Iterator[str]:
    """A schema with a large tenant, one full of copies, and a small one; the first two have an index."""
    with made_schema(postgres_dsn, _fill) as name:
        yield name


async def _fill(dsn: str, schema: str) -> None:
    await migrate_schema(dsn, schema=schema)
    async with opening(dsn, schema)() as memory:
        await fill(memory.user("large"), LARGE)
        await fill(memory.user("copies"), LARGE - COPIES)
        await fill(memory.user("copies"), COPIES, kind="copy")
        await fill(memory.user("small"), SMALL)
        assert await memory.index_vectors() == Indexed(built=2, kept=0, dropped=0)


def opening(dsn: Any, schema: str) -> Open:
    given: dict[str, Any] = {"embedder": Made(), "limits": Limits(exact_vectors=ABOVE), "deadline": 60.0}
    return lambda **options: open_memory(postgres=dsn, schema=schema, **{**given, **options})


@pytest.fixture
def open_filled(anyio_backend: object, postgres_dsn: str, filled_schema: str) -> Open:
    return opening(postgres_dsn, filled_schema)


@pytest.fixture
async def open_fresh(anyio_backend: object, postgres_dsn: str, schema: str) -> Open:
    await migrate_schema(postgres_dsn, schema=schema)
    return opening(postgres_dsn, schema)


EXACT = Limits(exact_vectors=1_000_000)
"""With these whatever passes the filters is compared, index or not."""


COSINE = RecallWeights(neighbour=0.0, session=0.0, length=0.0)


def ids(hits: Sequence[Recollection]) -> list[str]:
    return [hit.episode.id for hit in hits]


async def indexes(dsn: str, schema: str) -> dict[str, bool]:
    """Return the definitions of the indexes of vectors, and whether each is valid."""
    async with connected(dsn) as connection:
        rows = await connection.fetch(
            "select pg_get_indexdef(indexrelid), indisvalid from pg_index"
            " join pg_class c on c.oid = indexrelid where relnamespace = $1::regnamespace"
            " and relname like 'episode\\_vector\\_of\\_%'",
            schema,
        )
    return {row[0]: row[1] for row in rows}


# Answers.


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
@pytest.mark.parametrize("limit", [10, 50])
async def test_the_best_are_those_of_an_exact_search(open_filled: Open, mode: Any, limit: int) -> None:
    same = 0
    async with open_filled() as memory, open_filled(limits=EXACT) as exact:
        for i in range(QUERIES):
            query = f"question {i} about topic{i}"
            found = await memory.user("large").recall(query, mode=mode, limit=limit)
            wanted = await exact.user("large").recall(query, mode=mode, limit=limit)
            assert len(found) == limit
            same += len({*ids(found)} & {*ids(wanted)})
    assert same >= 0.95 * QUERIES * limit


async def test_the_nearest_are_those_of_an_exact_search(open_filled: Open) -> None:
    embedder, tenant, same = Made(), Tenant("default", "large"), 0
    async with open_filled() as memory:
        episodes = memory._composition.archive.episodes
        for i in range(QUERIES):
            vector = embedder.vector(f"question {i}")
            exact = await episodes.candidates(tenant, Query((), vector, Filters(), exact=LARGE))
            found = await episodes.candidates(tenant, Query((), vector, Filters(), limit=50, exact=ABOVE))
            told = ~np.isnan(found.cosine)
            assert not told.all()
            assert np.array_equal(found.cosine[told], exact.cosine[told])
            assert found.spread == pytest.approx((exact.cosine.mean(), exact.cosine.std()), abs=0.02)
            same += told[np.argsort(exact.cosine)[-50:]].sum()
    assert same >= 0.98 * QUERIES * 50


@pytest.mark.parametrize("user", ["large", "copies", "small"])
async def test_a_query_far_from_the_data_gets_as_many_rows(open_filled: Open, user: str) -> None:
    async with open_filled() as memory, open_filled(limits=EXACT) as exact:
        for i in range(QUERIES):
            found = await memory.user(user).recall(f"far {i}", mode="semantic", limit=20)
            wanted = await exact.user(user).recall(f"far {i}", mode="semantic", limit=20)
            assert len(found) == len(wanted)
        assert len(wanted) == 20


async def test_of_episodes_as_near_as_each_other_the_newest_are_found(open_filled: Open) -> None:
    async with open_filled() as memory, open_filled(limits=EXACT) as exact:
        found = await memory.user("copies").recall("copy 1", mode="semantic", limit=20)
        wanted = await exact.user("copies").recall("copy 1", mode="semantic", limit=20)
        assert ids(found) == ids(wanted)
        assert all(hit.episode.id.startswith("copy") for hit in found)


@pytest.mark.parametrize(
    "filters", [{"session_id": "session 7"}, {"where": {"group": "few"}}, {"where": {"absent": 1}}], ids=str
)
async def test_a_filter_that_few_pass_is_answered_exactly(open_filled: Open, filters: Any) -> None:
    async with open_filled() as memory, open_filled(limits=EXACT) as exact:
        found = await memory.user("large").recall("question 20", mode="semantic", limit=20, **filters)
        assert found == await exact.user("large").recall("question 20", mode="semantic", limit=20, **filters)


async def test_a_filter_that_keeps_the_nearest_out_is_passed_by_the_index(open_filled: Open) -> None:
    embedder, tenant = Made(), Tenant("default", "large")
    filters = Filters(where={("group",): "many"})
    async with open_filled() as memory:
        episodes = memory._composition.archive.episodes
        for i in range(5):
            vector = embedder.vector(f"question {i}")
            exact = await episodes.candidates(tenant, Query((), vector, filters, exact=LARGE))
            found = await episodes.candidates(tenant, Query((), vector, filters, limit=50, exact=ABOVE))
            assert found.spread is not None  # it was not all of them that were compared
            assert not np.isnan(found.cosine[np.argsort(exact.cosine)[-50:]]).any()


async def test_a_filter_that_keeps_the_nearest_out_leaves_as_many_rows(open_filled: Open) -> None:
    async with open_filled() as memory, open_filled(limits=EXACT) as exact:
        for i in range(5):  # of the clusters whose episodes do not pass
            query = {"query": f"question {i}", "mode": "semantic", "limit": 20, "where": {"group": "many"}}
            found = await memory.user("large").recall(**query)
            wanted = await exact.user("large").recall(**query)
            assert {hit.episode.metadata["group"] for hit in found} == {"many"}
            assert len(found) == len(wanted) == 20
            assert len({*ids(found)} & {*ids(wanted)}) >= 17


async def test_what_is_stored_and_forgotten_later_is_found_and_gone(open_fresh: Open) -> None:
    async with open_fresh(weights=COSINE) as memory:
        large = memory.user("large")
        await fill(large, LARGE)
        await memory.index_vectors()
        await large.remember("copy 1", id="late")
        assert ids(await large.recall("copy 1", mode="semantic"))[0] == "late"
        await large.forget(episode_ids=["late"])
        assert "late" not in ids(await large.recall("copy 1", mode="semantic"))


async def test_another_tenant_is_answered_as_without_an_index(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh() as memory:
        await fill(memory.user("large"), LARGE)
        await fill(memory.user("small"), SMALL)
        before = await memory.user("small").recall("question 3 about topic3", limit=50)
        await memory.index_vectors()
        assert len(await indexes(postgres_dsn, schema)) == 1
        assert await memory.user("small").recall("question 3 about topic3", limit=50) == before


@pytest.mark.asyncio_only
@pytest.mark.parametrize(
    ("user", "filters"), [("large", {}), ("large", {"where": {"group": "many"}}), ("small", {})]
)
async def test_only_a_large_tenant_is_searched_by_its_index(
    postgres_dsn: str, filled_schema: str, watch: asyncpg.Connection, user: str, filters: Any
) -> None:
    sent: list[Any] = []

    async def listen(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(sent.append)

    pool = asyncpg.create_pool(postgres_dsn, min_size=0, init=listen)
    async with pool, opening(pool, filled_schema)() as memory:
        await memory.user(user).recall("question 3", mode="semantic", **filters)
        async with pool.acquire() as connection:  # nothing of it stays in a session
            assert await connection.fetchval("show enable_sort") == "on"
    asked = [each for each in sent if "limit $2" in each.query and "hnsw" not in each.query]
    asked = [each for each in asked if "order by embedding" in each.query]
    assert len(asked) == (user == "large")
    for each in asked:
        async with watch.transaction():
            await watch.execute("set local enable_sort = off")
            plan = "\n".join(row[0] for row in await watch.fetch(f"explain {each.query}", *each.args))
        assert "Index Scan using episode_vector_of_" in plan
        assert "Sort" not in plan


async def test_in_tables_that_are_cut_it_is_on_the_partition_of_its_tenant(
    anyio_backend: object, postgres_dsn: str, schema: str
) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=3)
    async with opening(postgres_dsn, schema)() as memory:
        large = memory.user("large")
        await fill(large, LARGE)
        wanted = await large.recall("question 1", mode="semantic", limit=20)
        assert await memory.index_vectors() == Indexed(built=1, kept=0, dropped=0)
        (index,) = await indexes(postgres_dsn, schema)
        assert re.search(r"ON \w+\.episode_vector_\d USING hnsw", index)
        found = await large.recall("question 1", mode="semantic", limit=20)
        assert found != wanted  # of all others there is a sample only
        assert len({*ids(found)} & {*ids(wanted)}) >= 18
        assert await memory.index_vectors() == Indexed(built=0, kept=1, dropped=0)
        await large.forget(everything=True)
        assert await memory.index_vectors() == Indexed(built=0, kept=0, dropped=1)


# Making and dropping.


async def test_without_many_vectors_there_is_nothing_to_make(open_fresh: Open) -> None:
    async with open_fresh() as memory:
        await memory.user("small").remember("turn 1")
        assert await memory.index_vectors() == NONE


async def test_without_an_embedder_there_is_nothing_to_make(open_fresh: Open) -> None:
    async with open_fresh(embedder=None) as memory:
        await memory.user("small").remember("turn 1")
        assert await memory.index_vectors() == NONE


async def test_in_process_there_is_nothing_to_make() -> None:
    async with open_memory(embedder=Made()) as memory:
        await fill(memory.user("large"), LARGE)
        assert await memory.index_vectors() == NONE
    with pytest.raises(MemoryClosed):
        await memory.index_vectors()


async def test_an_index_that_is_there_is_kept_until_it_is_of_no_use(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh() as memory:
        large = memory.user("large")
        await fill(large, ABOVE)
        assert await memory.index_vectors() == NONE
        await large.remember("turn 1000", id="one more")
        assert await memory.index_vectors() == Indexed(built=1, kept=0, dropped=0)
        assert await memory.index_vectors() == Indexed(built=0, kept=1, dropped=0)
        await large.forget(episode_ids=[f"turn{i}" for i in range(ABOVE // 2)])
        assert await memory.index_vectors() == Indexed(built=0, kept=1, dropped=0)
        await large.forget(episode_ids=["one more"])
        assert await memory.index_vectors() == Indexed(built=0, kept=0, dropped=1)
        assert await indexes(postgres_dsn, schema) == {}


async def test_the_index_of_who_was_forgotten_goes(open_fresh: Open, postgres_dsn: str, schema: str) -> None:
    async with open_fresh() as memory:
        await fill(memory.user("large"), LARGE)
        await memory.index_vectors()
        await memory.user("large").forget(everything=True)
        assert await memory.user("large").recall("question 1") == ()
        assert await memory.index_vectors() == Indexed(built=0, kept=0, dropped=1)
        assert await indexes(postgres_dsn, schema) == {}


async def test_another_embedder_stores_beside_the_index_of_the_old_one(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh() as memory:
        await fill(memory.user("large"), LARGE)
        await memory.index_vectors()
    async with open_fresh(embedder=Made(24), on_embedding_mismatch="reembed", weights=COSINE) as memory:
        large = memory.user("large")
        stored = await large.remember("copy 1", id="new")
        assert stored.embedding_state == "ready"
        assert ids(await large.recall("copy 1", mode="semantic")) == ["new"]
        while await large.episodes.embed_pending():
            pass
        assert await memory.index_vectors() == Indexed(built=1, kept=0, dropped=1)
        (index,) = await indexes(postgres_dsn, schema)
        assert "vector(24)" in index
        assert ids(await large.recall("copy 1", mode="semantic"))[0] == "new"


async def test_of_many_dimensions_an_index_has_half_the_precision_and_answers_none(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh(embedder=Made(2_001)) as memory:
        large = memory.user("large")
        await fill(large, ABOVE + 1)
        wanted = await large.recall("question 1", mode="semantic", limit=20)
        assert (await memory.index_vectors()).built == 1
        (index,) = await indexes(postgres_dsn, schema)
        assert "halfvec(2001)" in index
        found = await large.recall("question 1", mode="semantic", limit=20)
        assert len({*ids(found)} & {*ids(wanted)}) >= 18
        told = {hit.episode.id: hit.signals.semantic for hit in wanted}
        for hit in found:
            assert hit.signals.semantic is None or hit.signals.semantic == told.get(
                hit.episode.id, hit.signals.semantic
            )


async def test_more_dimensions_than_an_index_takes_are_searched_exactly(open_fresh: Open) -> None:
    async with open_fresh(embedder=Made(4_001), limits=Limits(exact_vectors=5)) as memory:
        await fill(memory.user("large"), 10)
        assert await memory.index_vectors() == NONE
        assert len(await memory.user("large").recall("question 1", mode="semantic", limit=10)) == 10


async def test_the_planner_keeps_no_samples_of_it(open_fresh: Open, postgres_dsn: str, schema: str) -> None:
    async with open_fresh(embedder=Made(4)) as memory:
        await fill(memory.user("large"), LARGE)
        await memory.index_vectors()
    await execute(postgres_dsn, f"analyze {schema}.episode_vector")
    async with connected(postgres_dsn) as connection:
        kept = await connection.fetch(
            "select tablename, attname from pg_stats where schemaname = $1 and tablename like"
            " 'episode\\_vector\\_of\\_%'",
            schema,
        )
    assert kept == []


# Several at once, and cut off.


async def test_while_one_makes_indexes_another_one_is_told_to_try_later(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh() as memory:
        async with in_transaction(postgres_dsn) as connection:
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended('recollect.index.' || $1, 0))", schema
            )
            with pytest.raises(Overloaded, match="another process"):
                await memory.index_vectors()
        assert await memory.index_vectors() == NONE


async def test_of_two_at_once_each_has_made_the_index_or_is_told_so(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh() as memory, open_fresh() as other:
        await fill(memory.user("large"), LARGE)
        outcomes: list[Indexed | None] = []

        async def make(by: Memory) -> None:
            try:
                outcomes.append(await by.index_vectors())
            except Overloaded:
                outcomes.append(None)

        async with anyio.create_task_group() as tasks:
            for each in (memory, other, memory):
                tasks.start_soon(make, each)
        assert sum(each.built for each in outcomes if each is not None) == 1
        assert list((await indexes(postgres_dsn, schema)).values()) == [True]


async def test_cut_off_anywhere_the_next_call_does_the_rest(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh() as memory:
        large = memory.user("large")
        await fill(large, LARGE)
        wanted = await large.recall("question 1", mode="semantic", limit=20)
        for at in range(1, HANGS):
            cut = await cancelled_by_a_scope(partial(_made_at_last, memory), at)
            found = await large.recall("question 1", mode="semantic", limit=20)
            assert len({*ids(found)} & {*ids(wanted)}) >= 18
            if not cut:
                break
        with anyio.fail_after(60):
            await _made_at_last(memory)
        assert list((await indexes(postgres_dsn, schema)).values()) == [True]


async def _made_at_last(memory: Memory) -> None:
    """Make indexes as soon as that can be done: what was cut off may still be under way in the server."""
    while True:
        with suppress(Overloaded):
            await memory.index_vectors()
            return
        await anyio.sleep(0.05)


async def test_an_index_that_was_left_half_made_is_not_used_and_made_anew(
    open_fresh: Open, postgres_dsn: str, schema: str
) -> None:
    async with open_fresh() as memory:
        large = memory.user("large")
        await fill(large, LARGE)
        wanted = await large.recall("question 1", mode="semantic", limit=20)
        await memory.index_vectors()
        await execute(
            postgres_dsn,
            "update pg_index set indisvalid = false from pg_class c where c.oid = indexrelid"
            f" and relnamespace = '{schema}'::regnamespace and relname like 'episode\\_vector\\_of\\_%'",
        )
        assert await large.recall("question 1", mode="semantic", limit=20) == wanted
        assert await memory.index_vectors() == Indexed(built=1, kept=0, dropped=1)
        assert list((await indexes(postgres_dsn, schema)).values()) == [True]


@pytest.mark.asyncio_only
async def test_a_pool_of_one_connection_is_refused_in_words(postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    async with (
        asyncpg.create_pool(postgres_dsn, min_size=0, max_size=1) as pool,
        open_postgres(pool, schema=schema) as archive,
    ):
        with pytest.raises(ConfigurationError, match="two connections"):
            await archive.index_vectors(above=1)


async def test_it_is_not_bounded_by_the_deadline(open_fresh: Open) -> None:
    async with open_fresh() as memory:
        await memory.user("small").remember("turn 1")
        parts = memory._composition
        hasty = Memory(archive=parts.archive, working=parts.working, deadline=1e-9)
        assert await hasty.index_vectors() == NONE
