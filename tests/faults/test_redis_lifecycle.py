"""A memory on Redis opens and closes, and its server comes back empty: nothing is read as that, or left."""

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from anyio.lowlevel import checkpoint

from recollect import Memory, StoreUnavailable, TaskState, Tenant, TryLater, UserMemory, open_memory
from recollect._bridge import driven, front_of
from recollect._fallback import FallbackWorking
from recollect._ids import uuid7
from recollect._workspace import (
    AppendNote,
    ClearNotes,
    ClearTask,
    DeleteVariable,
    Edit,
    GetTask,
    GetVariables,
    ListNotes,
    ListVariables,
    Look,
    SetTask,
    SetVariable,
)
from recollect.redis import open_redis
from recollect.stores import Place, RemoteWorking, Stamp
from recollect.testing import Clock

from ..redis_servers import RedisServer
from .interruption import HANGS, running_tasks, until
from .redis_memories import KEY, PASSWORD, TEXT, Start, heal, lines, opened, texts, write_elsewhere
from .redis_situations import AWAY, WRITES_ONLY, control

T = TypeVar("T")


@pytest.fixture
def server(redis_server: Start) -> RedisServer:
    return redis_server(requirepass=PASSWORD)


async def _fill(user: UserMemory) -> None:
    await user.blocks.set("persona", TEXT)
    await user.blocks.set("plan", "first")
    await user.variables.set(KEY, {"a": [1]})
    await user.scratchpad.append("one")
    await user.scratchpad.append("two")


async def _is_filled(user: UserMemory) -> None:
    assert await texts(user) == [TEXT, "first"]
    assert await user.variables.items() == {KEY: {"a": [1]}}
    assert [note.text for note in await user.scratchpad.entries()] == ["one", "two"]
    assert await user.working.conflicts() == ()


async def _read_all(user: UserMemory) -> None:
    await user.blocks.list()
    await user.variables.items()
    await user.scratchpad.entries()


EMPTY: dict[str, Callable[[RedisServer], object]] = {
    "restarted": lambda server: server.restart(),
    "flushed": lambda server: server.command("FLUSHALL"),
}


@pytest.mark.parametrize("how", EMPTY)
async def test_server_that_came_back_empty_gets_back_what_is_known(
    server: RedisServer, namespace: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, namespace) as one, opened(server, namespace) as two:
        alice, same = one.user("alice"), two.user("alice")
        await _fill(alice)
        for user in (alice, same):
            await _read_all(user)
        EMPTY[how](server)
        for user in (alice, same):
            await _is_filled(user)
            await heal(user)
    async with opened(server, namespace) as other:
        await _is_filled(other.user("alice"))
    assert any("has lost" in line for line in lines(caplog))


async def test_server_that_came_back_empty_is_not_read_as_empty(server: RedisServer, namespace: str) -> None:
    await write_elsewhere(server, namespace, "alice")
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        await alice.variables.set(KEY, TEXT)
        server.restart()
        with pytest.raises(StoreUnavailable):
            await alice.blocks.list()  # there was one, of which this process knows nothing
        assert await alice.variables.get(KEY) == TEXT
        assert await alice.blocks.list() == ()  # it was said
        await heal(alice)


async def test_server_that_came_back_empty_is_an_error_once_if_an_outage_is_one(
    server: RedisServer, namespace: str
) -> None:
    async with opened(server, namespace, on_outage="error") as memory:
        alice, bob = memory.user("alice"), memory.user("bob")
        for user in (alice, bob):
            await user.blocks.set("persona", TEXT)
        server.restart()
        for user, call in ((alice, alice.blocks.list), (bob, lambda: bob.blocks.append("persona", "!"))):
            with pytest.raises(StoreUnavailable):
                await call()
            assert await user.blocks.list() == ()
            await user.blocks.set("persona", TEXT)
            assert await texts(user) == [TEXT]


async def test_edits_of_an_outage_that_the_server_came_back_empty_from_are_there(
    server: RedisServer, namespace: str
) -> None:
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        server.kill()
        await alice.blocks.append("persona", "!")
        await alice.scratchpad.append("one")
        server.restart()
        await heal(alice)
        assert await texts(alice) == [f"{TEXT}!"]
        assert [note.text for note in await alice.scratchpad.entries()] == ["one"]


def reached(server: RedisServer, clock: Clock) -> AbstractAsyncContextManager[RemoteWorking]:
    return driven(partial(open_redis, server.url, session_ttl=None, deadline=None, clock=clock), front_of)


class Process:
    """What a process knows of a scope, by a clock that is set by hand."""

    def __init__(self, redis: RemoteWorking, place: Place, clock: Clock) -> None:
        self.working = FallbackWorking(redis, clock=clock, now=lambda: clock.now.timestamp())  # noqa: PLW0108  # `now` is replaced
        self._local, self._place = self.working.local(), place

    async def ask(self, look: Look[T]) -> T:
        (found,) = await self.working.look(self._local, (self._place,), look)
        return found

    async def make(self, edit: Edit[T]) -> T:
        return await self.working.apply(self._local, self._place, edit, Stamp(uuid7()))

    async def everything(self) -> tuple[dict[str, str], int, object]:
        variables = {key: each.value for key, each in (await self.ask(ListVariables())).items()}
        return variables, len(await self.ask(ListNotes(None))), await self.ask(GetTask())


async def test_edits_of_an_outage_are_not_lost_to_whoever_puts_back_first(
    redis_server: Start, namespace: str
) -> None:
    server, clock = redis_server(), Clock()
    async with reached(server, clock) as redis:
        one, two = (Process(redis, Place(Tenant(namespace, "alice")), clock) for _ in range(2))
        for name in ("changed", "deleted"):
            await one.make(SetVariable(name, "old", None, 10))
        await one.make(AppendNote("old", 10))
        await one.make(SetTask(TaskState(task_id="old")))
        assert await one.everything() == await two.everything()
        server.kill()
        clock.advance(60)
        await one.make(SetVariable("changed", "new", None, 10))
        assert await one.make(DeleteVariable("deleted"))
        assert await one.make(ClearNotes()) == 1
        assert await one.make(ClearTask())
        server.restart()
        clock.advance(60)
        assert (await two.everything())[0] == {"changed": "old", "deleted": "old"}
        for process in (one, two):
            assert await process.everything() == ({"changed": "new"}, 0, None)


async def test_what_is_known_is_put_back_once_however_many_calls_find_it_lost(
    server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        names = [f"block {i}" for i in range(6)]
        for name in names:
            await alice.blocks.set(name, name)
        await alice.blocks.list()
        server.command("FLUSHALL")
        async with anyio.create_task_group() as tasks:
            for i in range(24):
                # Some have to connect first: they find out while others put back already.
                tasks.start_soon(alice.blocks.set, names[i % 6], f"new {i}")
        await heal(alice)
        assert [block.name for block in await alice.blocks.list()] == names
        assert await alice.working.conflicts() == ()
    assert sum("has lost" in line for line in lines(caplog)) == 1


async def test_variable_that_is_put_back_lives_for_as_long_as_it_would_have(
    redis_server: Start, namespace: str
) -> None:
    server, clock = redis_server(), Clock()
    async with reached(server, clock) as redis:
        process = Process(redis, Place(Tenant(namespace, "alice")), clock)
        await process.make(SetVariable("brief", "1", 600.0, 10))
        clock.advance(360)
        server.command("FLUSHALL")
        for _ in range(2):  # what is known here, and what is there then
            assert list(await process.ask(GetVariables(("brief",)))) == ["brief"]


async def test_memory_opens_without_its_server_if_that_is_bridged(
    server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    with pytest.raises(StoreUnavailable):
        async with opened(server, namespace, on_outage="error"):
            raise AssertionError("it was opened")
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        with pytest.raises(StoreUnavailable):
            await alice.blocks.get("persona")
        await alice.blocks.set("persona", TEXT)
        server.restart()
        await heal(alice)
        assert await texts(alice) == [TEXT]
    assert len(lines(caplog)) == 2


async def test_closing_tells_how_many_edits_are_lost(
    server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, namespace) as memory:
        server.kill()
        for name in ("alice", "bob"):
            await memory.user(name).variables.set(KEY, TEXT)
            await memory.user(name).scratchpad.append(TEXT)
    assert "4 unsaved edits of 2 tenants" in lines(caplog)[-1]


async def test_closing_saves_what_can_be_saved_by_then(
    server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recollect._fallback.GRACE", HANGS)
    async with opened(server, namespace) as memory:
        server.kill()
        await memory.user("alice").variables.set(KEY, TEXT)
        server.restart()
        # By now calls would go on to leave it alone for a while.
    assert not [line for line in lines(caplog) if "lost" in line]
    async with opened(server, namespace) as other:
        assert await other.user("alice").variables.get(KEY) == TEXT


async def test_closing_saves_all_that_is_known_on_a_server_that_came_back_empty(
    server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recollect._fallback.GRACE", HANGS)
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        server.kill()
        await alice.variables.set(KEY, TEXT)
        server.restart()
    assert any("has lost" in line for line in lines(caplog))
    async with opened(server, namespace) as other:
        assert await other.user("alice").variables.get(KEY) == TEXT
        assert await texts(other.user("alice")) == [TEXT]


async def test_configuration_that_broke_meanwhile_keeps_nobody_from_closing(
    server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        server.command("SAVE")
        server.kill()
        await alice.variables.set(KEY, TEXT)
        server.restart({"requirepass": "another"})
    assert "1 unsaved edits of 1 tenants" in lines(caplog)[-1]


async def _fail(memory: Memory) -> None:
    await memory.user("alice").blocks.append("persona", TEXT)
    raise ZeroDivisionError


async def _cancel(memory: Memory) -> None:
    async def append(user: str) -> None:
        with suppress(TryLater):  # it may have failed just before it was cancelled
            await memory.user(user).blocks.append("persona", TEXT)

    async with anyio.create_task_group() as tasks:
        for i in range(10):
            tasks.start_soon(append, f"user {i}")
        await checkpoint()
        tasks.cancel_scope.cancel()


async def _end(memory: Memory) -> None:
    await memory.user("alice").blocks.append("persona", TEXT)


def _there(server: RedisServer) -> AbstractContextManager[object]:
    return nullcontext()


def _sockets() -> set[str]:
    """Return the sockets of this process, where the system tells."""
    found: set[str] = set()
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


def _threads() -> set[threading.Thread]:
    """Return the threads of this process, but for those of the event loop."""
    pools = ("AnyIO worker thread", "asyncio_", "Trio thread")
    return {thread for thread in threading.enumerate() if not thread.name.startswith(pools)}


@pytest.mark.parametrize("on_outage", ["local", "error"])
@pytest.mark.parametrize("situation", ["there", "refused", "timeout", "reset", "out of memory"])
async def test_nothing_remains_after_the_block(
    server: RedisServer, namespace: str, situation: str, on_outage: str
) -> None:
    put = {"there": _there, **AWAY, **WRITES_ONLY}[situation]
    tasks, threads, sockets = running_tasks(), _threads(), _sockets()
    for end in (_end, _fail, _cancel):
        with ExitStack() as stack:
            with anyio.fail_after(HANGS), suppress(ZeroDivisionError, TryLater):
                async with open_memory(
                    redis=server.url, namespace=namespace, on_outage=on_outage, deadline=0.6
                ) as memory:
                    await memory.user("alice").blocks.append("persona", "a")
                    stack.enter_context(put(server))
                    await end(memory)
            await until(lambda: running_tasks() <= tasks, "a task stayed behind")
        await until(lambda: _sockets() <= sockets, "a socket stayed behind")
        await until(lambda: _threads() <= threads, "a thread stayed behind")
        with control(server) as client:
            await until(lambda: len(client.client_list()) == 1, "a connection stayed behind")


async def test_who_only_looks_notices_that_the_server_is_back(
    server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        server.command("SAVE")
        server.kill()
        with pytest.raises(StoreUnavailable):
            await alice.blocks.list()
        server.restart()
        with anyio.fail_after(HANGS):
            await heal(alice)
        assert await texts(alice) == [TEXT]
    assert len(lines(caplog)) == 2


async def test_question_that_cannot_be_answered_before_all_is_saved_is_no_outage_of_looks(
    server: RedisServer, namespace: str
) -> None:
    await write_elsewhere(server, namespace, "bob")
    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        with WRITES_ONLY["read-only replica"](server):
            await alice.variables.set(KEY, TEXT)
            with pytest.raises(StoreUnavailable):
                await alice.working.stats()
            assert alice.working.status.source == "redis"
            assert await texts(memory.user("bob")) == ["plan of bob"]
