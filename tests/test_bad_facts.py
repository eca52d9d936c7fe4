"""The same for facts: each argument of each method is refused in its name, before anything has happened."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from recollect import FOREVER, FactDraft, InvalidInput, Memory, NotFound, UserMemory
from recollect._cursor import sealed

from .conftest import Connect
from .test_bad_input import AWARE, CANARY, COUNTS, CURSORS, IDS, INSTANTS, JSON, LIMITS, _chained, _long

Call = Callable[[UserMemory, Any], Awaitable[object]]

OBJECTS: dict[str, Any] = {
    **JSON,
    "too long": {"k": _long(300)},
    "too long in bytes": _long(101) + "é" * 100,
    "bare nan": float("nan"),
    "bare infinity": float("inf"),
    "bare bytes": CANARY.encode(),
    "bare tuple": (CANARY,),
    "bare surrogate": f"{CANARY}\ud800",
    "class": object,
}
CONFIDENCES: dict[str, Any] = {
    "nan": float("nan"), "infinity": float("inf"), "negative": -0.1, "above": 1.0001, "bool": True,
    "string": CANARY, "none": None, "huge": 10**400,
}  # fmt: skip
SOURCES: dict[str, Any] = {
    "string": CANARY, "set": {CANARY}, "generator": (each for each in [CANARY]), "none": None, "number": 7,
    "dict": {CANARY: 1}, "number in it": [CANARY, 7], "blank in it": [" "], "nul in it": (f"{CANARY}\0",),
    "none in it": [None], "too many": [f"{CANARY}{i}" for i in range(1_001)],
}  # fmt: skip
REASONS: dict[str, Any] = {
    "nul": f"{CANARY}\0", "lone surrogate": f"{CANARY}\ud800", "number": 7, "bytes": CANARY.encode(),
    "too long": _long(8_193),
}  # fmt: skip
KNOWN: dict[str, Any] = {
    **{name: value for name, value in INSTANTS.items() if name != "number"},
    "negative": -1, "huge": 2**63, "bool": True, "float": 3.0,
}  # fmt: skip
RANGES: dict[str, Any] = {
    "list": [None, None], "three": (None, None, None), "reversed": (AWARE, AWARE - timedelta(1)),
    "empty": (AWARE, AWARE), "naive": (INSTANTS["naive"], None), "date": (None, INSTANTS["date"]),
    "string": CANARY, "one": (AWARE,), "instant": AWARE,
}  # fmt: skip
ENDS: dict[str, Any] = {
    **INSTANTS, "reversed": AWARE - timedelta(microseconds=1), "empty": AWARE, "word": "forever",
}  # fmt: skip
WHERES: dict[str, Any] = {
    "list": [CANARY], "operator": {"k": {"$gt": CANARY}}, "empty part": {f"{CANARY}..b": 1},
    "number": {7: CANARY}, "nan": {"k": float("nan")}, "dots": {"k": ...},
}  # fmt: skip
START = "2024-01-01T00:00:00+00:00"
NOWHERE = (
    "", "1", "1 2", "a b c d e f", "1 2 3 4 5 6", f"-1 0 {START} {START} 1 1",
    f"{2**63} 0 {START} {START} 1 1", f"1 {2**40} {START} {START} 1 1",
    f"1 0 2024-01-01T00:00:00 {START} 1 1",
    f"1 0 {START} 2024-01-01T00:00:00 1 1", f"1 0 {START} {START} {2**63} 1",
)  # fmt: skip
WORDS: dict[str, Any] = {**REASONS, "too long": _long(201)}
IDS_OR_NONE = {**IDS, "none": None}


@dataclass(frozen=True)
class Argument:
    """An argument of a method, and what it refuses."""

    name: str
    field: str
    values: dict[str, Any] = field(repr=False)
    call: Call = field(repr=False)


async def _in_transaction(alice: UserMemory, act: Callable[[Any], object]) -> None:
    async with alice.facts.transaction() as tx:
        done = act(tx)
        if hasattr(done, "__await__"):
            await done  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


def _drafted(**given: Any) -> FactDraft:
    return replace(FactDraft("alice", "likes", "tea"), **given)


def _adding() -> list[Argument]:
    refused: dict[str, dict[str, Any]] = {
        "subject": IDS_OR_NONE, "predicate": IDS_OR_NONE, "object": {**OBJECTS, "dots": ...},
        "valid_from": {**INSTANTS, "dots": ...}, "confidence": CONFIDENCES, "sources": SOURCES, "id": IDS,
        "staged": {"one": 1, "none": None, "string": CANARY, "without a session": True},
    }  # fmt: skip
    arguments: list[Argument] = []
    for name, values in refused.items():
        arguments += [
            Argument("add", name, values, lambda alice, value, name=name: alice.facts.add(
                **{"subject": "alice", "predicate": "likes", "object": CANARY, name: value}
            )),
            Argument("add_many", f"drafts[1].{name}", values, lambda alice, value, name=name:
                alice.facts.add_many([_drafted(), _drafted(**{name: value})])),
            Argument("tx.add", name, values, lambda alice, value, name=name: _in_transaction(
                alice,
                lambda tx: tx.add(**{"subject": "a", "predicate": "b", "object": CANARY, name: value}),
            )),
        ]  # fmt: skip
    return arguments


def _writing() -> list[Argument]:
    at = AWARE
    fields = {**JSON, "string": CANARY, "list": [CANARY], "none": None, "empty": {}}
    return [
        *_adding(),
        Argument("add", "valid_to", ENDS, lambda a, v: a.facts.add(
            "alice", "likes", CANARY, valid_from=at, valid_to=v)),
        Argument("add_many", "drafts[0].valid_to", ENDS, lambda a, v: a.facts.add_many(
            [_drafted(valid_from=at, valid_to=v)])),
        Argument("add", "sources", {"number": 7, "blank": ""}, lambda a, v: a.facts.add(
            "alice", "likes", CANARY, source=v)),
        Argument("add_many", "drafts", {
            "string": CANARY, "none": None, "draft": _drafted(), "generator": iter([_drafted()]),
            "too many": [_drafted()] * 4,
        }, lambda a, v: a.facts.add_many(v)),
        Argument("add_many", "drafts[1]", {"dict": {"subject": CANARY}, "none": None}, lambda a, v:
            a.facts.add_many([_drafted(), v])),
        Argument("add_many", "drafts[1].id", {"twice": "i"}, lambda a, v: a.facts.add_many(
            [_drafted(id=v), _drafted(id=v, object=CANARY)])),
        Argument("update", "fact_id", IDS_OR_NONE, lambda a, v: a.facts.update(v, {"a": CANARY})),
        Argument("update", "patch", fields, lambda a, v: a.facts.update("f", v)),
        Argument("correct", "fact_id", IDS_OR_NONE, lambda a, v: a.facts.correct(v, object=CANARY)),
        Argument("correct", "valid_from", {**INSTANTS, "none": None}, lambda a, v: a.facts.correct(
            "f", valid_from=v)),
        Argument("correct", "valid_to", ENDS, lambda a, v: a.facts.correct("f", valid_from=at, valid_to=v)),
        Argument("correct", "object", {"nothing": ...}, lambda a, v: a.facts.correct("f", object=v)),
        Argument("end", "subject", IDS_OR_NONE, lambda a, v: a.facts.end(v, "likes")),
        Argument("end", "predicate", IDS_OR_NONE, lambda a, v: a.facts.end("alice", v)),
        Argument("end", "object", OBJECTS, lambda a, v: a.facts.end("alice", "likes", v)),
        Argument("end", "at", {**INSTANTS, "dots": ...}, lambda a, v: a.facts.end("alice", "likes", at=v)),
        Argument("deny", "subject", IDS_OR_NONE, lambda a, v: a.facts.deny(
            v, "likes", valid_from=at, valid_to=None)),
        Argument("deny", "predicate", IDS_OR_NONE, lambda a, v: a.facts.deny(
            "alice", v, valid_from=at, valid_to=None)),
        Argument("deny", "object", OBJECTS, lambda a, v: a.facts.deny(
            "alice", "likes", v, valid_from=at, valid_to=FOREVER)),
        Argument("deny", "valid_from", {**INSTANTS, "none": None}, lambda a, v: a.facts.deny(
            "alice", "likes", CANARY, valid_from=v, valid_to=None)),
        Argument("deny", "valid_to", ENDS, lambda a, v: a.facts.deny(
            "alice", "likes", CANARY, valid_from=at, valid_to=v)),
        Argument("retract", "fact_id", IDS_OR_NONE, lambda a, v: a.facts.retract(v)),
        Argument("tx.end", "at", INSTANTS, lambda a, v: _in_transaction(
            a, lambda tx: tx.end("alice", "likes", at=v))),
        Argument("tx.deny", "valid_from", {**INSTANTS, "none": None}, lambda a, v: _in_transaction(
            a, lambda tx: tx.deny("alice", "likes", valid_from=v, valid_to=None))),
        Argument("tx.retract", "fact_id", IDS_OR_NONE, lambda a, v: _in_transaction(
            a, lambda tx: tx.retract(v))),
        Argument("tx.update", "patch", fields, lambda a, v: _in_transaction(a, lambda tx: tx.update("f", v))),
        Argument("tx.correct", "fact_id", IDS_OR_NONE, lambda a, v: _in_transaction(
            a, lambda tx: tx.correct(v, object=1))),
        Argument("transaction", "transaction", {"four": 4}, lambda a, v: _in_transaction(
            a, lambda tx: [tx.add("alice", "likes", i) for i in range(v)])),
        Argument("promote", "session_id", IDS_OR_NONE, lambda a, v: a.facts.promote_session(v)),
        Argument("discard", "session_id", IDS_OR_NONE, lambda a, v: a.facts.discard_session(v)),
        Argument("rollback", "session_id", IDS, lambda a, v: a.facts.rollback(v)),
        Argument("rollback", "steps", COUNTS, lambda a, v: a.facts.rollback(steps=v)),
    ]  # fmt: skip


def _journaled() -> list[Argument]:
    """Return what all writes take."""
    calls: dict[str, Callable[..., Awaitable[object]]] = {
        "add": lambda a, **given: a.facts.add("alice", "likes", CANARY, **given),
        "add_many": lambda a, **given: a.facts.add_many([_drafted()], **given),
        "update": lambda a, **given: a.facts.update("f", {"a": CANARY}, **given),
        "correct": lambda a, **given: a.facts.correct("f", object=CANARY, **given),
        "end": lambda a, **given: a.facts.end("alice", "likes", CANARY, **given),
        "deny": lambda a, **given: a.facts.deny(
            "alice", "likes", CANARY, valid_from=AWARE, valid_to=None, **given
        ),
        "retract": lambda a, **given: a.facts.retract("f", **given),
        "transaction": lambda a, **given: a.facts.transaction(**given).__aenter__(),
        "promote": lambda a, **given: a.facts.promote_session("s", **given),
        "discard": lambda a, **given: a.facts.discard_session("s", **given),
        "rollback": lambda a, **given: a.facts.rollback("s", **given),
    }
    return [
        Argument(name, at, values, lambda a, v, call=call, at=at: call(a, **{at: v}))
        for name, call in calls.items()
        for at, values in (("key", IDS), ("actor", IDS), ("reason", REASONS))
    ]


def _finding() -> list[Argument]:
    refused: dict[str, dict[str, Any]] = {
        "subject": IDS, "predicate": IDS, "object": OBJECTS, "where": WHERES, "session_id": IDS,
        "valid_at": INSTANTS, "valid_during": RANGES, "known_at": KNOWN, "as_of": {**INSTANTS, "tx": 3},
        "cursor": CURSORS, "limit": COUNTS,
    }  # fmt: skip
    return [
        *(
            Argument("find", name, values, lambda a, v, name=name: a.facts.find(**{name: v}))
            for name, values in refused.items()
        ),
        *(
            Argument("find and", "as_of", {name: value}, lambda a, v, name=name: a.facts.find(
                as_of=AWARE, **{name: v}))
            for name, value in {"valid_at": AWARE, "valid_during": (None, None), "known_at": 0}.items()
        ),
        Argument("find and", "valid_during", {"both": AWARE}, lambda a, v: a.facts.find(
            valid_at=v, valid_during=(None, None))),
    ]  # fmt: skip


def _reading() -> list[Argument]:
    return [
        *_finding(),
        Argument("get", "fact_id", IDS_OR_NONE, lambda a, v: a.facts.get(v)),
        Argument("why", "fact", IDS_OR_NONE, lambda a, v: a.facts.why(v)),
        Argument("related", "subject", IDS_OR_NONE, lambda a, v: a.facts.related(v)),
        Argument("related", "hops", {**COUNTS, "11": 11}, lambda a, v: a.facts.related("alice", hops=v)),
        Argument("related", "limit", COUNTS, lambda a, v: a.facts.related("alice", limit=v)),
        Argument("related", "valid_at", INSTANTS, lambda a, v: a.facts.related("alice", valid_at=v)),
        Argument("timeline", "subject", IDS_OR_NONE, lambda a, v: a.facts.timeline(v, "likes")),
        Argument("timeline", "predicate", IDS_OR_NONE, lambda a, v: a.facts.timeline("alice", v)),
        Argument("timeline", "known_at", KNOWN, lambda a, v: a.facts.timeline("alice", "likes", known_at=v)),
        Argument("history", "subject", IDS_OR_NONE, lambda a, v: a.facts.history(v, "likes")),
        Argument("history", "predicate", IDS_OR_NONE, lambda a, v: a.facts.history("alice", v)),
        Argument("diff", "known_a", {**KNOWN, "none": None}, lambda a, v: a.facts.diff(v, 1)),
        Argument("diff", "known_b", {**KNOWN, "none": None}, lambda a, v: a.facts.diff(1, v)),
        Argument("diff", "subject", IDS, lambda a, v: a.facts.diff(0, 1, subject=v)),
        Argument("diff", "valid_during", RANGES, lambda a, v: a.facts.diff(0, 1, valid_during=v)),
        Argument("changes", "since", {**COUNTS, "zero": -2, "1001": 2**63}, lambda a, v: a.facts.changes(v)),
        Argument("changes", "limit", COUNTS, lambda a, v: a.facts.changes(limit=v)),
        Argument("changes", "cursor", CURSORS, lambda a, v: a.facts.changes(cursor=v)),
        Argument("journal", "session_id", IDS, lambda a, v: a.facts.journal(session_id=v)),
        Argument("journal", "limit", COUNTS, lambda a, v: a.facts.journal(limit=v)),
        Argument("journal", "cursor", CURSORS, lambda a, v: a.facts.journal(cursor=v)),
        Argument("embed_pending", "limit", COUNTS, lambda a, v: a.facts.embed_pending(limit=v)),
        Argument("recall_facts", "query", {**WORDS, "none": None}, lambda a, v: a.recall_facts(v)),
        Argument("recall_facts", "limit", COUNTS, lambda a, v: a.recall_facts(CANARY, limit=v)),
        Argument("recall_facts", "valid_at", INSTANTS, lambda a, v: a.recall_facts(CANARY, valid_at=v)),
        Argument("recall_facts", "known_at", KNOWN, lambda a, v: a.recall_facts(CANARY, known_at=v)),
    ]  # fmt: skip


ARGUMENTS = [*_writing(), *_journaled(), *_reading()]


@pytest.mark.parametrize("argument", ARGUMENTS, ids=lambda each: f"{each.name} {each.field}")
async def test_bad_argument_is_refused_before_any_effect(
    connect: Connect, caplog: pytest.LogCaptureFixture, argument: Argument
) -> None:
    caplog.set_level(logging.DEBUG, logger="recollect")
    async with connect(limits=LIMITS) as memory:
        alice = memory.user("alice")
        for name, value in argument.values.items():
            with pytest.raises(InvalidInput) as caught:
                await argument.call(alice, value)
            exc = caught.value
            allowed = (f"{argument.field}[", f"{argument.field} ")
            assert exc.field == argument.field or exc.field.startswith(allowed), name
            assert exc.reason
            said = (repr(exc.args), *_chained(exc))
            assert not any(CANARY in text for text in said), name
        assert await alice.facts.count() == 0
        assert (await alice.facts.journal()).items == ()
        assert (await memory.users()).items == ()
    assert CANARY not in caplog.text


async def test_interval_that_ends_before_it_begins_by_default_is_refused(memory: Memory) -> None:
    facts = memory.user("alice").facts
    with pytest.raises(InvalidInput) as caught:
        await facts.add("alice", "likes", "tea", valid_to=AWARE)
    assert caught.value.field == "valid_to"
    assert (await facts.changes()).items == ()


async def test_cursor_of_another_query_or_tenant_is_refused(memory: Memory) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    for user in (alice, bob):
        await user.facts.add_many([FactDraft("alice", "likes", i) for i in range(3)])
        await user.facts.add("alice", "likes", 3)
    found = (await alice.facts.find("alice", where={}, limit=1)).cursor
    fed = (await alice.facts.changes(limit=1)).cursor
    told = (await alice.facts.journal(limit=1)).cursor
    assert found is not None
    assert fed is not None
    assert told is not None
    foreign: list[Callable[[], Awaitable[object]]] = [
        lambda: bob.facts.find("alice", cursor=found),
        lambda: alice.at(session_id="s").facts.find("alice", cursor=found),
        lambda: alice.facts.find(cursor=found),
        *(
            lambda given=given: alice.facts.find("alice", **given, cursor=found)
            for given in (
                {"predicate": "likes"}, {"object": None}, {"object": "None"}, {"where": {"a": 1}},
                {"session_id": "s"}, {"valid_at": AWARE}, {"valid_during": (None, None)}, {"known_at": 1},
                {"known_at": AWARE}, {"as_of": AWARE},
            )
        ),
        lambda: alice.facts.find("alice", cursor=fed),
        lambda: alice.facts.changes(cursor=found),
        lambda: alice.facts.changes(cursor=told),
        lambda: bob.facts.changes(cursor=fed),
        lambda: alice.facts.journal(cursor=fed),
        lambda: alice.facts.journal(cursor=told, session_id="s"),
        lambda: bob.facts.journal(cursor=told),
        *(lambda n=n: alice.facts.find("alice", cursor=found[:n]) for n in range(len(found))),
    ]  # fmt: skip
    for call in foreign:
        with pytest.raises(InvalidInput) as caught:
            await call()
        assert caught.value.field == "cursor"
    assert len(await alice.facts.find("alice", cursor=found, limit=2)) == 2


async def test_cursor_that_leads_nowhere_is_refused(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.facts.add("alice", "likes", "tea")
    key = alice._scope.tenant.key
    query = ("facts", key, [], None, None, None, None, None, "None", "None", "None")
    good = f"1 0 {START} {START} 1 1"
    assert len(await alice.facts.find(cursor=sealed(good, *query))) == 1, "the seal is not what it was"
    for position in NOWHERE:
        with pytest.raises(InvalidInput) as caught:
            await alice.facts.find(cursor=sealed(position, *query))
        assert caught.value.field == "cursor"
    assert len(await alice.facts.changes(cursor=sealed("0 7", "changes", key))) == 1
    for position in ("", "1", "1 2 3", "a 1", "-1 0", "0 -1", f"{2**63} 0", f"0 {2**40}"):
        with pytest.raises(InvalidInput) as caught:
            await alice.facts.changes(cursor=sealed(position, "changes", key))
        assert caught.value.field == "cursor"


async def test_longest_and_oddest_legal_facts_read_back_equal(connect: Connect) -> None:
    async with connect(limits=LIMITS) as memory:
        alice = memory.user("alice", session_id="{}*?[]:%\\\n")
        fact = await alice.facts.add(
            "s" * 256,
            "é" * 128,
            {"k": ["%_", "'; drop table", 2**53 - 1, -0.0, 5e-324], "日本": None},
            valid_from=datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=AWARE.tzinfo),
            valid_to=datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=AWARE.tzinfo),
            id="i" * 256,
            actor="a" * 256,
            reason="r" * 8_192,
            key="k" * 256,
            confidence=0,
        )
        assert (await alice.facts.find()).items == (fact,)
        assert await alice.facts.get("i" * 256) == fact
        (span, rest) = await alice.facts.timeline("s" * 256, "é" * 128)
        assert (span.facts, rest.facts) == ((fact,), ())
        with pytest.raises(NotFound):
            await alice.facts.retract("%")
