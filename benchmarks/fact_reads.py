"""How fast are facts read among a million of a thousand tenants, beside the same SELECTs on the bare driver?

    python benchmarks/fact_reads.py [--postgres DSN] [--rounds 5] [--calls 800] [--facts 1000000]

One subject's facts of a predicate: what holds now; what held at an instant, as it was known at a transaction;
and the timeline. The floor sends the statements that the call has sent, with the same arguments, and leaves
their rows as records.

The plans of the statements of every kind of read are kept beside the figures. None may read a whole table.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import asyncpg
from _measure import (
    RESULTS,
    SCHEMA,
    Goal,
    arguments,
    compared,
    in_turns,
    load,
    raw_pool,
    save,
    server,
    show_compared,
    versions,
)

from recollect import Memory, UserMemory, open_memory
from recollect.postgres.upkeep import migrate_schema

TENANTS = 1_000
USERS = 100
PAST = datetime(2024, 6, 1, tzinfo=UTC)
Read = Callable[[UserMemory, str, str], Awaitable[object]]

GOALS = (
    Goal(
        "`facts.find` current, 1M facts in 1,000 tenants: time", "the same SELECT", ("find", "time_to_floor"),
        at_most=1.3,
        bound="The statement is the same: what is above it is our Python, which makes a `Fact` of each row.",
    ),
)  # fmt: skip
Sent = list[list[tuple[Any, ...]]]

MEASURED: dict[str, Read] = {
    "find": lambda user, s, p: user.facts.find(s, p),
    "find as of": lambda user, s, p: user.facts.find(s, p, valid_at=PAST, known_at=900),
    "timeline": lambda user, s, p: user.facts.timeline(s, p),
}
EXPLAINED: dict[str, Read] = {
    **MEASURED,
    "find of a subject": lambda user, s, p: user.facts.find(s),
    "find of a predicate": lambda user, s, p: user.facts.find(predicate=p),
    "find of an object": lambda user, s, p: user.facts.find(object="value 7"),
    "find in a range": lambda user, s, p: user.facts.find(s, p, valid_during=(PAST, None)),
    "history": lambda user, s, p: user.facts.history(s, p),
    "related": lambda user, s, p: user.facts.related(s),
    "diff": lambda user, s, p: user.facts.diff(900, 910),
    "changes": lambda user, s, p: user.facts.changes(900, limit=20),
    "journal": lambda user, s, p: user.facts.journal(limit=20),
    "count": lambda user, s, p: user.facts.count(),
    "search": lambda user, s, p: user.recall_facts("value 7"),
}
FILL = (
    f"""
    insert into {SCHEMA}.tenant (tenant, namespace, user_id, tx, at)
    select 'full/user' || u, 'full', 'user' || u, $2, now() from generate_series(1, $1::int) u
    """,
    f"""
    insert into {SCHEMA}.assertion (
        tenant, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object, claimed_from, onset,
        confidence, sources, text_digest, hidden
    )
    select 'full/user' || u, n, 0, 'fact' || n, now(), 'assert', '', 'subject' || n % ($2 / 5), 'p' || n % 7,
        '', ('"value ' || n || '"')::json, '2024-01-01Z', true, 1, '{{}}', decode(md5(n::text), 'hex'), '{{}}'
    from generate_series(1, $1::int) u, generate_series(1, $2::int) n
    """,
    f"""
    insert into {SCHEMA}.fact (
        tenant, assertion_tx, assertion_seq, valid_from, tx_from, recorded_at, branch, subject, predicate,
        slot, object_digest, void
    )
    select
        tenant, tx, seq, claimed_from, tx, recorded_at, branch, subject, predicate, slot, text_digest, false
    from {SCHEMA}.assertion where tenant like 'full/%'
    """,
    f"analyze {SCHEMA}.fact",
    f"analyze {SCHEMA}.assertion",
)


class Watch:
    """A pool that notes what is sent over it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def __call__(self, connection: asyncpg.Connection) -> None:
        connection.add_query_logger(self.sent.append)

    async def statements(self, call: Awaitable[object]) -> list[tuple[Any, ...]]:
        """Return what a call sends to our tables, with its arguments."""
        self.sent.clear()
        await call
        return [(each.query, *each.args) for each in self.sent if SCHEMA in each.query]


async def fill(dsn: str, facts: int) -> None:
    await migrate_schema(dsn, schema=SCHEMA)
    conn = await asyncpg.connect(dsn)
    try:
        for statement in FILL:
            given = [TENANTS, facts // TENANTS][: 2 if "$2" in statement else statement.count("$1")]
            await conn.execute(statement, *given, timeout=1_200)
    finally:
        await conn.close()


def asked(memory: Memory, i: int, facts: int) -> tuple[UserMemory, str, str]:
    user = memory.user(f"user{1 + i % USERS * 37 % TENANTS}", namespace="full")
    return user, f"subject{i % (facts // TENANTS // 5)}", f"p{i % 7}"


async def measure(
    memory: Memory, sent: Sent, pool: asyncpg.Pool, read: Read, *, facts: int, calls: int, rounds: int
) -> dict[str, Any]:
    places = [asked(memory, i, facts) for i in range(len(sent))]

    async def ours(i: int) -> None:
        await read(*places[i % len(places)])

    async def floor(i: int) -> None:
        async with pool.acquire() as conn:
            for query, *args in sent[i % len(sent)]:
                await conn.fetch(query, *args)

    async def go(call: Callable[[int], Awaitable[None]], number: int) -> Any:
        return await load(lambda i: call(number * calls + i), calls=calls)

    found = await in_turns({"ours": partial(go, ours), "floor": partial(go, floor)}, rounds=rounds)
    return compared(found)


async def explain(memory: Memory, watch: Watch, dsn: str, facts: int) -> None:
    """Keep the plans of all reads of one user."""
    folder = RESULTS / "plans"
    folder.mkdir(parents=True, exist_ok=True)
    conn = await asyncpg.connect(dsn)
    try:
        for name, read in EXPLAINED.items():
            plans = []
            for query, *args in await watch.statements(read(*asked(memory, 3, facts))):
                rows = await conn.fetch(f"explain (analyze, buffers) {query}", *args)
                plans.append("\n".join(row[0] for row in rows))
                assert "Seq Scan on fact" not in plans[-1], f"{name} reads a whole table:\n{plans[-1]}"
                assert "Seq Scan on assertion" not in plans[-1], f"{name} reads a whole table:\n{plans[-1]}"
            assert plans, f"{name} asks nothing"
            (folder / f"facts {name}.txt".replace(" ", "_")).write_text("\n\n".join(plans) + "\n")
    finally:
        await conn.close()


async def main() -> None:
    options = arguments(__doc__, rounds=5, calls=800, facts=1_000_000, quick={"facts": 100_000})
    results = {}
    watch = Watch()
    async with server(options.postgres) as dsn:
        await fill(dsn, options.facts)
        async with (
            asyncpg.create_pool(dsn, min_size=0, init=watch) as watched,
            open_memory(postgres=watched, schema=SCHEMA) as seen,
            open_memory(postgres=dsn, schema=SCHEMA) as memory,
            raw_pool(dsn) as pool,
        ):
            for name, read in MEASURED.items():
                places = [asked(seen, i, options.facts) for i in range(700)]
                sent = [await watch.statements(read(*place)) for place in places]
                results[name] = await measure(
                    memory, sent, pool, read, facts=options.facts, calls=options.calls, rounds=options.rounds
                )
            await explain(seen, watch, dsn, options.facts)
        servers = await versions(dsn)
    report(results)
    save("fact_reads", results, options=options, servers=servers)


def report(results: dict[str, Any]) -> None:
    show_compared("reading facts from PostgreSQL, median of the rounds", results)


if __name__ == "__main__":
    anyio.run(main)
