"""Reading: recall and its signals, messages, and the pages of episodes and sessions."""

from datetime import timedelta

import pytest

from recollect import EpisodeDraft, Memory, Message, RecallWeights, UserMemory
from recollect.testing import Clock

from .conftest import Connect

VIOLIN = "I play the violin on Mondays and Thursdays with my old teacher"


async def _talk(user: UserMemory, clock: Clock) -> None:
    """Two sessions of three turns each, interleaved, an hour apart."""
    turns = (
        ("one", VIOLIN, "Lovely!"),
        ("two", "My sister moved to Lisbon", "When was that?"),
        ("one", "The lessons cost forty euros", "Per month?"),
        ("two", "Last week, by train", ""),
        ("one", "Yes, and the teacher is strict", "I see."),
        ("two", "", "Shall I remind you to call her?"),
    )
    for session_id, input, output in turns:
        await user.remember(input, output, session_id=session_id, metadata={"topic": session_id})
        clock.advance(3600)


def _inputs(hits) -> list[str]:
    return [hit.episode.input for hit in hits]


async def test_best_answer_comes_first_and_says_why(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    hits = await alice.recall("who plays the violin on Mondays?")
    assert _inputs(hits)[0] == VIOLIN
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    signals = hits[0].signals
    assert signals.lexical is not None
    assert signals.semantic is not None
    assert signals.lexical > 0
    assert signals.semantic > 0


async def test_turn_is_found_through_the_conversation_around_it(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    hits = await alice.recall("violin", mode="lexical", limit=10)
    assert _inputs(hits)[0] == VIOLIN
    assert set(_inputs(hits)) >= {"The lessons cost forty euros", "Yes, and the teacher is strict"}
    beside = hits[1].signals
    assert beside.lexical == 0
    assert beside.context is not None
    assert beside.context > 0


async def test_what_has_nothing_to_do_with_the_query_is_not_returned(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    assert await alice.recall("zebra", mode="lexical", limit=100) == ()
    found = await alice.recall("Lisbon", mode="lexical", limit=100)
    assert {hit.episode.session_id for hit in found} == {"two"}


@pytest.mark.parametrize("query", ["", "  \n"])
async def test_blank_query_returns_the_newest(memory: Memory, clock: Clock, query: str) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    hits = await alice.recall(query, limit=2)
    assert _inputs(hits) == ["", "Yes, and the teacher is strict"]
    assert hits == await alice.recall("anything", mode="recent", limit=2)


async def test_query_of_stop_words_finds_nothing_by_words(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    assert await alice.recall("the and of", mode="lexical") == ()


async def test_filters_choose_what_takes_part(memory: Memory, clock: Clock) -> None:
    alice, start = memory.user("alice"), clock.now
    await _talk(alice, clock)
    await alice.at(agent_id="a").remember("violin strings", session_id="three")
    for options, expected in (
        ({"session_id": "two"}, {"two"}),
        ({"where": {"topic": "one"}}, {"one"}),
        ({"agent_id": "a"}, {"three"}),
        ({"time_range": (None, start + timedelta(hours=2))}, {"one", "two"}),
        ({"time_range": (start + timedelta(hours=6), None)}, {"three"}),
        ({"session_id": "one", "where": {"topic": "two"}}, set()),
        ({"session_id": "absent"}, set()),
    ):
        for mode in ("recent", "hybrid", "lexical"):
            hits = await alice.recall("violin Lisbon", mode=mode, limit=100, **options)
            assert {hit.episode.session_id for hit in hits} <= expected
        assert {hit.episode.session_id for hit in await alice.recall("", **options)} == expected


async def test_limit_cuts_the_best(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    everything = await alice.recall("violin lessons", limit=100)
    for limit in range(1, len(everything)):
        cut = await alice.recall("violin lessons", limit=limit)
        assert _inputs(cut) == _inputs(everything)[:limit]


async def test_neighbours_are_the_turns_around_a_hit_in_its_session(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    (hit,) = await alice.recall("lessons cost", limit=1, neighbours=1)
    assert [each.input for each in hit.neighbours] == [
        VIOLIN,
        "Yes, and the teacher is strict",
    ]
    (hit,) = await alice.recall("", limit=1, neighbours=5)
    assert [each.input for each in hit.neighbours] == ["My sister moved to Lisbon", "Last week, by train"]
    (hit,) = await alice.recall("lessons cost", limit=1)
    assert hit.neighbours == ()


async def test_recency_counts_from_the_clock_of_the_memory(connect: Connect, clock: Clock) -> None:
    day = 86_400.0
    async with connect(weights=RecallWeights(recency=5.0, recency_half_life=day)) as memory:
        alice = memory.user("alice")
        for age in (0, 10, 5):
            await alice.remember(f"violin {age}", occurred_at=clock.now - timedelta(days=age))
        hits = await alice.recall("violin")
        assert _inputs(hits) == ["violin 0", "violin 5", "violin 10"]
        assert hits[0].signals.recency == pytest.approx(5.0)
        clock.advance(day)
        assert (await alice.recall("violin"))[0].signals.recency == pytest.approx(2.5)


async def test_words_of_another_language_meet_in_their_stem(connect: Connect) -> None:
    async with connect(language="german", embedder=None) as memory:
        alice = memory.user("alice")
        await alice.remember("Die Häuser am Fluss")
        assert len(await alice.recall("Haus")) == 1


async def test_date_is_found_by_its_name(connect: Connect, clock: Clock) -> None:
    async with connect(embedder=None) as memory:
        alice = memory.user("alice")
        for month in (3, 4, 5):
            await alice.remember(f"turn {month}", occurred_at=clock.now.replace(month=month, day=13))
        (hit,) = await alice.recall("what happened on April 13?")
        assert hit.episode.input == "turn 4"


async def test_newest_messages_come_oldest_first(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    turns = await alice.messages("one")
    assert [(each.role, each.content) for each in turns] == [
        ("user", VIOLIN),
        ("assistant", "Lovely!"),
        ("user", "The lessons cost forty euros"),
        ("assistant", "Per month?"),
        ("user", "Yes, and the teacher is strict"),
        ("assistant", "I see."),
    ]
    assert len(await alice.messages()) == 10


async def test_a_limit_of_messages_is_a_number_of_messages(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await _talk(alice, clock)
    everything = await alice.messages("one", limit=100)
    assert await alice.messages("one", limit=0) == ()
    for limit in range(1, 8):
        assert await alice.messages("one", limit=limit) == everything[-limit:]


async def test_empty_sides_are_no_messages(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember("first", " ", session_id="s")
    stored = await alice.remember("\n", "second", session_id="s")
    last = (await alice.messages("s", limit=1))[0]
    assert last == Message(role="assistant", content="second", episode_id=stored.id, at=stored.occurred_at)
    assert [each.content for each in await alice.messages("s", limit=2)] == ["first", "second"]


async def test_messages_of_a_narrow_handle_are_of_its_agent_and_session(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.at(agent_id="a", session_id="s").remember("both")
    await alice.at(agent_id="b", session_id="s").remember("another agent")
    await alice.at(agent_id="a", session_id="t").remember("another session")

    async def said(user: UserMemory, *args: str) -> list[str]:
        return [each.content for each in await user.messages(*args)]

    assert await said(alice.at(agent_id="a", session_id="s")) == ["both"]
    assert await said(alice.at(session_id="s")) == ["both", "another agent"]
    assert await said(alice.at(session_id="s"), "t") == ["another session"]
    assert await said(alice.at(agent_id="a")) == ["both", "another session"]


async def test_episodes_are_paged_in_order_even_while_others_are_stored(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember_many([EpisodeDraft(f"turn {i}") for i in range(7)])
    found, cursor = [], None
    while True:
        page = await alice.episodes.list(cursor=cursor, limit=3)
        assert page.basis >= page.items[-1].seq
        found += [each.input for each in page]
        if cursor is None:
            await alice.remember("turn 7")
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [f"turn {i}" for i in range(8)]


async def test_last_full_page_has_no_cursor(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember_many([EpisodeDraft(str(i), session_id=str(i)) for i in range(4)])
    assert (await alice.episodes.list(limit=4)).cursor is None
    assert (await alice.episodes.list(limit=3)).cursor is not None
    assert (await alice.episodes.sessions(limit=4)).cursor is None
    assert (await alice.episodes.sessions(limit=3)).cursor is not None


async def test_list_filters_by_session_and_time(memory: Memory, clock: Clock) -> None:
    alice, start = memory.user("alice"), clock.now
    await _talk(alice, clock)
    listed = await alice.episodes.list(
        session_id="one", after=start + timedelta(hours=2), before=start + timedelta(hours=4)
    )
    assert [each.input for each in listed] == ["The lessons cost forty euros"]
    assert len(await alice.episodes.list(after=start + timedelta(hours=4))) == 2


async def test_sessions_are_paged_by_their_first_episode(memory: Memory, clock: Clock) -> None:
    alice, start = memory.user("alice"), clock.now
    await _talk(alice, clock)
    await alice.remember("of no session")
    first = await alice.episodes.sessions(limit=1)
    second = await alice.episodes.sessions(limit=1, cursor=first.cursor)
    (one,), (two,) = first, second
    assert (one.session_id, one.episode_count) == ("one", 3)
    assert (one.first_at, one.last_at) == (start, start + timedelta(hours=4))
    assert (two.session_id, two.episode_count) == ("two", 3)
    assert second.cursor is None


async def test_without_a_clock_given_the_store_has_its_own(connect: Connect) -> None:
    async with connect(clock=None) as memory:
        alice = memory.user("alice")
        stored = [await alice.remember(f"turn {i}") for i in range(5)]
        stored += await alice.remember_many([EpisodeDraft(f"turn {i}") for i in range(5, 10)])
        instants = [each.recorded_at for each in stored]
        assert instants == sorted(set(instants))
        assert (await alice.episodes.list()).items == tuple(stored)


@pytest.mark.parametrize("count", [2, 3, 10, 40])
@pytest.mark.parametrize("together", [True, False])
async def test_short_episode_with_the_only_word_of_a_query_is_first_among_long_ones(
    memory: Memory, count: int, together: bool
) -> None:
    alice = memory.user("alice")
    for i in range(count):
        session = "s" if together else None
        if i == 0:
            await alice.remember("Pepper needs shots", "ok", session_id=session, id="hit")
        else:
            walk = f"I walked along the river for hours with friend number {i}, and we talked about school"
            await alice.remember(walk, "How nice, you must have had a lot to tell.", session_id=session)
    hits = await alice.recall("Pepper")
    assert hits[0].episode.id == "hit"
