"""How fast do other memories store and search the same texts, with the same vectors, on the same PostgreSQL?

    python benchmarks/peers.py [--postgres DSN] [--rounds 3] [--calls 800]

LangGraph's AsyncPostgresStore and InMemoryStore, and mem0's AsyncMemory on pgvector with `infer=False`, so
that no language model has a part in it. They are installed in an environment of their own, with ours beside
them: `python3 noxfile.py peers`. What is not installed is left out, and named.

Each gets a database of its own on one server, and sixteen connections. Twenty tenants store texts from one
task and from 64; then each is asked for ten of its texts, with a question whose vector is near to one of
them. "Found" is the share of the questions that bring this one: it is the nearest of all, so that a search
that misses it has lost it. All take turns in one run.
"""

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio
import asyncpg
import numpy as np
from _made_up import DIMENSIONS, Lookup, made_up, unit_vectors
from _measure import (
    SCHEMA,
    Goal,
    Load,
    arguments,
    in_turns,
    installed,
    load,
    save,
    server,
    show,
    shown,
    spread,
    versions,
)

from recollect import open_memory

TENANTS = 20
TASKS = 64
CONNECTIONS = 16
LIMIT = 10
OURS, OURS_IN_PROCESS = "recollect, PostgreSQL", "recollect, in process"
PUT_MANY = f"put, {TASKS} tasks"
GOALS = (
    Goal(
        "`remember`, 64 tasks: rate", "LangGraph's AsyncPostgresStore.aput, the same texts and vectors",
        (PUT_MANY, "LangGraph AsyncPostgresStore", "our_rate_to_it"), at_least=15,
        bound="Our rate is lower here than in remember, in rounds of fewer calls and in turns with four "
        "others, while our Python has time left: what bounds it is not known. Theirs is what it is in this "
        "run.",
    ),
)  # fmt: skip

Put = Callable[[str, str, str], Awaitable[object]]
"""Stores a text of a tenant under a key."""

Search = Callable[[str, str], Awaitable[Sequence[str]]]
"""Returns the texts of a tenant that are nearest to a question."""


class Data:
    """Texts, questions that are nearest to one of them each, and the vectors of both."""

    def __init__(self, size: int) -> None:
        self.exchanges = made_up(size)
        self.texts = ["\n".join(exchange) for exchange in self.exchanges]
        self.questions = [f"what about {' '.join(text.split()[:8])}" for text in self.texts]
        vectors = unit_vectors(size)
        near = vectors + 0.7 * unit_vectors(size, seed=1)
        self.vectors = np.concatenate([vectors, near / np.linalg.norm(near, axis=1, keepdims=True)])
        both = [*self.texts, *self.questions]
        self.embedder = Lookup(both, self.vectors)
        self._lists = dict(zip(both, self.vectors.tolist(), strict=True))

    def one(self, text: str) -> list[float]:
        return self._lists[text]

    def many(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._lists[text] for text in texts]


@asynccontextmanager
async def ours(data: Data, dsn: str | None) -> AsyncGenerator[tuple[Put, Search]]:
    given = {} if dsn is None else {"postgres": dsn, "schema": SCHEMA, "migrate": "auto"}
    async with open_memory(**given, embedder=data.embedder, deadline=60.0) as memory:

        async def put(tenant: str, key: str, text: str) -> None:
            await memory.user(tenant).remember(*text.split("\n"), id=key)

        async def search(tenant: str, question: str) -> Sequence[str]:
            hits = await memory.user(tenant).recall(question, limit=LIMIT)
            return [f"{hit.episode.input}\n{hit.episode.output}" for hit in hits]

        yield put, search


@asynccontextmanager
async def langgraph(data: Data, dsn: str | None) -> AsyncGenerator[tuple[Put, Search]]:
    index: Any = {"dims": DIMENSIONS, "embed": data.many, "fields": ["text"]}
    async with AsyncExitStack() as stack:
        if dsn is None:
            from langgraph.store.memory import InMemoryStore

            store: Any = InMemoryStore(index=index)
        else:
            from langgraph.store.postgres.aio import AsyncPostgresStore

            pool: Any = {"min_size": CONNECTIONS, "max_size": CONNECTIONS}
            opened = AsyncPostgresStore.from_conn_string(dsn, pool_config=pool, index=index)
            store = await stack.enter_async_context(opened)
            await store.setup()

        async def put(tenant: str, key: str, text: str) -> None:
            await store.aput((tenant,), key, {"text": text})

        async def search(tenant: str, question: str) -> Sequence[str]:
            return [
                item.value["text"] for item in await store.asearch((tenant,), query=question, limit=LIMIT)
            ]

        yield put, search


@asynccontextmanager
async def mem0(data: Data, dsn: str | None) -> AsyncGenerator[tuple[Put, Search]]:
    with tempfile.TemporaryDirectory() as directory:
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": directory}
        from mem0 import AsyncMemory
        from mem0.embeddings.base import EmbeddingBase

        class Looked(EmbeddingBase):
            def embed(self, text: str, memory_action: str | None = None) -> list[float]:  # noqa: ARG002
                return data.one(text)

        logging.getLogger("mem0").setLevel(logging.ERROR)
        store = {
            "connection_string": dsn, "embedding_model_dims": DIMENSIONS, "collection_name": "mem0",
            "minconn": CONNECTIONS, "maxconn": CONNECTIONS,
        }  # fmt: skip
        nobody = {"provider": "openai", "config": {"api_key": "nobody is asked"}}
        memory = AsyncMemory.from_config(
            {
                "vector_store": {"provider": "pgvector", "config": store},
                "llm": nobody,
                "embedder": nobody,
                "history_db_path": f"{directory}/history.db",
            }
        )
        memory.embedding_model = Looked()

        async def put(tenant: str, _: str, text: str) -> None:
            await memory.add(text, user_id=tenant, infer=False)

        async def search(tenant: str, question: str) -> Sequence[str]:
            found = await memory.search(question, top_k=LIMIT, filters={"user_id": tenant})
            return [each["memory"] for each in found["results"]]

        try:
            yield put, search
        finally:
            memory.vector_store.connection_pool.close()


Open = Callable[[Data, str | None], Any]
CONTENDERS: dict[str, tuple[Open, bool]] = {
    OURS: (ours, True),
    "LangGraph AsyncPostgresStore": (langgraph, True),
    "mem0 AsyncMemory, pgvector": (mem0, True),
    OURS_IN_PROCESS: (ours, False),
    "LangGraph InMemoryStore": (langgraph, False),
}
"""How each is opened, and whether on the server."""


async def database(dsn: str, name: str, stack: AsyncExitStack) -> str:
    """Make a database that exists as long as the stack; return its DSN."""
    conn = await asyncpg.connect(dsn)
    stack.push_async_callback(conn.close)
    await conn.execute(f"drop database if exists {name} with (force)")
    await conn.execute(f"create database {name}")
    stack.push_async_callback(conn.execute, f"drop database if exists {name} with (force)")
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def measure(
    work: dict[str, Callable[[int], Awaitable[object]]],
    *,
    tasks: int,
    calls: int,
    rounds: int,
    first: int = 0,
) -> dict[str, list[Load]]:
    async def go(call: Callable[[int], Awaitable[object]], number: int) -> Load:
        return await load(lambda i: call(first + number * calls + i), calls=calls, tasks=tasks)

    return await in_turns({name: partial(go, call) for name, call in work.items()}, rounds=rounds)


def figures(found: dict[str, list[Load]]) -> dict[str, Any]:
    """Return rates and latencies, and our rate to each that stores where ours does."""

    def rival(name: str) -> str:
        return OURS if CONTENDERS[name][1] else OURS_IN_PROCESS

    return {
        name: {
            "rate": spread(each.rate for each in loads),
            "p50_ms": spread(each.percentile(50) for each in loads),
            "p99_ms": spread(each.percentile(99) for each in loads),
            "our_rate_to_it": spread(a.rate / b.rate for a, b in zip(found[rival(name)], loads, strict=True)),
        }
        for name, loads in found.items()
    }


class Peers:
    """What was opened, and the same work for each."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self.opened: dict[str, tuple[Put, Search]] = {}
        self.found: dict[str, int] = {}
        self.asked: dict[str, int] = {}

    def puts(self) -> dict[str, Callable[[int], Awaitable[object]]]:
        texts = self._data.texts
        return {
            name: lambda i, put=put: put(f"tenant{i % TENANTS}", f"key{i}", texts[i])
            for name, (put, _) in self.opened.items()
        }

    def searches(self, stored: int) -> dict[str, Callable[[int], Awaitable[object]]]:
        async def one(name: str, i: int) -> None:
            place = i * 7919 % stored
            texts = await self.opened[name][1](f"tenant{place % TENANTS}", self._data.questions[place])
            assert len(texts) <= LIMIT
            self.asked[name] += 1
            self.found[name] += self._data.texts[place] in texts

        self.asked, self.found = (dict.fromkeys(self.opened, 0) for _ in range(2))
        return {name: partial(one, name) for name in self.opened}


async def run(peers: Peers, *, calls: int, rounds: int) -> dict[str, Any]:
    few, results = calls // 4, dict[str, Any]()
    results["put, 1 task"] = figures(await measure(peers.puts(), tasks=1, calls=few, rounds=rounds))
    stored = few * (rounds + 1)
    many = await measure(peers.puts(), tasks=TASKS, calls=calls, rounds=rounds, first=stored)
    results[PUT_MANY] = figures(many)
    stored += calls * (rounds + 1)
    searches = peers.searches(stored)
    results["search, 1 task"] = figures(await measure(searches, tasks=1, calls=few, rounds=rounds))
    many = await measure(searches, tasks=TASKS, calls=calls, rounds=rounds)
    results[f"search, {TASKS} tasks"] = figures(many)
    results["found"] = {name: round(peers.found[name] / peers.asked[name], 3) for name in peers.opened}
    assert results["found"][OURS] == results["found"][OURS_IN_PROCESS] == 1
    return results


async def main() -> None:
    options = arguments(__doc__, rounds=3, calls=800, quick={"rounds": 2, "calls": 400})
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CONNECTIONS))  # mem0 works in threads
    data = Data((options.rounds + 1) * (options.calls + options.calls // 4))
    peers, missing = Peers(data), {}
    async with server(options.postgres) as dsn, AsyncExitStack() as stack:
        ours_at = None
        for number, (name, (opener, on_server)) in enumerate(CONTENDERS.items()):
            place = await database(dsn, f"{SCHEMA}_{number}", stack) if on_server else None
            ours_at = place if name == OURS else ours_at
            try:
                peers.opened[name] = await stack.enter_async_context(opener(data, place))
            except ImportError as exc:
                missing[name] = f"{exc}"
        results = await run(peers, calls=options.calls, rounds=options.rounds)
        found = await versions(ours_at)
    results["missing"] = missing
    report(results)
    found |= installed("langgraph", "langgraph-checkpoint-postgres", "mem0ai", "psycopg")
    save("peers", results, options=options, servers=found)


def report(results: dict[str, Any]) -> None:
    loads = [name for name in results if name not in {"found", "missing"}]
    show(
        f"the same work, {TENANTS} tenants; median of the rounds, ratios with lowest and highest",
        ["work", "", "calls/s", "p50 ms", "p99 ms", "our rate to it"],
        [
            (
                work if name == OURS else "",
                name,
                *(f"{r[figure]['median']:,}" for figure in ("rate", "p50_ms", "p99_ms")),
                "" if name in {OURS, OURS_IN_PROCESS} else shown(r["our_rate_to_it"], " x"),
            )
            for work in loads
            for name, r in results[work].items()
        ],
    )
    show(
        f"questions whose nearest text is among the {LIMIT} that are found",
        ["", "share"],
        [(name, f"{share:.3f}") for name, share in results["found"].items()]
        + [(name, f"not installed: {why}") for name, why in results["missing"].items()],
    )


if __name__ == "__main__":
    anyio.run(main)
