"""What the tenant map does per visit, counted and not timed."""

from collections.abc import Iterator
from typing import Any

import pytest

from recollect import TenantMap
from recollect._tenants import SWEEP


class Counted:
    """A tenant that counts how often it is looked up."""

    lookups = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        Counted.lookups += 1
        return self.number


def visit_all(tenants: TenantMap[Any, Any], visited: Iterator[Any]) -> None:
    for tenant in visited:
        tenants.admit(tenant)
        tenants.release(tenant)


def cost_of_five_visits(size: int, *, expired: bool) -> dict[str, int]:
    """Count what is done for new tenants in a map that is full, of idle ones or of expired ones."""
    counts = {"clock": 0, "evictions": 0}
    time = 0.0

    def now() -> float:
        counts["clock"] += 1
        return time

    def on_evict(tenant: object, state: object) -> None:
        counts["evictions"] += 1

    tenants = TenantMap(id, capacity=size, ttl=10, now=now, on_evict=on_evict)
    visit_all(tenants, map(Counted, range(size)))
    time = 11.0 if expired else 1.0
    counts = {"clock": 0, "evictions": 0}
    Counted.lookups = 0
    visit_all(tenants, map(Counted, range(size, size + 5)))
    return counts | {"lookups": Counted.lookups}


@pytest.mark.parametrize("expired", [False, True], ids=["full", "expired"])
def test_visit_costs_the_same_in_a_map_of_any_size(*, expired: bool) -> None:
    costs = [cost_of_five_visits(size, expired=expired) for size in (100, 1_000, 20_000)]
    assert costs[0] == costs[1] == costs[2]
    assert costs[0]["evictions"] == (5 * 2 * SWEEP if expired else 5)


def test_map_stays_bounded_over_a_million_tenants() -> None:
    counts = {"made": 0, "evicted": 0}

    def make(tenant: int) -> int:
        counts["made"] += 1
        return tenant

    def on_evict(tenant: int, state: int) -> None:
        counts["evicted"] += 1

    tenants = TenantMap(make, capacity=1_000, ttl=60.0, on_evict=on_evict, now=lambda: 0.0)
    for block in range(100):
        visit_all(tenants, iter(range(block * 10_000, (block + 1) * 10_000)))
        assert len(tenants) == 1_000
    assert counts == {"made": 1_000_000, "evicted": 999_000}
