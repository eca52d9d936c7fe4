"""Checkpoints: what they keep, what a restore leaves alone, how many there may be."""

from datetime import UTC, datetime, timedelta

from .._ids import uuid7
from .._workspace import (
    CountAll,
    CreateCheckpoint,
    DeleteCheckpoint,
    ListBlocks,
    ListCheckpoints,
    RestoreCheckpoint,
    SetBlock,
    SetTask,
)
from ..errors import NotFound, VersionConflict
from ..stores import WorkingStore
from ..types import Checkpoint, TaskState
from ._clock import Clock
from ._working_material import (
    Seat,
    WorkingCheck,
    WorkingClockCheck,
    contents,
    delete,
    empty,
    furnish,
    move,
    refused,
    seated,
)


async def _unsettle(seat: Seat) -> None:
    """Change something of each kind that `furnish` has put there."""
    await seat.put("persona", "long answers")
    await delete(seat, "goal")
    await seat.put("other", "something else")
    await seat.store_value("city", "Rome", ttl=60)
    await seat.store_value("new", 1)
    await seat.make(SetTask(TaskState(task_id="another")))
    await seat.note("third")


async def a_restore_makes_the_scope_what_it_was(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    before = await contents(seat)
    made = await seat.checkpoint("before")
    await _unsettle(seat)
    assert await contents(seat) != before
    assert await seat.make(RestoreCheckpoint(made.id)) == made
    assert await contents(seat) == before


async def a_restore_fills_a_scope_that_was_emptied(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    before = await contents(seat)
    made = await seat.checkpoint()
    await empty(seat)
    assert await contents(seat) == ([], {}, None, ())
    await seat.make(RestoreCheckpoint(made.id))
    assert await contents(seat) == before


async def a_restore_of_an_empty_scope_empties_it(store: WorkingStore) -> None:
    seat = seated(store)
    made = await seat.checkpoint("empty")
    await furnish(seat)
    await seat.make(RestoreCheckpoint(made.id))
    assert await contents(seat) == ([], {}, None, ())
    assert await seat.ask(ListCheckpoints()) == (made,)


async def a_checkpoint_is_not_changed_by_what_comes_after(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    before = await contents(seat)
    made = await seat.checkpoint()
    for _ in range(3):
        await _unsettle(seat)
        await seat.make(RestoreCheckpoint(made.id))
        assert await contents(seat) == before


async def restored_blocks_have_new_versions(store: WorkingStore) -> None:
    seat = seated(store)
    for i in range(5):
        await seat.put("gone", str(i))
    gone = await seat.put("gone", "x")
    old = await seat.put("a", "old")
    made = await seat.checkpoint()
    await delete(seat, "gone")
    new = await seat.put("a", "new")
    later = await seat.put("later", "x")
    await seat.make(RestoreCheckpoint(made.id))
    newest = max(each.version for each in (gone, old, new, later))
    restored = {block.name: block.version for block in await seat.ask(ListBlocks())}
    assert restored.keys() == {"gone", "a"}
    assert min(restored.values()) > newest, "who has read a block before takes it for the same"
    for version in (old.version, new.version):
        error = await refused(seat, SetBlock("a", "late", version, 100))
        assert isinstance(error, VersionConflict), error
    # The name that the restore took away, too, starts above what it had.
    assert (await seat.put("later", "again")).version > later.version


async def restored_blocks_keep_their_order(store: WorkingStore) -> None:
    seat = seated(store)
    for name in "abcd":
        await seat.put(name, name)
    await move(seat, "d", 0)
    made = await seat.checkpoint()
    await move(seat, "a", 3)
    await delete(seat, "b")
    await seat.make(RestoreCheckpoint(made.id))
    await seat.put("e", "e")
    assert [name for name, _ in await seat.blocks()] == ["d", "a", "b", "c", "e"]


async def a_restore_leaves_all_checkpoints_alone(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    deleted, first = await seat.checkpoint("deleted"), await seat.checkpoint("first")
    await _unsettle(seat)
    unsettled = await contents(seat)
    second, third = await seat.checkpoint("second"), await seat.checkpoint("third")
    await seat.make(DeleteCheckpoint(deleted.id))
    await seat.make(RestoreCheckpoint(first.id))
    assert await seat.ask(ListCheckpoints()) == (first, second, third), "checkpoints contain each other"
    await seat.make(RestoreCheckpoint(second.id))
    assert await contents(seat) == unsettled
    assert await seat.ask(ListCheckpoints()) == (first, second, third)


async def checkpoints_are_listed_oldest_first(store: WorkingStore) -> None:
    seat = seated(store)
    assert await seat.ask(ListCheckpoints()) == ()
    descriptions = ("first", "", "日本\n", "first")
    made = tuple([await seat.checkpoint(each) for each in descriptions])
    assert await seat.ask(ListCheckpoints()) == made
    assert tuple(each.description for each in made) == descriptions


async def the_oldest_checkpoints_go(store: WorkingStore) -> None:
    seat = seated(store)
    made: list[Checkpoint] = []
    for i in range(5):
        await seat.put("a", str(i))
        made.append(await seat.make(CreateCheckpoint(uuid7(), str(i), 3)))
    assert await seat.ask(ListCheckpoints()) == tuple(made[2:])
    for each in made[:2]:
        assert isinstance(await refused(seat, RestoreCheckpoint(each.id)), NotFound)
    await seat.make(RestoreCheckpoint(made[2].id))
    assert await seat.blocks() == [("a", "2")]
    last = await seat.make(CreateCheckpoint(uuid7(), "last", 1))
    assert await seat.ask(ListCheckpoints()) == (last,)


async def a_restore_of_what_is_not_there_changes_nothing(store: WorkingStore) -> None:
    seat, stranger = seated(store), seated(store)
    await furnish(seat)
    session = seat.at(session_id="s")
    await session.put("secret", "of the session")
    theirs, of_session = await stranger.checkpoint(), await session.checkpoint()
    gone = await seat.checkpoint()
    await seat.make(DeleteCheckpoint(gone.id))
    for id in (uuid7(), "*", theirs.id, of_session.id, gone.id):
        error = await refused(seat, RestoreCheckpoint(id))
        assert isinstance(error, NotFound), error
        assert error.key == id
        assert await seat.make(DeleteCheckpoint(id)) is False
    assert await stranger.ask(ListCheckpoints()) == (theirs,)
    assert await session.ask(ListCheckpoints()) == (of_session,)


async def a_checkpoint_is_deleted_once(store: WorkingStore) -> None:
    seat = seated(store)
    first, second = await seat.checkpoint(), await seat.checkpoint()
    assert [await seat.make(DeleteCheckpoint(first.id)) for _ in range(2)] == [True, False]
    assert await seat.ask(ListCheckpoints()) == (second,)
    assert (await seat.ask(CountAll())).checkpoints == 1


async def restored_variables_live_for_the_time_they_had_left(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.store_value("over", 0, ttl=1)
    await seat.store_value("brief", 1, ttl=10)
    await seat.store_value("ever", 2)
    clock.advance(4)
    made = await seat.checkpoint()
    clock.advance(1_000)
    assert await seat.values() == {"ever": 2}
    await seat.store_value("ever", 3, ttl=5)
    await seat.make(RestoreCheckpoint(made.id))
    clock.advance(5.75)
    assert await seat.values() == {"brief": 1, "ever": 2}
    clock.advance(0.25)
    assert await seat.values() == {"ever": 2}, "the restore dropped a time to live"
    await seat.make(RestoreCheckpoint(made.id))
    assert await seat.values() == {"brief": 1, "ever": 2}


async def what_would_outlive_the_calendar_is_restored_for_ever(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    left = datetime.max.replace(tzinfo=UTC) - clock.now - timedelta(hours=1)
    await seat.store_value("long", 1, ttl=left.total_seconds())
    made = await seat.checkpoint()
    clock.advance(86_400)
    await seat.make(RestoreCheckpoint(made.id))
    assert await seat.values() == {"long": 1}


async def restored_blocks_are_updated_and_notes_are_not(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await furnish(seat)
    written = clock.now
    made = await seat.checkpoint()
    clock.advance(60)
    await seat.make(RestoreCheckpoint(made.id))
    assert {block.updated_at for block in await seat.ask(ListBlocks())} == {clock.now}
    assert (await seat.ask(CountAll())).created_at == written
    assert await seat.ask(ListCheckpoints()) == (made,)


CHECKPOINT_CHECKS: tuple[WorkingCheck, ...] = (
    a_restore_makes_the_scope_what_it_was,
    a_restore_fills_a_scope_that_was_emptied,
    a_restore_of_an_empty_scope_empties_it,
    a_checkpoint_is_not_changed_by_what_comes_after,
    restored_blocks_have_new_versions,
    restored_blocks_keep_their_order,
    a_restore_leaves_all_checkpoints_alone,
    checkpoints_are_listed_oldest_first,
    the_oldest_checkpoints_go,
    a_restore_of_what_is_not_there_changes_nothing,
    a_checkpoint_is_deleted_once,
)

CHECKPOINT_CLOCK_CHECKS: tuple[WorkingClockCheck, ...] = (
    restored_variables_live_for_the_time_they_had_left,
    what_would_outlive_the_calendar_is_restored_for_ever,
    restored_blocks_are_updated_and_notes_are_not,
)
