"""What does an index give a user with 100,000 vectors, and what does it cost whom?

    python benchmarks/large_tenant.py [--postgres DSN] [--size 100000] [--queries 20] [--rounds 5]

Two users hold the same episodes, in sessions of 20, with vectors of 384 dimensions around centres: one has
an index, made by `index_vectors`, the other is searched exactly. Both are asked the same in turns. The
vectors alone are `meanings` on one side, and on the other what stands for it, asking for the nearest and
comparing the shortlist. A write is one `remember_many` of 50 episodes.

What the index finds is held against numpy: the share of the exact best 50 by cosine among what was compared.
"""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported

import anyio
import asyncpg
import numpy as np
from _made_up import DIMENSIONS, Lookup, made_up, unit_vectors
from _measure import (
    SCHEMA,
    Load,
    arguments,
    in_turns,
    load,
    save,
    server,
    show,
    shown,
    significant,
    spread,
    versions,
)
from recall import fill

from recollect import EpisodeDraft, Memory, Tenant, open_memory
from recollect._shortlist import NEAREST
from recollect.postgres.searching import _Asked
from recollect.postgres.vector_indexes import PREFIX, VectorIndex
from recollect.stores import Filters, Query

BEST = 50
BATCH = 50
WITH, WITHOUT, SMALL = "with an index", "without one", "a small user"


class Data:
    """Episodes around centres, questions near these, and more episodes to be written later."""

    def __init__(self, size: int, queries: int, more: int) -> None:
        exchanges = made_up(size + more)
        rng = np.random.default_rng(0)
        centres = unit_vectors(max(size // 200, 20))

        def around(count: int, seed: int) -> np.ndarray:
            found = centres[rng.integers(0, len(centres), count)] + 0.8 * unit_vectors(count, seed=seed)
            return found / np.linalg.norm(found, axis=1, keepdims=True)

        self.vectors, self.asked = around(size + more, 1), around(queries, 2)
        drafts = [
            EpisodeDraft(id=str(i), input=said, output=answer, session_id=str(i // 20))
            for i, (said, answer) in enumerate(exchanges)
        ]
        self.drafts, self.later = drafts[:size], drafts[size:]
        self.queries = [
            f"what about {' '.join(exchanges[i][0].split()[:10])}"
            for i in np.linspace(0, size - 1, queries).astype(int)
        ]
        texts = [f"{said}\n{answer}" for said, answer in exchanges]
        self.embedder = Lookup([*texts, *self.queries], np.concatenate([self.vectors, self.asked]))


async def found_by(memory: Memory, data: Data, size: int) -> dict[str, float]:
    """Return how much of what an exact search finds, one by the index finds."""
    episodes = memory._composition.archive.episodes
    nearest, same = [], {"semantic": [], "hybrid": []}
    for text, vector in zip(data.queries, data.asked, strict=True):
        found = await episodes.candidates(Tenant("default", WITH), Query((), vector, Filters(), limit=BEST))
        exact = data.vectors[:size] @ vector
        compared = ~np.isnan(found.cosine)
        assert not compared.all()
        assert np.abs(found.cosine - exact)[compared].max() < 1e-5
        nearest.append(compared[np.argsort(exact)[-BEST:]].mean())
        for mode, shares in same.items():
            wanted, given = [
                {hit.episode.id for hit in await memory.user(name).recall(text, mode=mode, limit=BEST)}
                for name in (WITHOUT, WITH)
            ]
            assert len(wanted) == len(given) == BEST
            shares.append(len(wanted & given) / BEST)
    return {
        "nearest": significant(float(np.mean(nearest))),
        **{mode: significant(float(np.mean(shares))) for mode, shares in same.items()},
    }


async def times(memory: Memory, data: Data, *, queries: int, rounds: int) -> dict[str, dict]:
    """Ask both users in turns: whole recalls, and the vectors alone."""

    def recalls(name: str, mode: str) -> Callable[[int], Awaitable]:
        return lambda i: memory.user(name).recall(data.queries[i % queries], mode=mode, limit=10)

    async def go(call: Callable[[int], Awaitable], _: int) -> Load:
        return await load(call, calls=queries)

    results = {}
    for mode in ("semantic", "hybrid"):
        sides = {name: partial(go, recalls(name, mode)) for name in (WITH, WITHOUT)}
        results[mode] = ratio(await in_turns(sides, rounds=rounds))
    return results


def ratio(found: dict[str, list[Load]]) -> dict:
    pairs = list(zip(found[WITH], found[WITHOUT], strict=True))
    return {
        **{name: spread(each.percentile(50) for each in loads) for name, loads in found.items()},
        "ratio": spread(a.percentile(50) / b.percentile(50) for a, b in pairs),
    }


async def vectors_alone(memory: Memory, data: Data, *, queries: int, rounds: int) -> dict:
    """Compare all vectors, or ask for the nearest and compare as many as a shortlist has."""
    search = memory._composition.archive.episodes._search
    without, words = Tenant("default", WITHOUT), Query((), None, Filters())
    seqs = (await memory._composition.archive.episodes.candidates(without, words)).seqs
    few = seqs[:: len(seqs) // 1_500]

    def asked(name: str, i: int) -> _Asked:
        (vector,) = search._given(data.asked[[i % queries]])
        return _Asked(VectorIndex(Tenant("default", name).key, DIMENSIONS), vector)

    async def exact(i: int) -> None:
        row = await search._meanings(asked(WITHOUT, i), unless_indexed=False)
        assert len(row["seqs"]) == 8 * len(seqs)

    async def indexed(i: int) -> None:
        assert len(await search._nearest(asked(WITH, i), NEAREST, None)) == NEAREST
        assert not np.isnan(await search._compared(asked(WITH, i), few, few)).any()

    async def go(call: Callable[[int], Awaitable], _: int) -> Load:
        return await load(call, calls=queries)

    sides = {WITH: partial(go, indexed), WITHOUT: partial(go, exact)}
    return ratio(await in_turns(sides, rounds=rounds))


async def writes(memory: Memory, data: Data, *, rounds: int) -> dict[str, dict]:
    """Write the same batches to each user in turns."""
    batches = [data.later[start : start + BATCH] for start in range(0, len(data.later), BATCH)]

    async def go(name: str, number: int) -> Load:
        mine = batches[number :: rounds + 1]
        return await load(lambda i: memory.user(name).remember_many(mine[i]), calls=len(mine))

    names = (WITH, WITHOUT, SMALL)
    found = await in_turns({name: partial(go, name) for name in names}, rounds=rounds)
    return {name: spread(each.percentile(50) for each in loads) for name, loads in found.items()}


async def index_bytes(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(
            "select sum(pg_relation_size(oid)) from pg_class where starts_with(relname, $1)", PREFIX
        )
    finally:
        await connection.close()


async def main() -> None:
    options = arguments(
        __doc__, quick={"size": 25_000, "queries": 10, "rounds": 3}, size=100_000, queries=20, rounds=5
    )
    size, asked = options.size, {"queries": options.queries, "rounds": options.rounds}
    data = Data(size, options.queries, more=(options.rounds + 1) * 4 * BATCH)
    async with server(options.postgres) as dsn:
        room = f"{dsn}{'&' if '?' in dsn else '?'}maintenance_work_mem=1GB"
        given = {"schema": SCHEMA, "embedder": data.embedder, "deadline": None}
        async with open_memory(postgres=room, migrate="auto", **given) as memory:
            await fill(memory.user(WITH), data.drafts)
            begin = perf_counter()
            assert (await memory.index_vectors()).built == 1
            seconds = perf_counter() - begin
            await fill(memory.user(WITHOUT), data.drafts)
            built = {"seconds": significant(seconds), "bytes": int(await index_bytes(dsn))}
            results = {
                "index": built,
                "found": await found_by(memory, data, size),
                "ms": {
                    "the vectors alone": await vectors_alone(memory, data, **asked),
                    **await times(memory, data, **asked),
                },
                "writes": await writes(memory, data, rounds=options.rounds),
            }
        servers = await versions(dsn)
    report(results)
    save("large_tenant", results, options=options, servers=servers)


def report(results: dict) -> None:
    index, found = results["index"], results["found"]
    show(
        f"an index made in {index['seconds']:g} s, of {index['bytes'] / 1e6:,.0f} MB",
        [f"of the exact best {BEST}", "share that is found"],
        [
            ("by cosine, among what is compared", f"{found['nearest']:.4g}"),
            ("of recall, semantic", f"{found['semantic']:.4g}"),
            ("of recall, hybrid", f"{found['hybrid']:.4g}"),
        ],
    )
    show(
        "time of a call in ms, median of the rounds; ratio with lowest and highest",
        ["what", WITH, WITHOUT, "ratio"],
        [
            (name, f"{r[WITH]['median']:.3g}", f"{r[WITHOUT]['median']:.3g}", shown(r["ratio"], " x"))
            for name, r in results["ms"].items()
        ],
    )
    show(
        f"time of a write of {BATCH} episodes in ms, median of the rounds, with lowest and highest",
        ["user", "ms"],
        [(name, shown(ms)) for name, ms in results["writes"].items()],
    )


if __name__ == "__main__":
    anyio.run(main)
