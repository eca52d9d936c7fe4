"""What is extracted of an episode lands once, together with the mark that says so."""

from collections.abc import Sequence
from typing import Any

import anyio

from ..errors import NotFound, RecollectError
from ..stores import Archive
from ..stores.changes import Committed, Operation
from ..types import Tenant
from ._fact_material import (
    BORN,
    LIKES,
    change,
    check_projection,
    everything,
    fresh,
    objects,
    refused,
    since,
)
from ._material import Check, episode, fresh_namespace, store


async def _tell(archive: Archive, *ids: str, tenant: Tenant | None = None) -> Tenant:
    """Store episodes of a tenant that nobody has used."""
    told = await fresh(archive) if tenant is None else tenant
    for id in ids:
        await store(archive, told, episode(id=id))
    return told


async def _land(
    archive: Archive, tenant: Tenant, id: str, *operations: Operation, **fields: Any
) -> Committed:
    (outcome,) = await archive.facts.commit([change(tenant, *operations, consolidates=id, **fields)])
    if isinstance(outcome, RecollectError):
        raise outcome
    return outcome


def _likes(object: str, id: str) -> Operation:
    return since(object, 2020, predicate=LIKES, sources=(id,))


async def _left(archive: Archive, tenant: Tenant) -> Sequence[str]:
    """Return what is not consolidated, as every read says."""
    found = await archive.episodes.unconsolidated(tenant, after=0, limit=1_000)
    assert [each.seq for each in found] == sorted(each.seq for each in found), "not in order"
    assert await archive.episodes.count_unconsolidated(tenant) == len(found)
    listed = tenant.user_id in await archive.directory.unconsolidated(tenant.namespace, after=None, limit=10)
    assert listed == bool(found), "the directory says something else"
    return [each.id for each in found]


async def facts_of_an_episode_land_together_with_its_mark(archive: Archive) -> None:
    tenant = await _tell(archive, "a", "b")
    assert await _left(archive, tenant) == ["a", "b"]
    landed = await _land(archive, tenant, "a", _likes("tea", "a"), _likes("figs", "a"))
    assert landed.landed
    assert [entry.changed for entries in landed.entries for entry in entries] == [True, True]
    assert await _left(archive, tenant) == ["b"]
    assert await objects(archive, tenant) == ["figs", "tea"]
    await check_projection(archive, tenant)


async def facts_of_an_episode_land_once_whoever_comes_second(archive: Archive) -> None:
    tenant = await _tell(archive, "a")
    await _land(archive, tenant, "a", _likes("tea", "a"))
    before = await everything(archive, tenant)
    second = await _land(archive, tenant, "a", _likes("coffee", "a"))
    assert (second.landed, second.entries) == (False, ())
    assert await everything(archive, tenant) == before, "the second one has left something"


async def of_two_changes_at_once_one_consolidates(archive: Archive) -> None:
    tenant = await _tell(archive, "a", "b")
    changes = [
        change(tenant, _likes(f"{id} {n}", id), consolidates=id) for n in range(2) for id in ("a", "b")
    ]
    outcomes = await archive.facts.commit(changes)
    assert [isinstance(each, Committed) and each.landed for each in outcomes] == [True, True, False, False]
    assert await objects(archive, tenant) == ["a 0", "b 0"]
    assert await _left(archive, tenant) == []


async def many_who_race_for_an_episode_land_it_once(archive: Archive) -> None:
    tenant = await _tell(archive, *"abcde")
    landed: list[str] = []

    async def race(n: int, id: str) -> None:
        if (await _land(archive, tenant, id, _likes(f"{id} {n}", id))).landed:
            landed.append(id)

    async with anyio.create_task_group() as tasks:
        for n in range(4):
            for id in "abcde":
                tasks.start_soon(race, n, id)
    assert sorted(landed) == [*"abcde"]
    assert len(await objects(archive, tenant)) == 5
    assert await _left(archive, tenant) == []


async def an_episode_that_says_nothing_is_marked_too(archive: Archive) -> None:
    tenant = await _tell(archive, "a", "b")
    before = await everything(archive, tenant)
    assert (await _land(archive, tenant, "a")).landed
    assert await _left(archive, tenant) == ["b"]
    assert await everything(archive, tenant) == before, "a mark alone is no transaction of facts"
    assert not (await _land(archive, tenant, "a", _likes("tea", "a"))).landed


async def repeating_a_change_with_its_key_says_again_that_it_landed(archive: Archive) -> None:
    tenant = await _tell(archive, "a")
    said = _likes("tea", "a")
    first = await _land(archive, tenant, "a", said, key="k")
    again = await _land(archive, tenant, "a", said, key="k")
    assert (again.landed, again.tx) == (True, first.tx)
    assert [e.assertion.id for each in again.entries for e in each] == [said.id]


async def what_is_refused_leaves_its_episode_for_another_time(archive: Archive) -> None:
    tenant = await _tell(archive, "a", "b")
    await _land(archive, tenant, "a", since("Oslo", 2020, predicate=BORN, sources=("a",)))
    wrong = since("Bonn", 2020, predicate=BORN, sources=("b",))
    await refused(archive, tenant, wrong, consolidates="b")
    assert await _left(archive, tenant) == ["b"]
    assert (await _land(archive, tenant, "b", _likes("tea", "b"))).landed


async def episodes_that_are_passed_over_stay_to_be_consolidated(archive: Archive) -> None:
    tenant = await _tell(archive, *"abcdefg")
    for id, left in (("c", "abdefg"), ("b", "adefg"), ("f", "adeg"), ("a", "deg"), ("e", "dg")):
        await _land(archive, tenant, id, _likes(id, id))
        assert await _left(archive, tenant) == [*left]
    await _tell(archive, "h", tenant=tenant)
    assert await _left(archive, tenant) == ["d", "g", "h"]
    found = await archive.episodes.unconsolidated(tenant, after=0, limit=10)
    for n in range(len(found) + 1):
        after = found[n - 1].seq if n else 0
        rest = await archive.episodes.unconsolidated(tenant, after=after, limit=2)
        assert [each.seq for each in rest] == [each.seq for each in found[n : n + 2]]


async def an_episode_that_is_not_there_is_not_consolidated(archive: Archive) -> None:
    tenant = await _tell(archive, "a")
    assert isinstance(await refused(archive, tenant, consolidates="b"), NotFound)
    await archive.facts.erase(tenant, ["a"])
    assert isinstance(await refused(archive, tenant, _likes("tea", "a"), consolidates="a"), NotFound)
    assert isinstance(await refused(archive, tenant, consolidates="a"), NotFound), "a mark of what was erased"
    assert await objects(archive, tenant) == []


async def consolidating_touches_no_other_tenant(archive: Archive) -> None:
    ours, theirs = await _tell(archive, "a", "b"), await _tell(archive, "a", "b")
    await _land(archive, ours, "b")
    assert await _left(archive, ours) == ["a"]
    assert await _left(archive, theirs) == ["a", "b"]


async def the_directory_lists_who_has_something_to_consolidate(archive: Archive) -> None:
    namespace = fresh_namespace()
    users = [None, "a", "b", "c", "d"]
    for user in users:
        await _tell(archive, "x", "y", tenant=Tenant(namespace, user))
    done, half = Tenant(namespace, "b"), Tenant(namespace, "c")
    for id in "xy":
        await _land(archive, done, id, _likes("tea", id))
    await _land(archive, half, "y")
    # Facts advance the clock, too, and are nothing to be consolidated.
    await archive.facts.commit([change(done, since("figs", 2020, predicate=LIKES))])
    found: list[str | None] = []
    while page := await archive.directory.unconsolidated(
        namespace, after=found[-1] or "" if found else None, limit=2
    ):
        found += page
    assert found == [None, "a", "c", "d"]
    assert list(await archive.directory.unconsolidated(f"{namespace}x", after=None, limit=2)) == []


CONSOLIDATION_CHECKS: tuple[Check, ...] = (
    facts_of_an_episode_land_together_with_its_mark,
    facts_of_an_episode_land_once_whoever_comes_second,
    of_two_changes_at_once_one_consolidates,
    many_who_race_for_an_episode_land_it_once,
    an_episode_that_says_nothing_is_marked_too,
    repeating_a_change_with_its_key_says_again_that_it_landed,
    what_is_refused_leaves_its_episode_for_another_time,
    episodes_that_are_passed_over_stay_to_be_consolidated,
    an_episode_that_is_not_there_is_not_consolidated,
    consolidating_touches_no_other_tenant,
    the_directory_lists_who_has_something_to_consolidate,
)
