"""What one tenant does cannot be seen, counted or felt through another."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recollect import (
    Conflict,
    Episode,
    EpisodeConflict,
    EpisodeDraft,
    Memory,
    NotFound,
    Page,
    Recollection,
    UserMemory,
)
from recollect.testing import Clock

from .facts import objects

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


SUBJECTS = ("alice", "bob")
_said = st.tuples(
    st.just("add"), st.sampled_from(SUBJECTS), st.sampled_from(WORDS), st.booleans(), st.integers(2000, 2004)
)
_ended = st.tuples(st.just("end"), st.sampled_from(SUBJECTS), st.integers(2000, 2004))
_undone = st.tuples(st.sampled_from(["retract", "correct", "promote", "rollback"]), st.integers(0, 3))
CHANGES = st.lists(_said | _ended | _undone, min_size=1, max_size=8)


async def _change(user: UserMemory, step: tuple[Any, ...], said: list[str], prefix: str = "") -> object:
    """Change facts; return how many, or what was refused. Ids and keys are the same for every tenant."""
    facts, key = user.at(session_id="s").facts, f"key {len(said)}"
    try:
        match step:
            case ("add", subject, word, staged, year):
                said.append(f"fact {len(said)}")
                at = datetime(year, 1, 1, tzinfo=UTC)
                return (
                    await facts.add(
                        subject, "likes", prefix + word, valid_from=at, staged=staged, id=said[-1], key=key
                    )
                ).tx_from
            case ("end", subject, year):
                return (await facts.end(subject, "likes", at=datetime(year, 1, 1, tzinfo=UTC))).void
            case ("retract", i) if i < len(said):
                return (await facts.retract(said[i])).changed
            case ("correct", i) if i < len(said):
                return (await facts.correct(said[i], object=f"{prefix}corrected")).replaces
            case ("promote", _):
                return await facts.promote_session()
            case ("rollback", _):
                return await facts.rollback()
    except (NotFound, Conflict) as exc:
        return type(exc).__name__


async def _believed(user: UserMemory) -> list[object]:
    """Everything that a tenant can ask of its facts, without ids that are random."""
    random_ids = {"fact_id", "version_id", "superseded_by", "replaces", "retracts"}

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: told(each) for name, each in value.items() if name not in random_ids}
        return [told(each) for each in value] if isinstance(value, list | tuple) else value

    answers: list[Any] = []
    for facts in (user.facts, user.at(session_id="s").facts):
        answers += [
            await facts.count(),
            await facts.get("fact 0"),
            await facts.find(valid_during=(None, None)),
            await facts.find("alice", limit=2),
            await facts.find(known_at=3, valid_at=START),
            await facts.find(as_of=START + timedelta(seconds=4)),
            await facts.related("alice"),
            await facts.timeline("alice", "likes"),
            await facts.history("bob", "likes"),
            await facts.diff(1, 5),
            await facts.changes(),
            await facts.journal(),
            await facts.why("fact 0"),
        ]
    answers += [await user.recall_facts(f"{a} {b}") for a in SUBJECTS for b in WORDS[:3]]
    dumped: list[Any] = []
    for each in answers:
        if hasattr(each, "model_dump"):
            dumped.append(told({**each.model_dump(), "cursor": None}))
        elif isinstance(each, tuple):
            dumped.append([told(item.model_dump()) for item in each])
        else:
            dumped.append(each)
    return dumped


@settings(max_examples=12)
@given(hers=CHANGES, his=CHANGES, seed=st.integers(0, 2**32))
async def test_facts_are_the_same_whether_another_tenant_exists_or_not(
    memory: Memory, clock: Clock, hers, his, seed: int
) -> None:
    rng = random.Random(seed)
    namespaces = [f"{rng.getrandbits(128):x}-{i}" for i in range(2)]
    answers = []
    for namespace, with_bob in zip(namespaces, (False, True), strict=True):
        clock.now = START
        alice, bob = (memory.user(name, namespace=namespace) for name in ("alice", "bob"))
        rest, results, said, his_own = list(his), [], list[str](), list[str]()
        for step in hers:
            clock.advance(1)
            if with_bob and rest:
                await _change(bob, rest.pop(0), his_own, prefix=f"{SECRET} ")
            results.append(await _change(alice, step, said))
        for step in rest if with_bob else ():
            await _change(bob, step, his_own, prefix=f"{SECRET} ")
        answers.append((results, await _believed(alice)))
    assert answers[0] == answers[1]
    assert SECRET not in repr(answers)


async def test_fact_of_another_tenant_is_like_one_that_does_not_exist(memory: Memory) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    await alice.facts.add("alice", "likes", {"n": 1}, id="the id", key="k")
    calls: list[Callable[[str], Awaitable[object]]] = [
        bob.facts.retract,
        lambda named: bob.facts.update(named, {"n": 2}),
        lambda named: bob.facts.correct(named, object=2),
        lambda named: bob.facts.add("bob", "likes", 1, source=named),
    ]
    for call in calls:
        answers = []
        for named in ("the id", "no such id"):
            try:
                await call(named)
            except NotFound as exc:
                answers.append((exc.kind, str(exc).replace(named, "")))
        assert len(answers) == 2
        assert answers[0] == answers[1]
    assert await bob.facts.get("the id") is await bob.facts.why("the id") is None
    assert (await bob.facts.add("bob", "likes", "tea", id="the id", key="k")).tx_from == 1
    assert await objects(alice) == [{"n": 1}]
    assert await objects(bob) == ["tea"]
