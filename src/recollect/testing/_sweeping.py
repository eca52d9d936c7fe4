"""What is swept away is nothing that could be read, and nothing that was promised."""

from collections.abc import Sequence

import anyio
import numpy as np

from ..errors import Conflict, EpisodeConflict, IdempotencyConflict
from ..stores import Archive, Erasure, Filters, Query
from ..stores.garbage import Leftovers
from ..types import Tenant
from ._fact_material import (
    ALWAYS,
    LIKES,
    change,
    check_projection,
    commit,
    everything,
    filtered,
    fresh,
    objects,
    since,
    text,
)
from ._material import Check, episode, fresh_namespace, store, write
from ._transferring import dumped, plain

VECTORS = np.eye(8, dtype=np.float32)
ROUNDS = 6


async def _furnish(archive: Archive, tenant: Tenant) -> None:
    """Put something of each kind there, and forget about half of it in every way that there is."""
    for i in range(ROUNDS):
        vectors = VECTORS[i : i + 1]
        session = f"s{i % 3}"
        await store(archive, tenant, episode(f"word{i}", id=f"e{i}", session_id=session, vectors=vectors))
        food = since(f"food {i}", 2020, predicate=LIKES, sources=(f"e{i}",))
        await commit(archive, tenant, food, vectors=vectors, session_id=session)
        await commit(archive, tenant, since(f"city {i}", 2000 + i), vectors=vectors, session_id=session)
    await commit(archive, tenant, consolidates="e3")  # those before it are passed over
    named = since("named", 2020, predicate=LIKES)
    await commit(archive, tenant, named, vectors=VECTORS[7:])
    await archive.erase(tenant, Erasure(fact_ids=frozenset({named.id})))
    await archive.erase(tenant, Erasure(episode_ids=frozenset({"e1"})))
    await archive.erase(tenant, Erasure(session_id="s2"))
    await archive.facts.erase(tenant, ["e3"])


async def _observed(archive: Archive, tenant: Tenant) -> Sequence[object]:
    """Return all that can be read, vectors by what they are found by."""
    found = await archive.facts.candidates(tenant, filtered(during=ALWAYS), VECTORS[4])
    seen = await archive.episodes.candidates(tenant, Query(("word0",), VECTORS[4], Filters()))
    assert found.cosine is not None
    assert seen.cosine is not None
    waiting = await archive.episodes.unconsolidated(tenant, after=0, limit=100)
    return (
        plain(await dumped(archive, tenant)),
        await everything(archive, tenant),
        [(each.piece.assertion.object, found.cosine[i]) for i, each in enumerate(found.facts)],
        [tuple(words) for words in found.terms],
        (seen.seqs.tolist(), seen.cosine.tolist(), dict(seen.frequencies)),
        [each.id for each in waiting],
        await archive.episodes.count_unconsolidated(tenant),
        [each.digest for each in await archive.facts.unembedded(tenant, limit=100)],
        await archive.generation(tenant),
        (await archive.transfers.survey(tenant)).tombstones,
    )


async def what_can_be_read_is_the_same_after_a_sweep(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    before = await _observed(archive, tenant)
    await archive.sweep(tenant, dry_run=False)
    assert await _observed(archive, tenant) == before
    await check_projection(archive, tenant)
    assert await archive.left(tenant, Erasure(session_id="s2")) == 0


async def a_dry_run_removes_nothing_and_counts_what_a_sweep_removes(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    before = await _observed(archive, tenant)
    counted = await archive.sweep(tenant, dry_run=True)
    assert await _observed(archive, tenant) == before
    assert await archive.sweep(tenant, dry_run=True) == counted, "a dry run has removed something"
    assert await archive.sweep(tenant, dry_run=False) == counted
    assert await archive.sweep(tenant, dry_run=False) == Leftovers(), "something was not removed"


async def a_tenant_of_which_nothing_was_erased_has_nothing_to_sweep(archive: Archive) -> None:
    tenant = await fresh(archive)
    assert await archive.sweep(tenant, dry_run=False) == Leftovers()
    assert await archive.directory.users(tenant.namespace, after=None, limit=5) in ((), []), "it made one"
    for i in range(ROUNDS):
        await store(archive, tenant, episode(id=f"e{i}", vectors=VECTORS[i : i + 1]))
        await commit(archive, tenant, since(f"city {i}", 2000 + i), vectors=VECTORS[i : i + 1])
    await commit(archive, tenant, consolidates="e3")
    assert await archive.sweep(tenant, dry_run=False) == Leftovers()


async def writing_goes_on_after_a_sweep(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    await archive.sweep(tenant, dry_run=False)
    await store(archive, tenant, episode("later", id="later", vectors=VECTORS[6:7]))
    await commit(archive, tenant, since("city 9", 2009), vectors=VECTORS[6:7])
    late = since("unembedded", 2020, predicate=LIKES)
    await commit(archive, tenant, late)
    assert await archive.facts.set_vectors(tenant, {text(late).digest: VECTORS[5:6]}) == 1
    for id in ("e0", "later"):
        assert (await commit(archive, tenant, consolidates=id)).landed
    expected = {'"city 9"': VECTORS[6], '"unembedded"': VECTORS[5], '"city 4"': VECTORS[4]}
    found = await archive.facts.candidates(tenant, filtered(during=ALWAYS), VECTORS[6])
    assert found.cosine is not None
    seen = {each.piece.assertion.object: found.cosine[i] for i, each in enumerate(found.facts)}
    assert {object: seen[object] for object in expected} == {
        object: float(vector @ VECTORS[6]) for object, vector in expected.items()
    }


async def what_was_promised_holds_after_a_sweep(archive: Archive) -> None:
    tenant = await fresh(archive)
    kept = change(tenant, since("tea", 2020, predicate=LIKES), key="kept")
    gone = change(tenant, since("figs", 2020, predicate=LIKES), key="gone", session_id="s")
    again = episode("again", id="again")
    forgotten = episode("forgotten", id="forgotten", session_id="s")
    await store(archive, tenant, again, forgotten)
    outcomes = [(await archive.facts.commit([each]))[0] for each in (kept, gone)]
    await archive.erase(tenant, Erasure(session_id="s"))
    await archive.sweep(tenant, dry_run=False)
    assert await archive.facts.commit([kept]) == outcomes[:1], "the key is not known any more"
    (other,) = await archive.facts.commit([change(tenant, since("ham", predicate=LIKES), key="kept")])
    assert isinstance(other, IdempotencyConflict)
    (late,) = await archive.facts.commit([gone])
    assert isinstance(late, Conflict), "what was forgotten came back under its key"
    (back,) = await archive.episodes.append([write(tenant, forgotten)])
    assert isinstance(back, EpisodeConflict), "what was forgotten came back under its id"
    assert [each.id for each in await store(archive, tenant, again)] == ["again"]
    assert await objects(archive, tenant) == ["tea"]


async def sweeping_touches_no_other_tenant(archive: Archive) -> None:
    ours, theirs = await fresh(archive), await fresh(archive)
    for tenant in (ours, theirs):
        await _furnish(archive, tenant)
    before, left = await _observed(archive, theirs), await archive.sweep(theirs, dry_run=True)
    await archive.sweep(ours, dry_run=False)
    assert await _observed(archive, theirs) == before
    assert await archive.sweep(theirs, dry_run=True) == left


async def sweeps_and_writes_at_once_lose_nothing(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    counted = await archive.sweep(tenant, dry_run=True)
    swept: list[Leftovers] = []

    async def sweep() -> None:
        swept.append(await archive.sweep(tenant, dry_run=False))

    async def remember(i: int) -> None:
        await store(archive, tenant, episode("new", id=f"new{i}", vectors=VECTORS[i : i + 1]))
        await commit(archive, tenant, since(f"new {i}", predicate=LIKES), vectors=VECTORS[i : i + 1])

    async with anyio.create_task_group() as tasks:
        for i in range(8):
            tasks.start_soon(sweep)
            tasks.start_soon(remember, i)
    assert sum(swept, Leftovers()) == counted, "what went was counted twice, or not at all"
    seen = await archive.episodes.candidates(tenant, Query(("new",), VECTORS[0], Filters()))
    assert seen.cosine is not None
    assert not np.isnan(seen.cosine).any()
    assert seen.frequencies["new"] == 8
    found = await archive.facts.candidates(tenant, filtered(), VECTORS[0])
    assert found.cosine is not None
    assert not np.isnan(found.cosine).any()


async def a_sweep_notices_that_it_was_cancelled(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    left = await archive.sweep(tenant, dry_run=True)
    calls = (
        lambda: archive.sweep(tenant, dry_run=False),
        lambda: archive.directory.tenants(after=None, limit=1),
    )
    for call in calls:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
        assert scope.cancelled_caught
    assert await archive.sweep(tenant, dry_run=True) == left


async def all_tenants_are_listed_once_with_those_that_were_forgotten(archive: Archive) -> None:
    namespaces = [fresh_namespace(), f"{fresh_namespace()}/", f"{fresh_namespace()}%"]
    users = [None, *"aZ%/", "é", "a b", "\U0001f600", "\uffee"]
    ours = [Tenant(namespace, user) for namespace in namespaces for user in users]
    for tenant in ours:
        await store(archive, tenant, episode())
    await archive.erase(ours[1], Erasure(everything=True))
    for limit in (3, 1_000):
        found: list[Tenant] = []
        while page := await archive.directory.tenants(after=found[-1] if found else None, limit=limit):
            assert len(page) <= limit
            found += page
        assert len(set(found)) == len(found)
        assert {each for each in found if each.namespace in namespaces} == {*ours}
    await archive.directory.tenants(after=Tenant("nobody's", "nobody"), limit=3)


SWEEPING_CHECKS: tuple[Check, ...] = (
    what_can_be_read_is_the_same_after_a_sweep,
    a_dry_run_removes_nothing_and_counts_what_a_sweep_removes,
    a_tenant_of_which_nothing_was_erased_has_nothing_to_sweep,
    writing_goes_on_after_a_sweep,
    what_was_promised_holds_after_a_sweep,
    sweeping_touches_no_other_tenant,
    sweeps_and_writes_at_once_lose_nothing,
    a_sweep_notices_that_it_was_cancelled,
    all_tenants_are_listed_once_with_those_that_were_forgotten,
)
