"""The tenant map: bounded, leased, and one state per tenant at any moment."""

import logging
import random

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from recollect import ConfigurationError, LeaseError, Overloaded, TenantMap


class Monotonic:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def _visit(tenants: TenantMap, *names: str) -> None:
    for name in names:
        async with tenants.lease(name):
            pass


async def test_least_recently_used_idle_tenant_makes_room() -> None:
    tenants = TenantMap(lambda tenant: [tenant], capacity=2, ttl=60)
    for tenant in ("a", "b", "a", "c"):
        async with tenants.lease(tenant) as state:
            state.append("seen")
    async with tenants.lease("a") as state:
        assert state == ["a", "seen", "seen"]
    async with tenants.lease("b") as state:
        assert state == ["b"]
    assert len(tenants) == 2


async def test_idle_tenant_expires_but_leased_one_does_not() -> None:
    clock = Monotonic()
    tenants = TenantMap(lambda tenant: object(), capacity=4, ttl=10, now=clock)
    async with tenants.lease("held") as held:
        async with tenants.lease("idle") as idle:
            pass
        clock.now = 10
        await _visit(tenants, "other")
        async with tenants.lease("idle") as again, tenants.lease("held") as same:
            assert again is not idle
            assert same is held


async def test_lease_of_an_idle_tenant_revives_it_and_its_time() -> None:
    clock = Monotonic()
    tenants = TenantMap(lambda tenant: object(), ttl=10, now=clock)
    async with tenants.lease("a") as first:
        pass
    clock.now = 9
    await _visit(tenants, "a")
    clock.now = 18
    async with tenants.lease("a") as same:
        assert same is first


async def test_state_of_concurrent_leases_is_one() -> None:
    tenants = TenantMap(lambda tenant: object(), capacity=1, ttl=1)
    async with tenants.lease("a") as one, tenants.lease("a") as other:
        assert one is other
        assert (len(tenants), tenants.leased) == (1, 1)
    assert tenants.leased == 0


async def test_full_map_makes_a_lease_wait_and_then_lets_it_in() -> None:
    tenants = TenantMap(lambda tenant: tenant, capacity=1, ttl=60)
    entered = anyio.Event()

    async def second() -> None:
        async with tenants.lease("b"):
            entered.set()

    async with anyio.create_task_group() as tasks:
        async with tenants.lease("a"):
            tasks.start_soon(second)
            await wait_all_tasks_blocked()
            assert not entered.is_set()
        with anyio.fail_after(10):
            await entered.wait()


async def test_waiter_joins_as_soon_as_its_tenant_is_in() -> None:
    tenants = TenantMap(lambda tenant: tenant, capacity=1, ttl=60)
    both = anyio.Event()
    inside = 0

    async def visit() -> None:
        nonlocal inside
        async with tenants.lease("b"):
            inside += 1
            if inside == 2:
                both.set()
            await both.wait()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, tenants.lease("a"):
            tasks.start_soon(visit)
            tasks.start_soon(visit)
            await wait_all_tasks_blocked()


async def test_full_map_refuses_after_patience() -> None:
    tenants = TenantMap(lambda tenant: tenant, capacity=1, ttl=60, patience=0)
    async with tenants.lease("a"):
        with pytest.raises(Overloaded):
            await tenants.acquire("b")
        await _visit(tenants, "a")  # who is in may come in again
    await _visit(tenants, "b")


async def test_cancelled_waiter_takes_no_room() -> None:
    tenants = TenantMap(lambda tenant: tenant, capacity=1, ttl=60)
    async with tenants.lease("a"):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await tenants.acquire("b")
        assert scope.cancelled_caught
    assert tenants.leased == 0
    with anyio.fail_after(10):
        await _visit(tenants, "c")


async def test_release_without_an_acquire_is_an_error() -> None:
    tenants = TenantMap(lambda tenant: tenant, ttl=60)
    with pytest.raises(LeaseError):
        tenants.release("a")
    await _visit(tenants, "a")
    with pytest.raises(LeaseError):
        tenants.release("a")


async def test_dropped_state_is_handed_to_on_evict_first() -> None:
    dropped: list[tuple[str, str]] = []
    clock = Monotonic()
    tenants = TenantMap(
        str.upper,
        capacity=2,
        ttl=10,
        now=clock,
        on_evict=lambda tenant, state: dropped.append((tenant, state)),
    )
    await _visit(tenants, "a", "b", "c")
    assert dropped == [("a", "A")]
    clock.now = 20
    await _visit(tenants, "d")
    assert dropped == [("a", "A"), ("b", "B"), ("c", "C")]


async def test_failing_on_evict_fails_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    def fail(tenant: str, state: str) -> None:
        raise ValueError("kanarienvogel")

    tenants = TenantMap(str.upper, capacity=1, ttl=10, on_evict=fail)
    await _visit(tenants, "a", "b")
    assert len(tenants) == 1
    assert [(record.name, record.levelno) for record in caplog.records] == [("recollect", logging.ERROR)]


async def test_unsaved_state_is_kept_whatever_the_pressure() -> None:
    clock = Monotonic()
    unsaved = {"a"}
    tenants = TenantMap(
        lambda tenant: tenant,
        capacity=2,
        ttl=10,
        patience=0,
        now=clock,
        pinned=lambda state: state in unsaved,
    )
    await _visit(tenants, "a", "b", "c")
    clock.now = 100
    await _visit(tenants, "d", "e")
    assert len(tenants) == 2
    unsaved.clear()
    await _visit(tenants, "a", "f", "g")
    assert len(tenants) == 2


async def test_failing_factory_takes_no_room() -> None:
    def make(tenant: str) -> str:
        if tenant == "bad":
            raise ValueError(tenant)
        return tenant

    tenants = TenantMap(make, capacity=1, ttl=60, patience=0)
    with pytest.raises(ValueError, match="bad"):
        await tenants.acquire("bad")
    assert tenants.leased == len(tenants) == 0
    async with tenants.lease("good") as state:
        assert state == "good"


async def test_map_without_bounds_keeps_everybody() -> None:
    tenants = TenantMap(lambda tenant: object())
    await _visit(tenants, *map(str, range(1_000)))
    assert len(tenants) == 1_000


async def test_expired_tenants_go_by_and_by_and_never_all_at_once() -> None:
    clock = Monotonic()
    dropped: list[str] = []
    tenants = TenantMap(
        lambda tenant: tenant, ttl=10, now=clock, on_evict=lambda tenant, state: dropped.append(tenant)
    )
    await _visit(tenants, *map(str, range(1_000)))
    clock.now = 11
    most = 0
    for i in range(1_000):
        before = len(dropped)
        await _visit(tenants, f"new {i % 3}")
        most = max(most, len(dropped) - before)
    assert most <= 16
    assert len(tenants) == 3


@pytest.mark.parametrize("seed", range(5))
async def test_bound_holds_under_random_load(seed: int) -> None:
    rng = random.Random(seed)
    clock = Monotonic()
    tenants = TenantMap(lambda tenant: anyio.Lock(), capacity=3, ttl=1, now=clock)
    inside: dict[str, int] = {}

    async def client() -> None:
        for _ in range(60):
            tenant = rng.choice("abcdefg")
            clock.now += rng.choice([0, 0, 0.5])
            with anyio.CancelScope() as scope:
                if rng.random() < 0.3:
                    scope.cancel()
                async with tenants.lease(tenant) as lock, lock:
                    inside[tenant] = inside.get(tenant, 0) + 1
                    assert inside[tenant] == 1, "two tasks in one tenant's critical section"
                    assert len(tenants) <= 3
                    try:
                        await anyio.lowlevel.checkpoint()
                    finally:
                        inside[tenant] -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client)
    assert tenants.leased == 0


@pytest.mark.parametrize("options", [{"capacity": 0}, {"capacity": -1}, {"ttl": 0}, {"ttl": -1.0}], ids=str)
def test_impossible_sizes_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        TenantMap(lambda tenant: tenant, **options)
