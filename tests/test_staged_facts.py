"""What a session stages is its own until it is promoted, and what it has done can be undone."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from recollect import (
    Fact,
    FactConflict,
    FactDraft,
    InvalidInput,
    Memory,
    NotFound,
    Predicate,
    RollbackConflict,
    UserMemory,
    open_memory,
)
from recollect.testing import Clock

from .conftest import Connect
from .facts import HOME, move, objects, since

BORN = Predicate("api_born", immutable=True)
ALWAYS = (None, None)


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect(predicates=[HOME, BORN]) as opened:
        yield opened


@pytest.fixture
def alice(memory: Memory) -> UserMemory:
    return memory.user("alice")


@pytest.fixture
def session(alice: UserMemory) -> UserMemory:
    return alice.at(session_id="s")


async def _stage(session: UserMemory, *values: Any, predicate: str = "likes") -> list[Fact]:
    return [
        await session.facts.add("alice", predicate, each, valid_from=since(2022), staged=True)
        for each in values
    ]


async def test_staged_fact_is_seen_by_its_session_and_by_nobody_else(
    alice: UserMemory, session: UserMemory
) -> None:
    await move(alice, ("Paris", 2020))
    (rome,) = await _stage(session, "Rome", predicate=HOME.name)
    assert (rome.staged, rome.session_id) == (True, "s")
    assert await objects(session) == ["Rome"]
    assert await objects(session, valid_at=since(2021)) == ["Paris"]
    assert [fact.object for fact in (await session.facts.diff(0, 2)).added] == ["Paris"]
    assert await session.facts.get(rome.fact_id) == rome
    for other in (alice, alice.at(session_id="t"), alice.at(agent_id="a")):
        assert await objects(other) == ["Paris"]
        assert await other.facts.count() == 1
        assert await other.facts.get(rome.fact_id) is None
        assert await other.facts.why(rome.fact_id) is None
        assert [each.fact_id for each in await other.facts.changes()] != [rome.fact_id]
        assert all(not each.staged for each in await other.facts.changes())
        assert len(await other.facts.timeline("alice", HOME.name)) == 1
        assert len(await other.facts.history("alice", HOME.name)) == 1
        assert [hit.fact.object for hit in await other.recall_facts("Rome Paris alice")] == ["Paris"]
        (newest, *_) = await other.facts.journal()
        assert (newest.session_id, newest.before, newest.after) == ("s", (), ())
        for call in (
            other.facts.update(rome.fact_id, {"a": 1}),
            other.facts.correct(rome.fact_id, object="Oslo"),
        ):
            with pytest.raises(NotFound):
                await call
    assert [each.staged for each in await session.facts.changes()] == [False, True]
    line = await session.facts.timeline("alice", HOME.name)
    assert [[fact.object for fact in span.facts] for span in line] == [["Paris"], ["Rome"]]
    assert [hit.fact.object for hit in await session.recall_facts("alice Rome")] == ["Rome"]


async def test_staging_needs_a_session(alice: UserMemory) -> None:
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.add("alice", "likes", "tea", staged=True)
    assert caught.value.field == "staged"
    for call in (alice.facts.promote_session(), alice.facts.discard_session()):
        with pytest.raises(InvalidInput) as caught:
            await call
        assert caught.value.field == "session_id"


async def test_promotion_makes_it_known_to_all(alice: UserMemory, session: UserMemory) -> None:
    tea, milk = await _stage(session, "tea", "milk")
    assert await alice.facts.promote_session("s", actor="bot", reason="agreed") == 2
    assert await objects(alice) == ["tea", "milk"]
    found = (await alice.facts.find()).items
    assert [fact.replaces for fact in found] == [tea.fact_id, milk.fact_id]
    assert {(fact.staged, fact.session_id, fact.valid_from) for fact in found} == {(False, "s", since(2022))}
    assert await session.facts.find() == await alice.facts.find()
    (header, *_) = await alice.facts.journal(session_id="s")
    assert (header.operation, header.actor, header.reason) == ("promote", "bot", "agreed")
    assert await alice.facts.promote_session("s") == 0
    assert [each.fact_id for each in await alice.facts.changes()] == [fact.fact_id for fact in found]


async def test_promotion_takes_only_what_is_selected(alice: UserMemory, session: UserMemory) -> None:
    await _stage(session, *range(6))
    seen: list[Fact] = []

    def odd(fact: Fact) -> bool:
        seen.append(fact)
        return fact.object % 2 == 1

    assert await session.facts.promote_session(select=odd) == 3
    assert [fact.object for fact in seen] == list(range(6))
    assert all(fact.staged for fact in seen)
    assert await objects(alice) == [1, 3, 5]
    assert sorted(await objects(session)) == list(range(6))
    assert await session.facts.promote_session(select=lambda fact: False) == 0
    assert await session.facts.promote_session() == 3


async def test_promotion_takes_what_supports_a_selected_fact_with_it(
    alice: UserMemory, session: UserMemory
) -> None:
    for id in ("a", "b"):
        await alice.remember("hello", id=id, occurred_at=since(2021))
        await session.facts.add("alice", "likes", "tea", source=id, staged=True)
    await session.facts.promote_session(select=lambda fact: True)
    (tea,) = await alice.facts.find()
    assert (tea.support, tea.sources) == (2, ("a", "b"))
    assert await session.facts.discard_session() == 0


async def test_select_that_fails_promotes_nothing(alice: UserMemory, session: UserMemory) -> None:
    await _stage(session, "tea")
    with pytest.raises(ZeroDivisionError):
        await session.facts.promote_session(select=lambda fact: 1 // 0 == 1)
    assert await objects(alice) == []
    assert len(await alice.facts.journal()) == 1


async def test_discard_takes_back_what_is_staged_and_keeps_what_was_promoted(
    alice: UserMemory, session: UserMemory
) -> None:
    await _stage(session, "tea")
    await session.facts.promote_session()
    await _stage(session, "milk", "wine")
    assert await alice.facts.discard_session("s") == 2
    assert await objects(session) == await objects(alice) == ["tea"]
    assert await session.facts.discard_session() == 0
    (header, *_) = await alice.facts.journal(session_id="s")
    assert header.operation == "discard"


async def test_promotion_and_discard_can_be_rolled_back(alice: UserMemory, session: UserMemory) -> None:
    await _stage(session, "tea", "milk")
    await alice.facts.promote_session("s", select=lambda fact: fact.object == "tea")
    await alice.facts.discard_session("s")
    assert await alice.facts.rollback("s") > 0
    assert sorted(await objects(session)) == ["milk", "tea"]
    assert await objects(alice) == ["tea"]
    assert await alice.facts.rollback("s") > 0
    assert await objects(alice) == []
    assert sorted(await objects(session)) == ["milk", "tea"]
    assert await session.facts.promote_session() == 2


async def test_rollback_goes_further_back_each_time(alice: UserMemory, session: UserMemory) -> None:
    await move(session, ("Paris", 2020), ("Rome", 2021), ("Oslo", 2022), ("Bonn", 2023))
    expected = ["Bonn", "Oslo", "Rome", "Paris"]
    for i in range(1, 4):
        # By whoever it is asked for.
        assert await (alice if i % 2 else session).facts.rollback("s") == 1
        assert await objects(alice) == [expected[i]]
    assert await alice.facts.rollback("s", steps=5) == 1
    assert await objects(alice) == []
    assert await alice.facts.rollback("s") == 0
    undone = [(each.operation, each.undone_by is not None) for each in await alice.facts.journal()]
    assert undone == [("rollback", False)] * 4 + [("add", True)] * 4
    assert await objects(alice, known_at=4) == ["Bonn"]


async def test_rollback_of_several_steps_is_one_transaction(alice: UserMemory, session: UserMemory) -> None:
    await move(session, ("Paris", 2020), ("Rome", 2021), ("Oslo", 2022))
    assert await session.facts.rollback(steps=2, reason="wrong") == 2
    assert await objects(alice) == ["Paris"]
    (header, *others) = await alice.facts.journal()
    assert (header.tx, header.operation, header.reason, header.session_id) == (4, "rollback", "wrong", "s")
    assert [each.undone_by for each in others] == [4, 4, None]


@pytest.mark.parametrize("operation", ["update", "correct", "end", "retract"])
async def test_rollback_undoes_whatever_a_transaction_did(
    alice: UserMemory, session: UserMemory, clock: Clock, operation: str
) -> None:
    fact = await session.facts.add("alice", HOME.name, {"n": 1}, valid_from=since(2020))
    clock.advance(60)
    before = await alice.facts.timeline("alice", HOME.name)
    match operation:
        case "update":
            await session.facts.update(fact.fact_id, {"n": 2})
        case "correct":
            await session.facts.correct(fact.fact_id, object="else")
        case "end":
            await session.facts.end("alice", HOME.name)
        case _:
            await session.facts.retract(fact.fact_id)
    assert await alice.facts.timeline("alice", HOME.name) != before
    await session.facts.rollback()
    after = await alice.facts.timeline("alice", HOME.name)
    assert [(span.valid_from, span.valid_to, span.facts[0].object) for span in after] == [
        (since(2020), None, {"n": 1})
    ]


async def test_rollback_leaves_what_other_sessions_did(alice: UserMemory, session: UserMemory) -> None:
    other = alice.at(session_id="t")
    await _stage(session, "mine")
    await session.facts.add("alice", "likes", "tea")
    await other.facts.add("alice", "likes", "milk")
    await alice.facts.add("alice", "likes", "wine")
    assert await session.facts.rollback() == 1
    assert await objects(alice) == ["milk", "wine"]
    assert await alice.facts.rollback() == 1
    assert await objects(alice) == ["milk"]
    assert await objects(session) == ["mine", "milk"]


async def test_rollback_of_what_another_session_has_changed_conflicts(
    alice: UserMemory, session: UserMemory
) -> None:
    await move(session, ("Paris", 2020))
    (rome,) = await move(alice.at(session_id="t"), ("Rome", 2022))
    basis = (await alice.facts.find()).basis
    with pytest.raises(RollbackConflict):
        await session.facts.rollback()
    assert (await alice.facts.find()).basis == basis
    await alice.at(session_id="t").facts.rollback()
    assert rome.fact_id not in {fact.fact_id for fact in await alice.facts.find()}
    assert await session.facts.rollback() == 1


async def test_newest_transaction_is_undone_after_reopening(postgres_dsn: str, shared_schema: str) -> None:
    connect = partial(
        open_memory, postgres=postgres_dsn, schema=shared_schema, namespace=str(uuid4()), predicates=[HOME]
    )
    async with connect() as memory:
        session = memory.user("alice", session_id="s")
        await move(session, ("Paris", 2020), ("Rome", 2021))
        await _stage(session, "tea")
    async with connect() as memory:
        session = memory.user("alice", session_id="s")
        assert await objects(session) == ["Rome", "tea"]
        await session.facts.rollback()
        assert await objects(session) == ["Rome"]
    async with connect() as memory:
        session = memory.user("alice", session_id="s")
        await session.facts.rollback()
        assert await objects(session) == ["Paris"]


async def test_staged_facts_are_held_to_the_rules_of_their_predicate(
    alice: UserMemory, session: UserMemory
) -> None:
    await alice.facts.add("alice", BORN.name, 1990)
    with pytest.raises(FactConflict):
        await _stage(session, 1991, predicate=BORN.name)
    await session.facts.add("bob", BORN.name, 1980, staged=True)
    await alice.facts.add("bob", BORN.name, 1981)
    with pytest.raises(FactConflict):
        await session.facts.promote_session()
    assert await objects(alice, "bob") == [1981]


async def test_transaction_stages_what_it_says_is_staged(alice: UserMemory, session: UserMemory) -> None:
    async with session.facts.transaction() as tx:
        tx.add("alice", "likes", "tea", staged=True)
        tx.add("alice", "likes", "milk")
    assert [fact.staged for fact in tx.results] == [True, False]
    assert await objects(alice) == ["milk"]
    facts = await session.facts.add_many([FactDraft("alice", "likes", "wine", staged=True)])
    assert facts[0].staged
    await session.facts.correct(facts[0].fact_id, object="water")
    assert sorted(await objects(session)) == ["milk", "tea", "water"]
    assert await objects(alice, valid_during=ALWAYS) == ["milk"]


async def test_two_sessions_stage_apart(alice: UserMemory, session: UserMemory) -> None:
    other = alice.at(session_id="t")
    await _stage(session, "Rome", predicate=HOME.name)
    await _stage(other, "Oslo", predicate=HOME.name)
    assert await objects(session) == ["Rome"]
    assert await objects(other) == ["Oslo"]
    await session.facts.promote_session()
    assert await objects(alice) == ["Rome"]
    assert await objects(other) == ["Oslo"], "what a session stages lies over what all know"
    await other.facts.promote_session()
    assert await objects(alice) == ["Oslo"]
