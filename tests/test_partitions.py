"""Tables that are cut by tenant: made so once, and each call touches the partitions of its tenants only."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from importlib.resources import files

import anyio
import asyncpg
import pytest

from recollect import ConfigurationError, SchemaError, Tenant, UserMemory, open_memory
from recollect.postgres import migrate_schema, schema_sql, schema_status
from recollect.postgres._sql import statements
from recollect.testing import HashEmbedder
from recollect.testing._fact_material import year

from .beside import execute, made_schema
from .pages import DOCS

SHARED = {"embedder", "migration", "predicate"}
"""Tables without a tenant."""

# What a table is made of, whole or cut; the parts are not looked at.
SHAPE = """
select relname, pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indrelid
where relnamespace = $1::regnamespace and not relispartition
union all
select relname, conname || ' ' || pg_get_constraintdef(k.oid)
from pg_constraint k join pg_class c on c.oid = conrelid
where relnamespace = $1::regnamespace and not relispartition and conparentid = 0
union all
select relname, attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
from pg_attribute join pg_class c on c.oid = attrelid
where relnamespace = $1::regnamespace and not relispartition and relkind in ('r', 'p')
and attnum > 0 and not attisdropped
order by 1, 2
"""
# The reads and writes of each partition, as the server counts them, whatever it planned.
TOUCHED = """
select
    relid::regclass::text as part,
    seq_scan + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del as count
from pg_stat_user_tables join pg_inherits on inhrelid = relid where schemaname = $1
"""


async def made_of(connection: asyncpg.Connection, schema: str) -> list[tuple[str, str]]:
    rows = await connection.fetch(SHAPE, schema)
    return [(table, what.replace(schema, "").replace(" ON ONLY ", " ON ")) for table, what in rows]


async def parts_of(connection: asyncpg.Connection, schema: str) -> dict[str, int]:
    """Return how many partitions each table has."""
    rows = await connection.fetch(
        "select relname, (select count(*) from pg_inherits where inhparent = c.oid) from pg_class c"
        " where relnamespace = $1::regnamespace and relkind in ('r', 'p') and not relispartition",
        schema,
    )
    return dict(map(tuple, rows))


# How they are made.


async def test_every_table_with_a_tenant_is_cut(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection
) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=3)
    assert (await schema_status(postgres_dsn, schema=schema)).partitions == 3
    parts = await parts_of(watch, schema)
    assert {table for table, count in parts.items() if not count} == SHARED
    assert {count for table, count in parts.items() if table not in SHARED} == {3}


async def test_but_for_that_they_are_what_whole_tables_are(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection
) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    whole = await made_of(watch, schema)
    await execute(postgres_dsn, f"drop schema {schema} cascade")
    await migrate_schema(postgres_dsn, schema=schema, partitions=3)
    assert await made_of(watch, schema) == whole != []
    options = "select distinct reloptions from pg_class where relname ~ '^tenant(_[0-9])?$' and relkind = 'r'"
    assert await watch.fetch(f"{options} and relnamespace = $1::regnamespace", schema) == [
        (["fillfactor=50"],)
    ]


@pytest.mark.parametrize("partitions", [None, 3], ids=["whole", "cut"])
async def test_the_script_makes_what_migrating_makes(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection, partitions: int | None
) -> None:
    await execute(postgres_dsn, schema_sql(schema, partitions=partitions))
    status = await schema_status(postgres_dsn, schema=schema)
    assert (status.pending, status.partitions) == ((), partitions)
    made, parts = await made_of(watch, schema), await parts_of(watch, schema)
    await execute(postgres_dsn, f"drop schema {schema} cascade")
    await migrate_schema(postgres_dsn, schema=schema, partitions=partitions)
    assert (await made_of(watch, schema), await parts_of(watch, schema)) == (made, parts)


@pytest.mark.parametrize("partitions", [None, 3], ids=["whole", "cut"])
async def test_a_later_migration_keeps_the_shape(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection, partitions: int | None
) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=partitions)
    made, parts = await made_of(watch, schema), await parts_of(watch, schema)
    await execute(
        postgres_dsn,
        f"drop table {schema}.passed_over; alter table {schema}.tenant drop column consolidated;"
        f" delete from {schema}.migration where number = 3",
    )
    assert await migrate_schema(postgres_dsn, schema=schema) == ("0003_consolidation",)
    assert (await made_of(watch, schema), await parts_of(watch, schema)) == (made, parts)


@pytest.mark.parametrize(("made", "wanted"), [(None, 3), (3, 4)], ids=["of whole tables", "of their number"])
async def test_a_change_is_refused_with_what_to_do(
    postgres_dsn: str, schema: str, made: int | None, wanted: int
) -> None:
    names = await migrate_schema(postgres_dsn, schema=schema, partitions=made)
    with pytest.raises(SchemaError, match=r"recollect export.*recollect restore"):
        await migrate_schema(postgres_dsn, schema=schema, partitions=wanted)
    status = await schema_status(postgres_dsn, schema=schema)
    assert (status.applied, status.partitions) == (names, made)
    assert await migrate_schema(postgres_dsn, schema=schema, partitions=made) == ()
    assert await migrate_schema(postgres_dsn, schema=schema) == ()


async def test_of_two_who_disagree_one_is_refused(postgres_dsn: str, schema: str) -> None:
    refused: list[int] = []

    async def migrate(partitions: int) -> None:
        try:
            await migrate_schema(postgres_dsn, schema=schema, partitions=partitions)
        except SchemaError:
            refused.append(partitions)

    async with anyio.create_task_group() as tasks:
        for partitions in (2, 3):
            tasks.start_soon(migrate, partitions)
    assert [(await schema_status(postgres_dsn, schema=schema)).partitions, *refused] in ([2, 3], [3, 2])


@pytest.mark.parametrize("partitions", [-1, 0, 1, 65])
async def test_numbers_that_make_no_sense_are_refused(
    postgres_dsn: str, schema: str, partitions: int
) -> None:
    with pytest.raises(ConfigurationError, match="from 2 to 64"):
        await migrate_schema(postgres_dsn, schema=schema, partitions=partitions)
    with pytest.raises(ConfigurationError, match="from 2 to 64"):
        schema_sql(schema, partitions=partitions)
    assert (await schema_status(postgres_dsn, schema=schema)).applied == ()


@pytest.mark.asyncio_only
@pytest.mark.one_loop
async def test_a_server_as_it_comes_makes_as_many_as_are_allowed(postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=64)
    assert (await schema_status(postgres_dsn, schema=schema)).partitions == 64


# What is touched.

PARTS = 4

CALLS: dict[str, Callable[[UserMemory], Awaitable[object]]] = {
    "remember": lambda user: user.remember("I moved to Lisbon", session_id="s"),
    "remember again": lambda user: user.remember("I live in Rome", id="e1", session_id="s"),
    "remember late": lambda user: user.episodes.embed_pending(),
    "recall": lambda user: user.recall("where did I move", session_id="s"),
    "messages": lambda user: user.messages(session_id="s"),
    "add": lambda user: user.facts.add("anna", "likes", "tea", sources=["e1"]),
    "correct": lambda user: user.facts.correct("rome", object="Oslo"),
    "end": lambda user: user.facts.end("anna", "lives_in"),
    "roll back": lambda user: user.facts.rollback("s"),
    "find": lambda user: user.facts.find("anna"),
    "recall facts": lambda user: user.recall_facts("where does anna live"),
    "history": lambda user: user.facts.history("anna", "lives_in"),
    "context": lambda user: user.context("where does anna live"),
    "export": lambda user: user.export(vectors=True),
    "forget a session": lambda user: user.forget(session_id="s", verify=True),
    "forget all": lambda user: user.forget(everything=True),
}


@pytest.fixture(scope="module")
def watched_schema(postgres_dsn: str) -> Iterator[str]:
    """One that nobody else uses: what others read would be counted when they are gone."""
    with made_schema(postgres_dsn, migrate_schema, partitions=PARTS) as name:
        yield name


@pytest.fixture(params=["auto", "force_generic_plan"])
async def pool(
    request: pytest.FixtureRequest, anyio_backend: object, postgres_dsn: str
) -> AsyncIterator[asyncpg.Pool]:
    """One connection: what it has done is asked of it."""
    settings = {"plan_cache_mode": request.param}
    async with asyncpg.create_pool(postgres_dsn, min_size=0, max_size=1, server_settings=settings) as made:
        yield made


async def touched(pool: asyncpg.Pool, schema: str) -> dict[str, int]:
    async with pool.acquire() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
        return dict(map(tuple, await connection.fetch(TOUCHED, schema)))


async def part_of(watch: asyncpg.Connection, schema: str, tenant: Tenant) -> str:
    """Return the number of the partition that a tenant is in, without a look at it."""
    holds = f"satisfies_hash_partition('{schema}.tenant'::regclass, {PARTS}, i, $1::text)"
    return await watch.fetchval(
        f"select i::text from generate_series(0, {PARTS - 1}) as i where {holds}", tenant.key
    )


async def tell(user: UserMemory) -> None:
    await user.remember("I live in Rome", id="e1", session_id="s")
    await user.remember("the weather is fine", embed="later", session_id="s")
    await user.facts.add("anna", "lives_in", "Rome", id="rome", sources=["e1"], valid_from=year(2020))
    await user.at(session_id="s").facts.add("anna", "lives_in", "Bern", valid_from=year(2021))


@pytest.mark.asyncio_only
@pytest.mark.one_loop
@pytest.mark.parametrize("call", CALLS)
async def test_a_call_touches_the_partition_of_its_tenant(
    pool: asyncpg.Pool, watched_schema: str, watch: asyncpg.Connection, call: str
) -> None:
    async with open_memory(
        postgres=pool, schema=watched_schema, embedder=HashEmbedder(), deadline=None
    ) as memory:
        user = memory.user(f"{call} {id(pool)}")
        await tell(user)
        before = await touched(pool, watched_schema)
        await CALLS[call](user)
        after = await touched(pool, watched_schema)
        parts = {name.rpartition("_")[2] for name, count in after.items() if count != before[name]}
        assert parts == {await part_of(watch, watched_schema, Tenant("default", user.user_id))}


@pytest.mark.asyncio_only
@pytest.mark.one_loop
async def test_a_batch_of_several_users_touches_the_partitions_of_these(
    pool: asyncpg.Pool, watched_schema: str, watch: asyncpg.Connection
) -> None:
    async with open_memory(postgres=pool, schema=watched_schema, deadline=None) as memory:
        users = [memory.user(f"{i} {id(pool)}") for i in range(3)]
        for user in users:
            await user.remember("hello", id="e")
        before = await touched(pool, watched_schema)
        async with anyio.create_task_group() as tasks:
            for user in users:
                tasks.start_soon(partial(user.remember, "hello", id="e"))
                tasks.start_soon(partial(user.remember, "hello again"))
        after = await touched(pool, watched_schema)
        parts = {name.rpartition("_")[2] for name, count in after.items() if count != before[name]}
        assert parts == {
            await part_of(watch, watched_schema, Tenant("default", user.user_id)) for user in users
        }


async def test_rows_at_the_same_place_of_other_partitions_stay(postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=8)
    async with open_memory(postgres=postgres_dsn, schema=schema, deadline=60.0) as memory:
        users = [memory.user(f"user {i}") for i in range(8)]
        for user in users:
            await tell(user)
        changed, *others = users
        before = [await user.facts.history("anna", "lives_in") for user in others]
        await changed.facts.correct("rome", object="Oslo")
        await changed.facts.end("anna", "lives_in", at=year(2022))
        await changed.facts.rollback(None)
        assert {fact.object for fact in await changed.facts.find("anna", "lives_in")} == {"Oslo", "Bern"}
        assert [await user.facts.history("anna", "lives_in") for user in others] == before


async def test_what_an_erasure_has_left_is_found_in_every_partition(postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=8)
    async with open_memory(postgres=postgres_dsn, schema=schema, embedder=HashEmbedder()) as memory:
        users = [memory.user(f"user {i}") for i in range(8)]
        for user in users:
            await tell(user)
        before = [await user.export(vectors=True) for user in users]
        await execute(
            postgres_dsn,
            f"insert into {schema}.episode_vector select tenant, 99, 0, '[1]' from {schema}.tenant;"
            f" insert into {schema}.fact_vector select tenant, 'digest', '[1]' from {schema}.tenant",
        )
        for dry_run in (True, False):
            found = await memory.gc(dry_run=dry_run)
            assert (found.episode_vectors, found.fact_vectors) == (8, 8)
        found = await memory.gc()
        assert (found.episode_vectors, found.fact_vectors) == (0, 0)
        assert [await user.export(vectors=True) for user in users] == before


# What the page says.

ACROSS = {
    "directory": {
        "tenants", "users", "unconsolidated", "has_named_users", "embedder", "record_embedder", "stop_writes",
        "replace_embedder", "drop_vectors", "make_pending",
    },
    "episodes": {"append", "named"},
    "facts": {"free_clocks", "known", "logs", "grounds", "commit"},
    "predicates": {"rules", "stop_writes", "record", "using"},
    "transfer": {"recorded"},
    "vector_indexes": {"embedder", "sizes", "take_no_samples", "drop"},
}  # fmt: skip
"""Statements that are not about one tenant: of several, of all, or of tables without one."""


async def test_the_page_distributes_every_table_there_is(
    shared_schema: str, watch: asyncpg.Connection
) -> None:
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    distributed = re.findall(r"create_distributed_table\('recollect\.(\w+)', 'tenant'", page)
    references = re.findall(r"create_reference_table\('recollect\.(\w+)'", page)
    tables = set(await parts_of(watch, shared_schema))
    assert sorted(distributed) == sorted(tables - SHARED)
    assert sorted(references) == sorted(SHARED)
    # What a foreign key points to comes first.
    assert distributed.index("episode") < distributed.index("passed_over")
    assert page.count("colocate_with => 'recollect.tenant'") == len(distributed) - 1


OF_ONE = re.compile(r"tenant = (\$1|\{tenant\})|\(\s*tenant,[^)]*\)\s*(values \(|select( distinct)?\s+)\$1")


def test_all_other_statements_are_of_one_tenant() -> None:
    across: dict[str, set[str]] = {}
    for path in (files("recollect.postgres") / "sql").iterdir():
        for block, sql in statements(path.stem, schema="s", vector="v").items():
            is_whole = '"s".' in sql and not sql.startswith("-- Part of")
            if is_whole and not OF_ONE.search(sql):
                across.setdefault(path.stem, set()).add(block)
    assert across == ACROSS
