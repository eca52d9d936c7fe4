"""Every statement looks at its own tenant, along an index, whatever the server plans."""

import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import asyncpg
import numpy as np
import pytest

from recollect.postgres import PostgresArchive, open_postgres
from recollect.postgres.upkeep import migrate_schema
from recollect.stores import Filters, Query
from recollect.stores.changes import Promote, Rollback
from recollect.testing._fact_material import (
    CITY,
    LIKES,
    NOW,
    RULES,
    change,
    correct,
    end,
    filtered,
    find,
    say,
    since,
    year,
)
from recollect.testing._material import episode, store
from recollect.types import Tenant

from .beside import connected, made_schema

COPIES = 400
LARGE = 3_000
"""How many times what the first tenant has the large one has."""

SHIFTED = {
    "episode": {"seq": "seq + 1000 * i", "id": "id || i"},
    "episode_vector": {"seq": "seq + 1000 * i"},
    "assertion": {"tx": "tx + 1000 * i", "id": "id || i"},
    "fact": {column: f"{column} + 1000 * i" for column in ("assertion_tx", "tx_from", "tx_to")},
}
"""How it has the same so many times, in the tables that grow the most."""

SHARED = {"predicate", "embedder", "pg_index", "pg_index_indexrelid_index"}
"""Tables of a few rows, for all tenants; and the server's own, of indices."""

copies = count(1)

QUERY = Query(("rome",), np.ones((4,), np.float32), Filters(), limit=10, exact=20_000)

Call = Callable[[PostgresArchive, Tenant], Awaitable[Any]]

READS: dict[str, Call] = {
    "of a subject and a predicate": lambda a, t: find(a, t, subject="anna", predicate=CITY, limit=10),
    "of a subject": lambda a, t: find(a, t, subject="anna", limit=10),
    "of a predicate": lambda a, t: find(a, t, predicate=LIKES, after=(3, 0, NOW), limit=10),
    "of an object": lambda a, t: find(a, t, object='"Rome"', limit=10),
    "of anything": lambda a, t: find(a, t, limit=10),
    "of a session": lambda a, t: find(a, t, session_id="s", limit=10),
    "of a path": lambda a, t: find(a, t, where={("a", "b"): 1}, limit=10),
    "of an instant": lambda a, t: find(a, t, subject="anna", valid_at=year(2021), limit=10),
    "of a range": lambda a, t: find(a, t, subject="anna", during=(year(2021), None), limit=10),
    "of a branch": lambda a, t: find(a, t, subject="anna", branch="s", limit=10),
    "of a range of a branch": lambda a, t: find(a, t, branch="s", during=(None, NOW), limit=10),
    "as it was known": lambda a, t: find(a, t, subject="anna", predicate=CITY, known=3, limit=10),
    "of anything as it was known": lambda a, t: find(a, t, known=3, limit=10),
    "of an object as it was known": lambda a, t: find(a, t, object='"Rome"', known=3, limit=10),
    "of a branch as it was known": lambda a, t: find(a, t, branch="s", known=3, limit=10),
    "count": lambda a, t: a.facts.count(t, NOW),
    "get": lambda a, t: a.facts.get(t, ["a", "b"]),
    "slots": lambda a, t: a.facts.slots(t, "anna", CITY, branch="s"),
    "linked": lambda a, t: a.facts.linked(t, ["anna", "Rome"], filtered()),
    "linked as it was known": lambda a, t: a.facts.linked(t, ["anna", "Rome"], filtered(known=3)),
    "changes": lambda a, t: a.facts.changes(t, after=(1, 0), limit=10),
    "headers": lambda a, t: a.facts.headers(t, session_id=None, before=None, limit=10),
    "headers of a session": lambda a, t: a.facts.headers(t, session_id="s", before=4, limit=10),
    "known at": lambda a, t: a.facts.known_at(t, NOW),
    "words and meanings": lambda a, t: a.episodes.candidates(t, QUERY),
    "count of episodes": lambda a, t: a.episodes.count(t),
    "sessions": lambda a, t: a.episodes.sessions(t, after=0, limit=10),
    "newest": lambda a, t: a.episodes.newest(t, Filters(), limit=10),
    "page": lambda a, t: a.episodes.page(t, Filters(), after=0, limit=10),
    "recent sessions": lambda a, t: a.episodes.recent_sessions(t, limit=10),
    "candidates": lambda a, t: a.facts.candidates(t, filtered(), np.ones(4, np.float32)),
    "unembedded": lambda a, t: a.facts.unembedded(t, limit=10),
    "verify": lambda a, t: a.facts.verify(t),
}

WRITES: dict[str, Call] = {
    "vectors": lambda a, t: a.facts.set_vectors(t, {b"d": np.ones((1, 4), np.float32)}),
    "erase": lambda a, t: a.facts.erase(t, ["e1"]),
    "add": lambda a, t: say(a, t, since("Oslo", 2022, sources=("e2",), staged=True), session_id="s"),
    "end": lambda a, t: say(a, t, end(2024, predicate=LIKES)),
    "promote": lambda a, t: a.facts.commit([change(t, Promote(str(uuid4()), "s"))]),
    "correct": lambda a, t: a.facts.commit([change(t, correct("Rome", "Oslo"))]),
    "rollback": lambda a, t: a.facts.commit([change(t, Rollback(str(uuid4()), "s", 1), name="rollback")]),
}


@pytest.fixture(scope="module")
def filled_schema(postgres_dsn: str) -> Iterator[str]:
    """A schema with many tenants that look alike, and statistics of them."""
    with made_schema(postgres_dsn, _fill) as name:
        yield name


@pytest.fixture(scope="module")
def uneven_schema(postgres_dsn: str) -> Iterator[str]:
    """A schema with a small tenant, and one that has nearly everything."""
    with made_schema(postgres_dsn, _tilt) as name:
        yield name


@pytest.fixture(scope="module")
def new_schema(postgres_dsn: str) -> Iterator[str]:
    """A schema whose tables have grown since the server last looked at them: it never did."""
    with made_schema(postgres_dsn, _grow) as name:
        yield name


async def _fill(dsn: str, schema: str) -> None:
    await _fill_one(dsn, schema)
    async with connected(dsn) as connection:
        for table, columns in await _tables(connection, schema):
            await connection.execute(
                f"insert into {schema}.{table} (tenant, {', '.join(columns)})"
                f" select 'filled/copy' || i, {', '.join(columns)}"
                f" from {schema}.{table}, generate_series(1, {COPIES}) as i;"
                f" analyze {schema}.{table}"
            )


async def _tilt(dsn: str, schema: str) -> None:
    await _fill_one(dsn, schema)
    async with connected(dsn) as connection:
        for table, columns in await _tables(connection, schema):
            shifted = SHIFTED.get(table, {})
            await connection.execute(
                f"insert into {schema}.{table} (tenant, {', '.join(columns)})"
                f" select 'filled/large', {', '.join(shifted.get(column, column) for column in columns)}"
                f" from {schema}.{table}, generate_series(1, {LARGE if shifted else 1}) as i"
            )
            await connection.execute(f"vacuum analyze {schema}.{table}")


async def _fill_one(dsn: str, schema: str) -> None:
    await migrate_schema(dsn, schema=schema)
    async with open_postgres(dsn, schema=schema) as archive:
        tenant = Tenant("filled", "one")
        await archive.adopt_predicates(RULES, replace=False)
        for i in range(6):
            await store(archive, tenant, episode(id=f"e{i}", vectors=np.ones((1, 4), np.float32)))
        await say(archive, tenant, since("Rome", 2019, id="Rome", sources=("e1",)))
        for i in range(12):
            said = since(f"place {i % 5}", 2000 + i, subject=f"subject {i % 3}", sources=(f"e{i % 6}",))
            vector = np.ones((1, 4), np.float32) if i % 2 else None
            await say(archive, tenant, said, session_id="s" if i % 2 else None, vectors=vector)
            await say(archive, tenant, since(f"food {i}", 2000 + i, predicate=LIKES))
        (entry,) = await say(archive, tenant, since("Bern", 2020, staged=True), session_id="s")
        await say(archive, tenant, correct(entry.assertion.id, "Basel"))
        await archive.facts.erase(tenant, ["e0", *(f"never {i}" for i in range(20))])


async def _grow(dsn: str, schema: str) -> None:
    await migrate_schema(dsn, schema=schema)
    async with connected(dsn) as connection:
        await connection.execute(f"alter table {schema}.fact set (autovacuum_enabled = off)")
    async with open_postgres(dsn, schema=schema) as archive:
        await archive.adopt_predicates(RULES, replace=False)
        facts = [since("Rome", 2019, subject=f"subject {i}") for i in range(1_000)]
        await say(archive, Tenant("filled", "one"), *facts)


async def _tables(connection: asyncpg.Connection, schema: str) -> list[tuple[str, list[str]]]:
    """Return the tables of tenants, each with its other columns."""
    rows = await connection.fetch(
        "select relname, array_agg(attname::text) from pg_class c join pg_attribute a on a.attrelid = c.oid"
        " where relnamespace = $1::regnamespace and relkind = 'r' and attnum > 0 and attname <> 'tenant'"
        " and exists (select from pg_attribute where attrelid = c.oid and attname = 'tenant')"
        " group by relname, c.oid order by c.oid",
        schema,
    )
    return [(table, columns) for table, columns in rows]


@pytest.mark.asyncio_only
@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("call", READS | WRITES)
async def test_each_statement_looks_at_its_tenant_along_indices(
    postgres_dsn: str, filled_schema: str, watch: asyncpg.Connection, call: str, mode: str
) -> None:
    tenant = Tenant("filled", f"copy{next(copies)}")
    calls = READS | WRITES
    statements = await _sent(postgres_dsn, filled_schema, lambda archive: calls[call](archive, tenant))
    assert statements
    for each, settings in statements:
        for node in await _plan(watch, each, mode, settings):
            assert "tenant" in node.get("Index Cond", ""), f"{node}\n{each.query}"


@pytest.mark.asyncio_only
@pytest.mark.parametrize("call", READS)
async def test_a_small_tenant_does_not_pay_for_a_large_one(
    postgres_dsn: str, uneven_schema: str, watch: asyncpg.Connection, call: str
) -> None:
    tenant = Tenant("filled", "one")
    statements = await _sent(postgres_dsn, uneven_schema, lambda archive: READS[call](archive, tenant))
    for each, settings in statements:
        for node in await _plan(watch, each, "generic", settings):
            is_small = node["of"] not in SHIFTED
            assert is_small or "tenant" in node.get("Index Cond", ""), f"{node}\n{each.query}"


@pytest.mark.asyncio_only
async def test_a_slot_is_looked_up_by_its_subject_while_nothing_is_known_of_the_tables(
    postgres_dsn: str, new_schema: str, watch: asyncpg.Connection
) -> None:
    tenant = Tenant("filled", f"copy{next(copies)}")
    statements = await _sent(postgres_dsn, new_schema, lambda a: say(a, tenant, since("Oslo", 2022)))
    nodes = [node for each, settings in statements for node in await _plan(watch, each, "generic", settings)]
    looked_up = {node["Index Name"] for node in nodes if "subject" in node.get("Index Cond", "")}
    assert looked_up == {"fact_subject"}


@pytest.mark.asyncio_only
@pytest.mark.one_loop
async def test_a_commit_is_never_compiled(postgres_dsn: str, schema: str, watch: asyncpg.Connection) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    await watch.execute(
        f"create table {schema}.seen (jit text);"
        f" create function {schema}.look() returns trigger language plpgsql as $$ begin"
        f" insert into {schema}.seen values (current_setting('jit')); return null; end $$;"
        f" create trigger look after insert on {schema}.assertion execute function {schema}.look()"
    )
    made = asyncpg.create_pool(postgres_dsn, min_size=0, server_settings={"jit": "on"})
    async with made as pool, open_postgres(pool, schema=schema) as archive:
        await archive.adopt_predicates(RULES, replace=False)
        await say(archive, Tenant("one", "user"), since("Oslo", 2022))
    assert await watch.fetchval(f"select array_agg(jit) from {schema}.seen") == ["off"]


async def _sent(
    dsn: str, schema: str, call: Callable[[PostgresArchive], Awaitable[Any]]
) -> list[tuple[Any, str]]:
    """Return the statements of a call, each with the settings of its transaction."""
    sent: list[Any] = []

    async def listen(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(sent.append)

    made = asyncpg.create_pool(dsn, min_size=0, init=listen)
    async with made as pool, open_postgres(pool, schema=schema) as archive:
        sent.clear()
        await call(archive)
    settings, statements = "", list[tuple[Any, str]]()
    for each in sent:
        if schema in each.query:
            statements.append((each, settings))
        elif re.match(r"\s*(discard plans;\s*)?(begin|commit|rollback)", each.query):
            settings = "".join(re.findall("^set local enable_.*", each.query, re.MULTILINE))
    return statements


async def _plan(connection: asyncpg.Connection, sent: Any, mode: str, settings: str) -> list[dict[str, Any]]:
    """Return the nodes of a statement's plan that read a table of ours, with its transaction's settings."""
    if mode == "custom":
        async with connection.transaction():
            await connection.execute(settings or "select 1")
            rows = await connection.fetch(f"explain (format json) {sent.query}", *sent.args)
    else:
        await connection.execute(f"set plan_cache_mode = force_generic_plan; prepare q as {sent.query}")
        nothing = f"({', '.join(['null'] * len(sent.args))})" if sent.args else ""
        async with connection.transaction():
            await connection.execute(settings or "select 1")
            rows = await connection.fetch(f"explain (format json) execute q{nothing}")
        await connection.execute("deallocate q")
    nodes = deque([json.loads(rows[0][0])[0]["Plan"]])
    found = list[dict[str, Any]]()
    while nodes:
        node = nodes.popleft()
        nodes.extend(node.pop("Plans", []))
        # What these visit is what scans of indices have found.
        found_by_others = ("ModifyTable", "Bitmap Heap Scan", "Tid Scan")
        read = node.get("Relation Name", node.get("Index Name"))
        if read is not None and node["Node Type"] not in found_by_others:
            found.append({**node, "of": read.removesuffix("_pkey")})
    return [node for node in found if node["of"] not in SHARED]
