"""A snapshot is all of a memory in process, the same however it is looked at, and changes nothing."""

import json
from typing import Any

import anyio
import pytest

from recollect import (
    ConfigurationError,
    EpisodeDraft,
    Limits,
    Memory,
    MemoryClosed,
    TaskState,
    Tenant,
    TenantMap,
    UserMemory,
    blocking,
    open_memory,
)
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.testing import Clock, HashEmbedder, snapshot

NOON = "2024-05-01T12:00:00+00:00"
USERS = (("default", "alice"), ("default", "bob"), ("default", None), ("other", "alice"))


async def furnish(user: UserMemory) -> None:
    await user.remember("I moved to Lisbon", "Congratulations!", id="e", metadata={"a": [None, 1.5]})
    await user.remember("again", id="f", session_id="s")
    await user.facts.add("alice", "lives_in", "Lisbon", sources=["e"])
    await user.facts.add("alice", "likes", {"tea": None}, key="k")
    await user.facts.end("alice", "lives_in", "Lisbon")
    for at in (user, user.at(session_id="s"), user.at(session_id="s", agent_id="a")):
        await at.blocks.set("persona", "Prefers short answers.")
        await at.blocks.set("goals", "")
        await at.variables.set("z", [1], ttl=60)
        await at.variables.set("a", None)
        await at.task.set(TaskState(task_id="t", context={"x": 1}))
        await at.scratchpad.append("note")
        await at.checkpoints.create("before")
        await at.blocks.delete("goals")


async def test_what_is_in_it_reads_as_it_was_written(anyio_backend: object, clock: Clock) -> None:
    async with open_memory(clock=clock) as memory:
        alice = memory.user("alice", session_id="s")
        await alice.remember("hello", "hi", id="e")
        await alice.facts.add("alice", "likes", "tea", id="f", sources=["e"], valid_from=clock.now)
        await memory.user(None).blocks.set("b", "text")
        found = await snapshot(memory)
    assert found == {
        "default": {
            "": {
                "working": [
                    {
                        "agent_id": None, "session_id": None, "created_at": NOON, "newest_version": 0,
                        "blocks": [
                            {"name": "b", "text": "text", "order": 0, "version": 1, "updated_at": NOON}
                        ],
                        "variables": {}, "task": None, "notes": [], "conflicts": [], "checkpoints": [],
                    }
                ],
                "episodes": [], "facts": [], "transactions": [],
            },
            "alice": {
                "working": [],
                "episodes": [
                    {
                        "id": "e", "seq": 1, "session_id": "s", "agent_id": None, "input": "hello",
                        "output": "hi", "metadata": {}, "transcript": None, "occurred_at": NOON,
                        "recorded_at": NOON, "consolidated": False,
                    }
                ],
                "facts": [
                    {
                        "id": "f", "tx": 2, "seq": 0, "op": "assert", "staged_in": None, "subject": "alice",
                        "predicate": "likes", "object": "tea", "valid_from": NOON, "valid_to": None,
                        "onset": True, "retracts": None, "confidence": 1.0, "sources": ["e"],
                        "replaces": None,
                    }
                ],
                "transactions": [
                    {
                        "tx": 2, "recorded_at": "2024-05-01T12:00:00.000001+00:00", "operation": "add",
                        "session_id": "s", "actor": None, "reason": None, "undone_by": None,
                    }
                ],
            },
        }
    }  # fmt: skip


async def test_everything_of_everybody_is_in_it_as_plain_json(anyio_backend: object, clock: Clock) -> None:
    async with open_memory(clock=clock) as memory:
        for namespace, name in USERS:
            await furnish(memory.user(name, namespace=namespace))
        found = await snapshot(memory)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [(space, user or None) for space in found for user in found[space]] == [
        ("default", None), ("default", "alice"), ("default", "bob"), ("other", "alice"),
    ]  # fmt: skip
    for held in (found[space][user or ""] for space, user in USERS):
        assert [each["id"] for each in held["episodes"]] == ["e", "f"]
        assert [(each["op"], each.get("object")) for each in held["facts"]] == [
            ("assert", "Lisbon"), ("assert", {"tea": None}), ("void", "Lisbon"),
        ]  # fmt: skip
        assert [each["operation"] for each in held["transactions"]] == ["add", "add", "end"]
        names = [(each["agent_id"], each["session_id"]) for each in held["working"]]
        assert names == [(None, None), (None, "s"), ("a", "s")]
        for scope in held["working"]:
            assert [each["name"] for each in scope["blocks"]] == ["persona"]
            (before,) = scope["checkpoints"]
            assert [each["name"] for each in before["blocks"]] == ["persona", "goals"]
            for each in (scope, before):
                assert list(each["variables"].items()) == [
                    ("a", {"value": None, "ttl": None}), ("z", {"value": [1], "ttl": 60.0}),
                ]  # fmt: skip
                assert (each["task"]["task_id"], [note["text"] for note in each["notes"]]) == ("t", ["note"])


async def test_who_holds_nothing_is_not_in_it(anyio_backend: object) -> None:
    async with open_memory() as memory:
        assert await snapshot(memory) == {}
        alice = memory.user("alice")
        await alice.facts.count()
        await alice.blocks.list()
        assert await snapshot(memory) == {}
        await furnish(alice)
        await alice.forget(everything=True)
        assert await snapshot(memory) == {}


async def test_two_memories_told_the_same_have_the_same(anyio_backend: object) -> None:
    found: list[dict[str, Any]] = []
    for names in (("alice", "bob"), ("bob", "alice")):
        async with open_memory(clock=Clock(), embedder=HashEmbedder()) as memory:
            for name in names:
                user = memory.user(name)
                await user.remember_many([EpisodeDraft(f"word {i}", id=f"{i}") for i in range(300)])
                await user.facts.add(name, "likes", "tea", id="f")
                for session in sorted(names, key=names.index):
                    await user.at(session_id=session).variables.set(session, 1)
            found.append(await snapshot(memory))
    assert found[0] == found[1]
    assert json.dumps(found[0]) == json.dumps(found[1]), "the order is another one"


async def test_looking_changes_nothing_and_keeps_nothing_alive(anyio_backend: object, clock: Clock) -> None:
    async with open_memory(clock=clock, limits=Limits(session_ttl=100, max_users=2)) as memory:
        for name in ("alice", "bob", "carol"):  # alice has to leave the tenant map
            await memory.user(name).remember("hello", id="e")
            await memory.user(name, session_id="s").blocks.set("b", name)
        before = await snapshot(memory)
        assert [bool(held["working"]) for held in before["default"].values()] == [False, True, True]
        users = memory._composition.tenants.known()
        clock.advance(99)
        assert await snapshot(memory) == before
        assert memory._composition.tenants.known() == users
        clock.advance(1)
        found = await snapshot(memory)
        assert [held["working"] for held in found["default"].values()] == [[], [], []]


async def test_working_memory_of_who_was_idle_for_too_long_is_not_in_it(anyio_backend: object) -> None:
    now, working = [0.0], InProcessWorking()
    tenants = TenantMap[Tenant, Any](lambda _: working.local(), ttl=60, now=lambda: now[0])
    memory = Memory(archive=InProcessArchive(), working=working, tenants=tenants)
    for name in ("alice", "bob"):
        await memory.user(name).blocks.set("b", "text")
    await memory.user("bob").remember("hello")
    now[0] = 59
    assert list((await snapshot(memory))["default"]) == ["alice", "bob"]
    now[0] = 60
    found = await snapshot(memory)
    assert {name: held["working"] for name, held in found["default"].items()} == {"bob": []}


async def test_nothing_of_it_is_a_live_reference(anyio_backend: object, clock: Clock) -> None:
    async with open_memory(clock=clock) as memory:
        await furnish(memory.user("alice"))
        found, again = await snapshot(memory), await snapshot(memory)
        alice = found["default"]["alice"]
        alice["episodes"][0]["metadata"]["a"].append("changed")
        alice["working"][0]["task"]["context"]["x"] = 2
        alice["facts"].clear()
        assert await snapshot(memory) == again != found


async def test_a_change_of_anything_shows(anyio_backend: object, clock: Clock) -> None:
    async with open_memory(clock=clock) as memory:
        alice = memory.user("alice")
        await furnish(alice)
        (liked,) = (await alice.facts.find("alice", "likes")).items
        for change in (
            lambda: alice.remember("more", id="g"),
            lambda: alice.facts.retract(liked.fact_id),
            lambda: alice.at(session_id="s").variables.set("z", 2),
            lambda: alice.task.update(status="done"),
            lambda: alice.forget(episode_ids=["f"]),
        ):
            before = await snapshot(memory)
            await change()
            assert await snapshot(memory) != before


async def test_a_memory_on_servers_has_none(anyio_backend: object, memory: Memory, backend: Any) -> None:
    if backend.name == "inprocess":
        assert await snapshot(memory) == {}
        return
    with pytest.raises(ConfigurationError, match="export"):
        await snapshot(memory)


async def test_a_closed_memory_has_none(anyio_backend: object) -> None:
    async with open_memory() as memory:
        pass
    with pytest.raises(MemoryClosed):
        await snapshot(memory)


def test_a_memory_without_await_has_none() -> None:
    with blocking.open_memory() as memory:
        wrong: Any = memory
        with pytest.raises(ConfigurationError, match="async"):
            anyio.run(snapshot, wrong)
