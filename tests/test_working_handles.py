"""Handles on working memory: when they are open, what they hold, and what goes with a tenant's place."""

from itertools import count
from typing import Any

import anyio
import pytest

from recollect import (
    IdempotencyConflict,
    Limits,
    Memory,
    MemoryClosed,
    Overloaded,
    Tenant,
    UserMemory,
    open_memory,
)
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.memory import open_tenants
from recollect.testing import Clock

from .conftest import Connect
from .working_calls import CALLS


@pytest.mark.parametrize("name", CALLS)
async def test_closed_memory_answers_nothing(sit: Connect, name: str) -> None:
    async with sit() as memory:
        alice = memory.user("alice")
        await alice.blocks.set("a", "b")
    with pytest.raises(MemoryClosed):
        await CALLS[name](alice)
    with pytest.raises(MemoryClosed):
        _ = alice.working.status


@pytest.mark.parametrize("name", CALLS)
async def test_call_whose_scope_is_cancelled_does_nothing(sit: Connect, name: str) -> None:
    async with sit() as memory:
        alice = memory.user("alice")
        await alice.blocks.set("a", "b")
        before = await alice.working.stats()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await CALLS[name](alice)
        assert scope.cancelled_caught
        assert await alice.working.stats() == before
        statistics = memory.statistics()
        assert (statistics.leased, statistics.waiting) == (0, 0)


def _memory(limits: Limits, evicted: list[tuple[Tenant, Any]], clock: Clock) -> Memory:
    working = InProcessWorking(clock=clock)

    def on_evict(tenant: Tenant, local: Any) -> None:
        evicted.append((tenant, local))

    archive = InProcessArchive(clock=clock)
    return Memory(archive=archive, working=working, limits=limits, clock=clock, on_evict=on_evict)


async def test_evicted_tenant_leaves_its_working_memory_to_who_is_told(clock: Clock) -> None:
    evicted: list[tuple[Tenant, Any]] = []
    memory = _memory(Limits(max_users=2), evicted, clock)
    alice, bob, carol = (memory.user(name) for name in ("alice", "bob", "carol"))
    for user in (alice, bob):
        await user.blocks.set("a", f"of {user.user_id}")
    await alice.blocks.list()
    assert evicted == []
    await carol.blocks.set("a", "of carol")
    ((tenant, desk),) = evicted
    assert tenant.user_id == "bob"
    (scope,) = desk.scopes.values()
    assert scope.space.blocks["a"].text == "of bob"
    assert [block.text for block in await alice.blocks.list()] == ["of alice"]
    assert await bob.blocks.list() == (), "what was evicted came back"
    assert (await bob.working.stats()).created_at is None


async def test_leased_tenant_keeps_its_working_memory(clock: Clock) -> None:
    evicted: list[tuple[Tenant, Any]] = []
    memory = _memory(Limits(max_users=2, patience=0.0), evicted, clock)
    async with memory.user("alice") as alice:
        await alice.variables.set("v", 1)
        for i in range(10):
            await memory.user(f"user {i}").variables.set("v", i)
        assert await alice.variables.get("v") == 1
        async with memory.user("bob"):
            with pytest.raises(Overloaded):
                await memory.user("carol").variables.set("v", 1)
    assert "alice" not in {tenant.user_id for tenant, _ in evicted}
    assert len(evicted) == 10


async def test_status_neither_admits_a_tenant_nor_keeps_it(clock: Clock) -> None:
    evicted: list[tuple[Tenant, Any]] = []
    memory = _memory(Limits(max_users=1), evicted, clock)
    await memory.user("alice").variables.set("v", 1)
    assert memory.user("bob").working.status.source == "local"
    assert memory.statistics().users == 1
    assert await memory.user("alice").variables.get("v") == 1
    assert evicted == []


def test_hundred_thousand_tenants_stay_within_the_bound_of_the_map() -> None:
    limits, evicted = Limits(max_users=1_000), count()

    async def use() -> None:
        working = InProcessWorking()
        tenants = open_tenants(limits, working, on_evict=lambda tenant, state: next(evicted))
        memory = Memory(archive=InProcessArchive(), working=working, tenants=tenants, limits=limits)
        for i in range(100_000):
            await memory.user(str(i)).variables.set("v", i)
            assert memory.statistics().users <= 1_000
        assert next(evicted) == 99_000
        found = {i: await memory.user(str(i)).variables.get("v") for i in (99_999, 99_001, 98_999)}
        assert found == {99_999: 99_999, 99_001: 99_001, 98_999: None}

    anyio.run(use)


async def test_handles_of_one_tenant_share_it(alice: UserMemory, seated_memory: Memory) -> None:
    again = seated_memory.user("alice")
    await alice.blocks.set("a", "1")
    assert await again.blocks.list() == await alice.blocks.list() != ()
    assert await alice.at(session_id="s").at(agent_id="a").blocks.list() == ()
    await seated_memory.user("alice", agent_id="a", session_id="s").blocks.set("a", "2")
    found = await alice.at(session_id="s").at(agent_id="a").blocks.get("a")
    assert found is not None
    assert found.text == "2"


async def test_note_is_added_once_under_its_key(alice: UserMemory) -> None:
    first = await alice.scratchpad.append("look it up", key="k")
    assert await alice.scratchpad.append("look it up", key="k") == first
    with pytest.raises(IdempotencyConflict):
        await alice.scratchpad.append("something else", key="k")
    assert await alice.scratchpad.entries() == (first,)


async def test_anonymous_tenant_has_a_place_of_its_own(seated_memory: Memory) -> None:
    anonymous, named = seated_memory.user(None), seated_memory.user("None")
    await anonymous.blocks.set("a", "of nobody")
    assert await named.blocks.list() == ()
    assert [block.text for block in await anonymous.blocks.list()] == ["of nobody"]


async def test_idle_session_is_forgotten_and_the_tenant_is_not(sit: Connect, clock: Clock) -> None:
    async with sit(limits=Limits(session_ttl=60.0)) as memory:
        alice = memory.user("alice")
        session = alice.at(session_id="s")
        for user in (alice, session):
            await user.blocks.set("a", "x")
        clock.advance(59)
        assert len(await session.blocks.list()) == 1
        clock.advance(59)
        assert len(await session.blocks.list()) == 1
        clock.advance(60)
        assert await session.blocks.list() == ()
        assert len(await alice.blocks.list()) == 1


async def test_who_opens_a_memory_is_told_what_is_evicted() -> None:
    evicted: list[str | None] = []

    def on_evict(tenant: Tenant, state: object) -> None:
        evicted.append(tenant.user_id)

    async with open_memory(limits=Limits(max_users=1), on_evict=on_evict) as memory:
        await memory.user("alice").blocks.set("a", "of alice")
        await memory.user("bob").blocks.set("a", "of bob")
    assert evicted == ["alice"]
