"""Does a recall get slower when others store more?

    python benchmarks/tenants.py [--postgres DSN] [--total 1000000] [--calls 1000]

One million episodes of 5,000 tenants on PostgreSQL: one tenant of 20,000, the others of 200 or 100. At 10,000
episodes in all, at 100,000 and at the end, the tenants of 200 are asked, a different one each time. What is
stored is made by SQL from 5,000 made-up exchanges, in the tables and with the columns of `remember`, the
episodes of a tenant as far apart as others' make them; what is measured goes through the API.

The plans of the statements that a recall and a listing run are kept beside the figures. They must not read a
table from one end to the other, whatever the driver's prepared statements make the server assume.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import numpy as np
from _made_up import DIMENSIONS, Lookup, made_up, unit_vectors
from _measure import RESULTS, SCHEMA, arguments, load, save, server, show, significant, versions

from recollect import Memory, Tenant, open_memory
from recollect._analysis import analyze
from recollect._dates import date_terms
from recollect.postgres._sql import statements
from recollect.postgres.terms import code, packed
from recollect.postgres.vectors import spelled

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
TEMPLATES = 5_000
LARGE, MIDDLE, SMALL = 20_000, 200, 100
QUERIES = 200
SESSION = 20  # episodes in one

TEMPLATE = f"""
create unlogged table {SCHEMA}.template (
    place integer primary key, input text, output text, terms bytea, embedding public.vector
)
"""
FILL_TEMPLATE = f"""
insert into {SCHEMA}.template
select place, input, output, terms, embedding::public.vector
from unnest($1::int[], $2::text[], $3::text[], $4::bytea[], $5::text[])
    as t (place, input, output, terms, embedding)
"""
TENANTS = f"""
insert into {SCHEMA}.tenant (tenant, namespace, user_id, tx, at)
select tenant, 'default', user_id, size, $4
from unnest($1::text[], $2::text[], $3::int[]) as t (tenant, user_id, size)
"""
# In order of seq first: neighbours on a page belong to different tenants.
MADE = f"""
from unnest($1::text[], $2::int[]) as t (tenant, size)
cross join lateral generate_series(1, size) as seq
join {SCHEMA}.template on place = abs(hashint8(hashtext(tenant)::bigint * 1000003 + seq)) % {TEMPLATES}
order by seq, tenant
"""
EPISODES = f"""
insert into {SCHEMA}.episode (
    tenant, seq, id, digest, session_id, input, output, occurred_at, recorded_at, metadata,
    embedding_state, terms
)
select
    tenant, seq, 'e' || seq, '\\x00', 's' || (seq - 1) / {SESSION}, input, output, $3, $3, '{{}}',
    'ready', terms
{MADE}
"""
VECTORS = f"""
insert into {SCHEMA}.episode_vector (tenant, seq, chunk, embedding)
select tenant, seq, 0, embedding {MADE}
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Tenants of one size."""

    name: str
    size: int
    count: int

    def users(self) -> list[str]:
        return [f"{self.name}-{i}" for i in range(self.count)]


def stages(total: int) -> list[list[Group]]:
    """Return what is added on the way: to a hundredth of the total, to a tenth, to all of it."""
    first = total // 100 // MIDDLE
    second = total // 10 // MIDDLE - first
    rest = total - (first + second) * MIDDLE - LARGE
    small = total // 5_000  # about 200 of 5,000 tenants at one million
    middle = (rest - small * SMALL) // MIDDLE
    return [
        [Group("first", MIDDLE, first)],
        [Group("second", MIDDLE, second)],
        [Group("third", MIDDLE, middle), Group("small", SMALL, small), Group("large", LARGE, 1)],
    ]


async def prepare(conn: asyncpg.Connection, exchanges: Sequence[tuple[str, str]]) -> None:
    """Store the made-up exchanges as `remember` would have analysed and embedded them."""
    await conn.execute(TEMPLATE)
    terms = [packed([*analyze("\n".join(exchange)), *date_terms(AT)]) for exchange in exchanges]
    vectors = spelled(unit_vectors(len(exchanges)))
    inputs, outputs = zip(*exchanges, strict=True)
    await conn.execute(FILL_TEMPLATE, range(len(exchanges)), inputs, outputs, terms, vectors)


async def fill(conn: asyncpg.Connection, groups: Sequence[Group]) -> None:
    users = [(user, group.size) for group in groups for user in group.users()]
    keys = [Tenant("default", user).key for user, _ in users]
    sizes = [size for _, size in users]
    await conn.execute(TENANTS, keys, [user for user, _ in users], sizes, AT, timeout=None)
    await conn.execute(EPISODES, keys, sizes, AT, timeout=None)
    await conn.execute(VECTORS, keys, sizes, timeout=None)
    for table in ("tenant", "episode", "episode_vector"):
        await conn.execute(f"vacuum analyze {SCHEMA}.{table}", timeout=None)


async def ask(memory: Memory, users: Sequence[str], queries: Sequence[str], calls: int) -> dict[str, float]:
    """Recall from one user after the other, and check what comes back."""
    rng = np.random.default_rng(0)
    handles = [memory.user(user) for user in rng.permutation(users)]

    async def call(i: int) -> None:
        hits = await handles[i % len(handles)].recall(queries[i % len(queries)], limit=10)
        assert len(hits) == 10
        assert all(hit.signals.semantic is not None for hit in hits)

    await load(call, calls=max(calls // 10, 20))
    found = await load(call, calls=calls)
    return {
        "calls": calls,
        "p50_ms": significant(found.percentile(50)),
        "p99_ms": significant(found.percentile(99)),
    }


async def explain(dsn: str, tenant: Tenant, query: str, vector: Any) -> None:
    """Keep the plan of each statement, as the server makes it once and for all parameters."""
    folder = RESULTS / "plans"
    folder.mkdir(parents=True, exist_ok=True)
    sql = statements("episodes", schema=SCHEMA, vector="public")
    (spelling,) = spelled(vector[np.newaxis])
    calls: dict[str, tuple[object, ...]] = {
        "get": (tenant.key, "e7"),
        "page": (tenant.key, 100, 100),
        "newest": (tenant.key, 20),
        "by_seq": (tenant.key, [3, 50, 120]),
        "around": (tenant.key, [3, 50], ["s0", "s2"], 2),
        "sessions": (tenant.key, 0, 100),
        "count": (tenant.key,),
        "words": (tenant.key,),
        "meanings": (tenant.key, spelling, None),
        "unembedded": (tenant.key, 0, 100),
    }
    assert all(code(term) for term in analyze(query))
    conn = await asyncpg.connect(dsn)
    try:
        for mode in ("force_custom_plan", "force_generic_plan"):
            await conn.execute(f"set plan_cache_mode = {mode}")
            for name, parameters in calls.items():
                statement = sql[name].replace("{filters}", "")
                rows = await conn.fetch(f"explain (analyze, buffers) {statement}", *parameters)
                plan = "\n".join(row[0] for row in rows)
                assert "Seq Scan" not in plan, f"{name} reads a whole table:\n{plan}"
                (folder / f"{name}.txt").write_text(plan + "\n")
    finally:
        await conn.close()


async def main() -> None:
    options = arguments(__doc__, total=1_000_000, calls=1_000, quick={"total": 100_000})
    exchanges = made_up(TEMPLATES)
    queries = [" ".join(question.split()[2:8]) for question, _ in exchanges[:QUERIES]]
    vectors = unit_vectors(QUERIES, seed=1)
    embedder = Lookup(queries, vectors)
    results: list[dict[str, Any]] = []
    async with (
        server(options.postgres) as dsn,
        open_memory(postgres=dsn, schema=SCHEMA, migrate="auto", embedder=embedder, deadline=60.0) as memory,
    ):
        assert embedder.dimensions == DIMENSIONS
        conn = await asyncpg.connect(dsn)
        try:
            await prepare(conn, exchanges)
            users: list[str] = []
            total = tenants = 0
            for groups in stages(options.total):
                begin = time.perf_counter()
                await fill(conn, groups)
                filled = time.perf_counter() - begin
                users += [user for group in groups if group.size == MIDDLE for user in group.users()]
                total += sum(group.size * group.count for group in groups)
                tenants += sum(group.count for group in groups)
                of_middle = await ask(memory, users, queries, options.calls)
                results.append({"total": total, "tenants": tenants, "tenant": MIDDLE, **of_middle})
                print(f"{total:,} episodes of {tenants:,} tenants, filled in {filled:.0f} s: {of_middle}")
            of_large = await ask(memory, ["large-0"], queries, max(options.calls // 10, 10))
            results.append({"total": total, "tenants": tenants, "tenant": LARGE, **of_large})
            await explain(dsn, Tenant("default", users[0]), queries[0], vectors[0])
        finally:
            await conn.close()
        found = await versions(dsn)
    report(results)
    save("tenants", results, options=options, servers=found)


def report(results: Sequence[dict[str, Any]]) -> None:
    first = results[0]
    show(
        "recall on PostgreSQL, milliseconds",
        ["episodes in all", "tenants", "of the tenant", "p50", "p99", "p50 against the first row"],
        [
            (
                f"{row['total']:,}", f"{row['tenants']:,}", f"{row['tenant']:,}", f"{row['p50_ms']}",
                f"{row['p99_ms']}", f"{row['p50_ms'] / first['p50_ms']:.2f}x",
            )
            for row in results
        ],
    )  # fmt: skip


if __name__ == "__main__":
    anyio.run(main)
