"""Facts of several tenants, calls at the same time, and calls that are cancelled."""

from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import anyio
import numpy as np

from ..errors import FactConflict, VersionConflict
from ..stores import Archive
from ..stores.changes import Committed
from ..types import Tenant
from ._fact_material import (
    ALWAYS,
    BORN,
    CITY,
    LIKES,
    NOW,
    change,
    check_projection,
    commit,
    correct,
    end,
    everything,
    filtered,
    find,
    fresh,
    objects,
    say,
    since,
    spans,
    text,
    timeline,
    year,
)
from ._material import HOSTILE, Check, episode, fresh_namespace, store


async def _at_once(n: int, call: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    async with anyio.create_task_group() as tasks:
        for i in range(n):
            tasks.start_soon(call, i)


async def tenants_with_the_same_facts_never_meet(archive: Archive) -> None:
    await fresh(archive)  # so that the rules are known
    facts, namespace = archive.facts, fresh_namespace()
    tenants = [Tenant(namespace, None), Tenant(namespace, "b"), Tenant(f"{namespace}/b", None)]
    tenants += [Tenant(namespace, name) for name in HOSTILE[:8]]
    unit = np.ones((1, 1), dtype=np.float32)
    for i, tenant in enumerate(tenants):
        given = since(f"of {i}", 2020, id="f")
        await commit(archive, tenant, given, key="k", session_id="s", vectors=unit if i % 2 else None)
        await commit(archive, tenant, since(f"staged {i}", 2020, staged=True, id="g"), session_id="s")
    for i, tenant in enumerate(tenants):
        assert await objects(archive, tenant) == [f"of {i}"]
        assert await objects(archive, tenant, branch="s") == [f"staged {i}"]
        assert await facts.count(tenant, NOW) == 1
        (slots,) = (await facts.get(tenant, ["f"])).values()
        assert [each.object for each in slots.log] == [f'"of {i}"']
        log, basis = await facts.changes(tenant, after=(0, 0), limit=10)
        assert ([each.id for each in log], basis) == (["f", "g"], 2)
        headers, _ = await facts.headers(tenant, session_id="s", before=None, limit=10)
        assert [len(each.after) for each in headers] == [1, 1]
        (linked,) = await facts.linked(tenant, ["anna"], filtered())
        assert linked.piece.assertion.object == f'"of {i}"'
        seen = await facts.candidates(tenant, filtered(), unit[0])
        assert [list(each) for each in seen.terms] == [["of", str(i)]]
        assert len(await facts.unembedded(tenant, limit=10)) == 2 - i % 2


async def changes_of_several_tenants_are_tried_at_once(archive: Archive) -> None:
    tenants = [await fresh(archive) for _ in range(3)]
    for tenant in tenants[:2]:
        await commit(archive, tenant, since("Paris", 2019, id="f"), key="k")
    rome = since("Rome", 2023)
    batches = [
        [
            change(tenant, since("Paris", 2018, id="f")),
            change(tenant, rome, key="r"),
            change(tenant, rome, key="r"),
            change(tenant, since("Oslo", 2024)),
        ]
        for tenant in tenants
    ]
    tried = await archive.facts.try_commit(batches)
    assert [each is None for each in tried[:2]] == [False, False]
    for tenant, changes, outcomes in zip(tenants, batches, tried, strict=True):
        known = tenant in tenants[:2]
        refused, *others = await archive.facts.commit(changes) if outcomes is None else outcomes
        assert isinstance(refused, FactConflict) == known
        assert [each.tx for each in others if isinstance(each, Committed)] == [2, 2, 3]
        first = [("Paris", 2019, 2023)] if known else [("Paris", 2018, 2023)]
        expected = spans([*first, ("Rome", 2023, 2024), ("Oslo", 2024, None)])
        assert await timeline(archive, tenant) == expected
        await check_projection(archive, tenant)


async def what_one_tenant_does_is_not_felt_by_another(archive: Archive) -> None:
    mine, theirs = await fresh(archive), await fresh(archive)
    for tenant in (mine, theirs):
        await store(archive, tenant, episode(id="a"))
        await commit(archive, tenant, since("Rome", 2020, id="f", sources=("a",)), session_id="s")
    before = await everything(archive, mine)
    await commit(archive, theirs, correct("f", "Oslo"), end(2022), session_id="s")
    await archive.facts.erase(theirs, ["a"])
    assert await everything(archive, mine) == before
    await commit(archive, mine, since("Rome", 2021, sources=("a",)))


async def concurrent_changes_equal_the_serial_order_of_their_transactions(archive: Archive) -> None:
    tenant, replay = await fresh(archive), await fresh(archive)
    said = [since(f"city {i % 5}", 2000 + (i * 7) % 11) for i in range(24)]
    order: dict[int, int] = {}

    async def write(n: int) -> None:
        (entry,) = await say(archive, tenant, said[n])
        if entry.changed:
            order[entry.assertion.tx] = n

    await _at_once(len(said), write)
    log, basis = await archive.facts.changes(tenant, after=(0, 0), limit=100)
    assert [each.tx for each in log] == sorted(order) == list(range(1, basis + 1))
    assert all(a.recorded_at < b.recorded_at for a, b in pairwise(log))
    for tx in sorted(order):
        await commit(archive, replay, said[order[tx]])
    for known in range(1, basis + 1):
        assert await timeline(archive, tenant, known=known) == await timeline(archive, replay, known=known)
    await check_projection(archive, tenant)


async def of_concurrent_corrections_exactly_one_wins(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Rome", 2020, id="f"))
    won: list[str] = []

    async def race(n: int) -> None:
        try:
            await commit(archive, tenant, correct("f", f"city {n}"))
        except VersionConflict:
            return
        won.append(f"city {n}")

    await _at_once(12, race)
    assert await objects(archive, tenant) == won
    assert len(won) == 1


async def of_concurrent_first_words_on_an_immutable_predicate_one_is_kept(archive: Archive) -> None:
    tenant = await fresh(archive)
    won: list[str] = []

    async def race(n: int) -> None:
        try:
            await commit(archive, tenant, since(f"day {n}", 1990, predicate=BORN))
        except FactConflict:
            return
        won.append(f"day {n}")

    await _at_once(12, race)
    assert await objects(archive, tenant) == won
    assert len(won) == 1


async def of_concurrent_changes_with_one_key_one_is_stored(archive: Archive) -> None:
    tenant = await fresh(archive)
    given = change(tenant, since("Rome", 2020), since("pizza", 2020, predicate=LIKES), key="k")
    results: list[object] = []

    async def write(_: int) -> None:
        results.extend(await archive.facts.commit([given]))

    await _at_once(12, write)
    assert all(each == results[0] for each in results)
    log, basis = await archive.facts.changes(tenant, after=(0, 0), limit=100)
    assert (len(log), basis) == (2, 1)


async def a_reader_never_sees_a_part_of_a_change(archive: Archive) -> None:
    tenant, done = await fresh(archive), anyio.Event()

    async def write() -> None:
        for i in range(8):
            cities = [since(f"city {i}", 2020 + i, subject=f"person {n}") for n in range(5)]
            await commit(archive, tenant, *cities)
        done.set()

    async def read() -> None:
        while not done.is_set():
            found = await find(archive, tenant)
            assert len(found) in (0, 5)
            assert len({fact.piece.assertion.tx for fact in found}) <= 1
            everywhen = await find(archive, tenant, during=ALWAYS)
            assert len(everywhen) % 5 == 0
            log, basis = await archive.facts.changes(tenant, after=(0, 0), limit=100)
            assert len(log) == 5 * basis

    async with anyio.create_task_group() as tasks:
        for call in (write, read, read):
            tasks.start_soon(call)


async def a_reader_beside_an_erasure_sees_all_of_it_or_nothing(archive: Archive) -> None:
    tenant, done = await fresh(archive), anyio.Event()
    for i in range(6):
        await store(archive, tenant, episode(id=f"e{i}"))
        cities = [since(f"city {i}", 2020 + i, subject=f"person {n}", sources=(f"e{i}",)) for n in range(5)]
        await commit(archive, tenant, *cities)

    async def erase() -> None:
        for i in reversed(range(6)):
            assert await archive.facts.erase(tenant, [f"e{i}"]) == 5
        done.set()

    async def read() -> None:
        while not done.is_set():
            found = await find(archive, tenant)
            assert len(found) in (0, 5)
            assert len({fact.piece.assertion.object for fact in found}) <= 1

    async with anyio.create_task_group() as tasks:
        for call in (erase, read, read):
            tasks.start_soon(call)
    assert await find(archive, tenant, during=ALWAYS) == []


async def erasing_beside_writing_loses_nothing(archive: Archive) -> None:
    tenant = await fresh(archive)
    for i in range(4):
        await store(archive, tenant, episode(id=f"e{i}"))
        await commit(archive, tenant, since(f"city {i}", 2010 + i, sources=(f"e{i}",)))

    async def work(n: int) -> None:
        if n % 2:
            await archive.facts.erase(tenant, [f"e{n // 2}"])
        else:
            await commit(archive, tenant, since(f"late {n}", 2020 + n))

    await _at_once(8, work)
    spans = await timeline(archive, tenant)
    assert [object for object, *_ in spans] == ["late 0", "late 2", "late 4", "late 6"]
    await check_projection(archive, tenant)


async def a_cancelled_commit_is_all_or_nothing(archive: Archive) -> None:
    tenant = await fresh(archive)
    given = change(tenant, *(since(f"food {i}", 2020, predicate=LIKES) for i in range(5)))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await archive.facts.commit([given])
    assert await archive.facts.count(tenant, NOW) in (0, 5)
    await archive.facts.commit([given])
    assert await archive.facts.count(tenant, NOW) == 5


def _calls(archive: Archive, tenant: Tenant) -> dict[str, Callable[[], Awaitable[object]]]:
    facts, unit = archive.facts, np.ones((1, 1), dtype=np.float32)
    said = since("Rome", 2020, id="f")
    return {
        "commit": lambda: facts.commit([change(tenant, since("Oslo", 2021))]),
        "commit of nothing": lambda: facts.commit([]),
        "get": lambda: facts.get(tenant, ["f"]),
        "find": lambda: facts.find(tenant, filtered(), after=None, limit=1),
        "count": lambda: facts.count(tenant, NOW),
        "slots": lambda: facts.slots(tenant, "anna", CITY, branch=None),
        "linked": lambda: facts.linked(tenant, ["anna"], filtered()),
        "changes": lambda: facts.changes(tenant, after=(0, 0), limit=1),
        "headers": lambda: facts.headers(tenant, session_id=None, before=None, limit=1),
        "known_at": lambda: facts.known_at(tenant, year(2024)),
        "candidates": lambda: facts.candidates(tenant, filtered(), unit[0]),
        "unembedded": lambda: facts.unembedded(tenant, limit=1),
        "set_vectors": lambda: facts.set_vectors(tenant, {text(said).digest: unit}),
        "erase": lambda: facts.erase(tenant, ["nothing"]),
        "erase of nothing": lambda: facts.erase(tenant, []),
        "verify": lambda: facts.verify(tenant),
        "adopt_predicates": lambda: archive.adopt_predicates({}, replace=False),
    }


async def every_call_of_facts_notices_that_it_was_cancelled(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Rome", 2020, id="f"))
    for name, call in _calls(archive, tenant).items():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
        assert scope.cancelled_caught, f"{name} did not notice a pending cancellation"


FACT_CONCURRENCY_CHECKS: tuple[Check, ...] = (
    tenants_with_the_same_facts_never_meet,
    changes_of_several_tenants_are_tried_at_once,
    what_one_tenant_does_is_not_felt_by_another,
    concurrent_changes_equal_the_serial_order_of_their_transactions,
    of_concurrent_corrections_exactly_one_wins,
    of_concurrent_first_words_on_an_immutable_predicate_one_is_kept,
    of_concurrent_changes_with_one_key_one_is_stored,
    a_reader_never_sees_a_part_of_a_change,
    a_reader_beside_an_erasure_sees_all_of_it_or_nothing,
    erasing_beside_writing_loses_nothing,
    a_cancelled_commit_is_all_or_nothing,
    every_call_of_facts_notices_that_it_was_cancelled,
)
