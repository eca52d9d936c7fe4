"""What one tenant does cannot be seen, counted or felt through another."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recollect import Episode, EpisodeConflict, EpisodeDraft, Memory, Page, Recollection, UserMemory
from recollect.testing import Clock

WORDS = ("lisbon", "train", "violin", "coffee", "march", "budget")
SESSIONS = ("s", "t", None)
START = datetime(2024, 5, 1, tzinfo=UTC)
SECRET = "kanarienvogel"

_words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
_remember = st.tuples(
    st.just("remember"), _words, st.sampled_from(SESSIONS), st.sampled_from(["e1", "e2", None])
)
_many = st.tuples(st.just("many"), st.lists(_words, max_size=3), st.sampled_from(SESSIONS), st.booleans())
_embed = st.tuples(st.just("embed"), st.integers(1, 5))
PROGRAMS = st.lists(_remember | _many | _embed, min_size=1, max_size=8)


async def _do(user: UserMemory, step: tuple[Any, ...], prefix: str = "") -> object:
    match step:
        case ("remember", text, session_id, id):
            try:
                stored = await user.remember(prefix + text, session_id=session_id, id=id, occurred_at=START)
            except EpisodeConflict as exc:
                return exc.id
            return _seen(stored)
        case ("many", texts, session_id, later):
            drafts = [EpisodeDraft(prefix + text, session_id=session_id, occurred_at=START) for text in texts]
            stored = await user.remember_many(drafts, embed="later" if later else "now")
            return [_seen(each) for each in stored]
        case ("embed", limit):
            return await user.episodes.embed_pending(limit=limit)


def _seen(value: Any) -> object:
    """Return what a value says, without ids that are random and the namespace that differs."""
    match value:
        case Episode():
            return value.model_dump(exclude={"id"} if len(value.id) == 36 else set())
        case Recollection():
            return (round(value.score, 4), _seen(value.episode), [_seen(each) for each in value.neighbours])
        case Page():
            return ([_seen(each) for each in value.items], value.cursor is None, value.basis)
        case tuple():
            return [_seen(each) for each in value]
        case _:
            return value.model_dump(exclude={"episode_id"}) if hasattr(value, "model_dump") else value


async def _observed(user: UserMemory) -> list[object]:
    """Everything that a tenant can ask."""
    episodes = user.episodes
    return [
        _seen(answer)
        for answer in (
            await episodes.count(),
            await episodes.get("e1"),
            await episodes.get("e2"),
            await episodes.list(),
            await episodes.list(limit=2, session_id="s"),
            await episodes.sessions(),
            await user.messages(),
            await user.messages("t", limit=3),
            *[await user.recall(f"{a} {b}", neighbours=2, limit=20) for a in WORDS[:3] for b in WORDS[3:]],
            *[await user.recall("violin march", mode=mode) for mode in ("semantic", "lexical", "recent")],
            await user.recall("train", session_id="s"),
            await user.recall(SECRET),
        )
    ]


@settings(max_examples=15)
@given(hers=PROGRAMS, his=PROGRAMS, seed=st.integers(0, 2**32))
async def test_answers_are_the_same_whether_another_tenant_exists_or_not(
    memory: Memory, clock: Clock, hers, his, seed: int
) -> None:
    rng = random.Random(seed)
    namespaces = [f"{rng.getrandbits(128):x}-{i}" for i in range(2)]
    answers = []
    for namespace, with_bob in zip(namespaces, (False, True), strict=True):
        clock.now = START
        alice, bob = (memory.user(name, namespace=namespace) for name in ("alice", "bob"))
        rest, said = list(his), []
        for step in hers:
            clock.advance(1)
            if with_bob and rest:
                await _do(bob, rest.pop(0), prefix=f"{SECRET} ")
            said.append(await _do(alice, step))
        if with_bob:
            for step in rest:
                await _do(bob, step, prefix=f"{SECRET} ")
        answers.append((said, await _observed(alice)))
    assert answers[0] == answers[1]
    assert SECRET not in repr(answers)


async def test_tenants_with_the_same_ids_and_sessions_keep_their_own(memory: Memory) -> None:
    tenants = [
        memory.user(name, namespace=f"{memory.user(None).namespace}{suffix}")
        for suffix in ("", "/a", "%2Fa")
        for name in ("a", "A", "a/b", "%", "a\n", "日本")
    ]
    for i, user in enumerate(tenants):
        for turn in range(3):
            await user.remember(f"tenant {i} turn {turn} violin", session_id="s", id=f"e{turn}")
    for i, user in enumerate(tenants):
        mine = {f"tenant {i} turn {turn} violin" for turn in range(3)}
        assert {each.input for each in await user.episodes.list()} == mine
        hits = await user.recall("violin turn tenant", limit=100, neighbours=5)
        assert {hit.episode.input for hit in hits} == mine
        assert {each.input for hit in hits for each in hit.neighbours} <= mine
        assert {each.content for each in await user.messages("s")} == mine
        (session,) = await user.episodes.sessions()
        assert session.episode_count == 3


async def test_id_of_another_tenant_reads_like_one_that_does_not_exist(memory: Memory) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    await alice.remember("hello", id="e")
    assert await bob.episodes.get("e") == await bob.episodes.get("no such id")
    stored = await bob.remember("something else", id="e")
    assert stored.seq == 1


async def test_another_tenants_words_do_not_weigh_in_a_score(memory: Memory) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    await alice.remember("the violin", id="a")
    await alice.remember("the coffee", id="b")
    before = await alice.recall("violin")
    for i in range(50):
        await bob.remember(f"violin violin {i}")
    assert await alice.recall("violin") == before


async def test_clock_of_a_tenant_is_its_own(memory: Memory, clock: Clock) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    for _ in range(5):
        await bob.remember("hello")
    stored = await alice.remember("hello")
    assert (stored.seq, stored.recorded_at) == (1, clock.now)
    clock.now -= timedelta(days=1)
    assert (await memory.user("carol").remember("hello")).recorded_at == clock.now
