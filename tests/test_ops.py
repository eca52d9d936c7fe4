"""Operations as data: derived from the methods, through JSON and back, done as if they had been called."""

import inspect
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from recollect import (
    FOREVER,
    ConfigurationError,
    Episode,
    EpisodeDraft,
    FactDraft,
    InvalidInput,
    Memory,
    MemoryClosed,
    OutcomeUnknown,
    StoreUnavailable,
    TaskState,
    UnsupportedOperation,
    UserMemory,
    open_memory,
    ops,
)
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.testing import Clock, HashEmbedder
from recollect.types import Export, ExportHeader
from recollect.user.operations import METHODS, NEEDS

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIELDS = {"metadata": {"n": 1.5, "none": None}, "occurred_at": NOON, "id": "e1", "embed": "later"}
DRAFT = EpisodeDraft("a", "b", occurred_at=NOON, transcript=[1, {"x": None}])
CLAIM = FactDraft("s", "p", {"a": None}, valid_from=NOON, valid_to=FOREVER, sources=("e",), staged=True)
WHY: dict[str, Any] = {"actor": "bot", "reason": "said so", "key": "k"}

EXPORT = Export(
    header=ExportHeader(
        version=1, namespace="n", user_id="u", tx=1, at=NOON, episodes=0, transactions=0, assertions=0,
        erased=0, erasure_key=None, predicates={}, model=None, dimensions=None,
    ),
    records=({"kind": "scope", "agent_id": None},),
)  # fmt: skip

EXAMPLES: dict[str, dict[str, Any]] = {
    "remember": {"input": "hello", "output": "hi", "session_id": "s", "transcript": [None], **FIELDS},
    "remember_many": {"drafts": (DRAFT, EpisodeDraft("c")), "embed": "now"},
    "recall": {
        "query": "q", "limit": 3, "mode": "lexical", "time_range": (None, NOON), "where": {"a.b": [1]},
        "neighbours": 2, "session_id": "s", "agent_id": "a",
    },
    "recall_facts": {"query": "q", "limit": 2, "valid_at": NOON, "known_at": 3},
    "messages": {"session_id": "s", "limit": 0},
    "context": {"query": "q", "token_budget": 10, "format": "markdown"},
    "consolidate": {"limit": 5},
    "forget": {
        "everything": False, "session_id": "s", "episode_ids": ("e",), "fact_ids": ("f",), "before": NOON,
        "verify": True,
    },
    "export": {"vectors": True},
    "restore": {"export": EXPORT},
    "blocks.list": {"inherit": True},
    "blocks.get": {"name": "n", "inherit": False},
    "blocks.set": {"name": "n", "text": "t", "if_version": 0, "key": "k"},
    "blocks.append": {"name": "n", "text": "t", "key": "k"},
    "blocks.delete": {"name": "n"},
    "blocks.move": {"name": "n", "index": 0},
    "blocks.render": {"format": "markdown", "inherit": True},
    "variables.set": {"key": "k", "value": {"a": [1, None]}, "ttl": 1.5},
    "variables.get": {"key": "k", "default": None, "inherit": True},
    "variables.get_many": {"keys": ("a", "b")},
    "variables.delete": {"key": "k"},
    "variables.exists": {"key": "k"},
    "variables.keys": {"pattern": "a*"},
    "task.set": {"state": TaskState(task_id="t", context={"a": 1}, started_at=NOON)},
    "task.update": {"current_step": 1, "progress_percent": 50.0, "status": "done"},
    "scratchpad.append": {"text": "n", "key": "k"},
    "scratchpad.entries": {"limit": 3},
    "checkpoints.create": {"description": "d"},
    "checkpoints.restore": {"id": "c"},
    "checkpoints.delete": {"id": "c"},
    "working.resolve": {"id": "c", "keep": "ours", "text": "t"},
    "episodes.get": {"id": "e"},
    "episodes.list": {"session_id": "s", "before": NOON, "after": NOON - timedelta(1), "limit": 2},
    "episodes.sessions": {"cursor": "c", "limit": 2},
    "episodes.embed_pending": {"limit": 2},
    "facts.add": {
        "subject": "s", "predicate": "p", "object": None, "valid_from": NOON, "valid_to": FOREVER,
        "confidence": 0.5, "sources": ("a", "b"), "source": "c", "id": "f", "staged": False, **WHY,
    },
    "facts.add_many": {"drafts": (CLAIM, FactDraft("s", "p", 1)), **WHY},
    "facts.update": {"fact_id": "f", "patch": {"a": None}, **WHY},
    "facts.correct": {"fact_id": "f", "object": None, "valid_to": None, **WHY},
    "facts.end": {"subject": "s", "predicate": "p", "object": [1], "at": NOON, **WHY},
    "facts.deny": {"subject": "s", "predicate": "p", "valid_from": NOON, "valid_to": FOREVER, **WHY},
    "facts.retract": {"fact_id": "f", **WHY},
    "facts.get": {"fact_id": "f"},
    "facts.find": {
        "subject": "s", "predicate": "p", "object": None, "where": {"a": 1}, "session_id": "s",
        "valid_during": (NOON, None), "known_at": NOON, "cursor": "c", "limit": 2,
    },
    "facts.related": {"subject": "s", "hops": 3, "valid_at": NOON, "limit": 4},
    "facts.timeline": {"subject": "s", "predicate": "p", "known_at": 4},
    "facts.history": {"subject": "s", "predicate": "p"},
    "facts.diff": {"known_a": 1, "known_b": NOON, "subject": "s", "valid_during": (None, NOON)},
    "facts.changes": {"since": 3, "cursor": "c", "limit": 5},
    "facts.journal": {"session_id": "s", "cursor": "c", "limit": 5},
    "facts.why": {"fact": "f"},
    "facts.promote_session": {"session_id": "s", **WHY},
    "facts.discard_session": {"session_id": "s", **WHY},
    "facts.rollback": {"session_id": "s", "steps": 2, **WHY},
    "facts.embed_pending": {"limit": 2},
}  # fmt: skip
"""Arguments of each operation that takes any: as many as can be given together."""

NO_OPERATIONS = {
    "acquire", "dispatch", "export_lines", "facts.add_model", "facts.transaction", "restore_lines",
}  # fmt: skip
"""Public methods that hold something, take code or a stream, or are what does operations."""


def public_methods() -> set[str]:
    """Every public method of a handle that is awaited or entered, as it is called."""
    parts = {name: type(part) for name, part in vars(a_handle()).items() if not name.startswith("_")}
    found = {name for name in dir(UserMemory) if _is_method(UserMemory, name)}
    return found | {
        f"{at}.{name}" for at, part in parts.items() for name in dir(part) if _is_method(part, name)
    }


def _is_method(owner: type, name: str) -> bool:
    found = inspect.unwrap(getattr(owner, name))
    awaited = inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)
    return awaited and not name.startswith("_")


def a_handle() -> UserMemory:
    return Memory(archive=InProcessArchive(), working=InProcessWorking()).user("nobody")


def test_every_public_method_of_a_handle_is_an_operation() -> None:
    methods = public_methods()
    assert methods >= NO_OPERATIONS
    assert methods - NO_OPERATIONS == set(ops.names())


def test_an_operation_is_named_for_the_method_that_it_does() -> None:
    handle = a_handle()
    for name, method in METHODS.items():
        found: Any = handle
        for part in name.split("."):
            found = getattr(found, part)
        assert found.__func__ is method


@pytest.mark.parametrize("name", ops.names())
def test_an_operation_takes_what_its_method_takes_but_code(name: str) -> None:
    parameters = list(inspect.signature(METHODS[name]).parameters)[1:]
    fields = list(ops.model(name).model_fields)
    assert fields == [
        "op",
        *(each for each in parameters if (name, each) != ("facts.promote_session", "select")),
    ]
    assert ops.model(name).__doc__


@pytest.mark.parametrize("name", ops.names())
def test_an_operation_comes_back_equal_from_json(name: str) -> None:
    op = ops.make(name, **EXAMPLES.get(name, {}))
    given = EXAMPLES.get(name, {})
    assert dict(op.arguments) == given
    for again in (
        ops.parse(op.model_dump_json()),
        ops.parse(json.loads(op.model_dump_json())),
        ops.parse({"op": name, **given}),
        ops.model(name).model_validate_json(op.model_dump_json()),
        ops.from_tool_call(name.replace(".", "_"), op.model_dump_json(exclude={"op"})),
    ):
        assert again == op
        assert dict(again.arguments) == given
        assert {key: type(value) for key, value in again.arguments.items()} == {
            key: type(value) for key, value in given.items()
        }


def test_any_operation_is_read_by_its_name() -> None:
    union = ops.adapter()
    for name in ops.names():
        op = ops.make(name, **EXAMPLES.get(name, {}))
        assert union.validate_json(union.dump_json(op)) == op
        assert type(union.validate_json(union.dump_json(op))) is ops.model(name)


def test_what_takes_arguments_has_an_example_with_as_many_as_can_be() -> None:
    together = {("facts.find", "valid_at"), ("facts.find", "as_of"), ("facts.correct", "valid_from")}
    together |= {("facts.deny", "object"), ("episodes.list", "cursor")}
    for name in ops.names():
        missing = set(ops.model(name).model_fields) - {"op", *EXAMPLES.get(name, {})}
        assert {(name, each) for each in missing} <= together


def test_what_is_not_given_is_not_written_and_null_is_not_silence() -> None:
    silent, null = (ops.make("facts.correct", fact_id="f", **given) for given in ({}, {"object": None}))
    assert json.loads(silent.model_dump_json()) == {"op": "facts.correct", "fact_id": "f"}
    assert json.loads(null.model_dump_json()) == {"op": "facts.correct", "fact_id": "f", "object": None}
    assert ops.make("facts.correct", fact_id="f", object=..., valid_from=...) == silent


def test_an_operation_cannot_be_changed() -> None:
    op: Any = ops.make("blocks.delete", name="n")
    with pytest.raises(ValidationError, match="frozen"):
        op.name = "m"


def test_where_a_method_takes_a_value_or_its_id_the_operation_has_the_id() -> None:
    episode = Episode(
        id="e", user_id="alice", session_id=None, agent_id=None, seq=1, input="a", output="b",
        occurred_at=NOON, recorded_at=NOON, metadata={}, transcript=None, embedding_state="none",
    )  # fmt: skip
    for source in (episode, episode.model_dump()):
        with pytest.raises(InvalidInput, match="source"):
            ops.make("facts.add", subject="s", predicate="p", object=1, source=source)
    (tool,) = ops.tool_schemas("mcp", include=["facts.why"])
    assert tool["inputSchema"]["properties"]["fact"]["type"] == "string"


# What is done.


@pytest.fixture
async def pair() -> AsyncIterator[tuple[UserMemory, UserMemory]]:
    """The same tenant twice, in memories of their own that know nothing of each other."""
    async with open_memory(clock=Clock()) as one, open_memory(clock=Clock()) as other:
        yield one.user("alice", session_id="s"), other.user("alice", session_id="s")


STORY: list[tuple[str, dict[str, Any]]] = [
    ("remember", {"input": "I moved to Lisbon", "output": "Nice!", "occurred_at": NOON, "id": "e1"}),
    ("remember_many", {"drafts": (EpisodeDraft("tea is best", id="e2"), EpisodeDraft("or not", id="e3"))}),
    ("recall", {"query": "Lisbon", "time_range": (NOON, None)}),
    ("messages", {"limit": 3}),
    ("episodes.list", {"limit": 2}),
    ("blocks.set", {"name": "persona", "text": "brief"}),
    ("blocks.append", {"name": "persona", "text": "!"}),
    ("blocks.render", {}),
    ("blocks.list", {"inherit": True}),
    ("variables.set", {"key": "k", "value": None}),
    ("variables.get", {"key": "k", "default": 1}),
    ("variables.get_many", {"keys": ("k", "l")}),
    ("task.set", {"state": TaskState(task_id="t")}),
    ("task.update", {"progress_percent": 200.0}),
    ("scratchpad.append", {"text": "note"}),
    ("scratchpad.entries", {}),
    ("working.stats", {}),
    ("facts.add", {"subject": "alice", "predicate": "lives_in", "object": {"city": "Lisbon"}, "id": "f1",
                   "valid_from": NOON, "sources": ("e1",)}),
    ("facts.add_many", {"drafts": (FactDraft("alice", "likes", "tea", id="f2", valid_to=FOREVER),)}),
    ("facts.find", {"subject": "alice", "where": {"city": "Lisbon"}}),
    ("facts.find", {"object": "tea"}),
    ("facts.timeline", {"subject": "alice", "predicate": "likes"}),
    ("facts.why", {"fact": "f1"}),
    ("facts.end", {"subject": "alice", "predicate": "likes", "key": "k1"}),
    ("facts.history", {"subject": "alice", "predicate": "likes"}),
    ("facts.diff", {"known_a": 0, "known_b": 9}),
    ("facts.changes", {}),
    ("facts.journal", {}),
    ("facts.count", {}),
    ("facts.rollback", {"steps": 1, "key": "k2"}),
    ("recall_facts", {"query": "tea"}),
    ("profile", {}),
    ("context", {"query": "tea"}),
    ("forget", {"session_id": "s", "verify": True}),
]  # fmt: skip


async def test_an_operation_does_what_its_method_does_and_its_result_comes_back_equal(
    pair: tuple[UserMemory, UserMemory],
) -> None:
    called, told = pair
    for name, given in STORY:
        method: Any = called
        for part in name.split("."):
            method = getattr(method, part)
        expected = await method(**given)
        result = await told.dispatch(ops.make(name, **given).model_dump_json())
        assert isinstance(result, ops.Done), result
        assert result.op == name
        assert _without_ids(result.value) == _without_ids(expected), name
        again = ops.Done.model_validate_json(result.model_dump_json())
        assert again == result
        assert isinstance(again.value, type(expected))


def _without_ids(value: Any) -> Any:
    """Ids that are made anew each time are random; everything else must be the same."""
    if isinstance(value, BaseModel):
        return {
            name: _without_ids(getattr(value, name))
            for name in type(value).model_fields
            if name != "version_id"
        }
    if isinstance(value, tuple | list):
        return [_without_ids(each) for each in value]
    made = isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)
    return "made" if made else value


async def test_a_result_read_from_json_holds_values_and_not_only_the_like(memory: Memory) -> None:
    alice = memory.user("alice")
    result = await alice.dispatch({"op": "remember", "input": "hello"})
    assert isinstance(result, ops.Done)
    again = ops.Done.model_validate_json(result.model_dump_json())
    assert isinstance(again.value, Episode)
    assert again.value == await alice.episodes.get(again.value.id)


async def test_what_can_be_mended_comes_back_as_a_failure() -> None:
    def veto(proposal: object) -> None:
        msg = "no"
        raise RuntimeError(msg)

    async with open_memory() as memory:
        alice = memory.user("alice")
        await alice.blocks.set("b", "text")
        await alice.remember("a", id="e")
        expected = [
            ({"op": "blocks.set", "name": "b", "text": "x", "if_version": 7}, "Conflict", "VersionConflict"),
            ({"op": "remember", "input": "other", "id": "e"}, "Conflict", "EpisodeConflict"),
            ({"op": "blocks.move", "name": "c", "index": 0}, "NotFound", "NotFound"),
            ({"op": "facts.retract", "fact_id": "f"}, "NotFound", "NotFound"),
            ({"op": "blocks.get", "name": " "}, "InvalidInput", "InvalidInput"),
            ({"op": "recall", "query": "q", "limit": 0}, "InvalidInput", "InvalidInput"),
        ]
        for op, kind, error in expected:
            failure = await alice.dispatch(op)
            assert isinstance(failure, ops.Failure)
            assert (failure.op, failure.kind, failure.error) == (op["op"], kind, error)
            assert ops.Failure.model_validate_json(failure.model_dump_json()) == failure
        memory.add_hook(veto)
        refused = await alice.dispatch({"op": "facts.add", "subject": "a", "predicate": "b", "object": 1})
        assert isinstance(refused, ops.Failure)
        assert refused.kind == "HookError"
        assert await alice.facts.count() == 0
        assert (await alice.blocks.get("b")) is not None


async def test_what_may_work_later_comes_back_as_a_failure_with_the_key_to_repeat_it_with() -> None:
    for error, key in ((StoreUnavailable("away"), None), (OutcomeUnknown("k1"), "k1")):
        failure = ops.Failure.of(error, op="remember")
        assert (failure.kind, failure.key, failure.message) == ("TryLater", key, str(error))


async def test_an_outage_comes_back_as_a_failure(redis_server: object) -> None:
    async with open_memory(redis="redis://127.0.0.1:1/0") as memory:
        failure = await memory.user("alice").dispatch({"op": "blocks.get", "name": "b"})
    assert isinstance(failure, ops.Failure)
    assert (failure.op, failure.kind, failure.error) == ("blocks.get", "TryLater", "StoreUnavailable")


ADD = {"op": "facts.add", "subject": "s", "predicate": "p"}

MALFORMED: list[tuple[Any, str, str | None]] = [
    ("[", "op", None),
    ("[1]", "op", None),
    (b"\xff", "op", None),
    ("[" * 100_000, "op", None),
    ('{"op": NaN}', "op", None),
    (7, "op", None),
    (None, "op", None),
    ({}, "op", None),
    ({"op": 7}, "op", None),
    ({"name": "n"}, "op", None),
    ({"op": "blocks.get"}, "name", "blocks.get"),
    ({"op": "blocks.get", "name": 7}, "name", "blocks.get"),
    ({"op": "blocks.get", "name": None}, "name", "blocks.get"),
    ({"op": "blocks.get", "name": "n", "inherit": 1}, "inherit", "blocks.get"),
    ({"op": "blocks.get", "name": "n", "nome": 1}, "nome", "blocks.get"),
    ({"op": "blocks.move", "name": "n", "index": "0"}, "index", "blocks.move"),
    ({"op": "blocks.move", "name": "n", "index": True}, "index", "blocks.move"),
    ({"op": "recall", "query": "q", "mode": "fuzzy"}, "mode", "recall"),
    ({"op": "recall", "query": "q", "time_range": ["2026-05-01T00:00:00", None]}, "time_range[0]", "recall"),
    ({"op": "recall", "query": "q", "time_range": [None]}, "time_range[1]", "recall"),
    ({"op": "recall", "query": "q", "where": [1]}, "where", "recall"),
    ({"op": "facts.find", "known_at": "soon"}, "known_at", "facts.find"),
    ({"op": "facts.find", "valid_at": 1_700_000_000}, "valid_at", "facts.find"),
    ({"op": "facts.find", "valid_at": "2026-05-01"}, "valid_at", "facts.find"),
    ({"op": "facts.add", "subject": "s", "predicate": "p"}, "object", "facts.add"),
    ({**ADD, "object": 1, "confidence": True}, "confidence", "facts.add"),
    ({**ADD, "object": 1, "sources": {"a"}}, "sources", "facts.add"),
    ({**ADD, "object": 1, "sources": "ab"}, "sources", "facts.add"),
    ({"op": "facts.add_many", "drafts": [{"subject": "s", "predicate": "p"}]},
     "drafts[0].object", "facts.add_many"),
    ({"op": "facts.add_many", "drafts": [CLAIM, {"subject": 1, "predicate": "p", "object": 1}]},
     "drafts[1].subject", "facts.add_many"),
    ({"op": "facts.add_many", "drafts": [{"subject": "s", "predicate": "p", "object": 1, "x": 1}]},
     "drafts[0]", "facts.add_many"),
    ({"op": "facts.promote_session", "select": "all"}, "select", "facts.promote_session"),
    ({"op": "task.set", "state": {"task_id": "t", "current_step": -1}}, "state.current_step", "task.set"),
    ({"op": "remember", "input": "a", "metadata": {1: 2}}, "metadata", "remember"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "field", "name"), MALFORMED, ids=lambda value: str(value)[:40])
async def test_what_is_malformed_is_a_failure_that_names_the_field(
    op: Any, field: str, name: str | None
) -> None:
    async with open_memory() as memory:
        failure = await memory.user("alice").dispatch(op)
        assert isinstance(failure, ops.Failure)
        assert (failure.kind, failure.field, failure.op) == ("InvalidInput", field, name)
        assert field in failure.message


async def test_what_is_malformed_is_not_quoted(memory: Memory) -> None:
    canary = "Canary-7f3a"
    alice = memory.user("alice")
    for op in (
        f'{{"op": "{canary}',
        {"op": "blocks.get", canary: 1},
        {"op": "blocks.get", "name": [canary]},
        {"op": "recall", "query": "q", "mode": canary},
        {"op": "facts.find", "valid_at": canary},
        {"op": "facts.add_many", "drafts": [{canary: 1}]},
        {"op": "remember", "input": "a", "metadata": {canary: {1: canary}}},
        {"op": "task.set", "state": {"task_id": "t", canary: canary}},
    ):
        failure = await alice.dispatch(op)
        assert isinstance(failure, ops.Failure)
        assert canary not in repr(failure)
    with pytest.raises(InvalidInput) as refused:
        ops.make("recall", query="q", mode=canary)
    assert refused.value.__suppress_context__
    for call in (lambda: ops.make(canary), lambda: ops.from_tool_call(canary, {})):
        with pytest.raises(UnsupportedOperation) as caught:
            call()
        assert canary not in str(caught.value)
        assert caught.value.__context__ is None


async def test_what_needs_other_code_or_another_composition_is_raised() -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        for op in (
            {"op": "explode"},
            {"op": "facts.embed_pending"},
            {"op": "recall", "query": "q", "mode": "semantic"},
        ):
            with pytest.raises(UnsupportedOperation):
                await alice.dispatch(op)
    with pytest.raises(MemoryClosed):
        await alice.dispatch({"op": "explode"})


async def test_what_a_caller_may_not_ask_for_is_refused_and_not_done() -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        await alice.remember("kept", id="e")
        only = ("recall", "facts.find")
        for op in ({"op": "forget", "everything": True}, {"op": "forget", "nothing": "of this name"}):
            for given in (op, json.dumps(op)):
                with pytest.raises(UnsupportedOperation, match="'forget' is none of"):
                    await alice.dispatch(given, only=only)
        for few in (only, []):
            with pytest.raises(UnsupportedOperation):
                await alice.dispatch(ops.make("episodes.count"), only=few)
        assert await alice.dispatch(ops.make("facts.find"), only=only) == ops.Done(
            op="facts.find", value=await alice.facts.find()
        )
        bad = await alice.dispatch({"op": "recall"}, only=only)
        assert isinstance(bad, ops.Failure)
        assert (bad.kind, bad.field) == ("InvalidInput", "query")
        assert await alice.episodes.count() == 1


async def test_what_may_be_asked_for_is_named_as_operations_are() -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        with pytest.raises(ConfigurationError, match="collection"):
            await alice.dispatch({"op": "recall", "query": "q"}, only="recall_facts")
        with pytest.raises(UnsupportedOperation, match="'facts_find'"):
            await alice.dispatch({"op": "recall", "query": "q"}, only=("recall", "facts_find"))


async def test_only_what_the_composition_can_do_is_supported() -> None:
    async def extract(episode: Episode) -> tuple[FactDraft, ...]:
        return ()

    parts: dict[str, Any] = {"embedder": HashEmbedder(), "extractor": SimpleNamespace(extract=extract)}
    async with open_memory() as bare, open_memory(**parts) as whole:
        assert bare.supported_ops() == set(ops.names()) - set(NEEDS)
        assert whole.supported_ops() == set(ops.names())
        done = await whole.user("alice").dispatch({"op": "episodes.embed_pending"})
        assert done == ops.Done(op="episodes.embed_pending", value=0)


async def test_operations_keep_to_their_tenant() -> None:
    async with open_memory() as memory:
        alice, bob = memory.user("alice"), memory.user("bob")
        await alice.dispatch({"op": "remember", "input": "secret", "id": "e"})
        await alice.dispatch({"op": "blocks.set", "name": "b", "text": "secret"})
        await alice.dispatch(
            {"op": "facts.add", "subject": "s", "predicate": "p", "object": "secret", "id": "f"}
        )
        for op, nothing in (
            ({"op": "episodes.get", "id": "e"}, None),
            ({"op": "blocks.list"}, ()),
            ({"op": "facts.get", "fact_id": "f"}, None),
            ({"op": "recall", "query": "secret"}, ()),
        ):
            assert await bob.dispatch(op) == ops.Done(op=op["op"], value=nothing)


async def test_an_operation_is_done_through_the_session_of_its_handle() -> None:
    async with open_memory() as memory:
        alice = memory.user("alice", session_id="s")
        done = await alice.dispatch({"op": "remember", "input": "hello"})
        assert isinstance(done, ops.Done)
        assert done.value.session_id == "s"


# Tools.


def _shape(provider: ops.Provider) -> list[tuple[str, str, dict[str, Any]]]:
    tools = ops.tool_schemas(provider)
    if provider == "openai":
        assert all(set(tool) == {"type", "function"} and tool["type"] == "function" for tool in tools)
        tools = [tool["function"] for tool in tools]
    schema = {"openai": "parameters", "anthropic": "input_schema", "mcp": "inputSchema"}[provider]
    for tool in tools:
        assert set(tool) - {"strict"} == {"name", "description", schema}
    return [(tool["name"], tool["description"], tool[schema]) for tool in tools]


@pytest.mark.parametrize("provider", get_args(ops.Provider))
def test_a_tool_has_the_shape_that_its_provider_wants(provider: ops.Provider) -> None:
    tools = _shape(provider)
    assert [name for name, _, _ in tools] == [name.replace(".", "_") for name in ops.names()]
    assert len({name for name, _, _ in tools}) == len(ops.names())
    for name, description, schema in tools:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)
        assert 10 < len(description) <= 1024
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert not {"anyOf", "oneOf", "allOf", "not", "enum"} & set(schema), "some take no choices at the top"
        assert "op" not in schema["properties"]
        assert not {"$ref", "$defs", "title", "prefixItems", "const"} & set(_keywords(schema)), name
    json.dumps(tools)


def _keywords(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [word for each in schema for word in _keywords(each)]
    if not isinstance(schema, dict):
        return []
    inner = [each for name, each in schema.items() if name not in ("properties", "default", "enum")]
    return [*schema, *_keywords(inner), *_keywords(list(schema.get("properties", {}).values()))]


@pytest.mark.parametrize("name", ops.names())
def test_a_tool_accepts_what_its_operation_is_written_as_and_refuses_what_it_does_not_know(name: str) -> None:
    (tool,) = ops.tool_schemas("mcp", include=[name])
    schema = Draft202012Validator(tool["inputSchema"])
    written = json.loads(ops.make(name, **EXAMPLES.get(name, {})).model_dump_json(exclude={"op"}))
    # What may be left out need not be written as null.
    spare = {
        key: value for key, value in written.items() if value is not None or key in ("object", "valid_to")
    }
    spare["drafts"] = [{k: v for k, v in each.items() if v is not None} for each in spare.get("drafts", [])]
    spare = spare if spare["drafts"] else {key: value for key, value in spare.items() if key != "drafts"}
    if "state" in spare:
        spare["state"] = {key: value for key, value in spare["state"].items() if value is not None}
    assert [error.message for error in schema.iter_errors(spare)] == []
    assert not schema.is_valid({**spare, "nothing_of_this_name": 1})
    assert ops.from_tool_call(tool["name"], spare).op == name


def test_tools_are_chosen_by_the_names_of_operations() -> None:
    tools = ops.tool_schemas("anthropic", include={"recall", "blocks.set"})
    assert [tool["name"] for tool in tools] == ["recall", "blocks_set"]
    assert ops.tool_schemas("anthropic", include=()) == []
    with pytest.raises(UnsupportedOperation, match="explode"):
        ops.tool_schemas("anthropic", include=["explode"])
    for wrong in (lambda: ops.tool_schemas("acme"), lambda: ops.tool_schemas("mcp", include="recall")):  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError):
            wrong()


def test_a_tool_says_what_its_method_says_of_its_arguments() -> None:
    (tool,) = ops.tool_schemas("mcp", include=["facts.add"])
    properties = tool["inputSchema"]["properties"]
    assert tool["description"].startswith("Hold something to be true.")
    assert "Raises" not in tool["description"]
    assert properties["confidence"] == {"type": "number", "default": 1.0, "description": "0..1."}
    assert properties["valid_to"]["anyOf"] == [
        {"type": "string", "format": "date-time"}, {"type": "string", "enum": ["forever"]},
    ]  # fmt: skip
    assert properties["actor"]["description"] == "who says so, an id"
    (tool,) = ops.tool_schemas("mcp", include=["recall"])
    for name in ("session_id", "agent_id"):
        assert tool["inputSchema"]["properties"][name]["description"] == "only of these."


def _descriptions(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [text for each in schema for text in _descriptions(each)]
    if not isinstance(schema, dict):
        return []
    said = [schema["description"]] if isinstance(schema.get("description"), str) else []
    return [*said, *_descriptions(list(schema.values()))]


@pytest.mark.parametrize("provider", get_args(ops.Provider))
def test_what_a_model_is_told_speaks_of_nothing_inside_the_package(provider: ops.Provider) -> None:
    told = _descriptions(ops.tool_schemas(provider))
    assert len(told) > 2 * len(ops.names())
    inside = re.compile(r"recollect\.|(?<![\w])_\w|\bself\b|Composition|await\b|async\b")
    assert [text for text in told if inside.search(text)] == []


def test_a_call_of_a_tool_is_an_operation_and_cannot_be_another_one() -> None:
    op = ops.make("blocks.set", name="n", text="t")
    for arguments in (
        {"name": "n", "text": "t"},
        '{"name": "n", "text": "t"}',
        b'{"name": "n", "text": "t"}',
    ):
        assert ops.from_tool_call("blocks_set", arguments) == op
    for nothing in (None, "", {}):
        assert ops.from_tool_call("blocks_list", nothing) == ops.make("blocks.list")
    with pytest.raises(InvalidInput, match="op"):
        ops.from_tool_call("blocks_list", {"op": "variables.clear"})
    for wrong in ([], "[]", "null", 0, "{"):
        with pytest.raises(InvalidInput, match="arguments"):
            ops.from_tool_call("blocks_list", wrong)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedOperation):
        ops.from_tool_call("blocks.list", {})
