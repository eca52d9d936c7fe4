"""Predicates: what may be said with them, how many values they have at a time, and who agrees on that."""

from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator

from recollect import (
    Archive,
    ConfigurationError,
    FactConflict,
    FactDraft,
    InvalidInput,
    Memory,
    Predicate,
    UserMemory,
    open_memory,
)
from recollect.inprocess import InProcessWorking

from .conftest import Connect
from .facts import HOME, objects, since

CANARY = "kanarienvogel"


class Street(BaseModel):
    name: str
    number: int = 1


class Address(BaseModel):
    city: str
    streets: list[Street] = []
    labels: dict[str, int] = {}
    moved_on: date | None = None


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    full_name: str = Field(alias="fullName")
    born_on: date

    @computed_field
    @property
    def initial(self) -> str:
        return self.full_name[:1]


class Person(BaseModel):
    email: str
    age: int = 0


class Odd(BaseModel):
    value: str

    @field_validator("value")
    @classmethod
    def refuse(cls, value: str) -> str:
        if value == "wrong":
            raise ValueError(f"{CANARY} {value}")
        if value == "broken":
            raise KeyError(f"{CANARY} {value}")
        return value


ADDRESS = Predicate("api_address", Address)
STRICT = Predicate("api_strict", Strict, cardinality="one")
PERSON = Predicate("api_person", Person, key="email")
ODD = Predicate("api_odd", Odd)
BORN = Predicate("api_born", immutable=True)
TAG = Predicate("api_tag", key="tag", immutable=True)
ALL = [HOME, ADDRESS, STRICT, PERSON, ODD, BORN, TAG]


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect(predicates=ALL) as opened:
        yield opened


@pytest.fixture
def alice(memory: Memory) -> UserMemory:
    return memory.user("alice")


async def test_model_is_stored_with_its_defaults_and_without_what_it_does_not_know(alice: UserMemory) -> None:
    given = {"city": "Rome", "streets": [{"name": "a", "x": 1}], "extra": 1}
    fact = await alice.facts.add("alice", ADDRESS.name, given)
    stored = {
        "city": "Rome",
        "streets": [{"name": "a", "number": 1}],
        "labels": {},
        "moved_on": None,
    }
    assert fact.object == stored
    assert Address.model_validate(fact.object) == Address(city="Rome", streets=[Street(name="a")])
    for looked_for in (given, stored, Address(city="Rome", streets=[Street(name="a")])):
        assert await objects(alice, "alice", ADDRESS.name, looked_for) == [stored]
    assert await objects(alice, "alice", where={"city": "Rome"}) == [stored]
    assert await objects(alice, "alice", ADDRESS.name, "no address") == []
    await alice.facts.end("alice", ADDRESS.name, given)
    assert await objects(alice, "alice") == []


async def test_model_can_be_given_as_it_is(alice: UserMemory) -> None:
    model = Address(city="Rome", moved_on=date(2024, 1, 1))
    fact = await alice.facts.add_model(model, subject="alice", confidence=0.5)
    assert (fact.predicate, fact.object["moved_on"], fact.confidence) == (ADDRESS.name, "2024-01-01", 0.5)
    again = await alice.facts.add("bob", ADDRESS.name, model)
    assert again.object == fact.object
    async with alice.facts.transaction() as tx:
        tx.add_model(model, subject="carol")
    assert tx.results[0].object == fact.object
    assert (await alice.facts.add_model(model, predicate="undeclared", subject="x")).object == fact.object


async def test_strict_model_with_aliases_goes_there_and_back(alice: UserMemory) -> None:
    model = Strict(fullName="Ada", born_on=date(1815, 12, 10))
    fact = await alice.facts.add_model(model, subject="ada")
    assert fact.object == {"full_name": "Ada", "born_on": "1815-12-10"}
    aliased = await alice.facts.add("bob", STRICT.name, {"fullName": "Bob", "born_on": "1990-01-01"})
    assert aliased.object == {"full_name": "Bob", "born_on": "1990-01-01"}
    updated = await alice.facts.update(fact.fact_id, {"born_on": "1815-12-11"})
    assert updated.object == {"full_name": "Ada", "born_on": "1815-12-11"}


@pytest.mark.parametrize(
    ("predicate", "object", "field"),
    [
        (ADDRESS, {"city": 7}, "object.city"),
        (ADDRESS, {}, "object.city"),
        (ADDRESS, {"city": "a", "streets": [{"name": "b"}, {"name": CANARY, "number": CANARY}]},
         "object.streets.1.number"),
        (ADDRESS, {"city": "a", "labels": {CANARY: CANARY}}, "object.labels"),
        (ADDRESS, CANARY, "object"),
        (ADDRESS, None, "object"),
        (STRICT, {"full_name": "a", "born_on": "1990-01-01", CANARY: 1}, "object"),
        (STRICT, {"full_name": "a", "born_on": CANARY}, "object.born_on"),
        (ODD, {"value": "wrong"}, "object.value"),
        (ODD, {"value": "broken"}, "object"),
        (PERSON, {"email": "a@b"}, "object"),
        (PERSON, {"email": None}, "object.email"),
        (TAG, {"tag": 1}, "object"),
        (TAG, [CANARY], "object"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_by_its_path_and_not_quoted(
    alice: UserMemory, predicate: Predicate, object: Any, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.add("alice", predicate.name, object)
    assert caught.value.field == field
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.add_many([FactDraft("x", "y", 1), FactDraft("alice", predicate.name, object)])
    assert caught.value.field == f"drafts[1].{field}"
    assert (await alice.facts.changes()).items == ()


async def test_model_that_cannot_become_json_is_refused(alice: UserMemory) -> None:
    class Bytes(BaseModel):
        value: bytes
        number: float = 0.0

    for model in (Bytes(value=b"\xff"), Bytes(value=b"", number=float("nan"))):
        with pytest.raises(InvalidInput):
            await alice.facts.add("alice", "likes", model)
    with pytest.raises(ConfigurationError):
        await alice.facts.add_model(Bytes(value=b""), subject="alice")
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.add_model({"city": "Rome"}, subject="alice")  # type: ignore[arg-type]
    assert caught.value.field == "model"
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.add_model(Address(city="a"))
    assert caught.value.field == "subject"
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.add_model(Address(city="a"), predicate=[], subject="a")  # type: ignore[arg-type]
    assert caught.value.field == "predicate"


async def test_update_is_held_to_the_model(alice: UserMemory) -> None:
    fact = await alice.facts.add("alice", ADDRESS.name, {"city": "Rome"}, valid_from=since(2020))
    with pytest.raises(InvalidInput) as caught:
        await alice.facts.update(fact.fact_id, {"city": 7})
    assert caught.value.field == "patch.city"
    with pytest.raises(InvalidInput):
        await alice.facts.correct(fact.fact_id, object={"town": "Rome"})
    updated = await alice.facts.update(fact.fact_id, {"labels": {"a": 1}})
    assert updated.object["labels"] == {"a": 1}


async def test_key_is_the_subject_and_has_one_value(alice: UserMemory) -> None:
    first = await alice.facts.add_model(Person(email="a@b", age=1), valid_from=since(2020))
    assert first.subject == "a@b"
    second = await alice.facts.add_model(Person(email="a@b", age=2), valid_from=since(2021))
    other = await alice.facts.add_model(Person(email="c@d"))
    assert [fact.fact_id for fact in await alice.facts.find()] == [second.fact_id, other.fact_id]
    assert len(await alice.facts.timeline("a@b", PERSON.name)) == 2
    with pytest.raises(InvalidInput):
        await alice.facts.update(second.fact_id, {"email": "e@f"})
    assert (await alice.facts.update(second.fact_id, {"age": 3})).subject == "a@b"


async def test_key_committed_by_many_at_once_is_one_slot(alice: UserMemory) -> None:
    async with anyio.create_task_group() as tasks:
        for age in range(20):
            tasks.start_soon(alice.facts.add_model, Person(email="a@b", age=age))
    assert len(await alice.facts.find()) == 1


async def test_immutable_keeps_its_first_object_on_every_path(alice: UserMemory) -> None:
    facts = alice.facts
    first = await facts.add("tag", TAG.name, {"tag": "tag", "n": 1}, valid_from=since(2020))
    staged = alice.at(session_id="s").facts
    other = {"tag": "tag", "n": 2}

    async def transaction() -> None:
        async with facts.transaction() as tx:
            tx.add("tag", TAG.name, other)

    for call in (
        lambda: facts.add("tag", TAG.name, other),
        lambda: facts.add("tag", TAG.name, other, valid_from=since(2010), valid_to=since(2011)),
        lambda: facts.add_many([FactDraft("new", "likes", 1), FactDraft("tag", TAG.name, other)]),
        lambda: facts.update(first.fact_id, {"n": 2}),
        lambda: staged.add("tag", TAG.name, other, staged=True),
        transaction,
    ):
        with pytest.raises(FactConflict):
            await call()
    assert await objects(alice) == [first.object]
    same = await facts.add("tag", TAG.name, {"n": 1, "tag": "tag"}, valid_from=since(2020))
    assert same.fact_id == first.fact_id


async def test_immutable_can_be_said_anew_after_a_retraction(alice: UserMemory) -> None:
    first = await alice.facts.add("alice", BORN.name, 1990, valid_from=since(2020))
    retraction = await alice.facts.retract(first.fact_id)
    second = await alice.facts.add("alice", BORN.name, 1991, valid_from=since(2020))
    with pytest.raises(FactConflict):
        await alice.facts.retract(retraction.fact_id)
    assert await objects(alice) == [1991]
    with pytest.raises(FactConflict):
        await alice.facts.correct(second.fact_id, object=1992)
    third = await alice.facts.correct(second.fact_id, valid_from=since(1991))
    assert (third.object, third.replaces) == (1991, second.fact_id)
    await alice.facts.rollback(steps=3)
    assert await objects(alice) == [1990]


async def test_predicate_that_is_registered_later_holds_from_then_on(memory: Memory) -> None:
    alice = memory.user("alice")
    name = f"late_{uuid4().hex}"
    await alice.facts.add("alice", name, {"city": "Rome"}, valid_from=since(2020))
    await alice.facts.add("alice", name, {"city": "Oslo"}, valid_from=since(2021))
    assert len(await alice.facts.find()) == 2
    await memory.register_predicate(Predicate(name, Address, cardinality="one"))
    assert [each["city"] for each in await objects(alice)] == ["Oslo"]
    with pytest.raises(InvalidInput):
        await alice.facts.add("alice", name, "Rome")
    await memory.register_predicate(Predicate(name, Street, cardinality="one"))
    assert (await alice.facts.add("alice", name, {"name": "a"})).object == {"name": "a", "number": 1}


async def test_predicates_that_are_registered_at_once_are_all_known(memory: Memory) -> None:
    names = [f"at_once_{uuid4().hex}" for _ in range(8)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(memory.register_predicate, Predicate(name, Address))
    for name in names:
        with pytest.raises(InvalidInput):
            await memory.user("alice").facts.add("alice", name, "no address")


@pytest.mark.parametrize(
    "other", [{}, {"cardinality": "one"}, {"key": "email"}, {"immutable": True}], ids=str
)
async def test_predicate_with_another_rule_is_refused(connect: Connect, archive: Archive, other) -> None:
    name = f"mismatch_{uuid4().hex}"
    rules = [Predicate(name), Predicate(name, cardinality="one"), Predicate(name, key="id")]
    given = Predicate(name, **other)
    recorded = next(each for each in rules if each.rule != given.rule)
    memory = Memory(working=InProcessWorking(), archive=archive)
    await memory.register_predicate(recorded)
    for refusing in (memory, Memory(working=InProcessWorking(), archive=archive)):
        with pytest.raises(ConfigurationError):
            await refusing.register_predicate(given)
        await refusing.register_predicate(recorded)


async def test_predicate_of_another_rule_is_refused_on_opening_or_replaced(
    postgres_dsn: str, shared_schema: str
) -> None:
    name, namespace = f"replaced_{uuid4().hex}", str(uuid4())
    connect = partial(open_memory, postgres=postgres_dsn, schema=shared_schema, namespace=namespace)
    async with connect(predicates=[Predicate(name)]) as memory:
        for i, year in enumerate((2020, 2021)):
            await memory.user("alice").facts.add("alice", name, i, valid_from=since(year))
    one = Predicate(name, cardinality="one")
    with pytest.raises(ConfigurationError) as caught:
        async with connect(predicates=[one]):
            raise AssertionError("it was opened")
    assert name in str(caught.value)
    async with connect(predicates=[one], on_predicate_mismatch="replace") as memory:
        assert await objects(memory.user("alice")) == [1]
        assert await objects(memory.user("alice"), valid_at=since(2020, 6)) == [0]
    async with connect(predicates=[one]) as memory:
        assert await objects(memory.user("alice")) == [1]


async def test_process_that_does_not_declare_a_predicate_is_held_to_its_rule(
    archive: Archive,
) -> None:
    name, namespace = f"undeclared_{uuid4().hex}", str(uuid4())
    await Memory(working=InProcessWorking(), archive=archive).register_predicate(
        Predicate(name, immutable=True)
    )
    facts = Memory(working=InProcessWorking(), archive=archive, namespace=namespace).user("alice").facts
    await facts.add("alice", name, 1)
    with pytest.raises(FactConflict):
        await facts.add("alice", name, 2)


@pytest.mark.parametrize(
    "declared",
    [
        lambda: Predicate(""),
        lambda: Predicate(7),
        lambda: Predicate("a\0"),
        lambda: Predicate("p", key=""),
        lambda: Predicate("p", Address, key="zip"),
        lambda: Predicate("p", cardinality="two"),
        lambda: Predicate("p", immutable=1),
        lambda: Predicate("p", Address(city="Rome")),
        lambda: Predicate("p", dict),
    ],
)
def test_predicate_that_can_never_work_is_refused(declared: Any) -> None:
    with pytest.raises(ConfigurationError):
        declared()


async def test_what_is_no_predicate_is_refused(connect: Connect, memory: Memory) -> None:
    twice = [Predicate("api_twice"), Predicate("api_twice", cardinality="one")]
    for predicates in (["likes"], twice):
        with pytest.raises(ConfigurationError):
            async with connect(predicates=predicates):
                raise AssertionError("it was opened")
    with pytest.raises(ConfigurationError):
        await memory.register_predicate("likes")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        async with connect(on_predicate_mismatch="ignore"):
            raise AssertionError("it was opened")


async def test_model_of_two_predicates_has_to_be_named(connect: Connect) -> None:
    predicates = [Predicate("api_first", Street), Predicate("api_second", Street)]
    async with connect(predicates=predicates) as memory:
        facts = memory.user("alice").facts
        with pytest.raises(ConfigurationError):
            await facts.add_model(Street(name="a"), subject="alice")
        fact = await facts.add_model(Street(name="a"), predicate="api_second", subject="alice")
        assert fact.predicate == "api_second"
