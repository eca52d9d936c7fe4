"""What a server's store must do for edits that arrive late, or twice: what was made while it was away."""

from typing import Any

from .. import _json
from .._ids import uuid7
from .._workspace import (
    AppendBlock,
    AppendNote,
    ClearNotes,
    ClearTask,
    ClearVariables,
    CreateCheckpoint,
    DeleteBlock,
    DeleteVariable,
    Edit,
    GetTask,
    ListCheckpoints,
    ListConflicts,
    ListNotes,
    MoveBlock,
    ResolveConflict,
    RestoreCheckpoint,
    SaveBlock,
    SetBlock,
    SetTask,
    SetVariable,
    UpdateTask,
)
from ..errors import IdempotencyConflict, NotFound
from ..stores import WorkingStore
from ..types import Block, BlockConflict, TaskState
from ._clock import Clock
from ._working_material import (
    MANY,
    MAX_BYTES,
    Seat,
    WorkingCheck,
    WorkingClockCheck,
    error_of,
    refused,
    seated,
)

DIGEST = "0123456789abcdef" * 2


def _variable(key: str, value: object) -> SetVariable:
    return SetVariable(key, _json.dumps(value), None, MANY)


async def an_edit_that_arrives_twice_is_made_once(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.put("gone", "x")
    await seat.put("moved", "x")
    await seat.store_value("gone", 1)
    await seat.make(SetTask(TaskState(task_id="t", context={"k": [1]})))
    edits: list[Edit[Any]] = [
        SetBlock("a", "x", 0, MANY),
        AppendBlock("log", "x", MAX_BYTES, MANY),
        DeleteBlock("gone"),
        MoveBlock("moved", 0),
        _variable("v", 1),
        DeleteVariable("gone"),
        AppendNote("x", MANY),
        UpdateTask(3, None, None),
        SaveBlock(uuid7(), "saved", "x", 0, 7),
        CreateCheckpoint(uuid7(), "x", 32),
        ClearNotes(),
        ClearVariables(),
        ClearTask(),
    ]
    for edit in edits:
        id = uuid7()
        first = await _make(seat, edit, id)
        before = await seat.everything()
        for _ in range(2):
            assert await _make(seat, edit, id) == first, edit
        assert await seat.everything() == before, edit


async def _make(seat: Seat, edit: Edit[Any], id: str) -> Any:
    return await seat.make(edit, id=id)


async def an_edit_that_arrives_twice_does_not_undo_what_came_between(store: WorkingStore) -> None:
    seat = seated(store)
    ids = [uuid7() for _ in range(5)]

    async def write() -> None:
        await seat.make(SetBlock("a", "old", None, MANY), id=ids[0])
        await seat.make(_variable("v", "old"), id=ids[1])
        await seat.make(SetTask(TaskState(task_id="old")), id=ids[2])
        await seat.make(ClearNotes(), id=ids[3])
        await seat.make(DeleteVariable("w"), id=ids[4])

    await write()
    await seat.put("a", "new")
    await seat.store_value("v", "new")
    await seat.store_value("w", "new")
    await seat.make(SetTask(TaskState(task_id="new")))
    await seat.note("new")
    before = await seat.everything()
    await write()
    assert await seat.everything() == before


async def an_edit_is_known_by_its_id_when_it_comes_again_as_a_key(store: WorkingStore) -> None:
    seat = seated(store)
    edit = AppendBlock("log", "x", MAX_BYTES, MANY)
    id = uuid7()
    await seat.make(edit, id=id)
    # `OutcomeUnknown.key` is the id; with it the call comes again as one of the user's.
    assert (await seat.make(edit, id=id, digest=DIGEST)).text == "x"
    assert await seat.blocks() == [("log", "x")]
    await seat.make(edit, id="k", digest=DIGEST)
    error = await error_of(seat.make(edit, id="k", digest="f" * 32))
    assert isinstance(error, IdempotencyConflict), error


async def of_two_writes_of_a_variable_the_later_one_stays(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.store_value("v", "before")
    await seat.store_value("kept", "before")
    clock.advance(60)
    await seat.store_value("new", "now")
    await seat.store_value("v", "now")
    await seat.make(_variable("v", "late"), age=10)
    await seat.make(_variable("new", "late"), age=10)
    assert await seat.make(DeleteVariable("new"), age=10) in (False, True)
    assert await seat.values() == {"v": "now", "kept": "before", "new": "now"}
    await seat.make(_variable("kept", "late"), age=10)
    assert await seat.values() == {"v": "now", "kept": "late", "new": "now"}
    assert await seat.make(DeleteVariable("kept"), age=5) is True
    assert await seat.make(ClearVariables(), age=5) == 0
    assert await seat.values() == {"v": "now", "new": "now"}


async def a_variable_that_arrives_late_ends_when_it_would_have(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.make(SetVariable("v", "1", 30.0, MANY), age=10)
    clock.advance(19.5)
    assert await seat.values() == {"v": 1}
    clock.advance(0.5)
    assert await seat.values() == {}, "its time began anew when it arrived"
    await seat.make(SetVariable("over", "1", 30.0, MANY), age=31)
    assert await seat.values() == {}


async def of_two_writes_of_the_task_the_later_one_stays(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.make(SetTask(TaskState(task_id="now")))
    await seat.make(SetTask(TaskState(task_id="late")), age=10)
    assert await seat.make(ClearTask(), age=10) in (False, True)
    task = await seat.ask(GetTask())
    assert task is not None
    assert task.task_id == "now"
    clock.advance(60)
    made = await seat.make(SetTask(TaskState(task_id="later")), age=10)
    assert made.task_id == "later"
    assert await seat.ask(GetTask()) == made
    clock.advance(60)
    assert await seat.make(ClearTask()) is True
    await seat.make(SetTask(TaskState(task_id="late")), age=10)
    assert await seat.ask(GetTask()) is None, "what was cleared later came back"


async def notes_are_cleared_up_to_the_instant_that_it_was_said(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.note("old")
    clock.advance(60)
    await seat.note("new")
    assert await seat.make(ClearNotes(), age=10) == 1
    assert await seat.notes() == ["new"]


async def a_note_that_arrives_late_bears_the_time_of_its_writing(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    clock.advance(60)
    note = await seat.make(AppendNote("late", MANY), age=45)
    assert (clock.now - note.at).total_seconds() == 45
    assert await seat.ask(ListNotes(None)) == (note,)


async def a_block_is_saved_if_nobody_changed_it_meanwhile(store: WorkingStore) -> None:
    seat = seated(store)
    old = await seat.put("a", "old")
    saved = await seat.make(SaveBlock(uuid7(), "a", "ours", old.version, old.version + 5))
    assert isinstance(saved, Block)
    assert saved.text == "ours"
    assert saved.version >= old.version + 5, "who read it while the store was away takes it for another"
    assert await seat.block("a") == saved
    new = await seat.make(SaveBlock(uuid7(), "b", "ours", 0, 3))
    assert isinstance(new, Block)
    assert await seat.blocks() == [("a", "ours"), ("b", "ours")]
    assert await seat.make(SaveBlock(uuid7(), "a", None, saved.version, 0)) is None
    assert await seat.blocks() == [("b", "ours")]
    assert (await seat.put("a", "again")).version > saved.version
    assert await seat.ask(ListConflicts()) == ()


async def a_block_that_both_sides_changed_becomes_a_conflict(store: WorkingStore) -> None:
    seat = seated(store)
    old = await seat.put("a", "old")
    theirs = await seat.put("a", "theirs")
    ids = [uuid7() for _ in range(3)]
    for id, text, base in zip(ids, ("ours", None, "new"), (old.version, old.version, 0), strict=True):
        conflict = await seat.make(SaveBlock(id, "a", text, base, 9))
        assert isinstance(conflict, BlockConflict)
        assert (conflict.id, conflict.name, conflict.ours, conflict.base_version) == (id, "a", text, base)
    found = await seat.ask(ListConflicts())
    assert [each.id for each in found] == ids
    assert await seat.block("a") == theirs


async def the_same_text_on_both_sides_is_no_conflict(store: WorkingStore) -> None:
    seat = seated(store)
    theirs = await seat.put("a", "same")
    assert await seat.make(SaveBlock(uuid7(), "a", "same", theirs.version + 3, 9)) == theirs
    assert await seat.make(SaveBlock(uuid7(), "never", None, 4, 0)) is None
    assert await seat.ask(ListConflicts()) == ()


async def a_conflict_is_resolved_once(store: WorkingStore) -> None:
    seat = seated(store)
    for name, keep, text, expected in (
        ("a", "theirs", None, "theirs"),
        ("b", "ours", None, "ours"),
        ("c", "theirs", "of both", "of both"),
        ("d", "ours", "", ""),
    ):
        theirs = await seat.put(name, "theirs")
        id = uuid7()
        await seat.make(SaveBlock(id, name, "ours", theirs.version + 1, 9))
        resolved = await seat.make(ResolveConflict(id, "ours" if keep == "ours" else "theirs", text))
        assert resolved is not None
        assert resolved.text == expected
        assert resolved == await seat.block(name)
        assert (resolved.version > theirs.version) is (expected != "theirs")
        error = await refused(seat, ResolveConflict(id, "ours", None))
        assert isinstance(error, NotFound), error
        assert error.key == id
    assert await seat.ask(ListConflicts()) == ()


async def our_deletion_can_win(store: WorkingStore) -> None:
    seat = seated(store)
    theirs = await seat.put("a", "theirs")
    id = uuid7()
    await seat.make(SaveBlock(id, "a", None, theirs.version + 1, 0))
    assert await seat.make(ResolveConflict(id, "ours", None)) is None
    assert await seat.blocks() == []


async def a_restore_leaves_conflicts_alone(store: WorkingStore) -> None:
    seat = seated(store)
    made = await seat.checkpoint()
    theirs = await seat.put("a", "theirs")
    await seat.make(SaveBlock(uuid7(), "a", "ours", theirs.version + 1, 9))
    before = await seat.ask(ListConflicts())
    assert len(before) == 1
    await seat.make(RestoreCheckpoint(made.id))
    assert await seat.ask(ListConflicts()) == before
    assert await seat.ask(ListCheckpoints()) == (made,)


CONFLICT_CHECKS: tuple[WorkingCheck, ...] = (
    a_block_is_saved_if_nobody_changed_it_meanwhile,
    a_block_that_both_sides_changed_becomes_a_conflict,
    the_same_text_on_both_sides_is_no_conflict,
    a_conflict_is_resolved_once,
    our_deletion_can_win,
    a_restore_leaves_conflicts_alone,
)


async def a_block_that_was_never_seen_is_saved_unless_it_was_changed_later(
    store: WorkingStore, clock: Clock
) -> None:
    seat = seated(store)
    await seat.put("a", "theirs")
    clock.advance(60)
    saved = await seat.make(SaveBlock(uuid7(), "a", "ours", None, 1), age=30)
    assert isinstance(saved, Block)
    assert await seat.block("a") == saved
    late = await seat.make(SaveBlock(uuid7(), "a", "late", None, 1), age=45)
    assert isinstance(late, BlockConflict)
    assert await seat.block("a") == saved


REPETITION_CHECKS: tuple[WorkingCheck, ...] = (
    an_edit_that_arrives_twice_is_made_once,
    an_edit_that_arrives_twice_does_not_undo_what_came_between,
    an_edit_is_known_by_its_id_when_it_comes_again_as_a_key,
)

LATE_CHECKS: tuple[WorkingClockCheck, ...] = (
    of_two_writes_of_a_variable_the_later_one_stays,
    a_variable_that_arrives_late_ends_when_it_would_have,
    of_two_writes_of_the_task_the_later_one_stays,
    a_block_that_was_never_seen_is_saved_unless_it_was_changed_later,
    notes_are_cleared_up_to_the_instant_that_it_was_said,
    a_note_that_arrives_late_bears_the_time_of_its_writing,
)
