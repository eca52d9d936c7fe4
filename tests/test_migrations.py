"""The schema is made once, by whoever comes first, and never read by a version that does not know it."""

import anyio
import pytest

from recollect import ConfigurationError, SchemaError, open_memory
from recollect.postgres import Postgres, open_pool
from recollect.postgres.upkeep import migrate_schema, schema_sql, schema_status

from .beside import execute


async def _works(dsn: str, schema: str) -> None:
    async with open_memory(postgres=dsn, schema=schema) as memory:
        stored = await memory.user("alice").remember("hello")
        assert [hit.episode for hit in await memory.user("alice").recall("hello")] == [stored]


async def test_database_without_our_tables_is_refused_with_a_hint(postgres_dsn: str, schema: str) -> None:
    with pytest.raises(SchemaError, match="recollect db migrate"):
        async with open_memory(postgres=postgres_dsn, schema=schema):
            raise AssertionError("it was opened")


async def test_migrating_makes_the_schema_once(postgres_dsn: str, schema: str) -> None:
    before = await schema_status(postgres_dsn, schema=schema)
    assert before.applied == ()
    assert await migrate_schema(postgres_dsn, schema=schema) == before.pending
    assert await migrate_schema(postgres_dsn, schema=schema) == ()
    after = await schema_status(postgres_dsn, schema=schema)
    assert (after.applied, after.pending) == (before.pending, ())
    await _works(postgres_dsn, schema)


async def test_many_workers_may_start_at_once(postgres_dsn: str, schema: str) -> None:
    async def start() -> None:
        async with open_memory(postgres=postgres_dsn, schema=schema, migrate="auto") as memory:
            await memory.user("alice").remember("hello")

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(start)
    async with open_memory(postgres=postgres_dsn, schema=schema) as memory:
        assert await memory.user("alice").episodes.count() == 8


async def test_schemas_of_one_database_have_nothing_in_common(
    postgres_dsn: str, schema: str, shared_schema: str
) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    async with (
        open_memory(postgres=postgres_dsn, schema=schema, namespace=schema) as one,
        open_memory(postgres=postgres_dsn, schema=shared_schema, namespace=schema) as other,
    ):
        await one.user("alice").remember("hello")
        assert (await other.users()).items == ()


async def test_newer_schema_is_refused(postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    await execute(postgres_dsn, f"insert into {schema}.migration values (9999, '9999_future', 'x')")
    for migrate in ("auto", "never"):
        with pytest.raises(SchemaError, match="newer"):
            async with open_memory(postgres=postgres_dsn, schema=schema, migrate=migrate):
                raise AssertionError("it was opened")


async def test_migration_with_other_content_is_refused(postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    await execute(postgres_dsn, f"update {schema}.migration set checksum = 'x'")
    with pytest.raises(SchemaError, match="other content"):
        async with open_memory(postgres=postgres_dsn, schema=schema, migrate="auto"):
            raise AssertionError("it was opened")


async def test_failing_migration_leaves_nothing(postgres_dsn: str, schema: str) -> None:
    # Somebody else's table is in the way of ours.
    await execute(postgres_dsn, f"create schema {schema}; create table {schema}.episode_vector (x int)")
    with pytest.raises(ConfigurationError, match="42P07") as caught:
        await migrate_schema(postgres_dsn, schema=schema)
    assert "exists" in str(caught.value.__cause__)
    assert (await schema_status(postgres_dsn, schema=schema)).applied == ()
    await execute(postgres_dsn, f"drop table {schema}.episode_vector")
    await migrate_schema(postgres_dsn, schema=schema)
    await _works(postgres_dsn, schema)


async def test_sql_for_administrators_makes_what_migrating_makes(postgres_dsn: str, schema: str) -> None:
    await execute(postgres_dsn, schema_sql(schema))
    assert (await schema_status(postgres_dsn, schema=schema)).pending == ()
    await _works(postgres_dsn, schema)


async def test_dropped_table_is_reported_as_the_schemas_fault(postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    async with open_memory(postgres=postgres_dsn, schema=schema) as memory:
        await execute(postgres_dsn, f"drop table {schema}.episode cascade")
        with pytest.raises(SchemaError, match="db migrate"):
            await memory.user("alice").episodes.count()


@pytest.mark.asyncio_only
async def test_pgvector_that_has_moved_is_reported_as_the_schemas_fault(postgres_dsn: str) -> None:
    async with open_pool(postgres_dsn, vector="elsewhere") as pool:
        with pytest.raises(SchemaError, match="pgvector"):
            await Postgres(pool, binary=True).fetch("select 1")
        assert pool.get_size() == 0


@pytest.mark.parametrize(
    "name", ["", "Upper", "1st", 'quo"te', "a b", "a" * 42, "ünï", "a;b", "a.b", "public\n"]
)
async def test_names_that_need_quoting_are_refused(postgres_dsn: str, name: str) -> None:
    with pytest.raises(ConfigurationError):
        async with open_memory(postgres=postgres_dsn, schema=name, migrate="auto"):
            raise AssertionError("it was opened")


async def test_longest_name_works(postgres_dsn: str, schema: str) -> None:
    name = schema.ljust(41, "x")
    try:
        await migrate_schema(postgres_dsn, schema=name)
        await _works(postgres_dsn, name)
    finally:
        await execute(postgres_dsn, f"drop schema if exists {name} cascade")


async def test_keyword_as_a_name_works(postgres_dsn: str) -> None:
    try:
        await migrate_schema(postgres_dsn, schema="select")
        await _works(postgres_dsn, "select")
    finally:
        await execute(postgres_dsn, 'drop schema if exists "select" cascade')
