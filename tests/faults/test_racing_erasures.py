"""A vector that arrives while what it belongs to is erased goes with it; one that comes later stays out."""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import asyncpg
import pytest
from anyio.lowlevel import checkpoint

from recollect import Memory, open_memory
from recollect.postgres.upkeep import migrate_schema
from recollect.testing import FaultyEmbedder, HashEmbedder

from .interruption import HANGS

NO_GARBAGE = {"scopes": 0, "variables": 0, "episode_vectors": 0, "fact_vectors": 0, "marks": 0}
LATER = datetime.now(UTC) + timedelta(days=1)
ROUNDS = 30
LOOKS = 10
"""At the server between two calls, at most."""


LOCK = "hashtextextended('{schema}', 0)"

# Whoever writes a vector stops before it is committed, for as long as somebody holds the lock.
STOP = """
create function {schema}.stop() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared({lock});
    return null;
end $$;
create trigger stop after insert on {schema}.episode_vector
    for each statement execute function {schema}.stop();
create trigger stop after insert on {schema}.fact_vector
    for each statement execute function {schema}.stop();
create constraint trigger stop after delete on {schema}.episode
    deferrable initially deferred for each row execute function {schema}.stop();
create constraint trigger stop after delete on {schema}.fact_text
    deferrable initially deferred for each row execute function {schema}.stop();
"""

# Vectors whose owner is not there or not ready, and owners that are ready without one.
ASTRAY = """
select
    (select count(*) from {schema}.episode_vector v where not exists (
        select from {schema}.episode e
        where e.tenant = v.tenant and e.seq = v.seq and e.embedding_state = 'ready'
    )) + (select count(*) from {schema}.fact_vector v where not exists (
        select from {schema}.fact_text t
        where t.tenant = v.tenant and t.digest = v.digest and t.embedding_state = 'ready'
    )) + (select count(*) from {schema}.episode e where embedding_state = 'ready' and not exists (
        select from {schema}.episode_vector v where v.tenant = e.tenant and v.seq = e.seq
    )) + (select count(*) from {schema}.fact_text t where embedding_state = 'ready' and not exists (
        select from {schema}.fact_vector v where v.tenant = t.tenant and v.digest = t.digest
    ))
"""


class Bench:
    """A memory, and what is beside it: a connection that looks, and the lock that stops who writes."""

    def __init__(
        self, memory: Memory, embedder: FaultyEmbedder, watch: asyncpg.Connection, schema: str, name: str
    ) -> None:
        self.memory = memory
        self.alice = memory.user("alice")
        self.embedder = embedder
        self._watch = watch
        self._schema = schema
        self._name = name

    async def ask(self, sql: str) -> Any:
        return await self._watch.fetchval(sql.replace("{schema}", self._schema))

    async def check(self) -> None:
        """Every vector has its owner, and every owner its vector."""
        assert await self.ask(ASTRAY) == 0
        assert (await self.memory.gc()).model_dump(exclude={"dry_run", "users"}) == NO_GARBAGE

    async def say(self) -> str:
        """Say something of each kind, which gets no vector yet; return the id of the fact of its own."""
        told = self.alice.at(session_id="s")
        self.embedder.fault = "raises"
        await told.remember("I drink tea", embed="later", id="e")
        await told.facts.add("alice", "drinks", "tea", source="e")
        own = await told.facts.add("alice", "likes", "figs")
        self.embedder.fault = None
        return own.fact_id

    async def embed(self, kind: str) -> int:
        of_kind = self.alice.episodes if kind == "episode" else self.alice.facts
        return await of_kind.embed_pending()

    async def race(self, *calls: Callable[[], Awaitable[Any]]) -> Sequence[Any]:
        """Start calls, each when the one before it waits, let all of them go on, and return the results."""
        found: list[Any] = [None] * len(calls)

        async def call(at: int) -> None:
            found[at] = await calls[at]()

        with anyio.fail_after(HANGS):
            async with anyio.create_task_group() as tasks, self.holding():
                for at in range(len(calls)):
                    tasks.start_soon(call, at)
                    while await self.waiting() <= at:
                        await checkpoint()
        return found

    @asynccontextmanager
    async def holding(self) -> AsyncGenerator[None]:
        """Hold the lock that stops who writes."""
        await self.ask(f"select pg_advisory_lock({LOCK})")
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self.ask(f"select pg_advisory_unlock({LOCK})")

    async def waiting(self) -> int:
        return await self._watch.fetchval(
            "select count(*) from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'",
            self._name,
        )


@pytest.fixture
async def bench(
    named_dsn: str, postgres_dsn: str, schema: str, watch: asyncpg.Connection, application: str
) -> AsyncIterator[Bench]:
    await migrate_schema(postgres_dsn, schema=schema)
    await watch.execute(STOP.replace("{lock}", LOCK).replace("{schema}", schema))
    embedder = FaultyEmbedder(HashEmbedder(dimensions=2))
    async with open_memory(postgres=named_dsn, schema=schema, embedder=embedder, deadline=HANGS) as memory:
        yield Bench(memory, embedder, watch, schema, application)


FILTERS: dict[str, dict[str, Any]] = {
    "everything": {"everything": True},
    "session": {"session_id": "s"},
    "episodes": {"episode_ids": ["e"]},
    "facts": {"fact_ids": ["own"]},
    "instant": {"before": LATER},
}

# What is erased, what is embedded, and how much of the latter stays.
RACES = [
    ("everything", "episode", 0),
    ("everything", "fact", 0),
    ("session", "episode", 0),
    ("session", "fact", 0),
    ("episodes", "episode", 0),
    ("episodes", "fact", 1),
    ("facts", "fact", 1),
    ("instant", "episode", 0),
    ("instant", "fact", 0),
]

races = pytest.mark.parametrize(("what", "kind", "stays"), RACES)


def forgetting(bench: Bench, what: str, own: str) -> Callable[[], Awaitable[Any]]:
    filters = {"fact_ids": [own]} if what == "facts" else FILTERS[what]
    return partial(bench.alice.forget, **filters, verify=True)


@races
async def test_a_vector_goes_with_what_is_erased_while_it_arrives(
    bench: Bench, what: str, kind: str, stays: int
) -> None:
    forget = forgetting(bench, what, await bench.say())
    embedded, receipt = await bench.race(partial(bench.embed, kind), forget)
    assert embedded == (1 if kind == "episode" else 2)
    assert receipt.verified
    assert await bench.ask(f"select count(*) from {{schema}}.{kind}_vector") == stays
    await bench.check()
    await said_again(bench)


@races
async def test_a_vector_stays_out_that_arrives_after_what_it_belongs_to_was_erased(
    bench: Bench, what: str, kind: str, stays: int
) -> None:
    forget = forgetting(bench, what, await bench.say())
    receipt, embedded = await bench.race(forget, partial(bench.embed, kind))
    assert receipt.verified
    assert embedded == stays
    assert await bench.ask(f"select count(*) from {{schema}}.{kind}_vector") == stays
    await bench.check()
    await said_again(bench)


async def said_again(bench: Bench) -> None:
    """What was erased is said again, and found."""
    await bench.alice.remember("I drink tea", id="another")
    await bench.alice.facts.add("alice", "drinks", "tea")
    await bench.alice.facts.add("alice", "likes", "figs")
    await bench.embed("episode")
    await bench.embed("fact")
    await bench.check()
    for table in ("episode", "fact_text"):
        assert await bench.ask(f"select bool_and(embedding_state = 'ready') from {{schema}}.{table}")


# A vector that was left all the same, as earlier versions have left them.

LEAVE = {
    "episode": """
insert into {schema}.episode_vector (tenant, seq, chunk, embedding)
select tenant, seq, chunk, '[7,7]' from {schema}.episode, generate_series(0, 2) chunk
""",
    "fact": """
insert into {schema}.fact_vector (tenant, digest, embedding)
select tenant, digest, '[7,7]' from {schema}.fact_text
""",
}


@pytest.mark.parametrize(("kind", "count"), [("episode", 1), ("fact", 2)])
async def test_a_sweep_takes_no_vector_that_comes_in_the_place_of_one_that_was_left(
    bench: Bench, kind: str, count: int
) -> None:
    await bench.say()
    await bench.ask(LEAVE[kind])
    embedded, swept = await bench.race(partial(bench.embed, kind), partial(bench.memory.gc, dry_run=False))
    assert embedded == count
    assert (swept.episode_vectors, swept.fact_vectors) == (0, 0)
    await check_replaced(bench, kind, count)


async def test_a_sweep_takes_no_vector_of_a_fact_that_is_added_again(bench: Bench) -> None:
    alice = bench.alice
    await alice.facts.add("alice", "likes", "figs")
    await bench.ask("create table {schema}.kept as select tenant, digest from {schema}.fact_text")
    await alice.forget(everything=True)
    await bench.ask(LEAVE["fact"].replace("fact_text", "kept"))
    assert not (await alice.forget(before=LATER, verify=True)).verified
    fact, swept = await bench.race(
        partial(alice.facts.add, "alice", "likes", "figs"), partial(bench.memory.gc, dry_run=False)
    )
    assert fact.object == "figs"
    assert swept.fact_vectors == 0
    await check_replaced(bench, "fact", 1)


async def check_replaced(bench: Bench, kind: str, count: int) -> None:
    assert await bench.ask(f"select count(*) from {{schema}}.{kind}_vector") == count
    assert await bench.ask(f"select bool_and(embedding::text <> '[7,7]') from {{schema}}.{kind}_vector")
    await bench.check()


@pytest.mark.parametrize("vectors", [True, False], ids=["with vectors", "without"])
async def test_a_tenant_is_restored_over_vectors_that_were_left(bench: Bench, vectors: bool) -> None:
    alice, bob = bench.alice, bench.memory.user("bob")
    for user in (alice, bob):
        await user.remember("I drink tea")
        await user.facts.add("somebody", "likes", "figs")
    await bench.ask("create table {schema}.kept as select tenant, digest from {schema}.fact_text")
    await bench.ask("create table {schema}.told as select tenant, seq from {schema}.episode")
    await alice.forget(everything=True)
    here = " where tenant = 'default/alice'"
    await bench.ask(LEAVE["fact"].replace("fact_text", "kept") + here)
    await bench.ask(LEAVE["episode"].replace("{schema}.episode,", "{schema}.told,") + here)
    await alice.restore(await bob.export(vectors=vectors))
    await bench.embed("episode")
    await bench.embed("fact")
    for kind in ("episode", "fact"):
        await check_replaced(bench, kind, 2)


async def test_another_model_waits_for_a_vector_that_arrives_and_drops_it(
    bench: Bench, named_dsn: str, schema: str
) -> None:
    await bench.say()

    async def replace() -> None:
        async with open_memory(
            postgres=named_dsn,
            schema=schema,
            embedder=HashEmbedder(dimensions=3),
            on_embedding_mismatch="reembed",
            deadline=HANGS,
        ) as memory:
            assert await memory.user("alice").episodes.embed_pending() == 1

    embedded, _ = await bench.race(partial(bench.embed, "episode"), replace)
    assert embedded == 1
    assert await bench.ask("select array_agg(embedding::text ~ ',.*,') from {schema}.episode_vector") == [
        True
    ]
    assert await bench.embed("fact") == 0
    await bench.check()


# All of it at once.


async def test_after_many_races_no_vector_is_without_owner_and_no_owner_without_vector(
    bench: Bench, named_dsn: str, schema: str
) -> None:
    rng = random.Random(0)
    async with open_memory(
        postgres=named_dsn, schema=schema, embedder=bench.embedder, deadline=HANGS
    ) as other:
        memories = (bench.memory, other)
        landed = list[int]()
        for round in range(ROUNDS):
            kept = [fact.fact_id for fact in await bench.alice.facts.find()]
            chosen = rng.choice(
                [*FILTERS.values(), {"fact_ids": kept[:3]}, {"episode_ids": [f"{round - 1}-0"]}]
            )

            async def add(i: int, round: int = round) -> None:
                alice = rng.choice(memories).user("alice", session_id=rng.choice("st"))
                await alice.remember(f"word {rng.randrange(5)}", embed="later", id=f"{round}-{i}")
                await alice.facts.add("alice", "likes", rng.randrange(6))

            async def embed(kind: str) -> None:
                alice = rng.choice(memories).user("alice")
                of_kind = alice.episodes if kind == "episode" else alice.facts
                landed.append(await of_kind.embed_pending())

            async def forget(chosen: dict[str, Any] = chosen) -> None:
                await rng.choice(memories).user("alice").forget(**chosen)

            bench.embedder.fault = "raises"
            for n in range(3):
                await add(n)
            bench.embedder.fault = None
            calls: list[Callable[[], Coroutine[Any, Any, None]]]
            calls = [partial(add, 3), forget, *[partial(embed, kind) for kind in ("episode", "fact") * 2]]
            rng.shuffle(calls)
            async with anyio.create_task_group() as tasks, bench.holding():
                for call in calls:
                    tasks.start_soon(call)
                    for _ in range(rng.randrange(LOOKS)):
                        await bench.waiting()
            await bench.check()
        assert sum(landed) > ROUNDS
    assert (await bench.alice.forget(before=LATER, verify=True)).verified
    assert (await bench.alice.forget(everything=True, verify=True)).verified
