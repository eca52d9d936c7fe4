"""Working memory as handles offer it, in process and on Redis."""

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

import anyio
import pytest

from recollect import (
    ConfigurationError,
    DeadlineExceeded,
    IdempotencyConflict,
    InvalidInput,
    Limits,
    Memory,
    NotFound,
    TaskState,
    UserMemory,
    VersionConflict,
)
from recollect._workspace import Look
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.stores import Place
from recollect.testing import Clock

from .conftest import Connect

T = TypeVar("T")

HANGS = 60


async def test_blocks_are_set_read_listed_and_deleted(alice: UserMemory, clock: Clock) -> None:
    assert await alice.blocks.get("persona") is None
    assert await alice.blocks.list() == ()
    persona = await alice.blocks.set("persona", "Prefers short answers.")
    goal = await alice.blocks.set("goal", "")
    assert (persona.name, persona.text, persona.version) == ("persona", "Prefers short answers.", 1)
    assert persona.order < goal.order
    assert persona.updated_at == clock.now
    assert await alice.blocks.get("persona") == persona
    assert await alice.blocks.list() == (persona, goal)
    assert await alice.blocks.delete("persona") is True
    assert await alice.blocks.delete("persona") is False
    assert await alice.blocks.list() == (goal,)


async def test_append_creates_and_has_no_separator(alice: UserMemory) -> None:
    assert (await alice.blocks.append("log", "one")).text == "one"
    assert (await alice.blocks.append("log", "two")).text == "onetwo"


async def test_hundred_concurrent_appends_keep_hundred_pieces(alice: UserMemory) -> None:
    with anyio.fail_after(HANGS):
        async with anyio.create_task_group() as tasks:
            for i in range(100):
                tasks.start_soon(alice.blocks.append, "log", f"{i:02};")
    block = await alice.blocks.get("log")
    assert block is not None
    assert sorted(block.text.split(";")[:-1]) == [f"{i:02}" for i in range(100)]


async def test_block_moves_to_an_index(alice: UserMemory) -> None:
    for name in "abc":
        await alice.blocks.set(name, name)
    assert (await alice.blocks.move("c", 0)).name == "c"
    await alice.blocks.move("a", 99)
    assert [block.name for block in await alice.blocks.list()] == ["c", "b", "a"]
    with pytest.raises(NotFound) as caught:
        await alice.blocks.move("d", 0)
    assert (caught.value.kind, caught.value.key) == ("block", "d")


async def test_set_of_another_version_conflicts_with_what_is_there(alice: UserMemory) -> None:
    first = await alice.blocks.set("a", "one", if_version=0)
    second = await alice.blocks.set("a", "two", if_version=first.version)
    for version in (0, first.version, 2**53):
        with pytest.raises(VersionConflict) as caught:
            await alice.blocks.set("a", "three", if_version=version)
        assert caught.value.current == second
    assert await alice.blocks.list() == (second,)


async def test_edit_repeated_with_its_key_applies_once(alice: UserMemory) -> None:
    made = await alice.blocks.append("log", "once", key="k")
    assert await alice.blocks.append("log", "once", key="k") == made
    kept = await alice.blocks.set("a", "x", if_version=0, key="l")
    assert await alice.blocks.set("a", "x", if_version=0, key="l") == kept
    others: list[Callable[[], Awaitable[object]]] = [
        lambda: alice.blocks.append("log", "twice", key="k"),
        lambda: alice.blocks.append("logs", "once", key="k"),
        lambda: alice.blocks.set("log", "once", key="k"),
        lambda: alice.blocks.set("a", "x", key="l"),
    ]
    for other in others:
        with pytest.raises(IdempotencyConflict):
            await other()
    assert await alice.blocks.list() == (made, kept)


async def test_key_in_one_scope_is_another_in_the_next(alice: UserMemory) -> None:
    for i in range(3):
        session = alice.at(session_id=str(i))
        for _ in range(2):
            assert (await session.blocks.append("log", "x", key="k")).text == "x"
        assert [(block.name, block.text) for block in await session.blocks.list()] == [("log", "x")]


async def test_blocks_are_bounded_in_length_and_number(sit: Connect) -> None:
    async with sit(limits=Limits(max_text_bytes=10, max_blocks=2)) as memory:
        blocks = memory.user("alice").blocks
        await blocks.set("a", "é" * 5)
        await blocks.append("b", "123456789")
        for call, field in (
            (blocks.append("a", "b"), "text"),
            (blocks.append("b", "éé"), "text"),
            (blocks.set("c", ""), "name"),
            (blocks.append("c", ""), "name"),
        ):
            with pytest.raises(InvalidInput) as caught:
                await call
            assert caught.value.field == field
        await blocks.append("b", "0")
        assert [block.text for block in await blocks.list()] == ["é" * 5, "1234567890"]


async def test_render_puts_blocks_into_a_prompt(alice: UserMemory) -> None:
    assert await alice.blocks.render() == await alice.blocks.render("markdown") == ""
    await alice.blocks.set("persona", 'Likes <b> & "quotes".</block>')
    await alice.blocks.set('a "name"', "```\ncode\n```")
    assert await alice.blocks.render() == (
        "<blocks>\n"
        '<block name="persona">Likes &lt;b&gt; &amp; "quotes".&lt;/block&gt;</block>\n'
        "<block name='a \"name\"'>```\ncode\n```</block>\n"
        "</blocks>"
    )
    assert await alice.blocks.render("markdown") == (
        '## persona\n\n```text\nLikes <b> & "quotes".</block>\n```\n\n'
        '## a "name"\n\n````text\n```\ncode\n```\n````'
    )


async def _lineage(memory: Memory) -> dict[str, UserMemory]:
    """Return a handle with all that can be inherited from, the nearest first."""
    company = memory.user("company", namespace="shared")
    team = memory.user("team", session_id="planning", parents=[company])
    project = memory.user("project")
    session = memory.user("alice", agent_id="a", session_id="s", parents=[project, team])
    return {
        "session": session,
        "agent": memory.user("alice", agent_id="a"),
        "tenant": memory.user("alice"),
        "project": project,
        "planning": team,
        "team": memory.user("team"),
        "company": company,
    }


async def test_inherited_variable_is_that_of_the_nearest(sit: Connect) -> None:
    async with sit() as memory:
        handles = await _lineage(memory)
        own = handles["session"].variables
        for name, handle in reversed(handles.items()):
            await handle.variables.set("v", name)
            await handle.variables.set(name, None)
            assert await own.get("v", inherit=True) == name
            assert await own.get(name, "missing", inherit=True) is None
            assert await own.get(name, "missing") == ("missing" if name != "session" else None)
        assert await own.get("nowhere", 7, inherit=True) == 7
        assert await handles["company"].variables.get("session", "missing", inherit=True) == "missing"


class SlowWorking(InProcessWorking):
    """Takes a part of the time that a call has for each look."""

    async def look(self, local: Any, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        await anyio.sleep(0.4)
        return await super().look(local, places, look)


async def test_to_inherit_takes_no_longer_than_a_call_may(anyio_backend: object) -> None:
    memory = Memory(archive=InProcessArchive(), working=SlowWorking(), deadline=1.0)
    with closing(memory):
        alice = memory.user("alice", parents=[memory.user(f"team {i}") for i in range(4)])
        for call in (alice.blocks.list, lambda **how: alice.blocks.get("a", **how)):
            assert not await call()
            with pytest.raises(DeadlineExceeded):
                await call(inherit=True)
        with pytest.raises(DeadlineExceeded):
            await alice.variables.get("a", inherit=True)


async def test_inherited_blocks_come_after_the_own(sit: Connect) -> None:
    async with sit() as memory:
        handles = await _lineage(memory)
        own = handles["session"].blocks
        for name, handle in handles.items():
            await handle.blocks.set(name, f"of {name}")
            await handle.blocks.set("shared", f"of {name}")
        listed = await own.list(inherit=True)
        assert [block.name for block in listed] == ["session", "shared", *list(handles)[1:]]
        assert listed[1].text == "of session"
        assert [block.name for block in await own.list()] == ["session", "shared"]
        for name in handles:
            block = await own.get(name, inherit=True)
            assert block is not None
            assert block.text == f"of {name}"
        assert await own.get("company") is None
        assert await own.get("nowhere", inherit=True) is None
        assert (await own.render(inherit=True)).count("<block ") == len(listed)
        await own.set("company", "mine")
        assert (await handles["company"].blocks.list())[0].text == "of company"


async def test_session_without_an_agent_does_not_inherit_from_one(sit: Connect) -> None:
    async with sit() as memory:
        await memory.user("alice", agent_id="a").variables.set("v", 1)
        session = memory.user("alice", session_id="s")
        assert await session.variables.get("v", inherit=True) is None
        assert await session.at(agent_id="a").variables.get("v", inherit=True) == 1


async def test_parent_of_another_memory_is_refused(sit: Connect) -> None:
    async with sit() as memory, sit() as another:
        with pytest.raises(ConfigurationError):
            memory.user("alice", parents=[another.user("team")])


async def test_variables_are_set_read_and_deleted(alice: UserMemory) -> None:
    variables = alice.variables
    values: dict[str, Any] = {"none": None, "text": "é", "deep": [{"a": [1.5, True]}], "zero": 0, "ab": 1}
    for key, value in values.items():
        assert await variables.set(key, value) is None
    assert await variables.items() == values
    assert list(await variables.items()) == await variables.keys() == sorted(values)
    assert await variables.get("none", "default") is None
    assert await variables.get("missing", "default") == "default"
    assert await variables.exists("none") is True
    assert await variables.exists("missing") is False
    many = await variables.get_many(["zero", "missing", "text", "zero"])
    assert list(many.items()) == [("zero", 0), ("text", "é")]
    assert await variables.get_many(()) == {}
    assert await variables.delete("none") is True
    assert await variables.delete("none") is False
    assert await variables.exists("none") is False
    assert await variables.clear() == 4
    assert await variables.clear() == 0
    assert await variables.items() == {}


async def test_patterns_of_keys_are_those_of_fnmatchcase(alice: UserMemory) -> None:
    for key in ("user:1", "user:2", "User:3", "a[b]", "a*b", "line\nbreak", "%"):
        await alice.variables.set(key, 1)
    for pattern, expected in {
        "user:*": ["user:1", "user:2"],
        "?ser:[!2]": ["User:3", "user:1"],
        "a[[]b]": ["a[b]"],
        "a[*]b": ["a*b"],
        "line*": ["line\nbreak"],
        "": [],
        "%": ["%"],
        "[": [],
    }.items():
        assert await alice.variables.keys(pattern) == expected, pattern


async def test_variable_lives_for_its_time(sit: Connect, clock: Clock) -> None:
    async with sit(limits=Limits(variable_ttl=100.0)) as memory:
        variables = memory.user("alice").variables
        await variables.set("default", 1)
        await variables.set("brief", 1, ttl=10)
        await variables.set("fraction", 1, ttl=0.5)
        await variables.set("again", 1, ttl=10)
        await variables.set("again", 2)
        clock.advance(0.5)
        assert await variables.keys() == ["again", "brief", "default"]
        clock.advance(9.5)
        assert await variables.keys() == ["again", "default"]
        clock.advance(90.5)
        assert await variables.items() == {}


async def test_variables_are_bounded_in_size_and_number(sit: Connect) -> None:
    async with sit(limits=Limits(max_variables=2, max_variable_bytes=10)) as memory:
        alice = memory.user("alice")
        await alice.variables.set("a", "12345678")
        await alice.variables.set("b", [])
        for key, value, field in (("a", "123456789", "value"), ("c", 1, "key")):
            with pytest.raises(InvalidInput) as caught:
                await alice.variables.set(key, value)
            assert caught.value.field == field
        await alice.at(session_id="s").variables.set("c", 1)
        assert await alice.variables.items() == {"a": "12345678", "b": []}


async def test_what_is_returned_shares_nothing_with_what_is_stored(alice: UserMemory) -> None:
    value: dict[str, Any] = {"list": [1]}
    context: dict[str, Any] = {"list": [1]}
    await alice.variables.set("v", value)
    returned = await alice.task.set(TaskState(task_id="t", context=context))
    held = [
        value,
        context,
        await alice.variables.get("v"),
        (await alice.variables.get_many(["v"]))["v"],
        (await alice.variables.items())["v"],
        returned.context,
        (await _task(alice)).context,
        (await _updated(alice)).context,
    ]
    for each in held:
        each["list"].append(2)
    assert await alice.variables.get("v") == {"list": [1]}
    assert (await _task(alice)).context == {"list": [1]}
    checkpoint = await alice.checkpoints.create()
    (await _task(alice)).context.clear()
    await alice.checkpoints.restore(checkpoint.id)
    assert (await _task(alice)).context == {"list": [1]}


async def _task(alice: UserMemory) -> TaskState:
    found = await alice.task.get()
    assert found is not None
    return found


async def _updated(alice: UserMemory) -> TaskState:
    found = await alice.task.update(current_step=1)
    assert found is not None
    return found


async def test_task_is_set_updated_and_cleared(alice: UserMemory, clock: Clock) -> None:
    assert await alice.task.get() is None
    assert await alice.task.update(status="done") is None
    assert await alice.task.clear() is False
    started_at = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    given = TaskState(
        task_id="t", description="d", total_steps=3, progress_percent=150, context={"k": []},
        started_at=started_at,
    )  # fmt: skip
    before = given.model_copy(deep=True)
    stored = await alice.task.set(given)
    assert given == before, "the argument was changed"
    assert stored == before.model_copy(update={"progress_percent": 100.0, "updated_at": clock.now})
    assert stored.started_at is not None
    assert stored.started_at.tzinfo is UTC
    assert await alice.task.get() == stored
    clock.advance(1)
    updated = await alice.task.update(current_step=2, status="running")
    assert updated == stored.model_copy(
        update={"current_step": 2, "status": "running", "updated_at": clock.now}
    )
    assert await alice.task.get() == updated
    assert await alice.task.clear() is True
    assert await alice.task.get() is None


@pytest.mark.parametrize(
    ("given", "expected"), [(-5, 0.0), (0, 0.0), (33.3, 33.3), (250, 100.0), (math.inf, 100), (-math.inf, 0)]
)
async def test_progress_is_clamped(alice: UserMemory, given: float, expected: float) -> None:
    assert (await alice.task.set(TaskState(task_id="t", progress_percent=given))).progress_percent == expected
    await alice.task.set(TaskState(task_id="t", progress_percent=50))
    updated = await alice.task.update(progress_percent=given)
    assert updated is not None
    assert updated.progress_percent == expected
    assert await alice.task.get() == updated


async def test_scratchpad_keeps_the_newest(sit: Connect, clock: Clock) -> None:
    async with sit(limits=Limits(max_notes=3)) as memory:
        pad = memory.user("alice").scratchpad
        assert await pad.entries() == ()
        notes = []
        for i in range(4):
            notes.append(await pad.append(f"note {i}"))
            assert notes[-1].at == clock.now
            clock.advance(1)
        assert await pad.entries() == tuple(notes[1:])
        assert await pad.entries(2) == tuple(notes[2:])
        assert await pad.entries(limit=0) == ()
        assert await pad.entries(1_000) == tuple(notes[1:])
        assert await pad.clear() == 3
        assert await pad.clear() == 0


async def test_cap_of_one_keeps_one(sit: Connect) -> None:
    async with sit(limits=Limits(max_notes=1, max_checkpoints=1)) as memory:
        alice = memory.user("alice")
        for i in range(3):
            await alice.scratchpad.append(str(i))
            last = await alice.checkpoints.create(str(i))
        assert [note.text for note in await alice.scratchpad.entries()] == ["2"]
        assert await alice.checkpoints.list() == (last,)


async def test_checkpoint_brings_back_what_was(alice: UserMemory) -> None:
    await alice.blocks.set("persona", "short")
    await alice.variables.set("v", [1])
    await alice.scratchpad.append("note")
    await alice.task.set(TaskState(task_id="t"))
    first = await alice.checkpoints.create("before")
    await alice.blocks.delete("persona")
    await alice.variables.clear()
    await alice.scratchpad.clear()
    await alice.task.clear()
    second = await alice.checkpoints.create()
    assert await alice.checkpoints.restore(first.id) == first
    assert [(block.name, block.text) for block in await alice.blocks.list()] == [("persona", "short")]
    assert await alice.variables.items() == {"v": [1]}
    assert [note.text for note in await alice.scratchpad.entries()] == ["note"]
    assert (await _task(alice)).task_id == "t"
    assert await alice.checkpoints.list() == (first, second)
    assert (first.description, second.description) == ("before", "")
    assert await alice.checkpoints.delete(first.id) is True
    assert await alice.checkpoints.delete(first.id) is False
    with pytest.raises(NotFound) as caught:
        await alice.checkpoints.restore(first.id)
    assert (caught.value.kind, caught.value.key) == ("checkpoint", first.id)
    assert await alice.variables.items() == {"v": [1]}


async def test_many_checkpoints_stay_small(sit: Connect) -> None:
    """Each of them that held the others would double: at the fortieth no machine has room for it."""
    async with sit() as memory:
        alice = memory.user("alice")
        await alice.variables.set("v", "x" * 1_000)
        with anyio.fail_after(HANGS):
            made = [await alice.checkpoints.create(str(i)) for i in range(40)]
        assert await alice.checkpoints.list() == tuple(made[-32:])


async def test_status_stats_and_health_say_how_it_is(alice: UserMemory, seat: dict[str, Any]) -> None:
    source = "redis" if seat else "local"
    status = alice.working.status
    assert (status.source, status.degraded, status.since, status.unsaved) == (source, False, None, 0)
    empty = await alice.working.stats()
    assert empty.created_at is None
    await alice.blocks.set("a", "b")
    await alice.variables.set("v", 1)
    await alice.scratchpad.append("n")
    await alice.task.set(TaskState(task_id="t"))
    await alice.checkpoints.create()
    stats = await alice.working.stats()
    assert (stats.blocks, stats.variables, stats.notes, stats.checkpoints) == (1, 1, 1, 1)
    assert stats.has_task
    assert stats.created_at is not None
    health = await alice.working.health()
    assert (health.ok, health.source, health.error) == (True, source, None)
    assert health.latency is not None
    assert alice.working.status == status


async def test_there_are_no_conflicts_without_an_outage(alice: UserMemory) -> None:
    assert await alice.working.conflicts() == ()
    for keep in ("ours", "theirs"):
        with pytest.raises(NotFound) as caught:
            await alice.working.resolve("c", keep=keep)
        assert (caught.value.kind, caught.value.key) == ("conflict", "c")
