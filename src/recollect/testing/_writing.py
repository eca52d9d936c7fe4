"""What is stored is stored once, as a whole, in order, and unchanged."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from .. import _json
from ..errors import EpisodeConflict
from ..stores import Archive, Filters
from ..types import Episode, Tenant
from ._clock import Clock
from ._material import HOSTILE, Check, ClockCheck, episode, fresh_tenant, store, write


async def _all(archive: Archive, tenant: Tenant) -> tuple[Episode, ...]:
    found, _ = await archive.episodes.page(tenant, Filters(), after=0, limit=1_000)
    return tuple(found)


async def an_episode_reads_back_as_append_returned_it(archive: Archive) -> None:
    tenant = fresh_tenant()
    new = episode(
        "where?",
        "there",
        session_id="s",
        agent_id="a",
        metadata={"k": [1, None]},
        transcript=[{"role": "user"}],
        embedding_state="pending",
    )
    (stored,) = await store(archive, tenant, new)
    assert await archive.episodes.get(tenant, new.id) == stored
    assert stored.model_dump(exclude={"seq", "recorded_at"}) == {
        "id": new.id,
        "user_id": "alice",
        "session_id": "s",
        "agent_id": "a",
        "input": "where?",
        "output": "there",
        "occurred_at": new.occurred_at,
        "metadata": {"k": [1, None]},
        "transcript": [{"role": "user"}],
        "embedding_state": "pending",
    }


async def appending_the_same_again_returns_what_is_stored_and_adds_nothing(archive: Archive) -> None:
    tenant = fresh_tenant()
    new = episode(id="e")
    (first,) = await store(archive, tenant, new)
    await store(archive, tenant, episode())
    (again,) = await store(archive, tenant, new)
    assert again == first
    assert await archive.episodes.count(tenant) == 2


async def other_content_under_a_taken_id_conflicts_and_changes_nothing(archive: Archive) -> None:
    tenant = fresh_tenant()
    (first,) = await store(archive, tenant, episode("first", id="e"))
    (outcome,) = await archive.episodes.append([write(tenant, episode("second", id="e"))])
    assert isinstance(outcome, EpisodeConflict)
    assert outcome.id == "e"
    assert await _all(archive, tenant) == (first,)


async def a_conflict_in_the_middle_of_a_write_undoes_all_of_it(archive: Archive) -> None:
    tenant = fresh_tenant()
    (first,) = await store(archive, tenant, episode("first", id="taken"))
    drafts = [episode("a", id="a"), episode("second", id="taken"), episode("c", id="c")]
    (outcome,) = await archive.episodes.append([write(tenant, *drafts)])
    assert isinstance(outcome, EpisodeConflict)
    assert outcome.id == "taken"
    assert await _all(archive, tenant) == (first,)
    assert await archive.episodes.get(tenant, "a") is None
    assert await archive.episodes.get(tenant, "c") is None


async def a_refused_write_leaves_no_trace_in_what_recall_looks_at(archive: Archive) -> None:
    from ..stores import Query

    tenant = fresh_tenant()
    await store(archive, tenant, episode("first", id="taken"))
    drafts = [episode("ghost", id="a"), episode("second", id="taken")]
    await archive.episodes.append([write(tenant, *drafts)])
    seen = await archive.episodes.candidates(tenant, Query(("ghost", "first"), None, Filters()))
    assert (seen.documents, seen.terms, dict(seen.frequencies)) == (1, 1, {"first": 1})


async def a_refused_write_does_not_make_the_others_of_its_call_fail(archive: Archive) -> None:
    tenant, other = fresh_tenant(), fresh_tenant()
    await store(archive, tenant, episode("first", id="taken"))
    outcomes = await archive.episodes.append(
        [
            write(tenant, episode("before", id="before")),
            write(tenant, episode("x", id="x"), episode("second", id="taken")),
            write(tenant, episode("second", id="taken")),
            write(other, episode("second", id="taken")),
            write(tenant, episode("after", id="after")),
        ]
    )
    refused = [isinstance(outcome, EpisodeConflict) for outcome in outcomes]
    assert refused == [False, True, True, False, False]
    assert {each.id for each in await _all(archive, tenant)} == {"taken", "before", "after"}
    assert [each.id for each in await _all(archive, other)] == ["taken"]


async def a_write_that_is_stored_in_part_is_completed(archive: Archive) -> None:
    tenant = fresh_tenant()
    known, new = episode("known", id="known"), [episode(id="a"), episode(id="b")]
    (first,) = await store(archive, tenant, known)
    outcome = await store(archive, tenant, new[0], known, new[1])
    assert [each.id for each in outcome] == ["a", "known", "b"]
    assert outcome[1] == first
    assert first.seq < outcome[0].seq < outcome[2].seq
    assert [each.id for each in await _all(archive, tenant)] == ["known", "a", "b"]


async def the_same_episode_twice_in_one_call_is_stored_once(archive: Archive) -> None:
    tenant, new = fresh_tenant(), episode(id="e")
    first, second = await archive.episodes.append([write(tenant, new), write(tenant, new)])
    assert first == second == await _all(archive, tenant)


async def of_two_contents_for_one_id_in_one_call_exactly_one_is_stored(archive: Archive) -> None:
    tenant = fresh_tenant()
    outcomes = await archive.episodes.append(
        [
            write(tenant, episode("one", id="e")),
            write(tenant, episode("two", id="e")),
            write(tenant, episode("three", id="e"), episode("beside", id="f")),
        ]
    )
    stored = [outcome for outcome in outcomes if not isinstance(outcome, EpisodeConflict)]
    assert len(stored) == 1
    assert stored[0] == await _all(archive, tenant)


async def seq_and_recorded_at_rise_in_the_order_of_a_write(archive: Archive) -> None:
    tenant = fresh_tenant()
    stored: list[Episode] = []
    for round in range(3):
        stored += await store(archive, tenant, *(episode(str((round, i))) for i in range(7)))
    assert all(a.seq < b.seq and a.recorded_at < b.recorded_at for a, b in pairwise(stored))
    assert await _all(archive, tenant) == tuple(stored)


async def writes_of_several_tenants_in_one_call_land_with_their_own(archive: Archive) -> None:
    tenants = [fresh_tenant(user) for user in ("c", "a", None, "b")]
    writes = [write(tenant, episode(f"of {tenant.user_id}", id="e")) for tenant in tenants]
    outcomes = await archive.episodes.append(writes)
    for tenant, outcome in zip(tenants, outcomes, strict=True):
        assert outcome == await _all(archive, tenant)
        assert [each.input for each in await _all(archive, tenant)] == [f"of {tenant.user_id}"]


async def texts_and_ids_come_back_character_for_character(archive: Archive) -> None:
    tenant = fresh_tenant()
    for text in HOSTILE:
        new = episode(
            text, text, id=text, session_id=text, agent_id=text, metadata={text: text}, transcript=text
        )
        await store(archive, tenant, new)
        found = await archive.episodes.get(tenant, text)
        assert found is not None
        assert (found.id, found.input, found.output, found.session_id) == (text, text, text, text)
        assert (found.agent_id, found.metadata, found.transcript) == (text, {text: text}, text)
    assert [each.id for each in await _all(archive, tenant)] == list(HOSTILE)


async def json_comes_back_equal_and_in_order(archive: Archive) -> None:
    tenant = fresh_tenant()
    value: dict[str, Any] = {
        "z": [0.1, -0.0, 1e308, 5e-324, 1.0, 1, 2**53 - 1, -(2**53) + 1, True, False, None],
        "a": {"": {"": ["", "\u2028", "\\u0041", "/", '"']}},
        "m": [[], {}, [[[]]]],
        "10": "x" * 10_000,
        "9": "é日👩‍👩‍👧",
    }
    await store(archive, tenant, episode(id="e", metadata=value, transcript=value))
    found = await archive.episodes.get(tenant, "e")
    assert found is not None
    for came in (found.metadata, found.transcript):
        assert _json.dumps(came) == _json.dumps(value)  # types and order too: 1 is not 1.0 here


async def the_first_and_the_last_year_come_back_to_the_microsecond(archive: Archive) -> None:
    tenant = fresh_tenant()
    instants = [
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
    ]
    stored = await store(archive, tenant, *(episode(occurred_at=instant) for instant in instants))
    assert [each.occurred_at for each in stored] == instants
    found = await _all(archive, tenant)
    assert [each.occurred_at for each in found] == instants
    assert {each.occurred_at.utcoffset() for each in found} == {timedelta(0)}


async def what_is_handed_out_is_nobodys_live_reference(archive: Archive) -> None:
    tenant = fresh_tenant()
    (stored,) = await store(archive, tenant, episode(id="e", metadata={"k": []}, transcript={"t": []}))
    for _ in range(2):
        stored.metadata["k"].append("changed")
        stored.transcript["t"].append("changed")
        found = await archive.episodes.get(tenant, "e")
        assert found is not None
        assert (found.metadata, found.transcript) == ({"k": []}, {"t": []})
        stored = found


async def recorded_at_follows_the_clock(archive: Archive, clock: Clock) -> None:
    tenant = fresh_tenant()
    (first,) = await store(archive, tenant, episode())
    assert first.recorded_at == clock.now
    then = clock.advance(60)
    (second,) = await store(archive, tenant, episode())
    assert second.recorded_at == then


async def recorded_at_rises_while_the_clock_stands_still(archive: Archive, clock: Clock) -> None:
    tenant, before = fresh_tenant(), clock.now
    stored = [*await store(archive, tenant, *(episode() for _ in range(5)))]
    stored += await store(archive, tenant, episode())
    assert clock.now == before
    instants = [each.recorded_at for each in stored]
    assert instants == sorted(set(instants))


async def recorded_at_rises_when_the_clock_steps_back(archive: Archive, clock: Clock) -> None:
    tenant = fresh_tenant()
    stored: list[Episode] = []
    for step in (0, -3600, 1, -86400 * 365):
        clock.advance(step)
        stored += await store(archive, tenant, episode(), episode())
    instants = [each.recorded_at for each in stored]
    assert instants == sorted(set(instants))
    assert [each.seq for each in stored] == sorted({each.seq for each in stored})


async def the_clock_of_one_tenant_does_not_move_another(archive: Archive, clock: Clock) -> None:
    ahead, behind = fresh_tenant(), fresh_tenant()
    clock.advance(86_400)
    await store(archive, ahead, episode())
    then = clock.advance(-86_400)
    (stored,) = await store(archive, behind, episode())
    assert stored.recorded_at == then


WRITING_CHECKS: tuple[Check, ...] = (
    an_episode_reads_back_as_append_returned_it,
    appending_the_same_again_returns_what_is_stored_and_adds_nothing,
    other_content_under_a_taken_id_conflicts_and_changes_nothing,
    a_conflict_in_the_middle_of_a_write_undoes_all_of_it,
    a_refused_write_leaves_no_trace_in_what_recall_looks_at,
    a_refused_write_does_not_make_the_others_of_its_call_fail,
    a_write_that_is_stored_in_part_is_completed,
    the_same_episode_twice_in_one_call_is_stored_once,
    of_two_contents_for_one_id_in_one_call_exactly_one_is_stored,
    seq_and_recorded_at_rise_in_the_order_of_a_write,
    writes_of_several_tenants_in_one_call_land_with_their_own,
    texts_and_ids_come_back_character_for_character,
    json_comes_back_equal_and_in_order,
    the_first_and_the_last_year_come_back_to_the_microsecond,
    what_is_handed_out_is_nobodys_live_reference,
)

CLOCK_CHECKS: tuple[ClockCheck, ...] = (
    recorded_at_follows_the_clock,
    recorded_at_rises_while_the_clock_stands_still,
    recorded_at_rises_when_the_clock_steps_back,
    the_clock_of_one_tenant_does_not_move_another,
)
