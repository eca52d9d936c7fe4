"""What is forgotten is as if it had never been, and does not come back; nothing else is."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from ..errors import Conflict, EpisodeConflict, InvalidInput
from ..stores import Archive, Erasure, Filters, Query
from ..stores.changes import Operation, Promote, Rollback
from ..types import Tenant
from ._concurrency import at_once
from ._fact_material import (
    ALWAYS,
    CITY,
    LIKES,
    change,
    check_projection,
    commit,
    correct,
    deny,
    everything,
    find,
    fresh,
    objects,
    refused,
    retract,
    say,
    since,
    spans,
    timeline,
    update,
)
from ._material import Check, episode, store, write

ALL = Erasure(everything=True)
VECTORS = np.eye(4, dtype=np.float32)


async def _furnish(archive: Archive, tenant: Tenant) -> None:
    """Put something of each kind there, in two sessions."""
    for i, session in enumerate(("s", "r", "s", "r")):
        await store(
            archive,
            tenant,
            episode(
                f"word{i} of {session}", id=f"{session}{i}", session_id=session, vectors=VECTORS[i : i + 1]
            ),
        )
    await commit(archive, tenant, since("Rome", 2020, sources=("s0",)), session_id="s")
    await commit(archive, tenant, since("Paris", 2019, sources=("r1",)), session_id="r")
    await commit(archive, tenant, since("tea", 2020, predicate=LIKES), session_id="s", reason="said so")
    await commit(archive, tenant, since("figs", 2020, predicate=LIKES), session_id="r", actor="me")
    await commit(archive, tenant, since("ham", 2020, predicate=LIKES, staged=True), session_id="s")


async def _episodes(archive: Archive, tenant: Tenant) -> list[str]:
    found, _ = await archive.episodes.page(tenant, Filters(), after=0, limit=100)
    return [each.id for each in found]


async def _said(archive: Archive, tenant: Tenant) -> list[str | None]:
    found, _ = await archive.facts.changes(tenant, after=(0, 0), limit=100)
    return [each.object for each in found]


async def after_everything_is_erased_a_tenant_holds_nothing(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    assert await archive.left(tenant, ALL) > 0
    erased = await archive.erase(tenant, ALL)
    assert (erased.episodes, erased.facts) == (4, 5)
    assert await archive.left(tenant, ALL) == 0
    assert await _episodes(archive, tenant) == []
    assert await archive.episodes.count(tenant) == 0
    assert (await archive.episodes.sessions(tenant, after=0, limit=5))[0] in ((), [])
    seen = await archive.episodes.candidates(tenant, Query(("word0",), VECTORS[0], Filters()))
    assert (len(seen.seqs), seen.documents, seen.terms, dict(seen.frequencies)) == (0, 0, 0, {})
    assert await _said(archive, tenant) == []
    assert (await archive.facts.headers(tenant, session_id=None, before=None, limit=5))[0] in ((), [])
    assert not await archive.facts.unembedded(tenant, limit=5)
    assert await archive.facts.verify(tenant) == 0
    assert (await archive.erase(tenant, ALL)).episodes == 0


async def an_erased_tenant_is_not_listed_and_goes_on_in_time(archive: Archive) -> None:
    tenant = await fresh(archive)
    (before,) = await store(archive, tenant, episode("a"))
    await archive.erase(tenant, ALL)
    assert await archive.directory.users(tenant.namespace, after=None, limit=5) == []
    assert not await archive.directory.has_named_users(tenant.namespace)
    (after,) = await store(archive, tenant, episode("a"))
    assert (after.seq, after.recorded_at) > (before.seq, before.recorded_at)
    assert await archive.directory.users(tenant.namespace, after=None, limit=5) == [tenant.user_id]
    assert await _episodes(archive, tenant) == [after.id]
    seen = await archive.episodes.candidates(tenant, Query(("a",), None, Filters()))
    assert (seen.documents, seen.terms, dict(seen.frequencies)) == (1, 1, {"a": 1})


async def what_was_erased_does_not_come_back(archive: Archive) -> None:
    for erasure in (ALL, Erasure(session_id="s"), Erasure(episode_ids=frozenset({"e"}))):
        tenant = await fresh(archive)
        given = episode("hello", id="e", session_id="s")
        fact = change(tenant, since("Rome", 2020, sources=("e",)), session_id="s")
        await store(archive, tenant, given)
        await archive.facts.commit([fact])
        await archive.erase(tenant, erasure)
        for again in (given, episode("something else", id="e"), episode(id="e", session_id="r")):
            (outcome,) = await archive.episodes.append([write(tenant, again)])
            assert isinstance(outcome, EpisodeConflict), erasure
            assert outcome.erased
            (outcome,) = await archive.episodes.append([write(tenant, episode(id="f"), again)])
            assert isinstance(outcome, EpisodeConflict)
        for late in (fact, change(tenant, since("Bonn", 2020, sources=("e",)))):
            (said,) = await archive.facts.commit([late])
            assert isinstance(said, Conflict), erasure
        assert await _episodes(archive, tenant) == []
        assert await _said(archive, tenant) == []


async def a_key_of_what_was_erased_is_not_written_again(archive: Archive) -> None:
    for erasure in (ALL, Erasure(session_id="s")):
        tenant = await fresh(archive)
        fact = change(tenant, since("Rome", 2020), session_id="s")
        await archive.facts.commit([fact])
        await archive.erase(tenant, erasure)
        (outcome,) = await archive.facts.commit([fact])
        assert isinstance(outcome, Conflict), erasure
        assert await _said(archive, tenant) == []
        await commit(archive, tenant, since("Rome", 2020), session_id="s")
        assert await objects(archive, tenant) == ["Rome"]


async def an_id_that_is_unknown_is_kept_out_if_it_is_named(archive: Archive) -> None:
    tenant = await fresh(archive)
    erased = await archive.erase(tenant, Erasure(episode_ids=frozenset({"later"})))
    assert (erased.episodes, erased.facts) == (0, 0)
    (outcome,) = await archive.episodes.append([write(tenant, episode(id="later"))])
    assert isinstance(outcome, EpisodeConflict)
    await archive.erase(tenant, Erasure(episode_ids=frozenset({"other"}), session_id="s"))
    await store(archive, tenant, episode(id="other", session_id="r"))


async def forgetting_a_session_leaves_what_the_others_would_have_left(archive: Archive) -> None:
    told, untold = await fresh(archive), await fresh(archive)
    await _furnish(archive, told)
    await archive.erase(told, Erasure(session_id="s"))
    for i in (1, 3):
        given = episode(f"word{i} of r", id=f"r{i}", session_id="r", vectors=VECTORS[i : i + 1])
        await store(archive, untold, given)
    await commit(archive, untold, since("Paris", 2019, sources=("r1",)), session_id="r")
    await commit(archive, untold, since("figs", 2020, predicate=LIKES), session_id="r", actor="me")
    assert await archive.left(told, Erasure(session_id="s")) == 0
    assert await _observed(archive, told) == await _observed(archive, untold)
    await check_projection(archive, told)


async def _observed(archive: Archive, tenant: Tenant) -> Sequence[object]:
    """Return what is answered, but for numbers and instants of transactions."""
    seen = await archive.episodes.candidates(tenant, Query(("of", "word0", "word1"), VECTORS[1], Filters()))
    assert seen.cosine is not None
    found, _ = await archive.episodes.page(tenant, Filters(), after=0, limit=100)
    sessions, _ = await archive.episodes.sessions(tenant, after=0, limit=10)
    around = await archive.episodes.around(tenant, found, distance=5)
    facts = await find(archive, tenant, during=ALWAYS, branch="s")
    return (
        [(each.id, each.input, each.session_id) for each in found],
        [(each.session_id, each.episode_count) for each in sessions],
        [[each.id for each in around.get(episode.seq, ())] for episode in found],
        (seen.cosine.tolist(), seen.lengths.tolist(), seen.documents, seen.terms, dict(seen.frequencies)),
        {term: (at.tolist(), counts.tolist()) for term, (at, counts) in seen.postings.items()},
        [(each.piece.assertion.object, each.piece.valid_from, each.support, each.sources) for each in facts],
        await timeline(archive, tenant),
        await objects(archive, tenant, predicate=LIKES, branch="s"),
        await _said(archive, tenant),
    )


async def what_another_session_said_as_well_stays(archive: Archive) -> None:
    tenant = await fresh(archive)
    for session in ("s", "r", "s"):
        await commit(archive, tenant, since("Rome", 2020), session_id=session)
    (fact,) = await find(archive, tenant)
    assert fact.support == 2
    assert (await archive.erase(tenant, Erasure(session_id="s"))).facts == 1
    (fact,) = await find(archive, tenant)
    assert (fact.support, fact.piece.assertion.session_id) == (1, "r")


async def what_a_session_had_changed_is_as_it_was(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e", session_id="r"))
    by = {"Rome": since("Rome", 2020, sources=("e",)), "Oslo": since("Oslo", 2021)}
    for each in by.values():
        await commit(archive, tenant, each, session_id="r")
    (pet,) = await say(archive, tenant, since({"n": 1}, 2020, sources=("e",), predicate=LIKES))
    log, _, _, pieces = await everything(archive, tenant)
    steps: list[Operation] = [
        correct(by["Oslo"].id, "Bonn"),
        correct(by["Rome"].id, "Paris"),
        update(pet.assertion.id, {"n": 2}),
        deny(2022, 2023),
        since("Kiel", 2024),
    ]
    for step in steps:
        await commit(archive, tenant, step, session_id="s")
    await commit(archive, tenant, Rollback("x", "s", 1), name="rollback", session_id="s")
    await commit(archive, tenant, retract(pet.assertion.id), session_id="s")
    await archive.erase(tenant, Erasure(session_id="s"))
    left = await everything(archive, tenant)
    assert (left[0], left[3]) == (log, pieces)
    await check_projection(archive, tenant)


async def facts_without_sources_are_erased_by_their_ids(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Rome", 2020))
    (tea,) = await say(archive, tenant, since("tea", 2020, predicate=LIKES))
    (oslo,) = await say(archive, tenant, since("Oslo", 2022))
    await commit(archive, tenant, retract(tea.assertion.id))
    ids = frozenset({tea.assertion.id, oslo.assertion.id, "unknown"})
    assert (await archive.erase(tenant, Erasure(fact_ids=ids))).facts == 3
    assert await timeline(archive, tenant) == spans([("Rome", 2020, None)])
    assert await _said(archive, tenant) == ['"Rome"']
    assert await archive.facts.get(tenant, list(ids)) == {}
    await check_projection(archive, tenant)


async def a_fact_that_comes_from_an_episode_is_not_erased_without_it(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e"))
    (rome,) = await say(archive, tenant, since("Rome", 2020, sources=("e",)))
    (tea,) = await say(archive, tenant, since("tea", 2020, predicate=LIKES))
    before = await everything(archive, tenant)
    field = ""
    try:
        await archive.erase(tenant, Erasure(fact_ids=frozenset({rome.assertion.id, tea.assertion.id})))
    except InvalidInput as exc:
        field = exc.field
    assert field == "fact_ids"
    assert await everything(archive, tenant) == before


async def a_correction_that_is_erased_had_never_been_made(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e"))
    (rome,) = await say(archive, tenant, since("Rome", 2020, sources=("e",)))
    (oslo,) = await say(archive, tenant, correct(rome.assertion.id, "Oslo"))
    await archive.erase(tenant, Erasure(fact_ids=frozenset({oslo.assertion.id})))
    assert await objects(archive, tenant) == ["Rome"]
    assert await _said(archive, tenant) == ['"Rome"']


async def a_fact_that_was_staged_first_is_erased_there_as_well(archive: Archive) -> None:
    tenant = await fresh(archive)
    (staged,) = await say(archive, tenant, since("Rome", 2020, staged=True), session_id="s")
    (promoted,) = await say(archive, tenant, Promote("p", "s"), name="promote_session", session_id="s")
    assert promoted.assertion.replaces == staged.assertion.id
    await archive.erase(tenant, Erasure(fact_ids=frozenset({promoted.assertion.id})))
    assert await _said(archive, tenant) == []


async def what_was_recorded_before_an_instant_goes_and_nothing_else(archive: Archive) -> None:
    tenant = await fresh(archive)
    old, new = await store(archive, tenant, episode("old", id="a"), episode("new", id="b"))
    await commit(archive, tenant, since("Rome", 2020, sources=("a", "b")))
    (tea,) = await say(archive, tenant, since("tea", 2020, predicate=LIKES))
    await commit(archive, tenant, since("figs", 2020, predicate=LIKES))
    nothing = await archive.erase(tenant, Erasure(before=old.recorded_at))
    assert (nothing.episodes, nothing.facts) == (0, 0)
    assert (await archive.erase(tenant, Erasure(before=new.recorded_at))).episodes == 1
    (fact,) = await find(archive, tenant, subject="anna", predicate=CITY)
    assert fact.sources == ("b",)
    (latest,), _ = await archive.facts.headers(tenant, session_id=None, before=None, limit=1)
    erased = await archive.erase(tenant, Erasure(before=latest.recorded_at))
    assert (erased.episodes, erased.facts) == (1, 2)
    assert await _said(archive, tenant) == ['"figs"']
    assert await archive.facts.get(tenant, [tea.assertion.id]) == {}
    late = datetime(9999, 1, 1, tzinfo=UTC)
    assert (await archive.erase(tenant, Erasure(before=late))).facts == 1


async def filters_of_an_erasure_must_all_hold(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    third = await archive.episodes.get(tenant, "s2")
    assert third is not None
    ids = frozenset({"s0", "r1"})
    assert (await archive.erase(tenant, Erasure(session_id="x"))).episodes == 0
    erased = await archive.erase(tenant, Erasure(episode_ids=ids, session_id="r"))
    assert (erased.episodes, erased.facts) == (1, 1)
    erased = await archive.erase(tenant, Erasure(session_id="s", before=third.recorded_at))
    assert (erased.episodes, erased.facts) == (1, 1)
    assert await _episodes(archive, tenant) == ["s2", "r3"]
    assert await objects(archive, tenant, predicate=LIKES, branch="s") == ["figs", "ham", "tea"]


async def an_erasure_keeps_to_its_tenant(archive: Archive) -> None:
    tenant, other = await fresh(archive), await fresh(archive)
    for each in (tenant, other):
        await _furnish(archive, each)
    before = await everything(archive, other), await _observed(archive, other)
    for erasure in (Erasure(session_id="s"), Erasure(episode_ids=frozenset({"r1"})), ALL):
        await archive.erase(tenant, erasure)
        assert (await everything(archive, other), await _observed(archive, other)) == before
    await store(archive, other, episode("word1 of r", id="r1", session_id="r", vectors=VECTORS[1:2]))
    assert await archive.generation(other) == 0


async def each_erasure_begins_another_generation(archive: Archive) -> None:
    tenant = await fresh(archive)
    assert await archive.generation(tenant) == 0
    for n, erasure in enumerate((Erasure(session_id="s"), ALL, Erasure(fact_ids=frozenset("x"))), start=1):
        assert (await archive.erase(tenant, erasure)).generation == n
        assert await archive.generation(tenant) == n
    await archive.facts.erase(tenant, ["e"])
    assert await archive.generation(tenant) == 4


async def writes_beside_an_erasure_land_before_it_or_after_it(archive: Archive) -> None:
    tenant = await fresh(archive)
    outcomes: list[object] = []

    async def remember(n: int) -> None:
        outcomes.extend(await archive.episodes.append([write(tenant, episode(id=f"e{n}"))]))

    async def act(n: int) -> None:
        if n == 8:
            await archive.erase(tenant, Erasure(episode_ids=frozenset({"e1", "e2"})))
        elif n == 9:
            await archive.erase(tenant, ALL)
        elif n % 2:
            await remember(n % 8)
        else:
            fact = since(n, 2020, predicate=LIKES, sources=(f"e{n % 8}",))
            await archive.facts.commit([change(tenant, fact)])

    for n in range(8):
        await remember(n)
    await at_once(20, act)
    assert await _episodes(archive, tenant) == []
    assert await _said(archive, tenant) == []
    assert all(isinstance(each, tuple | EpisodeConflict) for each in outcomes)
    assert isinstance(await refused(archive, tenant, since(1, 2020, sources=("e1",))), Conflict)


ERASING_CHECKS: tuple[Check, ...] = (
    after_everything_is_erased_a_tenant_holds_nothing,
    an_erased_tenant_is_not_listed_and_goes_on_in_time,
    what_was_erased_does_not_come_back,
    a_key_of_what_was_erased_is_not_written_again,
    an_id_that_is_unknown_is_kept_out_if_it_is_named,
    forgetting_a_session_leaves_what_the_others_would_have_left,
    what_another_session_said_as_well_stays,
    what_a_session_had_changed_is_as_it_was,
    facts_without_sources_are_erased_by_their_ids,
    a_fact_that_comes_from_an_episode_is_not_erased_without_it,
    a_correction_that_is_erased_had_never_been_made,
    a_fact_that_was_staged_first_is_erased_there_as_well,
    what_was_recorded_before_an_instant_goes_and_nothing_else,
    filters_of_an_erasure_must_all_hold,
    an_erasure_keeps_to_its_tenant,
    each_erasure_begins_another_generation,
    writes_beside_an_erasure_land_before_it_or_after_it,
)
