"""The tenant map under random load: bounded, one state for each tenant, and none dropped that is needed."""

from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect import LeaseError, Overloaded, TenantMap

from . import virtual_time


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class State:
    """What the map keeps of a tenant: it knows how many hold it, and whether it must stay."""

    tenant: object
    holders: int = 0
    unsaved: bool = False


@dataclass
class Witness:
    """Makes states and sees them go: no tenant has two, and none goes that somebody needs."""

    living: dict[object, State] = field(default_factory=dict)
    evicted: list[object] = field(default_factory=list)

    def make(self, tenant: object) -> State:
        assert tenant not in self.living, "two states of one tenant"
        self.living[tenant] = State(tenant)
        return self.living[tenant]

    def on_evict(self, tenant: object, state: State) -> None:
        assert self.living.pop(tenant) is state, "evicted twice, or another one"
        self.evicted.append(tenant)
        if state.holders or state.unsaved:
            raise SystemExit("evicted while leased or pinned")  # an ordinary error would only be logged

    def map(self, **options: Any) -> TenantMap[Any, State]:
        return TenantMap(self.make, pinned=lambda state: state.unsaved, on_evict=self.on_evict, **options)


@pytest.fixture
def witness() -> Witness:
    return Witness()


@dataclass(frozen=True)
class Visit:
    """A lease; times are ticks, counted from its start, and `cancelled` may come before there is room."""

    at: int
    tenant: str
    stays: int
    cancelled: int
    unsaved: bool


visits = st.builds(
    Visit,
    at=st.integers(0, 8),
    tenant=st.sampled_from("abcdef"),
    stays=st.integers(0, 3),
    cancelled=st.sampled_from((0, 1, 2, 99, 99, 99)),
    unsaved=st.booleans(),
)


@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_bound_and_identity_hold_under_random_load(loop: str) -> None:
    @settings(max_examples=300)
    @given(
        st.lists(visits, max_size=16),
        st.integers(1, 3) | st.none(),
        st.sampled_from((0.5, 2.0, None)),
        st.sampled_from((0.25, 2.25, 50.25)),  # never at the moment of a release
    )
    def check(schedule: list[Visit], capacity: int | None, ttl: float | None, patience: float) -> None:
        witness = Witness()
        tenants = witness.map(capacity=capacity, ttl=ttl, patience=patience)
        bound = capacity or 99

        async def visit(each: Visit) -> None:
            await anyio.sleep_until(each.at)
            with anyio.move_on_after(each.cancelled):
                try:
                    async with tenants.lease(each.tenant) as state:
                        await stay(each, state)
                except Overloaded:
                    assert anyio.current_time() == each.at + patience
                    assert (
                        sum(bool(state.holders or state.unsaved) for state in witness.living.values())
                        == bound
                    )

        async def stay(each: Visit, state: State) -> None:
            assert state is witness.living[each.tenant]
            state.holders += 1
            try:
                assert len(tenants) <= bound
                await anyio.sleep(each.stays)
                assert state is witness.living[each.tenant]
            finally:
                state.holders -= 1
                state.unsaved = each.unsaved

        async def scenario() -> None:
            async with anyio.create_task_group() as tasks:
                for each in schedule:
                    tasks.start_soon(visit, each)
            assert tenants.leased == 0
            assert len(tenants) == len(witness.living) <= bound

        virtual_time.run(scenario, loop=loop)

    check()


moves = st.tuples(st.sampled_from(("admit", "admit", "release", "release", "pin", "wait")), st.integers(0, 5))


@settings(max_examples=400)
@given(st.lists(moves, max_size=60), st.integers(1, 4), st.sampled_from((3.0, None)))
def test_only_the_expired_and_the_longest_idle_beyond_the_bound_are_evicted(
    schedule: list[tuple[str, int]], capacity: int, ttl: float | None
) -> None:
    clock, witness = Clock(), Witness()
    tenants = witness.map(capacity=capacity, ttl=ttl, now=clock)
    leases: dict[int, int] = {}
    idle: dict[int, float] = {}  # longest first
    for move, number in schedule:
        before = len(witness.evicted)
        was_held = bool(leases.get(number))
        if move == "wait":
            clock.now += number
        elif move == "pin" and was_held:
            witness.living[number].unsaved ^= True
        elif move == "admit":
            state = tenants.admit(number)
            assert state is witness.living[number]
            if idle.pop(number, clock.now) <= clock.now - (ttl or 1e9):
                assert witness.evicted[before] == number  # its time was up: it starts anew
                before += 1
            state.holders += 1
            leases[number] = leases.get(number, 0) + 1
        elif move == "release" and was_held:
            leases[number] -= 1
            witness.living[number].holders -= 1
            unsaved = witness.living[number].unsaved
            tenants.release(number)
            if not leases[number] and not unsaved:
                idle[number] = clock.now
        elif move == "release":
            with pytest.raises(LeaseError):
                tenants.release(number)
        for tenant in witness.evicted[before:]:
            oldest = next(iter(idle))
            assert tenant == oldest
            expired = idle.pop(oldest) <= clock.now - (ttl or 1e9)
            held = sum(map(bool, leases.values()))
            pinned = len(witness.living) - held - len(idle)
            assert expired or held + pinned + len(idle) + 1 > capacity
        assert tenants.leased == sum(map(bool, leases.values()))
        assert len(tenants) == len(witness.living)
        if move in ("admit", "release") and number in leases:
            assert not idle or len(tenants) <= capacity


async def test_idle_tenant_expires_but_leased_and_pinned_ones_do_not(witness: Witness) -> None:
    clock = Clock()
    tenants = witness.map(capacity=4, ttl=10, now=clock)
    async with tenants.lease("held") as held:
        async with tenants.lease("pinned") as pinned:
            pinned.unsaved = True
        async with tenants.lease("idle") as idle:
            pass
        clock.now = 10
        async with tenants.lease("idle") as again, tenants.lease("held") as same:
            assert again is not idle
            assert same is held
        async with tenants.lease("pinned") as same:
            assert same is pinned
    assert witness.evicted == ["idle"]


async def test_idle_tenant_is_revived_until_its_time_is_up(witness: Witness) -> None:
    clock = Clock()
    tenants = witness.map(ttl=10, now=clock)
    async with tenants.lease("a") as first:
        pass
    for _ in range(5):
        clock.now += 9.999  # the time counts from the last lease
        async with tenants.lease("a") as state:
            assert state is first
    assert witness.evicted == []


async def test_pinned_tenant_goes_once_it_is_saved_and_released_again(witness: Witness) -> None:
    tenants = witness.map(capacity=1, patience=0)
    async with tenants.lease("a") as state:
        state.unsaved = True
    with pytest.raises(Overloaded):
        await tenants.acquire("b")
    async with tenants.lease("a") as state:
        state.unsaved = False
    async with tenants.lease("b"):
        assert witness.evicted == ["a"]


async def test_leases_add_up_and_a_release_too_many_is_an_error(witness: Witness) -> None:
    tenants = witness.map(capacity=1)
    for _ in range(3):
        await tenants.acquire("a")
    for _ in range(3):
        assert tenants.leased == 1
        tenants.release("a")
    assert tenants.leased == 0
    for tenant in ("a", "never seen"):
        with pytest.raises(LeaseError):
            tenants.release(tenant)
    assert len(tenants) == 1


async def test_lease_ends_when_its_block_fails(witness: Witness) -> None:
    tenants = witness.map(capacity=1)
    with pytest.raises(ValueError, match="mine"):
        async with tenants.lease("a"):
            raise ValueError("mine")
    assert tenants.leased == 0
