"""Edits at the same time, and calls that are cancelled."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint

from .._workspace import (
    ClearVariables,
    CountAll,
    GetTask,
    ListBlocks,
    ListCheckpoints,
    ListVariables,
    RestoreCheckpoint,
    SetBlock,
    SetTask,
    UpdateTask,
)
from ..errors import OutcomeUnknown, VersionConflict
from ..stores import WorkingStore
from ..types import Block, TaskState
from ._concurrency import at_once
from ._working_material import MANY, Seat, WorkingCheck, contents, delete, furnish, move, seated


async def of_concurrent_appends_none_is_lost(store: WorkingStore) -> None:
    seat = seated(store)
    returned: list[Block] = []

    async def append(n: int) -> None:
        returned.append(await seat.append("log", f"{n:02};"))

    await at_once(100, append)
    ((_, text),) = await seat.blocks()
    assert sorted(text.split(";")[:-1]) == [f"{n:02}" for n in range(100)]
    assert all(text.startswith(block.text) for block in returned)


async def concurrent_appends_have_versions_of_their_own(store: WorkingStore) -> None:
    seat = seated(store)
    returned: list[Block] = []

    async def append(n: int) -> None:
        returned.append(await seat.append("log", f"{n:02};"))

    await at_once(32, append)
    by_version = sorted(returned, key=lambda block: block.version)
    assert [len(block.text) for block in by_version] == [3 * n for n in range(1, 33)]
    assert len({block.version for block in returned}) == 32


async def of_concurrent_notes_none_is_lost(store: WorkingStore) -> None:
    seat = seated(store)

    async def append(n: int) -> None:
        await seat.note(str(n))

    await at_once(50, append)
    assert sorted(await seat.notes(), key=int) == [str(n) for n in range(50)]


async def of_concurrent_sets_of_one_version_exactly_one_wins(store: WorkingStore) -> None:
    seat = seated(store)
    for version in (0, 1, 2):
        won: list[int] = []
        lost: list[object] = []

        async def race(
            n: int, *, version: int = version, won: list[int] = won, lost: list[object] = lost
        ) -> None:
            try:
                await seat.put("a", f"{version} of {n}", if_version=version)
            except VersionConflict as exc:
                lost.append(exc.current)
            else:
                won.append(n)

        await at_once(16, race)
        assert {each.version > version for each in lost if isinstance(each, Block)} == {True}
        assert (len(won), len(lost)) == (1, 15)
        assert await seat.blocks() == [("a", f"{version} of {n}") for n in won]


async def concurrent_new_blocks_do_not_share_an_order(store: WorkingStore) -> None:
    seat = seated(store)

    async def add(n: int) -> None:
        await seat.put(str(n), "x")

    await at_once(40, add)
    assert sorted((name for name, _ in await seat.blocks()), key=int) == [str(n) for n in range(40)]


async def of_concurrent_edits_under_one_key_one_applies(store: WorkingStore) -> None:
    seat = seated(store)
    edit = SetBlock("a", "x", None, MANY)

    async def repeat(_: int) -> None:
        await seat.make(edit, id="k", digest="d1")

    first = await seat.put("a", "before")
    await at_once(16, repeat)
    found = await seat.block("a")
    assert found is not None
    assert found.version == first.version + 1


async def a_reader_never_sees_a_part_of_an_edit(store: WorkingStore) -> None:
    seat, done = seated(store), anyio.Event()
    one, other = "abcdef", "uvwxyz"

    async def fill(names: str) -> str:
        for name in names:
            await seat.put(name, names)
            await seat.store_value(name, names)
        return (await seat.checkpoint(names)).id

    ids = [await fill(one)]
    for name in one:
        await delete(seat, name)
    await seat.make(ClearVariables())
    ids.append(await fill(other))

    async def write() -> None:
        for n in range(12):
            await seat.make(RestoreCheckpoint(ids[n % 2]))
            await move(seat, (one, other)[n % 2][n % 6], (n * 5) % 6)
        done.set()

    async def read() -> None:
        while not done.is_set():
            blocks = await seat.blocks()
            assert len(blocks) == 6
            assert len({text for _, text in blocks}) == 1, "a part of a restore was seen"
            values = await seat.values()
            assert len(values) == 6
            assert len({*values.values()}) == 1, "a part of a restore was seen"

    async with anyio.create_task_group() as tasks:
        for call in (write, read, read):
            tasks.start_soon(call)


async def concurrent_edits_of_a_task_do_not_mix(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.make(SetTask(TaskState(task_id="t", total_steps=8)))

    async def advance(n: int) -> None:
        updated = await seat.make(UpdateTask(n, float(n), str(n)))
        assert updated is not None
        assert (updated.current_step, updated.progress_percent, updated.status) == (n, n, str(n))

    await at_once(16, advance)
    task = await seat.ask(GetTask())
    assert task is not None
    assert task.status == str(task.current_step) == str(int(task.progress_percent))
    assert task.total_steps == 8


def _calls(seat: Seat) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "set": lambda: seat.put("a", "a"),
        "append": lambda: seat.append("a", "a"),
        "move": lambda: move(seat, "persona", 1),
        "note": lambda: seat.note("a"),
        "variable": lambda: seat.store_value("a", 1),
        "checkpoint": seat.checkpoint,
        "blocks": lambda: seat.ask(ListBlocks()),
        "variables": lambda: seat.ask(ListVariables()),
        "checkpoints": lambda: seat.ask(ListCheckpoints()),
        "counts": lambda: seat.ask(CountAll()),
        "health": seat.store.health,
    }


async def every_call_notices_that_it_was_cancelled(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    before = await seat.everything()
    for name, call in _calls(seat).items():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
        assert scope.cancelled_caught, f"{name} did not notice a pending cancellation"
    assert await seat.everything() == before


async def a_restore_that_is_cancelled_is_all_or_nothing(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    furnished = await contents(seat)
    made = await seat.checkpoint()
    await seat.put("persona", "long answers")
    await seat.store_value("new", 1)
    changed = await contents(seat)
    for turns in range(6):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_restore, seat, made.id)
            for _ in range(turns):
                await checkpoint()
            tasks.cancel_scope.cancel()
        assert await contents(seat) in (furnished, changed), "a part of a restore was stored"


async def _restore(seat: Seat, id: str) -> None:
    try:
        await seat.make(RestoreCheckpoint(id))
    except OutcomeUnknown:
        return


WORKING_CONCURRENCY_CHECKS: tuple[WorkingCheck, ...] = (
    of_concurrent_appends_none_is_lost,
    concurrent_appends_have_versions_of_their_own,
    of_concurrent_notes_none_is_lost,
    of_concurrent_sets_of_one_version_exactly_one_wins,
    concurrent_new_blocks_do_not_share_an_order,
    of_concurrent_edits_under_one_key_one_applies,
    a_reader_never_sees_a_part_of_an_edit,
    concurrent_edits_of_a_task_do_not_mix,
    every_call_notices_that_it_was_cancelled,
    a_restore_that_is_cancelled_is_all_or_nothing,
)
