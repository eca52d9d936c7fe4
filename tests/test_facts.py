"""What is said of the world: how it is added, replaced, ended and retracted, and how it is found."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta, timezone
from typing import Any

import pytest

from recollect import (
    FOREVER,
    ConfigurationError,
    Fact,
    FactConflict,
    FactDraft,
    InvalidInput,
    IsolationWarning,
    Memory,
    MemoryClosed,
    NotFound,
    RecollectError,
    UserMemory,
    VersionConflict,
)
from recollect._fact_transaction import FactTransaction
from recollect.testing import Clock, FaultyEmbedder

from .conftest import Connect
from .facts import HOME, NOW, SINCE_2020, move, objects, since

MICROSECOND = timedelta(microseconds=1)
ALWAYS = (None, None)


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect(predicates=[HOME]) as opened:
        yield opened


@pytest.fixture
def alice(memory: Memory) -> UserMemory:
    return memory.user("alice")


async def test_added_fact_says_everything_about_itself(alice: UserMemory, clock: Clock) -> None:
    episode = await alice.remember("I moved", occurred_at=since(2023))
    clock.advance(60)
    fact = await alice.facts.add(
        "alice",
        HOME.name,
        {"city": "Rome"},
        source=episode,
        confidence=0.5,
        actor="bot",
        reason="she said so",
    )
    assert fact == Fact(
        fact_id=fact.fact_id,
        version_id=fact.version_id,
        subject="alice",
        predicate=HOME.name,
        object={"city": "Rome"},
        valid_from=since(2023),
        valid_to=None,
        claimed_from=since(2023),
        claimed_to=None,
        tx_from=2,
        tx_to=None,
        asserted_at=clock.now,
        recorded_at=clock.now,
        superseded_at=None,
        superseded_by=None,
        confidence=0.5,
        support=1,
        sources=(episode.id,),
        session_id=None,
        actor="bot",
        reason="she said so",
    )
    assert await alice.facts.get(fact.fact_id) == fact
    assert (await alice.facts.find()).items == (fact,)


async def test_fact_holds_from_now_on_unless_it_says_otherwise(alice: UserMemory, clock: Clock) -> None:
    fact = await alice.facts.add("alice", HOME.name, "Rome")
    assert (fact.valid_from, fact.valid_to) == (clock.now, None)
    tokyo = since(2021).astimezone(timezone(timedelta(hours=9)))
    fact = await alice.facts.add("bob", HOME.name, "Rome", valid_from=tokyo, valid_to=since(2022))
    assert (fact.valid_from, fact.valid_to) == (since(2021), since(2022))


async def test_fact_begins_with_the_earliest_of_its_sources(alice: UserMemory) -> None:
    drafts = [("a", since(2022)), ("b", since(2021)), ("c", since(2023))]
    for id, occurred_at in drafts:
        await alice.remember("hello", id=id, occurred_at=occurred_at)
    fact = await alice.facts.add("alice", HOME.name, "Rome", sources=["a", "b", "a"], source="c")
    assert (fact.valid_from, fact.sources) == (since(2021), ("a", "b", "c"))


async def test_source_that_does_not_exist_is_not_found(alice: UserMemory, memory: Memory) -> None:
    await memory.user("bob").remember("hello", id="e")
    with pytest.raises(NotFound) as caught:
        await alice.facts.add("alice", "likes", "tea", sources=["e"])
    assert (caught.value.kind, caught.value.key) == ("episode", "e")
    assert await alice.facts.count() == 0


@pytest.mark.parametrize("object", [None, True, 0, -0.5, "", "x", [], [None, {"a": 1}], {}, {"ä": {"b": []}}])
async def test_object_of_any_json_comes_back_equal(alice: UserMemory, object: Any) -> None:
    fact = await alice.facts.add("alice", "likes", object)
    assert fact.object == object
    assert type(fact.object) is type(object)
    (found,) = await alice.facts.find("alice", "likes", object)
    assert found == fact


async def test_json_null_is_an_object_and_dots_are_none(alice: UserMemory) -> None:
    await alice.facts.add_many([FactDraft("alice", "likes", None), FactDraft("alice", "likes", "tea")])
    assert await objects(alice, "alice", "likes", None) == [None]
    assert await objects(alice, "alice", "likes") == [None, "tea"]
    ended = await alice.facts.end("alice", "likes", None)
    assert (ended.void, ended.object) == (True, None)
    assert await objects(alice, "alice") == ["tea"]


async def test_what_is_said_already_is_not_stored_again(alice: UserMemory, clock: Clock) -> None:
    first = await alice.facts.add("alice", "likes", "tea", valid_from=SINCE_2020)
    clock.advance(60)
    again = await alice.facts.add("alice", "likes", "tea", valid_from=SINCE_2020)
    assert (first.changed, again.changed) == (True, False)
    assert again.fact_id == first.fact_id
    assert len(await alice.facts.changes()) == 1


async def test_support_is_everything_that_says_so(alice: UserMemory) -> None:
    said = []
    for id in ("a", "b", "c"):
        await alice.remember("hello", id=id, occurred_at=since(2023))
        said.append(await alice.facts.add("alice", "likes", "tea", source=id, confidence=0.2 * len(said)))
    assert [fact.support for fact in said] == [1, 2, 3]
    (found,) = await alice.facts.find("alice")
    assert (found.support, found.sources, found.confidence) == (3, ("a", "b", "c"), 0.4)
    await alice.facts.retract(said[1].fact_id)
    (found,) = await alice.facts.find("alice")
    assert (found.support, found.sources) == (2, ("a", "c"))


async def test_caller_cannot_change_what_is_stored(alice: UserMemory) -> None:
    value = {"tags": ["a"]}
    fact = await alice.facts.add("alice", "likes", value)
    value["tags"].append("b")
    fact.object["tags"].append("c")
    assert await objects(alice) == [{"tags": ["a"]}]


async def test_same_id_with_the_same_content_is_stored_once(alice: UserMemory, clock: Clock) -> None:
    first = await alice.facts.add("alice", "likes", "tea", id="f")
    clock.advance(60)
    again = await alice.facts.add("alice", "likes", "tea", id="f")
    assert (again.fact_id, again.valid_from, again.changed) == ("f", first.valid_from, False)
    for other in ({"object": "milk"}, {"confidence": 0.5}, {"valid_from": since(2021)}):
        given: dict[str, Any] = {"object": "tea", **other}
        with pytest.raises(FactConflict):
            await alice.facts.add("alice", "likes", **given, id="f")
    assert await objects(alice) == ["tea"]


async def test_id_of_a_fact_may_be_the_key_of_another_call(alice: UserMemory) -> None:
    id = "0197d6b8-0000-7000-8000-000000000000"
    tea = await alice.facts.add("alice", "likes", "tea", id=id)
    milk = await alice.facts.add("alice", "likes", "milk", key=id)
    assert milk.fact_id != tea.fact_id
    assert (await alice.facts.retract(id)).retracts == id
    assert await objects(alice) == ["milk"]


async def test_ids_begin_with_the_time_of_the_key_that_was_made_for_them(alice: UserMemory) -> None:
    key = "0197d6b8-1234-7000-8000-000000000000"
    facts = await alice.facts.add_many([FactDraft("alice", "likes", each) for each in "ab"], key=key)
    assert all(fact.fact_id.startswith("0197d6b8-1234-7") for fact in facts)
    assert len({key, *(fact.fact_id for fact in facts)}) == 3


async def test_many_are_added_in_one_transaction_in_order(alice: UserMemory) -> None:
    facts = await alice.facts.add_many([FactDraft("alice", "likes", i) for i in range(50)])
    assert [fact.object for fact in facts] == list(range(50))
    assert {fact.tx_from for fact in facts} == {1}
    assert await objects(alice) == list(range(50))
    assert await alice.facts.add_many([]) == ()


async def test_one_that_is_refused_among_many_leaves_nothing(alice: UserMemory) -> None:
    drafts = [FactDraft("alice", "likes", "tea"), FactDraft("alice", "likes", "milk", sources=("nowhere",))]
    with pytest.raises(NotFound):
        await alice.facts.add_many(drafts)
    assert await alice.facts.count() == 0
    assert (await alice.facts.journal()).items == ()


async def test_update_changes_fields_from_now_on(alice: UserMemory, clock: Clock) -> None:
    old = await alice.facts.add("alice", HOME.name, {"city": "Rome", "zip": 1}, valid_from=SINCE_2020)
    clock.advance(60)
    new = await alice.facts.update(old.fact_id, {"zip": 2, "floor": None})
    assert new.object == {"city": "Rome", "zip": 2, "floor": None}
    assert (new.replaces, new.valid_from) == (old.fact_id, clock.now)
    assert await objects(alice) == [new.object]
    assert await objects(alice, valid_at=since(2021)) == [old.object]


async def test_update_of_one_of_many_values_ends_the_old_one(alice: UserMemory, clock: Clock) -> None:
    old = await alice.facts.add("alice", "owns", {"car": "red"}, valid_from=SINCE_2020)
    clock.advance(60)
    await alice.facts.update(old.fact_id, {"car": "blue"})
    assert await objects(alice) == [{"car": "blue"}]
    assert await objects(alice, valid_at=since(2021)) == [{"car": "red"}]


async def test_update_that_changes_nothing_stores_nothing(alice: UserMemory) -> None:
    old = await alice.facts.add("alice", HOME.name, {"city": "Rome"}, valid_from=SINCE_2020)
    same = await alice.facts.update(old.fact_id, {"city": "Rome"})
    assert (same.fact_id, same.changed) == (old.fact_id, False)


async def test_update_of_what_is_replaced_conflicts_and_shows_what_is(alice: UserMemory) -> None:
    old = await alice.facts.add("alice", HOME.name, {"n": 1}, valid_from=SINCE_2020)
    new = await alice.facts.update(old.fact_id, {"n": 2})
    with pytest.raises(VersionConflict) as caught:
        await alice.facts.update(old.fact_id, {"n": 3})
    assert isinstance(caught.value.current, Fact)
    assert caught.value.current.fact_id == new.fact_id
    assert await objects(alice) == [{"n": 2}]


async def test_object_without_fields_cannot_be_updated(alice: UserMemory) -> None:
    fact = await alice.facts.add("alice", HOME.name, "Rome")
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.update(fact.fact_id, {"city": "Rome"})
    assert caught.value.field == "fact_id"


async def test_correction_was_always_so(alice: UserMemory) -> None:
    (old,) = await move(alice, ("Rom", 2020))
    new = await alice.facts.correct(old.fact_id, object="Rome", reason="typo")
    assert (new.replaces, new.valid_from, new.reason) == (old.fact_id, since(2020), "typo")
    assert await objects(alice, valid_at=since(2021)) == ["Rome"]
    assert await objects(alice, known_at=old.tx_from, valid_at=since(2021)) == ["Rom"]


async def test_correction_keeps_what_is_not_given(alice: UserMemory) -> None:
    await alice.remember("hello", id="e")
    old = await alice.facts.add(
        "alice", HOME.name, "Rome", valid_from=since(2020), valid_to=since(2022), source="e", confidence=0.3
    )
    later = await alice.facts.correct(old.fact_id, valid_from=since(2021))
    assert (later.object, later.claimed_from, later.claimed_to) == ("Rome", since(2021), since(2022))
    assert (later.sources, later.confidence) == (("e",), 0.3)
    longer = await alice.facts.correct(later.fact_id, valid_to=None)
    assert (longer.claimed_from, longer.claimed_to) == (since(2021), None)
    null = await alice.facts.correct(longer.fact_id, object=None)
    assert null.object is None
    ended = await alice.facts.correct(null.fact_id, valid_to=since(2023))
    assert (ended.object, ended.valid_to) == (None, since(2023))


async def test_correction_of_what_is_replaced_changes_nothing(alice: UserMemory) -> None:
    (old,) = await move(alice, ("Rom", 2020))
    await alice.facts.correct(old.fact_id, object="Rome")
    before = await alice.facts.find(valid_during=ALWAYS)
    with pytest.raises(VersionConflict):
        await alice.facts.correct(old.fact_id, object="Roma")
    assert await alice.facts.find(valid_during=ALWAYS) == before
    with pytest.raises(NotFound):
        await alice.facts.correct("nobody", object="Rome")


async def test_end_keeps_what_was(alice: UserMemory) -> None:
    await move(alice, ("Rome", 2020))
    ended = await alice.facts.end("alice", HOME.name, at=since(2022))
    assert (ended.void, ended.valid_from, ended.valid_to) == (True, since(2022), None)
    assert await objects(alice) == []
    assert await objects(alice, valid_at=since(2022) - MICROSECOND) == ["Rome"]
    await move(alice, ("Paris", 2019))
    assert await objects(alice) == [], "a late fact has resurrected what was ended"


async def test_end_without_an_object_ends_every_value_that_is_true(alice: UserMemory) -> None:
    for i in range(5):
        await alice.facts.add("alice", "likes", i, valid_from=SINCE_2020)
    await alice.facts.add("alice", "likes", "later", valid_from=since(2030))
    await alice.facts.end("alice", "likes", 2, at=since(2022))
    await alice.facts.end("alice", "likes", at=since(2023))
    assert await objects(alice) == []
    assert await objects(alice, valid_at=since(2022, 6)) == [0, 1, 3, 4]
    assert await objects(alice, valid_at=since(2031)) == ["later"]
    with pytest.raises(NotFound) as caught:
        await alice.facts.end("alice", "likes")
    assert str(caught.value) == "no fact of this subject and predicate at that time; read again"
    assert caught.value.key is None


async def test_denial_takes_a_period_out(alice: UserMemory) -> None:
    await move(alice, ("Rome", 2020))
    denied = await alice.facts.deny("alice", HOME.name, valid_from=since(2021), valid_to=since(2022))
    assert (denied.void, denied.valid_from, denied.valid_to) == (True, since(2021), since(2022))
    assert await objects(alice, valid_at=since(2021)) == []
    assert await objects(alice, valid_at=since(2022)) == ["Rome"]
    await alice.facts.deny("alice", HOME.name, "Rome", valid_from=since(2023), valid_to=None)
    assert await objects(alice) == []


async def test_fact_for_ever_goes_over_what_was_planned(alice: UserMemory) -> None:
    await move(alice, ("Paris", 2020), ("Rome", 2030))
    await alice.facts.add("alice", HOME.name, "Oslo", valid_from=since(2025), valid_to=FOREVER)
    assert await objects(alice, valid_at=since(2031)) == ["Oslo"]
    assert repr(FOREVER) == "FOREVER"


async def test_retraction_brings_back_what_was_displaced(alice: UserMemory) -> None:
    paris, rome = await move(alice, ("Paris", 2020), ("Rome", 2023))
    retraction = await alice.facts.retract(rome.fact_id)
    assert (retraction.retracts, retraction.changed) == (rome.fact_id, True)
    (found,) = await alice.facts.find()
    assert (found.fact_id, found.valid_to) == (paris.fact_id, None)
    assert await objects(alice, known_at=rome.tx_from) == ["Rome"]
    again = await alice.facts.retract(rome.fact_id)
    assert (again.fact_id, again.changed) == (retraction.fact_id, False)
    await alice.facts.retract(retraction.fact_id)
    assert await objects(alice) == ["Rome"]
    with pytest.raises(NotFound):
        await alice.facts.retract("nobody")


async def test_get_returns_what_is_true_now_of_a_fact_in_parts(alice: UserMemory) -> None:
    (paris,) = await move(alice, ("Paris", 2020))
    await alice.facts.add("alice", HOME.name, "Rome", valid_from=since(2022), valid_to=since(2023))
    await alice.facts.add("alice", HOME.name, "Oslo", valid_from=since(2030), valid_to=since(2031))
    found = await alice.facts.get(paris.fact_id)
    assert found is not None
    assert (found.valid_from, found.valid_to) == (since(2023), since(2030))
    await alice.facts.end("alice", HOME.name, at=since(2024))
    found = await alice.facts.get(paris.fact_id)
    assert found is not None
    assert (found.valid_from, found.valid_to) == (since(2023), since(2024)), "not the latest that is left"


async def test_get_returns_a_fact_as_it_was_last_held(alice: UserMemory) -> None:
    (rome,) = await move(alice, ("Rome", 2020))
    retraction = await alice.facts.retract(rome.fact_id)
    found = await alice.facts.get(rome.fact_id)
    assert found is not None
    assert (found.tx_to, found.superseded_by) == (2, retraction.fact_id)
    assert (found.support, found.object) == (1, "Rome")
    assert await alice.facts.get("nobody") is None
    assert await alice.facts.get(retraction.fact_id) is None


async def test_version_of_a_piece_is_the_same_in_every_read(alice: UserMemory) -> None:
    (paris,) = await move(alice, ("Paris", 2020))
    added = (await alice.facts.find()).items[0].version_id
    assert added == paris.version_id
    rome = await alice.facts.add("alice", HOME.name, "Rome", valid_from=since(2023))
    versions = {fact.version_id for fact in await alice.facts.history("alice", HOME.name)}
    assert len(versions) == 3
    assert {paris.version_id, rome.version_id} <= versions
    found = await alice.facts.find(valid_during=ALWAYS)
    assert {fact.version_id for fact in found} < versions


async def test_transaction_is_all_or_nothing(alice: UserMemory) -> None:
    async with alice.facts.transaction(actor="bot", reason="import") as tx:
        a = tx.add("alice", "likes", "tea")
        b = tx.add("alice", "likes", "milk")
        tx.end("alice", "likes", "milk")
        tx.deny("alice", "likes", "tea", valid_from=since(2021), valid_to=since(2022))
        tx.retract(a)
        with pytest.raises(ConfigurationError):
            _ = tx.results
    assert [fact.tx_from for fact in tx.results] == [1] * 5
    assert [fact.void for fact in tx.results] == [False, False, True, True, False]
    assert tx.results[a.position].fact_id == a.fact_id
    assert tx.results[b.position].object == "milk"
    assert tx.results[4].retracts == a.fact_id
    (header,) = await alice.facts.journal()
    assert (header.operation, header.actor, header.reason) == ("transaction", "bot", "import")


async def test_transaction_replaces_what_was_there_and_what_it_adds(alice: UserMemory, clock: Clock) -> None:
    old = await alice.facts.add("alice", HOME.name, {"city": "Rom"}, valid_from=SINCE_2020)
    clock.advance(60)
    async with alice.facts.transaction() as tx:
        await tx.correct(old.fact_id, object={"city": "Rome"})
        new = tx.add("bob", HOME.name, {"city": "Oslo"}, valid_from=since(2021))
        await tx.update(new, {"zip": 1})
        with pytest.raises(NotFound):
            await tx.correct("nobody", object=1)
    assert tx.results[0].replaces == old.fact_id
    assert await objects(alice, valid_at=since(2022)) == [{"city": "Rome"}, {"city": "Oslo"}]
    assert {fact.tx_from for fact in tx.results} == {2}
    assert await objects(alice, "bob") == [{"city": "Oslo", "zip": 1}]


async def test_transaction_whose_block_raises_does_nothing(alice: UserMemory) -> None:
    begun: list[FactTransaction] = []

    async def fail() -> None:
        async with alice.facts.transaction() as tx:
            begun.append(tx)
            tx.add("alice", "likes", "tea")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    with pytest.raises(ConfigurationError):
        begun[0].add("alice", "likes", "milk")
    assert await alice.facts.count() == 0
    async with alice.facts.transaction() as empty:
        pass
    assert empty.results == ()
    with pytest.raises(ConfigurationError):
        empty.add("alice", "likes", "milk")


async def test_transaction_that_is_refused_leaves_nothing(alice: UserMemory) -> None:
    begun: list[FactTransaction] = []

    async def fail() -> None:
        async with alice.facts.transaction() as tx:
            begun.append(tx)
            tx.add("alice", "likes", "tea")
            tx.retract("nobody")

    with pytest.raises(NotFound):
        await fail()
    with pytest.raises(ConfigurationError):
        _ = begun[0].results
    assert (await alice.facts.changes()).items == ()


async def test_filters_are_combined(alice: UserMemory) -> None:
    drafts = [
        FactDraft(subject, predicate, {"n": n, "deep": {"x": subject}})
        for subject in ("alice", "bob")
        for predicate in ("likes", "owns")
        for n in (1, 2)
    ]
    await alice.facts.add_many(drafts)
    assert len(await alice.facts.find()) == await alice.facts.count() == 8
    assert len(await alice.facts.find("alice")) == 4
    assert len(await alice.facts.find(predicate="owns")) == 4
    assert len(await alice.facts.find("bob", where={"n": 2})) == 2
    assert len(await alice.facts.find(where={"n": 1.0, "deep.x": "bob"})) == 2
    assert len(await alice.facts.find(where={"n": True})) == 0
    assert len(await alice.facts.find("bob", "owns", {"deep": {"x": "bob"}, "n": 1})) == 1
    assert len(await alice.facts.find("nobody")) == 0


async def test_session_of_a_fact_is_that_of_the_handle(alice: UserMemory) -> None:
    await alice.at(session_id="s").facts.add("alice", "likes", "tea")
    await alice.facts.add("alice", "likes", "milk")
    assert await objects(alice, session_id="s") == ["tea"]
    assert await objects(alice.at(session_id="s")) == ["tea", "milk"]


async def test_pages_are_one_answer_in_order(alice: UserMemory, clock: Clock) -> None:
    await move(alice, *[(str(year), year) for year in range(2000, 2024)])
    await alice.facts.add_many([FactDraft("alice", "likes", i) for i in range(7)])
    whole = await alice.facts.find(valid_during=ALWAYS, limit=1_000)
    assert whole.cursor is None
    found: list[Fact] = []
    cursor = None
    while cursor is not None or not found:
        page = await alice.facts.find(valid_during=ALWAYS, cursor=cursor, limit=3)
        found.extend(page)
        assert (page.basis, page.stable) == (whole.basis, True)
        cursor = page.cursor
        clock.advance(60)
        await alice.facts.add("alice", HOME.name, f"elsewhere {len(found)}", valid_from=since(2001))
        await alice.facts.add("alice", "likes", f"x{len(found)}")
    assert tuple(found) == whole.items


async def test_page_at_its_basis_stays_the_same_for_ever(alice: UserMemory, clock: Clock) -> None:
    await move(alice, ("Paris", 2020), ("Rome", 2023))
    page = await alice.facts.find(valid_at=since(2023, 6))
    clock.advance(60)
    await alice.facts.retract(page.items[0].fact_id)
    await move(alice, ("Oslo", 2022))
    again = await alice.facts.find(valid_at=since(2023, 6), known_at=page.basis)
    assert again == page
    assert (again.stable, again.items[0].tx_to, again.items[0].superseded_by) == (True, None, None)


async def test_known_at_hides_what_came_later_of_a_fact(alice: UserMemory) -> None:
    paris, rome = await move(alice, ("Paris", 2020), ("Rome", 2023))
    (then,) = await alice.facts.find(valid_during=ALWAYS, known_at=paris.tx_from)
    assert then == paris
    (closed, *_) = await alice.facts.history("alice", HOME.name)
    assert (closed.version_id, closed.tx_to) == (paris.version_id, rome.tx_from)
    assert (closed.superseded_by, closed.superseded_at) == (rome.fact_id, rome.recorded_at)


async def test_known_at_an_instant_is_the_last_transaction_until_then(
    alice: UserMemory, clock: Clock
) -> None:
    await move(alice, ("Paris", 2020))
    at = clock.now
    clock.advance(60)
    await move(alice, ("Rome", 2021))
    assert await objects(alice, known_at=at, valid_at=since(2022)) == ["Paris"]
    assert await objects(alice, known_at=at - MICROSECOND, valid_at=since(2022)) == []
    assert await objects(alice, known_at=clock.now, valid_at=since(2022)) == ["Rome"]
    assert await objects(alice, known_at=0, valid_at=since(2022)) == []


async def test_as_of_is_true_and_known_then(alice: UserMemory, clock: Clock) -> None:
    await move(alice, ("Paris", 2020))
    at = clock.now
    clock.advance(60)
    await move(alice, ("Rome", 2024))
    assert await objects(alice, valid_at=at) == ["Rome"]
    assert await objects(alice, as_of=at) == ["Paris"]
    assert await objects(alice, as_of=since(2021)) == []


async def test_what_is_not_past_yet_may_grow(alice: UserMemory, clock: Clock) -> None:
    await move(alice, ("Paris", 2020))
    future = clock.now + timedelta(days=1)
    assert not (await alice.facts.find(known_at=future)).stable
    assert not (await alice.facts.find(known_at=1_000)).stable
    assert (await alice.facts.find(known_at=clock.now)).stable
    await alice.facts.add_many([FactDraft("alice", "likes", i) for i in range(3)])
    page = await alice.facts.find(known_at=future, limit=2)
    assert (page.stable, page.basis) == (False, 2)
    await alice.facts.add("alice", "likes", "more")
    rest = await alice.facts.find(known_at=future, limit=2, cursor=page.cursor)
    assert [fact.object for fact in (*page, *rest)] == ["Paris", 0, 1, 2]
    assert (rest.stable, rest.basis) == (False, 2)


async def test_ones_own_write_is_true_at_once_though_the_clock_stands(alice: UserMemory) -> None:
    for i in range(5):
        await alice.facts.add("alice", HOME.name, i)
        assert await objects(alice) == [i]
    assert await alice.facts.count() == 1


async def test_bounds_of_a_fact_are_half_open(alice: UserMemory) -> None:
    await alice.facts.add("alice", HOME.name, "Rome", valid_from=since(2021), valid_to=since(2022))
    start, end = since(2021), since(2022)
    expected = {start - MICROSECOND: [], start: ["Rome"], end - MICROSECOND: ["Rome"], end: []}
    for instant, found in expected.items():
        assert await objects(alice, valid_at=instant) == found
    for during, found in {
        (None, start): [],
        (None, start + MICROSECOND): ["Rome"],
        (end - MICROSECOND, None): ["Rome"],
        (end, None): [],
        ALWAYS: ["Rome"],
    }.items():
        assert await objects(alice, valid_during=during) == found


async def test_find_of_the_anonymous_tenant_warns_beside_named_ones(memory: Memory) -> None:
    await memory.user("alice").facts.add("alice", "likes", "tea")
    with pytest.warns(IsolationWarning) as caught:
        await memory.user(None).facts.find()
    assert [each.filename for each in caught] == [__file__]


async def test_closed_memory_refuses_every_call(connect: Connect) -> None:
    async with connect() as memory:
        facts = memory.user("alice").facts
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: facts.add("alice", "likes", "tea"),
        lambda: facts.add_many([]),
        lambda: facts.update("f", {"a": 1}),
        lambda: facts.correct("f", object=1),
        lambda: facts.end("alice", "likes"),
        lambda: facts.deny("alice", "likes", valid_from=NOW, valid_to=None),
        lambda: facts.retract("f"),
        lambda: facts.transaction().__aenter__(),
        lambda: facts.promote_session("s"),
        lambda: facts.discard_session("s"),
        lambda: facts.rollback("s"),
        lambda: facts.get("f"),
        facts.count,
        facts.find,
        lambda: facts.related("alice"),
        lambda: facts.timeline("alice", "likes"),
        lambda: facts.history("alice", "likes"),
        lambda: facts.diff(0, 1),
        facts.changes,
        facts.journal,
        lambda: facts.why("f"),
        facts.embed_pending,
        lambda: memory.user("alice").recall_facts("tea"),
        lambda: memory.register_predicate(HOME),
    ]
    for call in calls:
        with pytest.raises(MemoryClosed):
            await call()


async def test_no_word_of_a_user_stands_in_an_error_or_a_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary, embedder = "kanarienvogel", FaultyEmbedder()
    said: dict[str, Any] = {"reason": canary, "actor": canary}
    async with connect(embedder=embedder, predicates=[HOME]) as memory:
        facts = memory.user("alice", session_id=canary).facts
        embedder.fault = "raises"
        old = await facts.add(canary, HOME.name, {canary: canary}, **said, id="f", key="k")
        await facts.update("f", {canary: 1}, **said)
        gone = await facts.add(canary, "owns", canary)
        await facts.retract(gone.fact_id)
        failing: list[Callable[[], Awaitable[object]]] = [
            lambda: facts.add(canary, HOME.name, f"{canary}!", **said, id="f"),
            lambda: facts.add(canary, HOME.name, f"{canary}!", **said, key="k"),
            lambda: facts.update(old.fact_id, {canary: 2}, **said),
            lambda: facts.correct(gone.fact_id, object=f"{canary}?", **said),
            lambda: facts.end(canary, "likes", **said),
        ]
        for call in failing:
            with pytest.raises(RecollectError) as caught:
                await call()
            assert canary not in repr(caught.value.args)
            assert canary not in repr(caught.value)
            assert canary not in "".join(traceback.format_exception_only(caught.value))
    assert "embedder" in caplog.text
    assert canary not in caplog.text
