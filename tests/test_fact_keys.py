"""A call with a key takes effect once; and what many do at once is what they do one after the other."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

import anyio
import pytest
from anyio.lowlevel import checkpoint

from recollect import (
    Archive,
    DeadlineExceeded,
    Fact,
    FactDraft,
    IdempotencyConflict,
    Memory,
    OutcomeUnknown,
    UserMemory,
    VersionConflict,
)
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.stores import FactStore
from recollect.testing import Clock, FaultyEmbedder

from .conftest import Connect
from .facts import HOME, objects, since

Write = Callable[[UserMemory, str], Awaitable[object]]


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect(predicates=[HOME]) as opened:
        yield opened


async def _transaction(alice: UserMemory, key: str) -> object:
    async with alice.facts.transaction(key=key) as tx:
        tx.add("alice", "likes", "known")
        tx.add("alice", "likes", "new")
        tx.end("alice", "likes", "tea")
        tx.retract("retracted")
    return tx.results


OTHERS = {"actor": "bot", "reason": "why not"}
WRITES: dict[str, Write] = {
    "add": lambda alice, key: alice.facts.add("alice", "likes", "new", key=key, **OTHERS),
    "add known": lambda alice, key: alice.facts.add_many(
        [FactDraft("alice", "likes", each, valid_from=since(2020)) for each in ("known", "new")], key=key
    ),
    "add staged": lambda alice, key: alice.facts.add("alice", "likes", "new", staged=True, key=key),
    "add with an id": lambda alice, key: alice.facts.add("alice", "likes", "new", id="new", key=key),
    "update": lambda alice, key: alice.facts.update("updated", {"n": 2}, key=key),
    "correct": lambda alice, key: alice.facts.correct("corrected", object="right", key=key),
    "correct to what is known": lambda alice, key: alice.facts.correct(
        "corrected", object="known", valid_from=since(2020), key=key
    ),
    "end": lambda alice, key: alice.facts.end("alice", "likes", "tea", key=key),
    "end all": lambda alice, key: alice.facts.end("alice", "likes", key=key),
    "deny": lambda alice, key: alice.facts.deny(
        "alice", HOME.name, valid_from=since(2021), valid_to=since(2022), key=key
    ),
    "retract": lambda alice, key: alice.facts.retract("retracted", key=key),
    "transaction": _transaction,
    "promote": lambda alice, key: alice.facts.promote_session(key=key),
    "promote selected": lambda alice, key: alice.facts.promote_session(
        select=lambda fact: fact.object == "staged 1", key=key
    ),
    "discard": lambda alice, key: alice.facts.discard_session(key=key),
    "rollback": lambda alice, key: alice.facts.rollback(key=key),
}


async def _prepare(alice: UserMemory) -> None:
    old = {"valid_from": since(2020)}
    await alice.facts.add_many(
        [
            *(FactDraft("alice", "likes", each, valid_from=since(2020)) for each in ("known", "tea")),
            FactDraft("alice", HOME.name, "Rome", valid_from=since(2020)),
            FactDraft("alice", "owns", {"n": 1}, id="updated", valid_from=since(2020)),
            FactDraft("alice", "likes", "wrong", id="corrected", valid_from=since(2020)),
            FactDraft("bob", "likes", "retracted", id="retracted", valid_from=since(2020)),
        ]
    )
    await alice.facts.add("alice", "owns", "staged 1", staged=True, **old)
    await alice.facts.add("alice", "owns", "staged 2", staged=True, **old)


async def _disturb(alice: UserMemory) -> None:
    """Change everything that a write might look at when it is repeated."""
    async with alice.facts.transaction() as tx:
        for value in ("new", "known", "tea"):
            tx.end("alice", "likes", value)
        tx.add("alice", HOME.name, "Oslo")
        tx.add("alice", "owns", "staged 3", staged=True)
    await alice.remember("hello")


def _identified(result: Any) -> Any:
    """Return what a result says that no later change may alter."""
    if isinstance(result, Fact):
        return result.fact_id, result.object, result.tx_from, result.changed, result.support, result.replaces
    return tuple(map(_identified, result)) if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", WRITES)
async def test_call_that_is_repeated_with_its_key_returns_its_first_result(
    connect: Connect, clock: Clock, name: str
) -> None:
    async with connect(predicates=[HOME]) as memory:
        alice = memory.user("alice", session_id="s")
        await _prepare(alice)
        clock.advance(60)
        first = await WRITES[name](alice, "key")
        basis = (await alice.facts.find()).basis
        assert _identified(await WRITES[name](alice, "key")) == _identified(first)
        assert (await alice.facts.find()).basis == basis
        clock.advance(60)
        await _disturb(alice)
        state = await alice.facts.find(valid_during=(None, None))
        assert _identified(await WRITES[name](alice, "key")) == _identified(first)
        assert await alice.facts.find(valid_during=(None, None)) == state


@pytest.mark.parametrize("name", WRITES)
async def test_key_of_another_call_conflicts(connect: Connect, clock: Clock, name: str) -> None:
    async with connect(predicates=[HOME]) as memory:
        alice = memory.user("alice", session_id="s")
        await _prepare(alice)
        clock.advance(60)
        await WRITES[name](alice, "key")
        state = await alice.facts.find(valid_during=(None, None))
        with pytest.raises(IdempotencyConflict) as caught:
            await alice.facts.add("alice", "likes", "something else", key="key")
        assert caught.value.key == "key"
        assert await alice.facts.find(valid_during=(None, None)) == state


async def test_anything_else_under_a_key_conflicts(memory: Memory) -> None:
    alice = memory.user("alice")
    given: dict[str, Any] = {"subject": "alice", "predicate": "likes", "object": {"a": 1, "b": 2}}
    await alice.facts.add(**given, key="k")
    same = await alice.facts.add(**{**given, "object": {"b": 2, "a": 1}}, key="k")
    assert same.changed
    others: list[dict[str, Any]] = [
        {"subject": "bob"}, {"predicate": "owns"}, {"object": None}, {"object": {"a": 1.0, "b": 2}},
        {"valid_from": since(2020)}, {"valid_to": since(2030)}, {"confidence": 0.5}, {"id": "f"},
        {"actor": "bot"}, {"reason": "why"},
    ]  # fmt: skip
    for other in others:
        with pytest.raises(IdempotencyConflict):
            await alice.facts.add(**{**given, **other}, key="k")
    with pytest.raises(IdempotencyConflict):
        await alice.at(session_id="s").facts.add(**given, key="k")
    assert (await memory.user("bob").facts.add(**given, key="k")).tx_from == 1


async def test_same_patch_in_another_order_is_the_same(memory: Memory) -> None:
    alice = memory.user("alice")
    fact = await alice.facts.add("alice", HOME.name, {"a": 0})
    first = await alice.facts.update(fact.fact_id, {"a": 1, "b": 2}, key="k")
    assert await alice.facts.update(fact.fact_id, {"b": 2, "a": 1}, key="k") == first


async def test_key_holds_from_another_memory_on_the_same_archive(archive: Archive, clock: Clock) -> None:
    namespace = str(uuid4())
    one, other = (
        Memory(working=InProcessWorking(), archive=archive, namespace=namespace, clock=clock)
        for _ in range(2)
    )
    first = await one.user("alice").facts.add("alice", "likes", "tea", key="k")
    assert await other.user("alice").facts.add("alice", "likes", "tea", key="k") == first
    with pytest.raises(IdempotencyConflict):
        await other.user("alice").facts.add("alice", "likes", "milk", key="k")


async def test_one_key_of_many_at_once_takes_effect_once(memory: Memory) -> None:
    alice = memory.user("alice")
    results: list[Fact | str] = []

    async def add(value: str) -> None:
        try:
            results.append(await alice.facts.add("alice", "likes", value, key="k"))
        except IdempotencyConflict as exc:
            results.append(exc.key)

    async with anyio.create_task_group() as tasks:
        for i in range(20):
            tasks.start_soon(add, "tea" if i % 4 else "milk")
    assert len(await alice.facts.changes()) == 1
    assert len({each.fact_id for each in results if isinstance(each, Fact)}) == 1
    assert Counter(isinstance(each, Fact) for each in results) in ({True: 15, False: 5}, {True: 5, False: 15})


class HoldsBack:
    """An archive whose fact store keeps what it has committed to itself, until it is `released`."""

    def __init__(self) -> None:
        self._archive = InProcessArchive()
        self.released = anyio.Event()
        self.reached = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)

    @property
    def facts(self) -> "HeldFacts":
        return HeldFacts(self, self._archive.facts)


class HeldFacts:
    def __init__(self, owner: HoldsBack, store: FactStore) -> None:
        self._owner = owner
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def try_commit(self, batches: Sequence[Sequence[Any]]) -> Sequence[Any]:
        outcomes = await self._store.try_commit(batches)
        self._owner.reached.set()
        await self._owner.released.wait()
        return outcomes


async def test_write_that_is_late_after_it_was_handed_over_says_so_and_can_be_repeated() -> None:
    archive = HoldsBack()
    memory = Memory(working=InProcessWorking(), archive=archive, deadline=0.5)
    alice = memory.user("alice")
    with pytest.raises(OutcomeUnknown) as caught:
        await alice.facts.add("alice", "likes", "tea")
    archive.released.set()
    fact = await alice.facts.add("alice", "likes", "tea", key=caught.value.key)
    assert fact.changed
    assert len(await alice.facts.changes()) == 1
    assert memory.statistics().leased == memory.statistics().waiting == 0


async def test_writers_who_wait_for_one_that_hangs_know_whether_to_repeat_with_a_key() -> None:
    archive = HoldsBack()
    memory = Memory(working=InProcessWorking(), archive=archive, deadline=0.5)
    errors: dict[str, Exception] = {}

    async def add(value: str) -> None:
        try:
            await memory.user("alice").facts.add("alice", "likes", value)
        except (OutcomeUnknown, DeadlineExceeded) as exc:
            errors[value] = exc

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(add, "first")
        await archive.reached.wait()
        tasks.start_soon(add, "second")
        await checkpoint()
    assert isinstance(errors["first"], OutcomeUnknown)
    archive.released.set()
    for value, exc in errors.items():
        key = exc.key if isinstance(exc, OutcomeUnknown) else None
        await memory.user("alice").facts.add("alice", "likes", value, key=key)
    assert sorted(await objects(memory.user("alice"))) == ["first", "second"]


async def test_write_that_is_cancelled_after_it_was_handed_over_takes_effect_once() -> None:
    archive = HoldsBack()
    memory = Memory(working=InProcessWorking(), archive=archive)
    alice = memory.user("alice")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: alice.facts.add("alice", "likes", "tea", key="k"))
        await archive.reached.wait()
        tasks.cancel_scope.cancel()
        archive.released.set()
    fact = await alice.facts.add("alice", "likes", "tea", key="k")
    assert fact.object == "tea"
    assert len(await alice.facts.changes()) == 1


async def _overwrite(alice: UserMemory, writers: int, keys: int, times: int) -> None:
    async def write(n: int) -> None:
        for i in range(times // writers):
            await alice.facts.add(f"key {(n * 7 + i) % keys}", HOME.name, [n, i])

    async with anyio.create_task_group() as tasks:
        for n in range(writers):
            tasks.start_soon(write, n)


@pytest.mark.parametrize("keys", [2, 200])
async def test_result_of_many_writers_is_the_order_of_their_transactions(memory: Memory, keys: int) -> None:
    alice = memory.user("alice")
    await _overwrite(alice, 12, keys, 600)
    changes = []
    cursor, more = None, True
    while more:
        page = await alice.facts.changes(cursor=cursor, limit=1_000)
        changes.extend(page)
        cursor, more = page.cursor, page.cursor is not None
    assert len(changes) == 600
    assert [each.tx for each in changes] == list(range(1, 601))
    times = [each.recorded_at for each in changes]
    assert all(a < b for a, b in pairwise(times))
    last = {each.subject: each.object for each in changes}
    found = await alice.facts.find(limit=1_000)
    assert {fact.subject: fact.object for fact in found} == last
    assert len(found) == len(last)
    for subject in list(last)[:5]:
        line = await alice.facts.timeline(subject, HOME.name)
        of_one = [each for each in changes if each.subject == subject]
        assert [span.facts[0].object for span in line] == [each.object for each in of_one]
        assert all(a.valid_to == b.valid_from for a, b in pairwise(line))
    assert memory.statistics().transactions < 600


async def test_writers_who_replace_the_same_fact_at_once_conflict_but_for_one(memory: Memory) -> None:
    alice = memory.user("alice")
    fact = await alice.facts.add("alice", HOME.name, {"n": 0}, valid_from=since(2020))
    outcomes: list[Fact | VersionConflict] = []

    async def correct(n: int) -> None:
        try:
            outcomes.append(await alice.facts.correct(fact.fact_id, object={"n": n}))
        except VersionConflict as exc:
            outcomes.append(exc)

    async with anyio.create_task_group() as tasks:
        for n in range(1, 9):
            tasks.start_soon(correct, n)
    (won,) = [each for each in outcomes if isinstance(each, Fact)]
    lost = [each for each in outcomes if isinstance(each, VersionConflict)]
    assert {each.current.fact_id for each in lost if isinstance(each.current, Fact)} == {won.fact_id}
    assert await objects(alice, valid_at=since(2021)) == [won.object]


async def test_cancelled_writer_takes_nobody_with_it(memory: Memory) -> None:
    alice = memory.user("alice")

    async def stop(scope: anyio.CancelScope) -> None:
        scope.cancel()

    async with anyio.create_task_group() as tasks:

        async def give_up(i: int) -> None:
            with anyio.CancelScope() as scope:
                tasks.start_soon(stop, scope)
                await alice.facts.add("gives up", "likes", i)

        for i in range(20):
            tasks.start_soon(alice.facts.add, "keeps on", "likes", i)
            tasks.start_soon(give_up, i)
    assert sorted(await objects(alice, "keeps on")) == list(range(20))
    given_up = await objects(alice, "gives up")
    assert len(given_up) == len(set(given_up))
    assert memory.statistics().waiting == memory.statistics().leased == 0


async def test_idle_tenant_gathers_nothing(memory: Memory) -> None:
    async with anyio.create_task_group() as tasks:
        for i in range(30):
            tasks.start_soon(memory.user(f"user {i % 3}").facts.add, "alice", "likes", i)
    assert memory._composition.fact_writes == {}
    statistics = memory.statistics()
    assert (statistics.writes, statistics.waiting) == (30, 0)
    assert 1 <= statistics.transactions < 30


async def test_memories_that_share_a_tenant_map_keep_their_own_archives() -> None:
    memories = [Memory(working=InProcessWorking(), archive=InProcessArchive()) for _ in range(2)]
    shared = memories[0]._composition.tenants
    one, other = (
        Memory(working=InProcessWorking(), archive=each._composition.archive, tenants=shared)
        for each in memories
    )
    async with anyio.create_task_group() as tasks:
        for i in range(10):
            tasks.start_soon(one.user("alice").facts.add, "alice", "likes", i)
            tasks.start_soon(other.user("alice").facts.add, "alice", "likes", -i - 1)
    assert sorted(await objects(one.user("alice"))) == list(range(10))
    assert sorted(await objects(other.user("alice"))) == list(range(-10, 0))


async def test_facts_that_are_written_at_once_are_embedded_together(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        async with anyio.create_task_group() as tasks:
            for i in range(40):
                tasks.start_soon(alice.facts.add, "alice", "likes", f"thing {i}")
        texts = [text for call in embedder.calls for text in call]
        assert sorted(texts) == sorted(f"alice likes thing {i}" for i in range(40))
        assert len(embedder.calls) < 20
        assert await alice.facts.embed_pending() == 0


async def test_embedder_that_hangs_leaves_facts_pending(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder, deadline=3.0) as memory:
        alice = memory.user("alice")
        embedder.fault = "hangs"
        await alice.facts.add("alice", "likes", "tea")
        (hit,) = await alice.recall_facts("tea")
        assert (hit.signals.semantic, hit.fact.object) == (None, "tea")
        embedder.fault = None
        assert await alice.facts.embed_pending() == 1
        (hit,) = await alice.recall_facts("tea")
        assert hit.signals.semantic is not None
