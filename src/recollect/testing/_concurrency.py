"""Calls at the same time, and calls that are cancelled."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import numpy as np

from ..errors import EpisodeConflict, RecollectError
from ..stores import Archive, Filters, Query
from ..types import Episode, Tenant
from ._material import Check, episode, fresh_tenant, store, write


async def at_once(n: int, call: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run `call(0)` to `call(n - 1)` in a task each."""
    async with anyio.create_task_group() as tasks:
        for i in range(n):
            tasks.start_soon(call, i)


async def concurrent_appends_lose_and_double_nothing(archive: Archive) -> None:
    tenant = fresh_tenant()
    stored: list[Episode] = []

    async def append(n: int) -> None:
        for round in range(3):
            stored.extend(await store(archive, tenant, *(episode(id=f"{n}-{round}-{i}") for i in range(2))))

    await at_once(32, append)
    found, basis = await archive.episodes.page(tenant, Filters(), after=0, limit=1_000)
    assert sorted(stored, key=lambda each: each.seq) == list(found)
    assert len({each.id for each in found}) == len({each.seq for each in found}) == 32 * 3 * 2
    instants = [each.recorded_at for each in found]
    assert instants == sorted(set(instants))
    assert basis >= found[-1].seq


async def of_concurrent_writers_of_one_id_exactly_one_wins(archive: Archive) -> None:
    tenant = fresh_tenant()
    won: list[int] = []

    async def race(n: int) -> None:
        beside = [episode(f"beside {n}")] * (n % 2)  # every other write is one of two episodes
        try:
            await store(archive, tenant, episode(str(n), id="e"), *beside)
        except EpisodeConflict:
            return
        won.append(n)

    await at_once(16, race)
    found = await archive.episodes.get(tenant, "e")
    assert found is not None
    assert [str(n) for n in won] == [found.input]
    assert await archive.episodes.count(tenant) == 1 + won[0] % 2


async def calls_that_name_the_same_tenants_in_any_order_do_not_deadlock(archive: Archive) -> None:
    tenants = [fresh_tenant(str(i)) for i in range(6)]

    async def append(n: int) -> None:
        order = tenants[n % 6 :] + tenants[: n % 6]
        outcomes = await archive.episodes.append([write(tenant, episode()) for tenant in order[:: (-1) ** n]])
        assert not any(isinstance(outcome, RecollectError) for outcome in outcomes)

    await at_once(24, append)
    for tenant in tenants:
        assert await archive.episodes.count(tenant) == 24


async def a_reader_never_sees_a_part_of_a_write(archive: Archive) -> None:
    tenant, done = fresh_tenant(), anyio.Event()

    async def append() -> None:
        for _ in range(8):
            await store(archive, tenant, *(episode() for _ in range(5)))
        done.set()

    async def read() -> None:
        while not done.is_set():
            assert await archive.episodes.count(tenant) % 5 == 0
            found, _ = await archive.episodes.page(tenant, Filters(), after=0, limit=1_000)
            assert len(found) % 5 == 0

    async with anyio.create_task_group() as tasks:
        for call in (append, read, read):
            tasks.start_soon(call)


async def a_cancelled_append_is_all_or_nothing(archive: Archive) -> None:
    tenant = fresh_tenant()
    drafts = [episode(id=str(i)) for i in range(5)]
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store(archive, tenant, *drafts)
    assert await archive.episodes.count(tenant) in (0, 5)
    await store(archive, tenant, *drafts)
    assert await archive.episodes.count(tenant) == 5


def _calls(archive: Archive, tenant: Tenant, known: Episode) -> dict[str, Callable[[], Awaitable[object]]]:
    episodes, directory = archive.episodes, archive.directory
    unit = np.ones((1, 1), dtype=np.float32)
    return {
        "append": lambda: episodes.append([write(tenant, episode())]),
        "get": lambda: episodes.get(tenant, known.id),
        "page": lambda: episodes.page(tenant, Filters(), after=0, limit=1),
        "newest": lambda: episodes.newest(tenant, Filters(), limit=1),
        "by_seq": lambda: episodes.by_seq(tenant, [known.seq]),
        "around": lambda: episodes.around(tenant, [known], distance=1),
        "sessions": lambda: episodes.sessions(tenant, after=0, limit=1),
        "count": lambda: episodes.count(tenant),
        "candidates": lambda: episodes.candidates(tenant, Query(("a",), unit[0], Filters())),
        "unembedded": lambda: episodes.unembedded(tenant, limit=1),
        "set_vectors": lambda: episodes.set_vectors(tenant, {known.id: unit}),
        "users": lambda: directory.users(tenant.namespace, after=None, limit=1),
        "has_named_users": lambda: directory.has_named_users(tenant.namespace),
    }


async def every_call_notices_that_it_was_cancelled(archive: Archive) -> None:
    tenant = fresh_tenant()
    (known,) = await store(archive, tenant, episode(session_id="s"))
    for name, call in _calls(archive, tenant, known).items():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
        assert scope.cancelled_caught, f"{name} did not notice a pending cancellation"


CONCURRENCY_CHECKS: tuple[Check, ...] = (
    concurrent_appends_lose_and_double_nothing,
    of_concurrent_writers_of_one_id_exactly_one_wins,
    calls_that_name_the_same_tenants_in_any_order_do_not_deadlock,
    a_reader_never_sees_a_part_of_a_write,
    a_cancelled_append_is_all_or_nothing,
    every_call_notices_that_it_was_cancelled,
)
