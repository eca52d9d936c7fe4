"""How long does `recall` take over 1,000 to 100,000 episodes of a tenant, beside the least that could do it?

    python benchmarks/recall.py [--postgres DSN] [--rounds 7] [--queries 20]

On PostgreSQL the floor is the SQL of the two legs, words and vectors, concurrently on two connections: the
same statements as ours, given the vector in the same format, their results left as bytes. Ranking, and
fetching the episodes found, are in our time only. In process the floor is one matrix product of numpy over
the same vectors.

numpy computes on one thread, on both sides: with more, a figure says how busy the other cores are.

Nothing is stored between two recalls. A question has as many words that are looked for, and as frequent ones,
as those of LoCoMo: five, in every seventh episode.

Both stores hold the same episodes, and are asserted to give the same answers.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from statistics import median

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported

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
    significant,
    spread,
    versions,
)
from pgvector import Vector

from recollect import EpisodeDraft, Memory, Tenant, UserMemory, open_memory
from recollect.postgres._sql import statements

ON_POSTGRES = (1_000, 10_000)
IN_PROCESS = (10_000, 100_000)
ON_SERVER = (
    "Above the two legs there are the ranking and a third round trip, which fetches the episodes that were "
    "found: a share of the time that gets smaller with more episodes."
)
IN_NUMPY = (
    "The floor is the product of vectors alone; ours counts words as well, standardises both legs over all "
    "episodes, spreads to neighbours and sessions, and ranks. And where nothing comes between two products, "
    "the second finds its vectors in the processor's cache: see what it takes *call by call*, in turns with "
    "ours."
)
GOALS = tuple(
    Goal(f"`recall`, {name} episodes: time", floor, (name, "ratio"), at_most=most, bound=bound)
    for name, floor, most, bound in (
        ("PostgreSQL, 1,000", "the two legs' SQL, concurrent on two connections", 1.3, ON_SERVER),
        ("PostgreSQL, 10,000", "the same", 1.3, ON_SERVER),
        ("in process, 10,000", "one numpy matrix product over the same vectors", 4, IN_NUMPY),
        ("in process, 100,000", "the same", 1.5, IN_NUMPY),
    )
)
LIMIT = 10
SESSION = 20


class Data:
    """Made-up episodes and queries, with vectors: a query is near one episode and shares words with it."""

    def __init__(self, size: int, queries: int) -> None:
        exchanges = made_up(size)
        self.vectors = unit_vectors(size)
        self.drafts = [
            EpisodeDraft(id=str(i), input=said, output=answer, session_id=str(i // SESSION))
            for i, (said, answer) in enumerate(exchanges)
        ]
        wanted = np.linspace(0, 900, queries).astype(int)  # among the first, which every size has
        self.queries = [f"what about {' '.join(exchanges[i][0].split()[:10])}" for i in wanted]
        noise = unit_vectors(queries, seed=1)
        near = self.vectors[wanted] + 0.7 * noise
        self.query_vectors = near / np.linalg.norm(near, axis=1, keepdims=True)
        texts = [f"{said}\n{answer}" for said, answer in exchanges]
        self.embedder = Lookup([*texts, *self.queries], np.concatenate([self.vectors, self.query_vectors]))


async def fill(user: UserMemory, drafts: Sequence[EpisodeDraft]) -> None:
    for start in range(0, len(drafts), 1_000):
        await user.remember_many(drafts[start : start + 1_000])
    assert await user.episodes.count() == len(drafts)


def ours(user: UserMemory, data: Data) -> Callable[[int], Awaitable]:
    async def call(i: int) -> None:
        found = await user.recall(data.queries[i % len(data.queries)], limit=LIMIT)
        assert len(found) == LIMIT

    return call


def two_legs(pool: asyncpg.Pool, user: UserMemory, data: Data) -> Callable[[int], Awaitable]:
    sql = statements("episodes", schema=SCHEMA, vector="public", binary=True)
    words, meanings = sql["words"].replace("{filters}", ""), sql["meanings"]
    vectors = [Vector(vector) for vector in data.query_vectors]
    key = Tenant(user.namespace, user.user_id).key

    async def fetch(statement: str, *given: Vector | None) -> None:
        async with pool.acquire() as conn:
            (row,) = await conn.fetch(statement, key, *given)
        assert row["seqs"]

    async def call(i: int) -> None:
        async with anyio.create_task_group() as legs:
            legs.start_soon(fetch, words)
            legs.start_soon(fetch, meanings, vectors[i % len(vectors)], None)

    return call


def product(data: Data, size: int) -> Callable[[int], Awaitable]:
    matrix = data.vectors[:size].copy()

    async def call(i: int) -> None:
        cosines = matrix @ data.query_vectors[i % len(data.query_vectors)]
        assert len(cosines) == size

    return call


async def verify(user: UserMemory, data: Data, size: int) -> list[list[str]]:
    """Return what every query finds. The cosines are those of numpy."""
    answers = []
    for query, vector in zip(data.queries, data.query_vectors, strict=True):
        found = await user.recall(query, limit=LIMIT)
        for hit in found:
            assert abs(hit.signals.semantic - float(data.vectors[int(hit.episode.id)] @ vector)) < 1e-5
        assert {hit.episode.id for hit in found} <= {str(i) for i in range(size)}
        answers.append([hit.episode.id for hit in found])
    return answers


async def measure(sides: dict[str, Callable[[int], Awaitable]], *, calls: int, rounds: int) -> dict:
    async def go(call: Callable[[int], Awaitable], number: int) -> Load:
        return await load(lambda i: call(number * calls + i), calls=calls)

    found = await in_turns({side: partial(go, call) for side, call in sides.items()}, rounds=rounds)
    result = {
        side: {
            "ms": spread(each.percentile(50) for each in loads),
            "client_cpu_us": spread(each.cpu_us for each in loads),
        }
        for side, loads in found.items()
    }
    pairs = zip(found["ours"], found["floor"], strict=True)
    return {**result, "ratio": spread(a.percentile(50) / b.percentile(50) for a, b in pairs)}


async def alternate(sides: dict[str, Callable[[int], Awaitable]], *, calls: int) -> dict:
    """Have the two take turns call by call: neither finds its data in the processor's cache."""

    async def go(call: Callable[[int], Awaitable], number: int) -> Load:
        return await load(lambda _: call(number), calls=1)

    found = await in_turns({side: partial(go, call) for side, call in sides.items()}, rounds=calls)
    medians = {side: median(each.seconds for each in loads) * 1e3 for side, loads in found.items()}
    return {"alternately_ms": {side: significant(value) for side, value in medians.items()}}


async def main() -> None:
    options = arguments(__doc__, rounds=7, queries=20, quick={"rounds": 3, "queries": 10})
    data = Data(max(*ON_POSTGRES, *IN_PROCESS), options.queries)
    rounds, calls = options.rounds, options.queries
    results: dict[str, dict] = {}
    answers: dict[tuple[str, int], list[list[str]]] = {}

    async def one(store: str, memory: Memory, size: int, floor: Callable[[UserMemory], Callable]) -> None:
        user = memory.user(f"holds {size}")
        await fill(user, data.drafts[:size])
        answers[store, size] = await verify(user, data, size)
        sides = {"ours": ours(user, data), "floor": floor(user)}
        measured = await measure(sides, calls=calls, rounds=rounds)
        results[f"{store}, {size:,}"] = {**measured, **await alternate(sides, calls=rounds * calls)}

    async with server(options.postgres) as dsn:
        async with (
            open_memory(
                postgres=dsn, schema=SCHEMA, migrate="auto", embedder=data.embedder, deadline=60
            ) as memory,
            raw_pool(dsn, size=2) as pool,
        ):
            for size in ON_POSTGRES:
                await one("PostgreSQL", memory, size, lambda user: two_legs(pool, user, data))
        servers = await versions(dsn)
    async with open_memory(embedder=data.embedder, deadline=60) as memory:
        for size in IN_PROCESS:
            await one("in process", memory, size, lambda _, size=size: product(data, size))
    both = [size for size in ON_POSTGRES if size in IN_PROCESS]
    for size in both:
        assert answers["PostgreSQL", size] == answers["in process", size]
    report(results)
    save("recall", results, options=options, servers=servers)


def report(results: dict) -> None:
    show(
        f"recall(limit={LIMIT}), median of the rounds; ratio with lowest and highest",
        [
            "store, episodes",
            "ours ms",
            "floor ms",
            "ratio",
            "our CPU ms",
            "call by call: ours ms",
            "floor ms",
        ],
        [
            (
                name,
                f"{r['ours']['ms']['median']:.3g}",
                f"{r['floor']['ms']['median']:.3g}",
                shown(r["ratio"], " x"),
                f"{r['ours']['client_cpu_us']['median'] / 1e3:.3g}",
                *(
                    f"{r['alternately_ms'][side]:.3g}" if "alternately_ms" in r else ""  # of an older run
                    for side in ("ours", "floor")
                ),
            )
            for name, r in results.items()
        ],
    )


if __name__ == "__main__":
    anyio.run(main)
