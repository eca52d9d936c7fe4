"""The same for working memory: each argument of each method is refused in its name, before any effect."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from recollect import InvalidInput, Limits, TaskState, UserMemory

from .conftest import Connect
from .test_bad_facts import OBJECTS
from .test_bad_input import CANARY, IDS, INSTANTS, JSON, TEXTS, _chained, _long

Call = Callable[[UserMemory, Any], Awaitable[object]]

LIMITS = Limits(max_text_bytes=200, max_variable_bytes=300)

NAMES = {**IDS, "none": None}
REQUIRED = {**TEXTS, "none": None}
COUNTS: dict[str, Any] = {
    "negative": -1, "huge": 10**30, "huger": 10**400, "bool": True, "float": 3.0, "nan": float("nan"),
    "string": CANARY,
}  # fmt: skip
TTLS: dict[str, Any] = {
    "zero": 0, "zero float": 0.0, "minus zero": -0.0, "negative": -1, "nan": float("nan"),
    "infinity": float("inf"), "minus infinity": float("-inf"), "bool": True, "string": CANARY,
    "decimal": Decimal(1), "huge": 10**400, "list": [1],
}  # fmt: skip
PERCENTS: dict[str, Any] = {
    "nan": float("nan"), "bool": True, "string": CANARY, "decimal": Decimal(1), "list": [1],
}  # fmt: skip
KEYS: dict[str, Any] = {
    "string": CANARY, "bytes": CANARY.encode(), "none": None, "number": 7, "number in it": ["a", 7],
    "blank in it": [" "], "nul in it": (f"{CANARY}\0",), "none in it": {None},
    "too many": [f"{CANARY}{i}" for i in range(1_001)],
}  # fmt: skip
WORDS = {**TEXTS, "too long": _long(1_025), "too long in bytes": _long(1_000) + "é" * 20}
CHOICES: dict[str, Any] = {"word": CANARY, "empty": "", "none": None, "number": 7, "list": ["ours", "xml"]}
STATES: dict[str, Any] = {"none": None, "dict": {"task_id": CANARY}, "string": CANARY, "class": TaskState}
CONTEXTS = {**JSON, "list": [CANARY], "none": None, "string": CANARY, "too long": {"k": _long(300)}}


@dataclass(frozen=True)
class Argument:
    """An argument of a method, and what it refuses."""

    name: str
    field: str
    values: dict[str, Any] = field(repr=False)
    call: Call = field(repr=False)


def _state(**given: Any) -> TaskState:
    """Return a state that nobody has validated."""
    return TaskState.model_construct(**{"task_id": "t", **given})


BLOCKS = [
    Argument("blocks.get", "name", NAMES, lambda a, v: a.blocks.get(v)),
    Argument("blocks.get inherited", "name", NAMES, lambda a, v: a.blocks.get(v, inherit=True)),
    Argument("blocks.set", "name", NAMES, lambda a, v: a.blocks.set(v, CANARY)),
    Argument("blocks.set", "text", REQUIRED, lambda a, v: a.blocks.set("a", v)),
    Argument("blocks.set", "if_version", COUNTS, lambda a, v: a.blocks.set("a", CANARY, if_version=v)),
    Argument("blocks.set", "key", IDS, lambda a, v: a.blocks.set("a", CANARY, key=v)),
    Argument("blocks.append", "name", NAMES, lambda a, v: a.blocks.append(v, CANARY)),
    Argument("blocks.append", "text", REQUIRED, lambda a, v: a.blocks.append("a", v)),
    Argument("blocks.append", "key", IDS, lambda a, v: a.blocks.append("a", CANARY, key=v)),
    Argument("blocks.delete", "name", NAMES, lambda a, v: a.blocks.delete(v)),
    Argument("blocks.move", "name", NAMES, lambda a, v: a.blocks.move(v, 0)),
    Argument("blocks.move", "index", {**COUNTS, "none": None}, lambda a, v: a.blocks.move("a", v)),
    Argument("blocks.render", "format", CHOICES, lambda a, v: a.blocks.render(v)),
]

VARIABLES = [
    Argument("variables.set", "key", NAMES, lambda a, v: a.variables.set(v, CANARY)),
    Argument("variables.set", "value", OBJECTS, lambda a, v: a.variables.set("a", v)),
    Argument("variables.set", "ttl", TTLS, lambda a, v: a.variables.set("a", CANARY, ttl=v)),
    Argument("variables.get", "key", NAMES, lambda a, v: a.variables.get(v, CANARY)),
    Argument("variables.get inherited", "key", NAMES, lambda a, v: a.variables.get(v, inherit=True)),
    Argument("variables.get_many", "keys", KEYS, lambda a, v: a.variables.get_many(v)),
    Argument("variables.delete", "key", NAMES, lambda a, v: a.variables.delete(v)),
    Argument("variables.exists", "key", NAMES, lambda a, v: a.variables.exists(v)),
    Argument("variables.keys", "pattern", {**WORDS, "none": None}, lambda a, v: a.variables.keys(v)),
]

TASK = [
    Argument("task.set", "state", STATES, lambda a, v: a.task.set(v)),
    *(
        Argument("task.set", f"state.{name}", values, lambda a, v, name=name: a.task.set(_state(**{name: v})))
        for name, values in {
            "task_id": NAMES,
            "description": REQUIRED,
            "status": {**WORDS, "none": None},
            "current_step": {**COUNTS, "none": None},
            "total_steps": {**COUNTS, "none": None},
            "progress_percent": {**PERCENTS, "none": None},
            "context": CONTEXTS,
            "started_at": INSTANTS,
        }.items()
    ),
    Argument("task.update", "current_step", COUNTS, lambda a, v: a.task.update(current_step=v)),
    Argument("task.update", "progress_percent", PERCENTS, lambda a, v: a.task.update(progress_percent=v)),
    Argument("task.update", "status", WORDS, lambda a, v: a.task.update(status=v)),
]

OTHERS = [
    Argument("scratchpad.append", "text", REQUIRED, lambda a, v: a.scratchpad.append(v)),
    Argument("scratchpad.append", "key", IDS, lambda a, v: a.scratchpad.append(CANARY, key=v)),
    Argument("scratchpad.entries", "limit", COUNTS, lambda a, v: a.scratchpad.entries(v)),
    Argument("checkpoints.create", "description", REQUIRED, lambda a, v: a.checkpoints.create(v)),
    Argument("checkpoints.restore", "id", NAMES, lambda a, v: a.checkpoints.restore(v)),
    Argument("checkpoints.delete", "id", NAMES, lambda a, v: a.checkpoints.delete(v)),
    Argument("working.resolve", "id", NAMES, lambda a, v: a.working.resolve(v)),
    Argument("working.resolve", "keep", CHOICES, lambda a, v: a.working.resolve("c", keep=v)),
    Argument("working.resolve", "text", TEXTS, lambda a, v: a.working.resolve("c", text=v)),
]

ARGUMENTS = [*BLOCKS, *VARIABLES, *TASK, *OTHERS]


@pytest.mark.parametrize("argument", ARGUMENTS, ids=lambda each: f"{each.name} {each.field}")
async def test_bad_argument_is_refused_before_any_effect(
    sit: Connect, caplog: pytest.LogCaptureFixture, argument: Argument
) -> None:
    caplog.set_level(logging.DEBUG, logger="recollect")
    async with sit(limits=LIMITS) as memory:
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
        stats = await alice.working.stats()
        assert stats.created_at is None, "something was stored"
        assert memory.statistics().leased == 0
    assert CANARY not in caplog.text


async def test_bad_argument_leaves_what_there_was_as_it_was(sit: Connect) -> None:
    async with sit(limits=LIMITS) as memory:
        alice = memory.user("alice")
        block = await alice.blocks.set("a", "before")
        await alice.variables.set("a", "before", ttl=60)
        task = await alice.task.set(TaskState(task_id="t", context={"k": 1}))
        for argument in (*BLOCKS, *VARIABLES, *TASK):
            for value in argument.values.values():
                with pytest.raises(InvalidInput):
                    await argument.call(alice, value)
        assert await alice.blocks.list() == (block,)
        assert await alice.variables.items() == {"a": "before"}
        assert await alice.task.get() == task


async def test_longest_and_oddest_legal_input_reads_back_equal(sit: Connect) -> None:
    odd = "{}*?[]:%\\\n\x01'\""
    async with sit(limits=LIMITS) as memory:
        alice = memory.user(odd * 19, agent_id=odd, session_id="é" * 128, namespace=odd)
        block = await alice.blocks.set("n" * 256, "é" * 100, if_version=0, key="k" * 256)
        assert await alice.blocks.get("n" * 256) == block
        assert await alice.blocks.move("n" * 256, 1_000_000) == block
        value: dict[str, Any] = {"k": [2**53 - 1, -(2**53) + 1, -0.0, 5e-324, "\u2028"], odd: {"": None}}
        for ttl in (1e-3, 5, 10**15, 1e308):
            await alice.variables.set(odd, value, ttl=ttl)
            assert await alice.variables.get(odd) == value
        await alice.variables.set("n" * 256, "x" * 298)
        assert await alice.variables.get_many(iter(["n" * 256])) == {"n" * 256: "x" * 298}
        assert await alice.variables.get_many({f"v{i}" for i in range(1_000)}) == {}
        assert await alice.variables.keys("n" * 1_024) == []
        state = TaskState(
            task_id=odd, status="s" * 1_024, current_step=2**53 - 1, total_steps=2**53 - 1, context=value
        )
        assert (await alice.task.set(state)).model_copy(update={"updated_at": None}) == state
        updated = await alice.task.update(progress_percent=10**400)
        assert updated is not None
        assert updated.progress_percent == 100.0
        assert (await alice.scratchpad.append("")).text == ""
        checkpoint = await alice.checkpoints.create("d" * 200)
        assert await alice.checkpoints.restore(checkpoint.id) == checkpoint


async def test_task_of_a_class_derived_from_a_state_comes_back_as_a_state(sit: Connect) -> None:
    class Own(TaskState):
        secret: int = 1

    async with sit() as memory:
        alice = memory.user("alice")
        stored = await alice.task.set(Own(task_id="t"))
        assert type(stored) is TaskState
        assert await alice.task.get() == stored
