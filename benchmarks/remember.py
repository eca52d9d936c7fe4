"""How fast does `remember` store an episode in PostgreSQL, beside hand-written SQL that does the same work?

    python benchmarks/remember.py [--postgres DSN] [--rounds 5] [--calls 6400]

The floor is raw asyncpg at its best: a pool of 16 that never resets a session, and one statement for an
episode that advances the tenant's clock row, stores the episode with its terms and stores its vector, in the
same tables with the same indexes. It is given everything ready made: terms, digest, the vector in pgvector's
binary format. "Usual" is the same statement as it is mostly written: the pool as it comes, the vector as a
list of floats. `remember` is given the text, and an embedder that looks vectors up: checking, analysing,
hashing, embedding and batching are in its time.

Three loads: one task; 64 tasks on one tenant; 64 tasks that go round 64 tenants.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from uuid import uuid4

import anyio
import asyncpg
import numpy as np
from _made_up import Lookup, made_up, unit_vectors
from _measure import (
    SCHEMA,
    Goal,
    Load,
    arguments,
    in_turns,
    load,
    raw_pool,
    save,
    server,
    show,
    shown,
    spread,
    versions,
)
from pgvector import Vector

from recollect import Memory, Tenant, open_memory
from recollect._analysis import analyze
from recollect._dates import date_terms
from recollect.postgres.terms import packed

# One episode and no more: no arrays to unnest, no joins, nothing that a single write does not need.
FLOOR = f"""
with clock as (
    insert into {SCHEMA}.tenant as t (tenant, namespace, user_id, tx, at)
    values ($1, $2, $3, 1, clock_timestamp())
    on conflict (tenant) do update
        set tx = t.tx + 1, at = greatest(clock_timestamp(), t.at + interval '1 microsecond')
    returning tx, at
), stored as (
    insert into {SCHEMA}.episode (
        tenant, seq, id, digest, session_id, input, output, occurred_at, recorded_at, metadata,
        embedding_state, terms
    )
    select $1, tx, $4, $5, $6, $7, $8, $9, at, '{{}}', 'ready', $10 from clock
    on conflict (tenant, id) do nothing
    returning seq, recorded_at
), embedded as (
    insert into {SCHEMA}.episode_vector (tenant, seq, chunk, embedding)
    select $1, seq, 0, $11::VECTOR from stored
)
select seq, recorded_at from stored
"""
CLIENT = (
    "What bounds it is our own Python on one core: checking, analysing, hashing, embedding and batching are "
    "in our time, and the floor is given all of it ready made. See *client CPU us* below: a million divided "
    "by it is what one core can do at most."
)
ALONE = (
    "One task waits for each call: a round trip to the server and back, and beside it our Python, in which "
    "the server has nothing to do. Batching gains nothing here."
)
FLOOR_WORK = "the same work per call: clock row, seq, row with terms and vector, one statement"
GOALS = (
    Goal(
        "`remember`, one task, PostgreSQL: rate", FLOOR_WORK, ("one task", "rate_to_floor"),
        at_least=1, bound=ALONE,
    ),
    *(
        Goal(
            f"`remember`, {load}: {figure}", "the same with a pool of 16", (load, f"{figure}_to_floor"),
            **goal, bound=CLIENT,
        )
        for load in ("64 tasks, one tenant", "64 tasks, 64 tenants")
        for figure, goal in (("rate", {"at_least": 3}), ("p99", {"at_most": 1}))
    ),
)  # fmt: skip
SESSION = "s"
FIGURES = ("rate", "p50_ms", "p99_ms", "client_cpu_us")


@dataclass(frozen=True, slots=True)
class Ready:
    """An episode as the floor is given it."""

    input: str
    output: str
    digest: bytes
    terms: bytes
    vector: Vector
    floats: list[float]


def ready(exchange: tuple[str, str], vector: np.ndarray, at: datetime) -> Ready:
    text = "\n".join(exchange)
    return Ready(
        *exchange,
        digest=blake2b(text.encode(), digest_size=16).digest(),
        terms=packed([*analyze(text), *date_terms(at)]),
        vector=Vector(vector),
        floats=vector.tolist(),
    )


def ours(
    memory: Memory, users: Sequence[str], exchanges: Sequence[tuple[str, str]]
) -> Callable[[int], Awaitable]:
    handles = [memory.user(user) for user in users]

    async def call(i: int) -> None:
        question, answer = exchanges[i % len(exchanges)]
        await handles[i % len(handles)].remember(question, answer, session_id=SESSION)

    return call


def by_hand(
    pool: asyncpg.Pool, users: Sequence[str], episodes: Sequence[Ready], *, binary: bool
) -> Callable[[int], Awaitable]:
    tenants = [Tenant("default", user) for user in users]
    statement = FLOOR.replace("VECTOR", "vector" if binary else "real[]::vector")

    async def call(i: int) -> None:
        tenant, episode = tenants[i % len(tenants)], episodes[i % len(episodes)]
        now = datetime.now(UTC)
        async with pool.acquire() as conn:
            row = await conn.fetchrow(
                statement, tenant.key, tenant.namespace, tenant.user_id, str(uuid4()), episode.digest,
                SESSION, episode.input, episode.output, now, episode.terms,
                episode.vector if binary else episode.floats,
            )  # fmt: skip
        assert row["seq"] > 0

    return call


async def verify(dsn: str, memory: Memory, users: Sequence[str], expected: int, exchanges, vectors) -> None:
    """Every call stored one episode with its vector, numbered without gaps, and it reads back."""
    conn = await asyncpg.connect(dsn)
    try:
        row = await conn.fetchrow(
            f"""
            select count(*), count(v.seq) as embedded, bool_and(tx = newest) as numbered
            from {SCHEMA}.episode e join {SCHEMA}.episode_vector v using (tenant, seq)
            join (
                select tenant, tx, (
                    select max(seq) from {SCHEMA}.episode i where i.tenant = t.tenant
                ) as newest
                from {SCHEMA}.tenant t
            ) as clock using (tenant)
            where tenant = any($1)
            """,
            [Tenant("default", user).key for user in users],
        )
        assert (row["count"], row["embedded"], row["numbered"]) == (expected, expected, True), row
        page = await memory.user(users[0]).episodes.list(limit=10)
        for episode in page:
            place = exchanges.index((episode.input, episode.output))
            stored = await conn.fetchval(
                f"select embedding::real[] from {SCHEMA}.episode_vector where tenant = $1 and seq = $2",
                Tenant("default", users[0]).key,
                episode.seq,
            )
            assert np.allclose(stored, vectors[place], atol=1e-6)
    finally:
        await conn.close()


async def measure(
    name: str, dsn: str, memory: Memory, pools, data, *, tasks: int, tenants: int, calls: int, rounds: int
):
    exchanges, episodes, vectors = data
    users = {side: [f"{name} {side} {i}" for i in range(tenants)] for side in ("ours", "floor", "usual")}
    sides = {
        "ours": ours(memory, users["ours"], exchanges),
        "floor": by_hand(pools[0], users["floor"], episodes, binary=True),
        "usual": by_hand(pools[1], users["usual"], episodes, binary=False),
    }

    async def go(call: Callable[[int], Awaitable], number: int) -> Load:
        return await load(lambda i: call(number * calls + i), calls=calls, tasks=tasks)

    found = await in_turns({side: partial(go, call) for side, call in sides.items()}, rounds=rounds)
    for side in sides:
        await verify(dsn, memory, users[side], calls * (rounds + 1), exchanges, vectors)
    result = {
        side: {
            "rate": spread(each.rate for each in loads),
            "p50_ms": spread(each.percentile(50) for each in loads),
            "p99_ms": spread(each.percentile(99) for each in loads),
            "client_cpu_us": spread(each.cpu_us for each in loads),
        }
        for side, loads in found.items()
    }
    return {
        "tasks": tasks,
        "tenants": tenants,
        "calls": calls,
        **result,
        "rate_to_floor": ratio(found, "floor", lambda each: each.rate),
        "rate_to_usual": ratio(found, "usual", lambda each: each.rate),
        "p99_to_floor": ratio(found, "floor", lambda each: each.percentile(99)),
    }


def ratio(found, other: str, figure: Callable[[Load], float]) -> dict[str, float]:
    """Ours to another, of the same round: what disturbed one disturbed the other."""
    return spread(figure(a) / figure(b) for a, b in zip(found["ours"], found[other], strict=True))


async def main() -> None:
    options = arguments(__doc__, rounds=5, calls=6_400, quick={"rounds": 3, "calls": 3_200})
    exchanges = made_up(12_000)
    vectors = unit_vectors(len(exchanges))
    now = datetime.now(UTC)
    data = (exchanges, [ready(e, v, now) for e, v in zip(exchanges, vectors, strict=True)], vectors)
    embedder = Lookup(["\n".join(exchange) for exchange in exchanges], vectors)
    results = {}
    async with (
        server(options.postgres) as dsn,
        open_memory(postgres=dsn, schema=SCHEMA, migrate="auto", embedder=embedder) as memory,
        raw_pool(dsn) as best,
        asyncpg.create_pool(dsn, min_size=16, max_size=16) as usual,
    ):
        for name, tasks, tenants, calls in (
            ("one task", 1, 1, options.calls // 4),
            ("64 tasks, one tenant", 64, 1, options.calls),
            ("64 tasks, 64 tenants", 64, 64, options.calls),
        ):
            results[name] = await measure(
                name,
                dsn,
                memory,
                (best, usual),
                data,
                tasks=tasks,
                tenants=tenants,
                calls=calls,
                rounds=options.rounds,
            )
        servers = await versions(dsn)
    report(results)
    save("remember", results, options=options, servers=servers)


def report(results) -> None:
    show(
        "remember on PostgreSQL, median of the rounds; ratios with lowest and highest",
        ["load", "", "calls/s", "p50 ms", "p99 ms", "client CPU us", "our rate to it", "our p99 to it"],
        [
            (
                name if side == "ours" else "",
                side,
                *(
                    f"{r[side][figure]['median']:,}"
                    for figure in ("rate", "p50_ms", "p99_ms", "client_cpu_us")
                ),
                "" if side == "ours" else shown(r[f"rate_to_{side}"], " x"),
                shown(r["p99_to_floor"], " x") if side == "floor" else "",
            )
            for name, r in results.items()
            for side in ("ours", "floor", "usual")
        ],
    )


if __name__ == "__main__":
    anyio.run(main)
