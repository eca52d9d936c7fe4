"""Reads are complete, in order, and filter as plain Python would."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import product
from typing import Any

from .. import _json
from ..stores import Archive, Filters, Query
from ..types import Episode, Session, Tenant
from ._material import AT, HOSTILE, Check, episode, fresh_tenant, store

_MICROSECOND = timedelta(microseconds=1)


async def _paged(archive: Archive, tenant: Tenant, filters: Filters, *, limit: int) -> list[Episode]:
    found: list[Episode] = []
    while True:
        page, _ = await archive.episodes.page(
            tenant, filters, after=found[-1].seq if found else 0, limit=limit
        )
        assert len(page) <= limit
        found += page
        if not page:
            return found


async def a_tenant_that_stored_nothing_reads_as_empty(archive: Archive) -> None:
    episodes, tenant = archive.episodes, fresh_tenant()
    assert await episodes.get(tenant, "e") is None
    page, basis = await episodes.page(tenant, Filters(), after=0, limit=10)
    assert (len(page), basis) == (0, 0)
    sessions, basis = await episodes.sessions(tenant, after=0, limit=10)
    assert (len(sessions), basis) == (0, 0)
    assert not await episodes.newest(tenant, Filters(), limit=10)
    assert await episodes.by_seq(tenant, [1, 2]) == {}
    assert await episodes.count(tenant) == 0
    assert not await episodes.unembedded(tenant, limit=10)
    seen = await episodes.candidates(tenant, Query(("word",), None, Filters()))
    assert (len(seen.seqs), seen.documents, seen.terms, dict(seen.postings)) == (0, 0, 0, {})


async def pages_reach_every_episode_once_and_in_order(archive: Archive) -> None:
    tenant = fresh_tenant()
    stored = [*await store(archive, tenant, *(episode(str(i)) for i in range(11)))]
    stored += await store(archive, tenant, episode("last"))
    for limit in (1, 3, 4, 12, 100):
        assert await _paged(archive, tenant, Filters(), limit=limit) == stored


async def pages_stay_exact_while_others_write(archive: Archive) -> None:
    tenant = fresh_tenant()
    stored = list(await store(archive, tenant, *(episode(str(i)) for i in range(6))))
    found: list[Episode] = []
    for i in range(4):
        page, basis = await archive.episodes.page(
            tenant, Filters(), after=found[-1].seq if found else 0, limit=3
        )
        assert all(each.seq <= basis for each in page)
        found += page
        if i < 2:
            stored += await store(archive, tenant, episode(f"meanwhile {i}"), episode(f"again {i}"))
    assert found == stored


async def newest_come_newest_first(archive: Archive) -> None:
    tenant = fresh_tenant()
    # The order is seq: what occurred earlier but was stored later is newer.
    stored = [
        (await store(archive, tenant, episode(str(i), occurred_at=AT - timedelta(days=i))))[0]
        for i in range(5)
    ]
    for limit in (1, 3, 5, 9):
        found = await archive.episodes.newest(tenant, Filters(), limit=limit)
        assert list(found) == stored[::-1][:limit]


async def by_seq_returns_those_that_exist(archive: Archive) -> None:
    tenant = fresh_tenant()
    first, second = await store(archive, tenant, episode("a"), episode("b"))
    wanted = [second.seq, 10**15, -1, 0, first.seq, second.seq]
    assert await archive.episodes.by_seq(tenant, wanted) == {first.seq: first, second.seq: second}
    assert await archive.episodes.by_seq(tenant, []) == {}


async def a_time_range_has_its_start_and_not_its_end(archive: Archive) -> None:
    tenant = fresh_tenant()
    instants = [AT + i * _MICROSECOND for i in range(-1, 3)]
    stored = await store(archive, tenant, *(episode(occurred_at=at) for at in instants))
    bounds = (None, *instants)
    for start, end in product(bounds, bounds):
        expected = [
            each
            for each in stored
            if (start is None or start <= each.occurred_at) and (end is None or each.occurred_at < end)
        ]
        assert await _paged(archive, tenant, Filters(start=start, end=end), limit=10) == expected


async def filters_agree_in_every_read_and_with_each_other(archive: Archive) -> None:
    tenant = fresh_tenant()
    axes = product(("s", "t", None), ("a", "b", None), (AT, AT + timedelta(days=1)), (1, 2))
    stored = await store(
        archive,
        tenant,
        *(
            episode("word", session_id=s, agent_id=a, occurred_at=at, metadata={"k": k})
            for s, a, at, k in axes
        ),
    )
    noon = AT + timedelta(hours=1)
    wheres: Sequence[Mapping[tuple[str, ...], Any]] = ({}, {("k",): 2})
    choices = product((None, "s", "absent"), (None, "b"), (None, noon), (None, noon), wheres)
    for session_id, agent_id, start, end, where in choices:
        filters = Filters(session_id=session_id, agent_id=agent_id, start=start, end=end, where=where)
        expected = [each for each in stored if _passes(each, filters)]
        assert await _paged(archive, tenant, filters, limit=100) == expected
        newest = await archive.episodes.newest(tenant, filters, limit=100)
        assert list(newest) == expected[::-1]
        seen = await archive.episodes.candidates(tenant, Query(("word",), None, filters))
        assert seen.seqs.tolist() == [each.seq for each in expected]


def _passes(each: Episode, filters: Filters) -> bool:
    return (
        filters.session_id in (None, each.session_id)
        and filters.agent_id in (None, each.agent_id)
        and (filters.start is None or filters.start <= each.occurred_at)
        and (filters.end is None or each.occurred_at < filters.end)
        and _matches(each.metadata, filters.where)
    )


def _matches(metadata: dict[str, Any], where: Mapping[tuple[str, ...], Any]) -> bool:
    for path, expected in where.items():
        exists, value = _json.at_path(metadata, path)
        if not exists or not _json.equal(value, expected):
            return False
    return True


_VALUES: Sequence[Any] = (
    None, True, False, 0, 1, 1.0, 1.5, -0.0, 1e300, "", "1", "true", "null", "x%", "X%", [], [1], [1.0],
    [True], [1, 2], [2, 1], [[1]], {}, {"a": 1}, {"a": 1.0},
    {"a": 1, "b": None}, {"b": None, "a": 1}, {"a": None},
)  # fmt: skip


async def where_tells_values_apart_as_json_does(archive: Archive) -> None:
    tenant = fresh_tenant()
    stored = await store(
        archive, tenant, *(episode(metadata={"k": {"n": value}}) for value in _VALUES), episode()
    )
    for value in _VALUES:
        for path, expected_at in ((("k", "n"), value), (("k",), {"n": value})):
            filters = Filters(where={path: expected_at})
            expected = [each for each in stored if _matches(each.metadata, filters.where)]
            assert expected, "the oracle finds at least the episode itself"
            assert await _paged(archive, tenant, filters, limit=100) == expected, (path, value)
            seen = await archive.episodes.candidates(tenant, Query((), None, filters))
            assert seen.seqs.tolist() == [each.seq for each in expected]


async def a_missing_key_is_not_null_and_a_path_goes_through_objects_only(archive: Archive) -> None:
    tenant = fresh_tenant()
    documents: Sequence[dict[str, Any]] = (
        {}, {"k": None}, {"k": {}}, {"k": {"n": None}}, {"k": ["n"]}, {"k": "n"}, {"k": [{"n": 1}]},
        {"k": {"n": 1}}, {"k": {"0": 1}}, {"k": [1]},
    )  # fmt: skip
    stored = await store(archive, tenant, *(episode(metadata=document) for document in documents))
    paths: Sequence[tuple[str, ...]] = (("k",), ("k", "n"), ("k", "0"), ("k", "n", "m"))
    values: Sequence[Any] = (None, 1, {})
    for path, value in product(paths, values):
        expected = [each for each in stored if _matches(each.metadata, {path: value})]
        assert await _paged(archive, tenant, Filters(where={path: value}), limit=100) == expected, (
            path,
            value,
        )


async def several_paths_must_all_match(archive: Archive) -> None:
    tenant = fresh_tenant()
    stored = await store(
        archive, tenant, *(episode(metadata={"a": a, "b": b}) for a, b in product((1, 2), (1, 2)))
    )
    found = await _paged(archive, tenant, Filters(where={("a",): 1, ("b",): 2}), limit=10)
    assert found == [stored[1]]


async def hostile_filters_are_values_and_nothing_else(archive: Archive) -> None:
    tenant = fresh_tenant()
    stored = await store(
        archive,
        tenant,
        *(episode(session_id=text, agent_id=text, metadata={text: text}) for text in HOSTILE),
    )
    for text, each in zip(HOSTILE, stored, strict=True):
        for filters in (Filters(session_id=text), Filters(agent_id=text), Filters(where={(text,): text})):
            assert await _paged(archive, tenant, filters, limit=100) == [each], text


async def sessions_come_in_the_order_of_their_first_episode(archive: Archive) -> None:
    tenant = fresh_tenant()
    order = ["late", None, "early", "late", "single", "early", None, "late"]
    stored = [
        (await store(archive, tenant, episode(session_id=s, occurred_at=AT - timedelta(days=i))))[0]
        for i, s in enumerate(order)
    ]
    expected = [
        Session(
            session_id=name,
            episode_count=len(members),
            first_seq=members[0].seq,
            last_seq=members[-1].seq,
            first_at=members[-1].occurred_at,
            last_at=members[0].occurred_at,
        )
        for name in ("late", "early", "single")
        if (members := [each for each in stored if each.session_id == name])
    ]
    for limit in (1, 2, 3, 9):
        found: list[Session] = []
        while True:
            after = found[-1].first_seq if found else 0
            page, _ = await archive.episodes.sessions(tenant, after=after, limit=limit)
            assert len(page) <= limit
            found += page
            if not page:
                break
        assert found == expected


async def recent_sessions_come_newest_first(archive: Archive) -> None:
    tenant = fresh_tenant()
    assert not await archive.episodes.recent_sessions(tenant, limit=3)
    order = ["old", None, "long", "old", "z", "long", "Ä", "a%_\\", None, "long", "single", None]
    stored = [
        (await store(archive, tenant, episode(session_id=s, occurred_at=AT - timedelta(days=i))))[0]
        for i, s in enumerate(order)
    ]
    page, _ = await archive.episodes.sessions(tenant, after=0, limit=100)
    expected = sorted(page, key=lambda session: -session.last_seq)
    assert [session.session_id for session in expected] == ["single", "long", "a%_\\", "Ä", "z", "old"]
    for limit in (1, 2, 5, 6, 100):
        found = await archive.episodes.recent_sessions(tenant, limit=limit)
        assert list(found) == expected[:limit]
    # A session that goes on is recent again.
    await store(archive, tenant, episode(session_id="old"))
    (newest,) = await archive.episodes.recent_sessions(tenant, limit=1)
    assert (newest.session_id, newest.episode_count, newest.first_seq) == ("old", 3, stored[0].seq)


async def neighbours_are_those_of_the_session_and_not_of_the_tenant(archive: Archive) -> None:
    tenant = fresh_tenant()
    order = ["s", "t", "s", None, "s", "t", "s", "s", None]
    stored = [(await store(archive, tenant, episode(session_id=s)))[0] for s in order]
    for distance in (1, 2, 10):
        around = await archive.episodes.around(tenant, stored, distance=distance)
        for each in stored:
            members = [other for other in stored if other.session_id == each.session_id]
            place = members.index(each)
            expected = (
                *members[max(place - distance, 0) : place],
                *members[place + 1 : place + 1 + distance],
            )
            assert around.get(each.seq, ()) == (() if each.session_id is None else expected)
    assert await archive.episodes.around(tenant, [], distance=1) == {}


READING_CHECKS: tuple[Check, ...] = (
    a_tenant_that_stored_nothing_reads_as_empty,
    pages_reach_every_episode_once_and_in_order,
    pages_stay_exact_while_others_write,
    newest_come_newest_first,
    by_seq_returns_those_that_exist,
    a_time_range_has_its_start_and_not_its_end,
    filters_agree_in_every_read_and_with_each_other,
    where_tells_values_apart_as_json_does,
    a_missing_key_is_not_null_and_a_path_goes_through_objects_only,
    several_paths_must_all_match,
    hostile_filters_are_values_and_nothing_else,
    sessions_come_in_the_order_of_their_first_episode,
    recent_sessions_come_newest_first,
    neighbours_are_those_of_the_session_and_not_of_the_tenant,
)
