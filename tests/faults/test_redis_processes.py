"""Several processes share working memory; its server is killed in the middle of a restore."""

import random
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from threading import Timer

import anyio

from recollect import TaskState, TryLater, UserMemory

from .interruption import HANGS
from .redis_memories import Start, heal, opened
from .test_processes import TextLines

COUNTER = str(Path(__file__).parent / "counter.py")
ROUNDS = 10
VARIABLES = 50
"""So many that a restore takes a while."""


async def test_processes_that_count_by_compare_and_set_lose_nothing(redis_url: str, namespace: str) -> None:
    command = [sys.executable, COUNTER, redis_url, namespace, "500"]
    async with AsyncExitStack() as stack:
        counters = [await stack.enter_async_context(await anyio.open_process(command)) for _ in range(2)]
        answers = [TextLines(counter) for counter in counters]
        assert [await lines.next() for lines in answers] == ["ready", "ready"]
        for counter in counters:
            assert counter.stdin is not None
            await counter.stdin.send(b"go\n")
        lost = [int(await lines.next()) for lines in answers]
    assert sum(lost) > 0, "they never met"
    async with opened(redis_url, namespace) as memory:
        block = await memory.user("alice").blocks.get("count")
    assert block is not None
    assert (block.text, block.version) == ("1000", 1000)


async def test_concurrent_appends_of_two_memories_are_all_kept(redis_url: str, namespace: str) -> None:
    async with (
        opened(redis_url, namespace, deadline=60) as one,
        opened(redis_url, namespace, deadline=60) as two,
    ):
        users = [one.user("alice"), two.user("alice")]
        async with anyio.create_task_group() as tasks:
            for i in range(100):
                tasks.start_soon(users[i % 2].blocks.append, "log", f"<{i}>")
                tasks.start_soon(users[i % 2].scratchpad.append, f"<{i}>")
        for user in users:  # on a busy machine the server may have seemed away
            await heal(user)
        pieces = {f"<{i}>" for i in range(100)}
        (block,) = await users[0].blocks.list()
        assert {f"{piece}>" for piece in block.text.split(">")[:-1]} == pieces
        assert len(block.text) == sum(map(len, pieces))
        assert block.version == 100
        notes = [note.text for note in await users[1].scratchpad.entries()]
        assert len(notes) == 100
        assert set(notes) == pieces


async def _fill(user: UserMemory, what: str) -> None:
    await user.blocks.set("persona", what)
    await user.task.set(TaskState(task_id=what))
    await user.scratchpad.clear()
    await user.scratchpad.append(what)
    async with anyio.create_task_group() as tasks:
        for i in range(VARIABLES):
            tasks.start_soon(user.variables.set, f"variable {i}", what)


async def _state(user: UserMemory) -> set[str]:
    """Return what all parts of the scope say; one word, if they are of one time."""
    task = await user.task.get()
    variables = await user.variables.items()
    assert len(variables) == VARIABLES
    return {
        *(block.text for block in await user.blocks.list()),
        *(note.text for note in await user.scratchpad.entries()),
        *map(str, variables.values()),
        "none" if task is None else task.task_id,
    }


async def test_restore_that_the_server_is_killed_in_has_happened_or_has_not(
    redis_server: Start, namespace: str
) -> None:
    server = redis_server(appendonly="yes", appendfsync="always")
    rng = random.Random(7)
    found: list[str] = []
    async with opened(server, namespace, on_outage="error", deadline=HANGS) as memory:
        alice = memory.user("alice")
        await _fill(alice, "old")
        checkpoint = await alice.checkpoints.create()
        started = anyio.current_time()
        await alice.checkpoints.restore(checkpoint.id)
        takes = anyio.current_time() - started
        while len(found) < ROUNDS or len(set(found)) < 2:
            await _fill(alice, "new")
            killer = Timer(rng.uniform(0.0, 2 * takes), server.kill)
            killer.start()
            try:
                await alice.checkpoints.restore(checkpoint.id)
            except TryLater:
                acknowledged = False
            else:
                acknowledged = True
            killer.join()
            server.restart()
            (state,) = await _state(alice)
            assert state == "old" or not acknowledged
            found.append(state)
            assert [each.id for each in await alice.checkpoints.list()] == [checkpoint.id]


async def test_checkpoints_take_about_what_they_keep(redis_server: Start, namespace: str) -> None:
    server = redis_server()

    def kept(measure: Callable[[str], int]) -> int:
        # Without what tells a repeated edit: that goes by itself.
        return sum(measure(key) for key in server.command("KEYS", "recollect:*") if ":o:" not in key)

    def memory_of(key: str) -> int:
        return server.command("MEMORY", "USAGE", key, "SAMPLES", 0)

    def values_of(key: str) -> int:
        script = "return #redis.call('DUMP', KEYS[1])"
        return server.command("EVAL", script, 1, key)

    async with opened(server, namespace) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", random.Random(7).randbytes(300).hex())
        await alice.variables.set("plan", random.Random(8).randbytes(150).hex())
        await alice.scratchpad.append(random.Random(9).randbytes(50).hex())
        before = kept(values_of), kept(memory_of)
        for _ in range(20):
            await alice.checkpoints.create()
        values, whole = kept(values_of) - before[0], kept(memory_of) - before[1]
    assert 16_000 < values < 26_000, values
    assert whole < 48_000, whole  # with the names of keys, and what the server needs to find them
