"""What was believed, when, and why: timelines, histories, differences, the feed, the journal, the links."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect import FOREVER, Change, Fact, FactDraft, Memory, Span, UserMemory
from recollect.testing import Clock

from .conftest import Connect
from .facts import HOME, move, objects, since

MICROSECOND = timedelta(microseconds=1)
ALWAYS = (None, None)


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect(predicates=[HOME]) as opened:
        yield opened


@pytest.fixture
def alice(memory: Memory) -> UserMemory:
    return memory.user("alice")


def _line(spans: Iterable[Span]) -> list[tuple[Any, ...]]:
    return [
        (span.valid_from.year, span.valid_to and span.valid_to.year, *[fact.object for fact in span.facts])
        for span in spans
    ]


async def test_timeline_is_every_value_from_the_first_instant_on(alice: UserMemory) -> None:
    assert await alice.facts.timeline("alice", HOME.name) == ()
    await move(alice, ("Paris", 2019), ("Rome", 2023), ("Oslo", 2021))
    line = await alice.facts.timeline("alice", HOME.name)
    assert _line(line) == [(2019, 2021, "Paris"), (2021, 2023, "Oslo"), (2023, None, "Rome")]
    for span in line:
        assert [(fact.valid_from, fact.valid_to) for fact in span.facts] == [(span.valid_from, span.valid_to)]


async def test_timeline_shows_gaps_as_spans_without_facts(alice: UserMemory) -> None:
    for place, start, end in (("Rome", 2010, 2012), ("Oslo", 2015, 2017)):
        await alice.facts.add("alice", HOME.name, place, valid_from=since(start), valid_to=since(end))
    line = await alice.facts.timeline("alice", HOME.name)
    assert _line(line) == [(2010, 2012, "Rome"), (2012, 2015), (2015, 2017, "Oslo"), (2017, None)]
    await alice.facts.end("alice", HOME.name, at=since(2016))
    line = await alice.facts.timeline("alice", HOME.name)
    assert _line(line) == [(2010, 2012, "Rome"), (2012, 2015), (2015, 2016, "Oslo"), (2016, None)]


async def test_timeline_of_what_was_only_ended_is_empty_from_then_on(alice: UserMemory) -> None:
    await alice.facts.end("alice", HOME.name, at=since(2015))
    assert _line(await alice.facts.timeline("alice", HOME.name)) == [(2015, None)]


async def test_equal_neighbours_are_one_span(alice: UserMemory) -> None:
    await move(alice, ("Rome", 2019), ("Rome", 2021), ("Oslo", 2022), ("Rome", 2023))
    line = await alice.facts.timeline("alice", HOME.name)
    assert _line(line) == [(2019, 2022, "Rome"), (2022, 2023, "Oslo"), (2023, None, "Rome")]
    assert len(await alice.facts.find(valid_during=ALWAYS)) == 4


async def test_timeline_of_many_values_has_all_that_hold_in_each_span(alice: UserMemory) -> None:
    for value, start, end in (("tea", 2010, 2014), ("milk", 2012, 2016), ("wine", 2016, None)):
        valid_to = FOREVER if end is None else since(end)
        await alice.facts.add("alice", "likes", value, valid_from=since(start), valid_to=valid_to)
    assert _line(await alice.facts.timeline("alice", "likes")) == [
        (2010, 2012, "tea"),
        (2012, 2014, "tea", "milk"),
        (2014, 2016, "milk"),
        (2016, None, "wine"),
    ]


async def test_timeline_of_the_past_is_what_was_known_then(alice: UserMemory, clock: Clock) -> None:
    paris, rome = await move(alice, ("Paris", 2020), ("Rome", 2023))
    at = clock.now + MICROSECOND
    clock.advance(60)
    await alice.facts.retract(rome.fact_id)
    both = [(2020, 2023, "Paris"), (2023, None, "Rome")]
    assert _line(await alice.facts.timeline("alice", HOME.name)) == [(2020, None, "Paris")]
    assert _line(await alice.facts.timeline("alice", HOME.name, known_at=rome.tx_from)) == both
    assert _line(await alice.facts.timeline("alice", HOME.name, known_at=at)) == both
    assert _line(await alice.facts.timeline("alice", HOME.name, known_at=paris.tx_from)) == [
        (2020, None, "Paris")
    ]
    (then, _) = await alice.facts.timeline("alice", HOME.name, known_at=rome.tx_from)
    assert (then.facts[0].tx_to, then.facts[0].superseded_by) == (None, None)


YEARS = st.integers(2000, 2005)
STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), YEARS, st.none() | st.integers(1, 4))
    | st.tuples(st.just("end"), YEARS)
    | st.tuples(st.just("retract"), st.integers(0, 5)),
    min_size=1,
    max_size=7,
)


async def _say(alice: UserMemory, steps: Iterable[tuple[Any, ...]], predicate: str = HOME.name) -> None:
    said: list[Fact] = []
    for step in steps:
        match step:
            case ("end", start):
                if predicate == HOME.name:
                    said.append(await alice.facts.end("alice", predicate, at=since(start)))
            case ("retract", i):
                if i < len(said):
                    await alice.facts.retract(said[i].fact_id)
            case (value, start, years):
                valid_to = None if years is None else since(start + years)
                fact = await alice.facts.add(
                    "alice", predicate, value, valid_from=since(start), valid_to=valid_to
                )
                said.append(fact)


@settings(max_examples=15)
@given(steps=STEPS)
async def test_timeline_says_of_every_instant_what_find_says(memory: Memory, steps) -> None:
    alice = memory.user(str(uuid4()))
    await _say(alice, steps)
    line = await alice.facts.timeline("alice", HOME.name)
    assert [span.valid_to for span in line[:-1]] == [span.valid_from for span in line[1:]]
    assert all(span.valid_to is None for span in line[-1:])
    for year in range(1999, 2011):
        for instant in (since(year) - MICROSECOND, since(year)):
            spans = [each for each in line if each.valid_from <= instant]
            expected = [fact.object for fact in spans[-1].facts] if spans else []
            assert await objects(alice, "alice", HOME.name, valid_at=instant) == expected


def _state(facts: Iterable[Fact]) -> list[Fact]:
    return sorted(facts, key=lambda fact: fact.version_id)


@settings(max_examples=15)
@given(
    steps=STEPS,
    predicate=st.sampled_from([HOME.name, "likes"]),
    during=st.sampled_from([ALWAYS, (since(2002), since(2003)), (None, since(2001))]),
)
async def test_difference_of_two_points_leads_from_one_to_the_other(
    memory: Memory, steps, predicate: str, during
) -> None:
    alice = memory.user(str(uuid4()))
    await _say(alice, steps, predicate)
    await alice.facts.add("bob", predicate, "b", valid_from=since(2001))
    basis = (await alice.facts.find()).basis
    states = {
        known: _state(await alice.facts.find(valid_during=during, known_at=known, limit=1_000))
        for known in range(basis + 1)
    }
    for a, b in [(0, basis), (basis, 0), (basis // 2, basis), (basis, basis), (1, basis // 2)]:
        diff = await alice.facts.diff(a, b, valid_during=during)
        assert (diff.known_a, diff.known_b) == (a, b)
        assert _state(diff.apply(states[a])) == states[b]
    of_bob = await alice.facts.diff(0, basis, subject="bob")
    assert [fact.subject for fact in of_bob.added] == ["bob"]


async def test_difference_shows_what_is_only_supported_by_more(alice: UserMemory, clock: Clock) -> None:
    for id in "ab":
        await alice.remember("hello", id=id)
    await alice.facts.add("alice", HOME.name, "Rome", valid_from=since(2022), source="a")
    clock.advance(60)
    known = clock.now - MICROSECOND
    await alice.facts.add("alice", HOME.name, "Rome", valid_from=since(2020), source="b")
    diff = await alice.facts.diff(known, clock.now)
    assert [(fact.valid_from.year, fact.support) for fact in diff.removed] == [(2022, 1)]
    assert [(fact.valid_from.year, fact.support) for fact in diff.added] == [(2022, 2), (2020, 1)]


async def test_history_is_every_piece_with_both_times(alice: UserMemory) -> None:
    paris, rome = await move(alice, ("Paris", 2020), ("Rome", 2023))
    ended = await alice.facts.end("alice", HOME.name, at=since(2024))
    pieces = await alice.facts.history("alice", HOME.name)
    assert [
        (fact.object, fact.valid_from.year, fact.valid_to and fact.valid_to.year, fact.tx_from, fact.tx_to)
        for fact in pieces
    ] == [
        ("Paris", 2020, None, 1, 2),
        ("Paris", 2020, 2023, 2, None),
        ("Rome", 2023, None, 2, 3),
        ("Rome", 2023, 2024, 3, None),
        (None, 2024, None, 3, None),
    ]
    assert pieces[-1].void
    assert {fact.fact_id for fact in pieces} == {paris.fact_id, rome.fact_id, ended.fact_id}
    assert {fact.superseded_by for fact in pieces} == {rome.fact_id, ended.fact_id, None}
    assert await alice.facts.history("alice", "nothing") == ()


async def test_history_keeps_the_support_that_a_piece_had(alice: UserMemory) -> None:
    (rome,) = await move(alice, ("Rome", 2020))
    await alice.facts.retract(rome.fact_id)
    (gone,) = await alice.facts.history("alice", HOME.name)
    assert (gone.tx_to, gone.support) == (2, 1)


async def test_long_history_is_what_a_short_one_is(alice: UserMemory) -> None:
    drafts = [FactDraft("alice", HOME.name, i, valid_from=since(1400 + i)) for i in range(520)]
    for i in range(0, len(drafts), 20):
        await alice.facts.add_many(drafts[i : i + 20])
    await move(alice, ("late", 1300))
    line = await alice.facts.timeline("alice", HOME.name)
    assert _line(line[:2]) == [(1300, 1400, "late"), (1400, 1401, 0)]
    assert len(line) == 521
    # Every transaction but the first opens what is left of the newest before it anew.
    assert len(await alice.facts.history("alice", HOME.name)) == 521 + 25
    assert len((await alice.facts.diff(0, 27)).added) == 521


async def test_feed_has_every_change_once_in_order(alice: UserMemory) -> None:
    paris, rome = await move(alice, ("Paris", 2020), ("Rome", 2023))
    await alice.facts.correct(rome.fact_id, object="Roma")
    await alice.facts.end("alice", HOME.name)
    await alice.facts.add_many([FactDraft("alice", "likes", i) for i in range(3)])
    whole = await alice.facts.changes()
    assert [each.op for each in whole] == [
        "assert", "assert", "retract", "assert", "void", "assert", "assert", "assert",
    ]  # fmt: skip
    assert [(each.tx, each.seq) for each in whole] == sorted((each.tx, each.seq) for each in whole)
    assert whole.items[2].retracts == whole.items[3].replaces == rome.fact_id
    assert (whole.items[0].fact_id, whole.items[0].onset) == (paris.fact_id, True)
    for limit in (1, 2, 3, 7):
        found: list[Change] = []
        cursor = None
        while cursor is not None or not found:
            page = await alice.facts.changes(cursor=cursor, limit=limit)
            found.extend(page)
            cursor = page.cursor
        assert tuple(found) == whole.items
    assert (await alice.facts.changes(2)).items == whole.items[2:]
    assert (await alice.facts.changes(whole.basis)).items == ()


async def test_feed_that_is_followed_while_others_write_has_no_gaps(memory: Memory) -> None:
    alice, done = memory.user("alice"), anyio.Event()
    written: set[tuple[int, int]] = set()
    read: list[Change] = []

    async def write(n: int) -> None:
        for i in range(10):
            facts = await alice.facts.add_many([FactDraft(f"s{n}", "likes", [i, j]) for j in range(2)])
            written.update((n, fact.tx_from) for fact in facts)

    async def write_all() -> None:
        async with anyio.create_task_group() as tasks:
            for n in range(6):
                tasks.start_soon(write, n)
        done.set()

    async def follow() -> None:
        since, last = 0, False
        while not last:
            last = done.is_set()
            cursor, more = None, True
            while more:
                page = await memory.user("alice").facts.changes(since, cursor=cursor, limit=3)
                read.extend(page)
                cursor = page.cursor
                more = cursor is not None
                since = page.basis if not more else since
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write_all)
        tasks.start_soon(follow)
    whole: list[Change] = []
    cursor, more = None, True
    while more:
        page = await alice.facts.changes(cursor=cursor)
        whole.extend(page)
        cursor, more = page.cursor, page.cursor is not None
    assert read == whole
    assert {(int(each.subject[1:]), each.tx) for each in read} == written


async def test_journal_says_who_did_what_and_what_it_did(alice: UserMemory, clock: Clock) -> None:
    session = alice.at(session_id="s")
    await session.facts.add("alice", HOME.name, "Paris", valid_from=since(2020), actor="bot", reason="said")
    clock.advance(60)
    await move(alice, ("Rome", 2023))
    rome, paris = await alice.facts.journal()
    assert (paris.tx, paris.operation, paris.actor, paris.reason) == (1, "add", "bot", "said")
    assert (paris.session_id, rome.session_id, rome.recorded_at) == ("s", None, clock.now)
    assert (paris.before, [fact.object for fact in paris.after]) == ((), ["Paris"])
    assert [(fact.object, fact.valid_to) for fact in rome.before] == [("Paris", None)]
    assert sorted((fact.object, fact.valid_to) for fact in rome.after if fact.valid_to) == [
        ("Paris", since(2023))
    ]
    assert {fact.object for fact in rome.after} == {"Paris", "Rome"}
    assert [each.tx for each in await alice.facts.journal(session_id="s")] == [1]
    assert [each.tx for each in await alice.facts.journal(session_id="t")] == []


async def test_journal_is_read_in_pages_newest_first(alice: UserMemory) -> None:
    await move(alice, *[(str(year), year) for year in range(2000, 2007)])
    found: list[int] = []
    cursor = None
    while cursor is not None or not found:
        page = await alice.facts.journal(cursor=cursor, limit=3)
        found.extend(each.tx for each in page)
        cursor = page.cursor
        await alice.facts.add("alice", "likes", len(found))
    assert found == [7, 6, 5, 4, 3, 2, 1]


async def test_why_names_all_that_say_so_and_their_episodes(alice: UserMemory) -> None:
    for id in ("x", "y", "z"):
        await alice.remember(f"from {id}", id=id, occurred_at=since(2021))
    said = [
        await alice.facts.add("alice", "likes", "tea", sources=sources)
        for sources in (["y", "x"], ["z"], ["x"])
    ]
    await alice.facts.add("alice", "likes", "milk", source="z")
    (tea, _) = await alice.facts.find("alice", "likes")
    why = await alice.facts.why(tea)
    assert why is not None
    assert why.fact == tea
    assert [each.fact_id for each in why.assertions] == [said[0].fact_id, said[1].fact_id]
    assert [each.id for each in why.episodes] == ["x", "y", "z"]
    assert await alice.facts.why(tea.fact_id) == why
    assert await alice.facts.why("nobody") is None


async def test_why_of_what_is_not_believed_any_more_is_why_it_was(alice: UserMemory) -> None:
    await alice.remember("hello", id="e", occurred_at=since(2021))
    fact = await alice.facts.add("alice", "likes", "tea", source="e")
    await alice.facts.retract(fact.fact_id)
    for asked in (fact, fact.fact_id):
        why = await alice.facts.why(asked)
        assert why is not None
        assert [each.fact_id for each in why.assertions] == [fact.fact_id]
        assert [each.id for each in why.episodes] == ["e"]


async def _knows(alice: UserMemory, *pairs: str) -> None:
    for pair in pairs:
        a, b = pair.split()
        await alice.facts.add(a, "knows", b, valid_from=since(2020))


async def _nodes(alice: UserMemory, subject: str, **kwargs: Any) -> list[str]:
    return ["".join(path.nodes) for path in await alice.facts.related(subject, **kwargs)]


async def test_related_follows_facts_in_either_direction(alice: UserMemory) -> None:
    await _knows(alice, "a b", "c b", "c d", "d e")
    assert await _nodes(alice, "a", hops=1) == ["ab"]
    assert await _nodes(alice, "a") == ["ab", "abc"]
    assert await _nodes(alice, "a", hops=10) == ["ab", "abc", "abcd", "abcde"]
    assert await _nodes(alice, "d") == ["dc", "de", "dcb"]
    (_, path) = await alice.facts.related("a")
    assert [(fact.subject, fact.object) for fact in path.facts] == [("a", "b"), ("c", "b")]
    assert await _nodes(alice, "nobody") == []


async def test_related_ends_in_cycles_and_gives_the_shortest_path(alice: UserMemory) -> None:
    await _knows(alice, "a a", "a b", "b c", "c a", "c d", "b a")
    assert await _nodes(alice, "a", hops=10) == ["ab", "ac", "acd"]


async def test_related_stops_at_its_limit(alice: UserMemory) -> None:
    await _knows(alice, *(f"a {x}" for x in "bcdef"), "b g")
    assert await _nodes(alice, "a", limit=3) == ["ab", "ac", "ad"]
    assert await _nodes(alice, "a", limit=6) == ["ab", "ac", "ad", "ae", "af", "abg"]


async def test_related_follows_what_holds_at_that_time_and_strings_only(alice: UserMemory) -> None:
    await _knows(alice, "a b")
    await alice.facts.add("a", "knows", {"name": "c"})
    await alice.facts.add("a", "knows", 7)
    await alice.facts.end("a", "knows", "b", at=since(2022))
    assert await _nodes(alice, "a") == []
    assert await _nodes(alice, "a", valid_at=since(2021)) == ["ab"]
    assert await _nodes(alice, "7") == []


async def test_difference_reads_on_beyond_a_thousand_changes(alice: UserMemory) -> None:
    for n in range(3):
        await alice.facts.add_many([FactDraft(f"s{n}-{i}", "likes", i) for i in range(400)])
    diff = await alice.facts.diff(0, 3, subject="s2-399")
    assert [fact.object for fact in diff.added] == [399]
    assert len((await alice.facts.diff(1, 2)).added) == 400
