"""What is forgotten is nowhere any more, does not come back, and is missed by nobody else."""

import gc
import logging
import types
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pytest
import redis.asyncio

from recollect import (
    Conflict,
    EpisodeConflict,
    EpisodeDraft,
    FactDraft,
    InvalidInput,
    Memory,
    NotFound,
    StoreUnavailable,
    TaskState,
    UserMemory,
    open_memory,
)
from recollect._bridge import over_bridge
from recollect.testing import Clock, HashEmbedder

from .beside import connected
from .conftest import Backend, Connect
from .extraction import FunctionExtractor, Gate
from .faults.interruption import HANGS, cancelled_by_a_scope
from .faults.redis_memories import heal

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

SAMPLES = "select attname, s::text as row from pg_stats s where schemaname = $1"
"""What the planner keeps of what is in columns."""

CODE = (type, types.ModuleType, types.FrameType, types.CodeType, types.CoroutineType)
"""What leads to the test itself."""


@pytest.fixture
async def memory(connect: Connect, backend: Backend, request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    """All of it in process, or all of it on servers."""
    servers = {"redis": request.getfixturevalue("redis_url")} if backend.name == "postgres" else {}
    async with connect(**servers) as opened:
        yield opened


async def furnish(alice: UserMemory, mark: str, *, outside: bool = True) -> None:
    """Put a mark into every field of every layer, outside of the session, too."""
    session, agent = f"session {mark}", f"agent {mark}"
    scopes = [alice.at(session_id=session), alice.at(agent_id=agent, session_id=session)]
    for at in [alice, *scopes] if outside else scopes:
        await at.blocks.set(f"block {mark}", f"text {mark}", key=f"key {mark}")
        await at.variables.set(f"variable {mark}", {f"field {mark}": [mark]}, ttl=3_600)
        await at.task.set(TaskState(task_id=mark, description=mark, status=mark, context={mark: mark}))
        await at.task.update(status=f"status {mark}")
        await at.scratchpad.append(f"note {mark}")
        saved = await at.checkpoints.create(f"checkpoint {mark}")
        await at.checkpoints.restore(saved.id)
    told = alice.at(session_id=session, agent_id=agent)
    episode = await told.remember(
        f"input {mark}", f"output {mark}", metadata={mark: mark}, transcript=[mark], id=f"id {mark}"
    )
    why: dict[str, Any] = {"actor": f"actor {mark}", "reason": f"reason {mark}", "key": f"other key {mark}"}
    await told.facts.add(f"subject {mark}", f"predicate {mark}", {mark: mark}, source=episode, **why)
    own = await told.facts.add(f"own {mark}", "likes", mark, id=f"fact {mark}")
    await told.facts.correct(own.fact_id, object=f"rather {mark}")
    await told.facts.add(f"staged {mark}", "likes", mark, staged=True)
    await told.facts.end(f"own {mark}", "likes", f"rather {mark}")
    await _furnish_journal(told, mark, why)
    await alice.recall(f"input {mark}")
    await alice.recall_facts(f"subject {mark}")


async def _furnish_journal(told: UserMemory, mark: str, why: dict[str, Any]) -> None:
    """Say who, why and under which key in every kind of transaction, and undo some of them."""

    def said(what: str) -> dict[str, Any]:
        return {**why, "key": f"key of {what} {mark}"}

    patched = await told.facts.add(f"patched {mark}", "is", {mark: mark}, **said("add"))
    await told.facts.update(patched.fact_id, {f"patch {mark}": mark}, **said("update"))
    await told.facts.deny(f"own {mark}", "likes", mark, valid_from=NOON, valid_to=None, **said("deny"))
    async with told.facts.transaction(**said("transaction")) as tx:
        tx.add(f"together {mark}", f"with {mark}", mark)
    await told.facts.promote_session(**said("promotion"))
    await told.facts.add(f"discarded {mark}", "likes", mark, staged=True)
    await told.facts.discard_session(**said("discard"))
    await told.facts.rollback(**said("rollback"))


async def scan(memory: Memory, backend: Backend, mark: str, redis_url: Callable[[], str]) -> list[str]:
    """Return where a mark is found: in tables and keys of the servers, and in all objects of the memory."""
    if backend.name == "inprocess":
        return list(_in_objects(memory, mark))
    tables = await _in_tables(backend.options["postgres"], backend.options["schema"], mark)
    return [*tables, *await _in_keys(redis_url(), mark), *_in_objects(memory, mark)]


def _has(held: object, mark: str) -> bool:
    if isinstance(held, str):
        return mark in held
    return isinstance(held, bytes | bytearray) and mark.encode() in held


def _in_objects(root: object, mark: str) -> Iterable[str]:
    """Yield what holds a mark, of all that is reachable but through code."""
    seen, waiting = {id(root)}, [(root, "memory")]
    while waiting:
        each, path = waiting.pop()
        if _has(each, mark):
            yield f"{path}: {type(each).__name__}"
        if isinstance(each, types.FunctionType):
            within: Iterable[object] = each.__closure__ or ()
        elif isinstance(each, CODE):
            continue
        else:
            within = gc.get_referents(each)
        for other in within:
            if id(other) not in seen:
                seen.add(id(other))
                waiting.append((other, f"{path[-200:]} > {type(each).__name__}"))


@over_bridge
async def _in_tables(dsn: str, schema: str, mark: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select relname from pg_class where relnamespace = $1::regnamespace and relkind = 'r'", schema
        )
        found: list[str] = []
        for (table,) in rows:
            await connection.execute(f"vacuum (full, analyze) {schema}.{table}")
            dumped = await connection.fetch(f"select t::text as row from {schema}.{table} t")
            words = (mark, mark.encode().hex())
            found += [f"{table}: {row['row']}" for row in dumped if any(word in row["row"] for word in words)]
        # The planner keeps samples of ids, until it looks again.
        samples = await connection.fetch(SAMPLES, schema)
        return found + [row["row"] for row in samples if mark in row["row"]]
    finally:
        await connection.close()


async def test_the_planner_takes_no_samples_of_what_was_said(postgres_dsn: str, schema: str) -> None:
    async with open_memory(
        postgres=postgres_dsn, schema=schema, migrate="auto", embedder=HashEmbedder()
    ) as memory:
        for user in ("alice", "bob", "carol"):
            told = memory.user(user)
            await told.remember("canary", "canary", metadata={"canary": 1}, transcript=["canary"])
            await told.facts.add("alice", "likes", "canary", actor="canary", reason="canary")
    async with connected(postgres_dsn) as watch:
        await watch.execute("analyze")
        rows = await watch.fetch(SAMPLES, schema)
    assert {"tenant", "subject", "recorded_at"} <= {row["attname"] for row in rows}
    assert not [row["row"] for row in rows if "canary" in row["row"]]
    assert not {"embedding", "terms"} & {row["attname"] for row in rows}


@over_bridge
async def _in_keys(url: str, mark: str) -> list[str]:
    found: list[str] = []
    async with redis.asyncio.from_url(url) as client:
        async for key in client.scan_iter(count=1_000):
            dumped: Any = await _content(client, key)
            if _has(key, mark) or any(_has(each, mark) for each in dumped):
                found.append(f"{key!r}: {dumped!r}")
    return found


async def _content(client: Any, key: bytes) -> list[bytes]:
    kind = await client.type(key)
    if kind == b"hash":
        return [part for pair in (await client.hgetall(key)).items() for part in pair]
    if kind == b"list":
        return await client.lrange(key, 0, -1)
    assert kind in (b"string", b"none"), f"a key of a kind that nobody looks into: {kind!r}"
    return [await client.get(key) or b""]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Callable[[], str]:
    return lambda: request.getfixturevalue("redis_url")


async def test_after_everything_is_forgotten_no_word_of_it_is_anywhere(
    memory: Memory, backend: Backend, url: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    alice, mark = memory.user("alice"), f"canary{uuid4().hex}"
    await furnish(memory.user("bob"), "kept")
    await furnish(alice, mark)
    assert len(await scan(memory, backend, mark, url)) > 20
    receipt = await alice.forget(everything=True, verify=True)
    assert (receipt.episodes, receipt.facts, receipt.blocks, receipt.variables) == (1, 16, 3, 3)
    assert (receipt.notes, receipt.checkpoints, receipt.tasks) == (3, 3, 3)
    assert receipt.verified is True
    assert await scan(memory, backend, mark, url) == []
    assert mark not in caplog.text
    assert await alice.recall(mark) == ()
    assert (await alice.profile()).episode_count == 0
    assert memory.user("alice").user_id not in (await memory.users()).items


async def test_after_a_session_is_forgotten_no_word_of_it_is_anywhere(
    memory: Memory, backend: Backend, url: Callable[[], str]
) -> None:
    alice, mark = memory.user("alice"), f"canary{uuid4().hex}"
    await furnish(memory.user("bob"), "kept")
    await furnish(alice, mark, outside=False)
    other = await alice.remember("another session", session_id="other", id="kept")
    receipt = await alice.forget(session_id=f"session {mark}", verify=True)
    assert (receipt.episodes, receipt.facts, receipt.blocks) == (1, 16, 2)
    assert receipt.verified is True
    assert await scan(memory, backend, mark, url) == []
    assert [each.id for each in await alice.episodes.list()] == [other.id]


async def test_what_is_forgotten_while_it_is_extracted_leaves_no_fact(
    connect: Connect, backend: Backend, request: pytest.FixtureRequest
) -> None:
    servers = {"redis": request.getfixturevalue("redis_url")} if backend.name == "postgres" else {}
    for everything in (True, False):
        gate = Gate()
        async with connect(extractor=FunctionExtractor(gate.extract), **servers) as memory:
            alice = memory.user(f"alice {everything}")
            await alice.remember_many([EpisodeDraft(f"turn {i}", session_id="s") for i in range(8)])
            what: dict[str, Any] = {"everything": True} if everything else {"session_id": "s"}
            with anyio.fail_after(HANGS):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(alice.consolidate)
                    await gate.arrived.wait()
                    assert (await alice.forget(**what)).episodes == 8
                    gate.opened.set()
            assert await alice.facts.count() == 0
            assert (await alice.facts.changes(limit=100)).items == ()
            assert (await alice.consolidate()).considered == 0
            assert await alice.episodes.count() == 0


async def test_what_was_forgotten_does_not_come_back(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember("I moved to Rome", id="e1", session_id="s")
    await alice.facts.add("alice", "lives_in", "Rome", sources=["e1"])
    await alice.facts.add("alice", "likes", "tea", key="k")
    await alice.forget(everything=True)
    with pytest.raises(EpisodeConflict, match="was erased") as caught:
        await alice.remember("I moved to Rome", id="e1", session_id="s")
    assert caught.value.erased
    with pytest.raises(Conflict, match="erased"):
        await alice.facts.add("alice", "lives_in", "Rome", sources=["e1"])
    with pytest.raises(Conflict, match="erased"):
        await alice.facts.add("alice", "likes", "tea", key="k")
    with pytest.raises(NotFound):
        await alice.facts.add("alice", "lives_in", "Rome", sources=["unknown"])
    assert await alice.episodes.count() == await alice.facts.count() == 0
    await alice.remember("I moved to Oslo", id="e2")
    assert [each.id for each in await alice.episodes.list()] == ["e2"]


async def _tell(alice: UserMemory, session: str, clock: Clock) -> None:
    """Have a conversation; it says the same in every session with the same letter."""
    told = alice.at(session_id=session)
    for i, text in enumerate(("I live in Lisbon", "tea is best", "the train to Porto")):
        clock.advance(60)
        await told.remember(f"{text}, {session}", f"noted {i}", id=f"{session}{i}")
    await told.facts.add("alice", "lives_in", f"city of {session}", sources=[f"{session}0"])
    await told.facts.add("alice", "likes", "tea", valid_from=NOON)
    await told.facts.add("alice", "likes", f"trains of {session}", valid_from=NOON)
    await told.facts.end("alice", "likes", f"trains of {session}", at=NOON + timedelta(days=1))
    await told.scratchpad.append(f"note of {session}")


async def _observed(alice: UserMemory, other: str) -> object:
    """Return what is answered, but for numbers and instants of transactions."""
    recalled = await alice.recall("tea in Lisbon", neighbours=1)
    facts = await alice.facts.find(limit=100)
    timeline = await alice.facts.timeline("alice", "likes")
    changes = await alice.facts.changes(limit=100)
    profile = await alice.profile()
    return (
        [(hit.episode.id, round(hit.score, 6), [each.id for each in hit.neighbours]) for hit in recalled],
        [(message.role, message.content) for message in await alice.messages()],
        [(each.session_id, each.episode_count) for each in await alice.episodes.sessions()],
        [(fact.predicate, fact.object, fact.support, fact.sources, fact.valid_to) for fact in facts],
        [[(fact.object, fact.support) for fact in span.facts] for span in timeline],
        len(changes),
        [(hit.fact.object, round(hit.score, 6)) for hit in await alice.recall_facts("tea city")],
        (profile.episode_count, profile.fact_count, [each.session_id for each in profile.recent_sessions]),
        [note.text for note in await alice.at(session_id=other).scratchpad.entries()],
    )


async def test_a_session_that_is_forgotten_is_missed_by_no_other(memory: Memory, clock: Clock) -> None:
    with_it, without = memory.user("with"), memory.user("without")
    start = clock.now
    await _tell(with_it, "a", clock)
    await _tell(with_it, "gone", clock)
    await _tell(with_it, "b", clock)
    clock.now = start
    await _tell(without, "a", clock)
    clock.advance(180)
    await _tell(without, "b", clock)
    receipt = await with_it.forget(session_id="gone", verify=True)
    assert (receipt.episodes, receipt.facts, receipt.notes) == (3, 4, 1)
    assert await _observed(with_it, "a") == await _observed(without, "a")
    assert await with_it.at(session_id="gone").scratchpad.entries() == ()


async def test_other_users_keep_everything(memory: Memory) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    for each in (alice, bob):
        await furnish(each, "same")
    before = await _state(bob)
    await alice.forget(everything=True)
    assert await _state(bob) == before
    await alice.forget(session_id="session same", verify=True)
    assert await _state(bob) == before


async def _state(alice: UserMemory) -> object:
    return (
        (await alice.episodes.list()).items,
        (await alice.facts.changes(limit=100)).items,
        (await alice.facts.find()).items,
        await alice.blocks.list(),
        await alice.variables.items(),
        await alice.task.get(),
        await alice.scratchpad.entries(),
        await alice.checkpoints.list(),
    )


async def test_episodes_and_facts_are_forgotten_by_their_ids(memory: Memory) -> None:
    alice = memory.user("alice")
    for i in range(3):
        await alice.remember(f"turn {i}", id=f"e{i}")
    rome = await alice.facts.add("alice", "lives_in", "Rome", sources=["e0"])
    tea = await alice.facts.add("alice", "likes", "tea")
    assert (await alice.forget(episode_ids=["e1", "e2"])).episodes == 2
    with pytest.raises(InvalidInput, match="fact_ids"):
        await alice.forget(fact_ids=[rome.fact_id, tea.fact_id])
    assert (await alice.forget(fact_ids=[tea.fact_id])).facts == 1
    assert [fact.object for fact in await alice.facts.find()] == ["Rome"]
    await alice.blocks.set("persona", "kept")
    receipt = await alice.forget(episode_ids=["e0"], verify=True)
    assert (receipt.episodes, receipt.facts, receipt.verified) == (1, 1, True)
    assert await alice.blocks.get("persona") is not None
    assert (await alice.forget(episode_ids=["e0"])).episodes == 0


async def test_what_is_older_than_an_instant_is_forgotten(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    await alice.remember("old", id="old", occurred_at=NOON + timedelta(days=999))
    await alice.facts.add("alice", "likes", "tea")
    clock.advance(3_600)
    await alice.remember("new", id="new", occurred_at=NOON - timedelta(days=999))
    await alice.facts.add("alice", "likes", "figs")
    receipt = await alice.forget(before=clock.now - timedelta(minutes=30))
    assert (receipt.episodes, receipt.facts) == (1, 1)
    assert [each.id for each in await alice.episodes.list()] == ["new"]
    assert [fact.object for fact in await alice.facts.find()] == ["figs"]


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "everything"),
    ({"verify": True}, "everything"),
    ({"everything": True, "session_id": "s"}, "everything"),
    ({"everything": 1}, "everything"),
    ({"episode_ids": ["a"], "fact_ids": ["b"]}, "fact_ids"),
    ({"session_id": ""}, "session_id"),
    ({"session_id": 3}, "session_id"),
    ({"episode_ids": "abc"}, "episode_ids"),
    ({"episode_ids": ["a", ""]}, "episode_ids[1]"),
    ({"fact_ids": [None]}, "fact_ids[0]"),
    ({"fact_ids": ["a"] * 10_001}, "fact_ids"),
    ({"before": datetime(2026, 1, 1)}, "before"),  # noqa: DTZ001
    ({"before": "2026-01-01"}, "before"),
]


@pytest.mark.parametrize(("given", "field"), BAD)
async def test_what_does_not_say_what_to_forget_is_refused(given: dict[str, Any], field: str) -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        await alice.remember("hello", session_id="s")
        with pytest.raises(InvalidInput) as caught:
            await alice.forget(**given)
        assert caught.value.field == field
        assert await alice.episodes.count() == 1


async def test_everything_is_forgotten_only_through_a_handle_on_all_of_it() -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        for narrow in (alice.at(session_id="s"), alice.at(agent_id="a")):
            with pytest.raises(InvalidInput, match="everything"):
                await narrow.forget(everything=True)
            await narrow.remember("hello")
        assert (await alice.at(agent_id="a").forget(session_id="s")).episodes == 1


async def test_nothing_is_forgotten_while_redis_is_away(redis_server: Callable[..., Any]) -> None:
    server = redis_server()
    async with open_memory(redis=server.url) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", "terse")
        await alice.remember("hello", session_id="s")
        server.close()
        for what in ({"everything": True}, {"session_id": "s"}):
            with pytest.raises(StoreUnavailable):
                await alice.forget(**what)
        assert await alice.episodes.count() == 1
        assert (await alice.forget(before=datetime.now(UTC) + timedelta(days=1))).episodes == 1


@pytest.mark.parametrize("settled", [False, True], ids=["unsaved", "in conflict"])
async def test_of_what_was_written_in_an_outage_no_word_is_left(
    redis_server: Callable[..., Any], settled: bool
) -> None:
    server, mark = redis_server(appendonly="yes", appendfsync="always"), f"canary{uuid4().hex}"
    async with open_memory(redis=server.url, deadline=60.0) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", f"before {mark}")
        server.kill()
        await alice.blocks.set("persona", f"ours {mark}")
        await alice.variables.set(mark, mark)
        await alice.scratchpad.append(mark)
        server.restart()
        async with open_memory(redis=server.url, deadline=60.0) as other:
            await other.user("alice").blocks.set("persona", f"theirs {mark}")
        if settled:
            await heal(alice)
            assert [each.ours for each in await alice.working.conflicts()] == [f"ours {mark}"]
        else:
            assert alice.working.status.unsaved > 0
        with anyio.fail_after(HANGS):
            await _forget_at_last(alice)
        await heal(alice)
        assert await alice.working.conflicts() == ()
        assert await alice.blocks.list() == ()
        assert await _in_keys(server.url, mark) == []
        assert list(_in_objects(memory, mark)) == []


async def _forget_at_last(alice: UserMemory) -> None:
    """Forget everything as soon as the server is used again."""
    while True:
        with suppress(StoreUnavailable):
            assert (await alice.forget(everything=True, verify=True)).verified
            return
        await anyio.sleep(0.02)


async def test_a_forget_cancelled_at_any_suspension_is_finished_by_the_next(memory: Memory) -> None:
    at, interrupted = 0, True
    while interrupted:
        at += 1
        alice = memory.user(f"alice {at}")
        for session in "sr":
            told = alice.at(session_id=session)
            await told.remember("hello", id=session)
            await told.facts.add_many([FactDraft("alice", session, i, sources=(session,)) for i in range(3)])
            await told.blocks.set("a", "x")
            await told.scratchpad.append("y")
        what = {"everything": True} if at % 2 else {"session_id": "s"}
        left = 0 if at % 2 else 1
        with anyio.fail_after(HANGS):
            interrupted = await cancelled_by_a_scope(lambda what=what, alice=alice: alice.forget(**what), at)
        episodes = await alice.episodes.count()
        assert await alice.facts.count() == 3 * episodes
        assert episodes in (left, 2)
        stats = await alice.at(session_id="s").working.stats()
        assert (stats.blocks, stats.notes) in ((0, 0), (1, 1))
        assert (await alice.forget(**what, verify=True)).verified
        assert await alice.episodes.count() == left
    assert at > 2
    assert memory.statistics().leased == 0


async def test_vectors_of_what_was_forgotten_are_not_kept_in_process() -> None:
    calls: list[str] = []

    class Counting(HashEmbedder):
        async def embed(self, texts: Any, *, kind: Any) -> Any:
            calls.extend(texts)
            return await super().embed(texts, kind=kind)

    async with open_memory(embedder=Counting()) as memory:
        alice = memory.user("alice")
        await alice.remember("hello", id="e")
        await alice.forget(episode_ids=["e"])
        await memory.user("bob").remember("hello")
    assert calls.count("hello") == 2


class Held(HashEmbedder):
    """Waits, from the moment on that it is told to, until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.asked, self.may_go_on = anyio.Event(), anyio.Event()
        self.may_go_on.set()
        self.calls: list[str] = []

    async def embed(self, texts: Any, *, kind: Any) -> Any:
        if self.fails:
            msg = "not now"
            raise RuntimeError(msg)
        self.calls.extend(texts)
        self.asked.set()
        await self.may_go_on.wait()
        return await super().embed(texts, kind=kind)


# What is erased, what is embedded, and how much of the latter stays.
@pytest.mark.parametrize(
    ("what", "kind", "stays"),
    [
        ({"everything": True}, "episodes", 0),
        ({"everything": True}, "facts", 0),
        ({"session_id": "s"}, "episodes", 0),
        ({"session_id": "s"}, "facts", 0),
        ({"episode_ids": ["e"]}, "episodes", 0),
        ({"episode_ids": ["e"]}, "facts", 1),
        ({"fact_ids": ["own"]}, "facts", 1),
        ({"before": datetime(2100, 1, 1, tzinfo=UTC)}, "episodes", 0),
        ({"before": datetime(2100, 1, 1, tzinfo=UTC)}, "facts", 0),
    ],
    ids=lambda given: str(given) if isinstance(given, str | int) else next(iter(given)),
)
async def test_what_is_forgotten_while_it_is_embedded_gets_no_vector(
    connect: Connect, what: dict[str, Any], kind: str, stays: int
) -> None:
    embedder, embedded = Held(), list[int]()
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        told = alice.at(session_id="s")
        embedder.fails = True
        await told.remember("I drink tea", id="e")
        await told.facts.add("alice", "drinks", "tea", source="e")
        own = await told.facts.add("alice", "likes", "figs")
        embedder.fails = False
        embedder.may_go_on = anyio.Event()

        async def embed() -> None:
            embedded.append(await (alice.episodes if kind == "episodes" else alice.facts).embed_pending())

        if "fact_ids" in what:
            what = {"fact_ids": [own.fact_id]}
        with anyio.fail_after(HANGS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(embed)
                await embedder.asked.wait()
                assert (await alice.forget(**what, verify=True)).verified
                embedder.may_go_on.set()
        assert embedded == [stays]
        # Said anew it is found, and embedded anew: what came back late is not kept by the process either.
        embedder.calls.clear()
        await alice.remember("I drink tea", id="another")
        await alice.facts.add("alice", "drinks", "tea")
        await alice.facts.add("alice", "likes", "figs")
        await alice.episodes.embed_pending()
        await alice.facts.embed_pending()
        assert await alice.episodes.embed_pending() + await alice.facts.embed_pending() == 0
        assert "I drink tea" in embedder.calls
        assert "alice drinks tea" in embedder.calls
        found = await alice.recall("I drink tea", mode="semantic")
        assert len(found) == await alice.episodes.count()


async def test_what_was_restored_gets_no_vector_of_what_was_there_before(connect: Connect) -> None:
    embedder, embedded = Held(), list[int]()
    async with connect(embedder=embedder) as memory:
        alice, bob = memory.user("alice"), memory.user("bob")
        embedder.fails = True
        before, after = await alice.remember("I drink tea"), await bob.remember("I was born in Porto")
        embedder.fails = False
        assert before.seq == after.seq
        embedder.may_go_on = anyio.Event()

        async def embed() -> None:
            embedded.append(await alice.episodes.embed_pending())

        with anyio.fail_after(HANGS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(embed)
                await embedder.asked.wait()
                await alice.forget(everything=True)
                await alice.restore(await bob.export())
                embedder.may_go_on.set()
        assert embedded == [0]
        assert await alice.recall("I drink tea", mode="semantic") == ()
        assert await alice.episodes.embed_pending() == 1
