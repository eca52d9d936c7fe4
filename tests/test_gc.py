"""What nobody can ask for any more is counted, and goes; nothing else does."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import numpy as np
import pytest

from recollect import (
    EpisodeDraft,
    InvalidInput,
    Memory,
    MemoryClosed,
    Tenant,
    TenantMap,
    _garbage,
    open_memory,
)
from recollect.inprocess import InProcessArchive, InProcessWorking, _fact_tables
from recollect.inprocess._fact_tables import TextTable
from recollect.postgres import garbage
from recollect.postgres._sql import statements
from recollect.postgres.upkeep import migrate_schema
from recollect.stores.changes import FactText
from recollect.testing import Clock, HashEmbedder
from recollect.types import Garbage

from .beside import execute
from .conftest import Connect
from .faults.interruption import HANGS, cancelled_by_a_scope

NOTHING = Garbage(dry_run=True, users=0, scopes=0, variables=0, episode_vectors=0, fact_vectors=0, marks=0)
WEEK = 7 * 86_400.0


def removed(**counts: int) -> Garbage:
    return NOTHING.model_copy(update={"dry_run": False, **counts})


# All of it.


async def test_a_memory_in_use_has_no_garbage(connect: Connect) -> None:
    async with connect() as memory:
        alice = memory.user("alice")
        await alice.remember("I moved to Lisbon", session_id="s")
        await alice.facts.add("alice", "lives_in", "Lisbon", key="k")
        await alice.facts.add("alice", "likes", "tea", staged=False)
        await alice.at(session_id="s").variables.set("v", 1, ttl=60)
        before = await alice.export(vectors=True)
        found = await memory.gc(dry_run=False)
        assert (found.users, found.scopes, found.variables, found.marks) == (0, 0, 0, 0)
        assert await alice.export(vectors=True) == before
        assert (await alice.facts.add("alice", "lives_in", "Lisbon", key="k")).object == "Lisbon"
        assert await alice.export(vectors=True) == before


async def test_a_closed_memory_collects_nothing(connect: Connect) -> None:
    async with connect() as memory:
        pass
    with pytest.raises(MemoryClosed):
        await memory.gc()


@pytest.mark.parametrize("wrong", [0, 1, None, "no"], ids=repr)
async def test_whether_it_is_a_dry_run_is_said_by_a_bool(memory: Memory, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="dry_run"):
        await memory.gc(dry_run=wrong)


async def test_it_is_not_bounded_by_the_deadline(connect: Connect) -> None:
    async with connect() as memory:
        await memory.user("alice").remember("hello")
        parts = memory._composition
        hasty = Memory(archive=parts.archive, working=parts.working, deadline=1e-9)
        assert (await hasty.gc()).dry_run


# Working memory in process.


@pytest.fixture
async def idle(clock: Clock) -> AsyncIterator[Memory]:
    """A memory with a session that was idle for too long, and variables that have ended."""
    async with open_memory(clock=clock) as memory:
        alice = memory.user("alice")
        await alice.at(session_id="old").blocks.set("b", "text")
        await alice.at(session_id="old", agent_id="a").variables.set("v", 1)
        await alice.variables.set("kept", 1)
        await alice.variables.set("ended", 1, ttl=60)
        clock.advance(WEEK - 10)
        await alice.at(session_id="new").variables.set("ended", 1, ttl=1)
        await alice.at(session_id="new").variables.set("later", 1, ttl=60)
        clock.advance(30)  # nobody has come across the others since their time was over
        yield memory


async def test_sessions_and_variables_whose_time_is_over_go(idle: Memory) -> None:
    alice = idle.user("alice")
    assert await idle.gc() == NOTHING.model_copy(update={"scopes": 2, "variables": 2})
    assert await idle.gc(dry_run=False) == removed(scopes=2, variables=2)
    assert await idle.gc(dry_run=False) == removed()
    assert await alice.variables.items() == {"kept": 1}
    assert await alice.at(session_id="new").variables.items() == {"later": 1}


async def test_a_dry_run_removes_nothing(idle: Memory) -> None:
    assert await idle.gc() == await idle.gc()
    (desk,) = [idle._composition.tenants.peek(each) for each in idle._composition.tenants.known()]
    assert desk is not None
    assert len(desk.scopes) == 4


async def test_collecting_is_no_use_of_a_session(clock: Clock) -> None:
    async with open_memory(clock=clock) as memory:
        await memory.user("alice", session_id="s").blocks.set("b", "text")
        start = clock.now
        for _ in range(8):
            clock.advance(WEEK / 8)
            assert (await memory.gc()).scopes == (clock.now >= start + timedelta(seconds=WEEK))
        assert (await memory.gc(dry_run=False)).scopes == 1


async def test_users_who_were_idle_for_too_long_leave_the_tenant_map() -> None:
    now, evicted = [0.0], list[tuple[Tenant, Any]]()
    working = InProcessWorking()
    tenants = TenantMap[Tenant, Any](
        lambda _: working.local(),
        ttl=60,
        on_evict=lambda tenant, state: evicted.append((tenant, state)),
        now=lambda: now[0],
    )
    memory = Memory(archive=InProcessArchive(), working=working, tenants=tenants)
    for name in ("idle", "leased", "late"):
        await memory.user(name).blocks.set("b", name)
    async with memory.user("leased"):
        now[0] = 30
        await memory.user("late").blocks.get("b")
        now[0] = 60
        assert (await memory.gc()).users == 1
        assert len(tenants) == 3
        assert await memory.gc(dry_run=False) == removed(users=1)
        assert [tenant.user_id for tenant, _ in evicted] == ["idle"]
        assert {each.user_id for each in tenants.known()} == {"leased", "late"}
    assert await memory.user("late").blocks.render()
    assert await memory.user("idle").blocks.list() == ()


# Facts in process: vectors are moved together in parts, while others read and write.

BASIS = np.eye(16, dtype=np.float32)


def text(n: int, *, ready: bool = True) -> FactText:
    return FactText(
        bytes([n]), str(n), (str(n),), "ready" if ready else "pending", BASIS[n : n + 1] if ready else None
    )


def texts_with(*numbers: int) -> TextTable:
    """Return a table of the numbers, of which those that are negative were dropped."""
    texts = TextTable()
    for n in numbers:
        texts.add(text(abs(n)))
    texts.drop([bytes([-n]) for n in numbers if n < 0])
    return texts


def check_texts(texts: TextTable, *numbers: int) -> None:
    assert len(texts) == len(numbers)
    for n in range(16):
        cosines = texts.cosines([bytes([each]) for each in numbers], BASIS[n])
        assert cosines.tolist() == [float(each == n) for each in numbers]
    assert [texts.terms(bytes([n])) for n in numbers] == [(str(n),) for n in numbers]


def test_between_two_parts_facts_may_be_added_and_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fact_tables, "PART", 2)
    texts = texts_with(-1, 2, 3, -4, 5, -6)
    texts.add(text(7, ready=False))
    assert texts.blank == 3
    parts = texts.compact()
    assert next(parts) == 0
    texts.add(text(8))
    assert next(parts) == 0
    assert texts.set(bytes([7]), BASIS[7:8])
    assert sum(parts) == 3
    assert texts.blank == 0
    check_texts(texts, 2, 3, 5, 7, 8)
    texts.add(text(9))
    texts.drop([bytes([3])])
    check_texts(texts, 2, 5, 7, 8, 9)
    assert (texts.blank, sum(texts.compact()), texts.blank) == (1, 1, 0)
    check_texts(texts, 2, 5, 7, 8, 9)


@pytest.mark.parametrize("at", range(1, 4))
def test_what_is_dropped_between_two_parts_stays_dropped(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(_fact_tables, "PART", 2)
    texts = texts_with(-1, 2, 3, -4, 5)
    parts = texts.compact()
    assert [next(parts) for _ in range(at)] == [0] * at
    texts.drop([bytes([2])])
    assert sum(parts) == 0
    assert texts.blank == 3
    check_texts(texts, 3, 5)
    assert sum(texts.compact()) == 3
    check_texts(texts, 3, 5)


def test_vectors_of_another_model_do_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fact_tables, "PART", 2)
    texts = texts_with(-1, 2, 3)
    parts = texts.compact()
    assert next(parts) == 0
    texts.make_pending()
    assert sum(parts) == 0
    assert np.isnan(texts.cosines([bytes([2]), bytes([3])], BASIS[2])).all()


# In PostgreSQL.

LITTER = {Tenant("default", "alice"): 35, Tenant("default", "carol"): 7, Tenant("other", "dave"): 1}
"""Vectors of no episode of each tenant; of no fact there is one more."""

ALL_OF_IT = {"episode_vectors": 43, "fact_vectors": 46}

PUT = (
    """
insert into {schema}.tenant (tenant, namespace, user_id, tx, at, generation) values ($1, $2, $3, 9, now(), 1)
""",
    """
insert into {schema}.episode_vector (tenant, seq, chunk, embedding)
select $1, 1000000 + n / 2, n % 2, '[1,2]' from generate_series(1, $2) n
""",
    """
insert into {schema}.fact_vector (tenant, digest, embedding)
select $1, sha256(int4send(n)), '[1,2]' from generate_series(0, $2) n
""",
)


async def put_litter(dsn: str, schema: str) -> None:
    await migrate_schema(dsn, schema=schema)
    tenants, episodes, facts = (each.replace("{schema}", schema) for each in PUT)
    for tenant, count in LITTER.items():
        await execute(dsn, tenants, tenant.key, tenant.namespace, tenant.user_id)
        await execute(dsn, episodes, tenant.key, count)
        await execute(dsn, facts, tenant.key, count)


@pytest.fixture
async def littered(
    anyio_backend: object, postgres_dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Memory]:
    """A memory with vectors of what is not there, of users who hold something and of one who does not."""
    monkeypatch.setattr(garbage, "AT_ONCE", 10)
    await put_litter(postgres_dsn, schema)
    async with open_memory(
        postgres=postgres_dsn, schema=schema, embedder=HashEmbedder(dimensions=2)
    ) as memory:
        for name in ("alice", "bob"):
            user = memory.user(name)
            await user.remember_many([EpisodeDraft(f"{name} says {i}") for i in range(25)])
            await user.facts.add(name, "likes", "tea")
            await user.facts.add(name, "likes", "figs")
        await memory.user("dave", namespace="other").remember("hello")
        yield memory


async def exported(memory: Memory) -> list[Any]:
    return [
        await memory.user(tenant.user_id, namespace=tenant.namespace).export(vectors=True)
        for tenant in (*LITTER, Tenant("default", "bob"))
    ]


async def test_vectors_of_what_is_not_there_go_for_every_user_there_ever_was(littered: Memory) -> None:
    before = await exported(littered)
    hits = await littered.user("alice").recall("alice says 7")
    assert await littered.gc() == await littered.gc() == NOTHING.model_copy(update=ALL_OF_IT)
    assert await littered.gc(dry_run=False) == removed(**ALL_OF_IT)
    assert await littered.gc(dry_run=False) == removed()
    assert await exported(littered) == before
    assert await littered.user("alice").recall("alice says 7") == hits


async def test_what_several_collect_at_once_adds_up(littered: Memory) -> None:
    before, found = await exported(littered), list[Garbage]()

    async def collect() -> None:
        found.append(await littered.gc(dry_run=False))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(collect)
    assert sum(each.episode_vectors for each in found) == ALL_OF_IT["episode_vectors"]
    assert sum(each.fact_vectors for each in found) == ALL_OF_IT["fact_vectors"]
    assert await littered.gc() == NOTHING
    assert await exported(littered) == before


async def test_cancelled_anywhere_it_has_done_a_part_and_the_next_one_does_the_rest(
    littered: Memory,
) -> None:
    before, left, at = await exported(littered), ALL_OF_IT["episode_vectors"], 1
    with anyio.fail_after(HANGS):
        while await cancelled_by_a_scope(partial(littered.gc, dry_run=False), at):
            found = await littered.gc()
            assert found.episode_vectors <= left
            left, at = found.episode_vectors, at + 3
    assert await littered.gc() == NOTHING
    assert await exported(littered) == before


async def test_users_without_garbage_are_passed_page_by_page(
    littered: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_garbage, "PAGE", 1)
    assert await littered.gc(dry_run=False) == removed(**ALL_OF_IT)


async def test_what_is_embedded_only_now_finds_its_place_free(
    littered: Memory, postgres_dsn: str, schema: str
) -> None:
    dave, tenant = littered.user("dave", namespace="other"), Tenant("other", "dave")
    late = await dave.remember("embedded later", embed="later")
    sql = "insert into {schema}.episode_vector (tenant, seq, chunk, embedding) values ($1, $2, 0, '[1,2]')"
    await execute(postgres_dsn, sql.replace("{schema}", schema), tenant.key, late.seq)
    assert (await littered.gc(dry_run=False)).episode_vectors == ALL_OF_IT["episode_vectors"] + 1
    assert await dave.episodes.embed_pending() == 1
    assert await littered.gc() == NOTHING


@pytest.mark.parametrize("kind", ["episode_vectors", "fact_vectors"])
async def test_a_vector_that_has_come_since_somebody_looked_stays(
    littered: Memory, postgres_dsn: str, schema: str, kind: str
) -> None:
    before = await exported(littered)
    drop = statements("garbage", schema=schema, vector="public")[f"drop_{kind}"]
    table, keys = kind.removesuffix("s"), ("seq", "chunk") if kind == "episode_vectors" else ("digest",)
    for number, key in enumerate(keys, 2):
        drop = drop.replace(
            f"${number}::",
            f"(select array_agg({key} order by {keys[0]}) from {{schema}}.{table} where tenant = $1)::",
        )
    tenant = Tenant("default", "alice")
    await execute(postgres_dsn, drop.replace("{schema}", schema), tenant.key)
    assert await exported(littered) == before
    left = {**ALL_OF_IT, kind: ALL_OF_IT[kind] - LITTER[tenant] - (kind == "fact_vectors")}
    assert await littered.gc() == NOTHING.model_copy(update=left)
