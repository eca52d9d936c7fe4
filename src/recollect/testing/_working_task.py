"""The task at hand, the scratchpad, and what a scope says of itself."""

from datetime import UTC, datetime, timedelta, timezone

from .._workspace import (
    AppendNote,
    ClearNotes,
    ClearTask,
    CountAll,
    GetTask,
    ListNotes,
    SetTask,
    UpdateTask,
)
from ..stores import WorkingStore
from ..types import TaskState
from ._clock import Clock
from ._working_material import SESSION_TTL, WorkingCheck, WorkingClockCheck, furnish, seated

FULL = TaskState(
    task_id="{t}:1",
    description="find a flat\nin Lisbon 日本",
    status="in progress",
    current_step=2,
    total_steps=2**53 - 1,
    progress_percent=100 / 3,
    context={"b": [None, True, -0.5, "é\u2028"], "a": {"": {}}, "big": 2**53 - 1},
    started_at=datetime(2024, 5, 1, 9, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=2))),
)


async def a_scope_that_nobody_used_has_no_task(store: WorkingStore) -> None:
    seat = seated(store)
    assert await seat.ask(GetTask()) is None
    assert await seat.make(UpdateTask(1, 50.0, "running")) is None
    assert await seat.ask(GetTask()) is None
    assert await seat.make(ClearTask()) is False


async def a_task_comes_back_as_it_was_set(store: WorkingStore) -> None:
    seat = seated(store)
    for state in (FULL, TaskState(task_id="t"), FULL):
        made = await seat.make(SetTask(state))
        assert made.updated_at is not None
        assert made.model_copy(update={"updated_at": None}) == state
        assert await seat.ask(GetTask()) == made


async def the_argument_is_not_changed(store: WorkingStore) -> None:
    seat = seated(store)
    state = FULL.model_copy(deep=True)
    await seat.make(SetTask(state))
    await seat.make(UpdateTask(7, 1.0, "done"))
    assert state == FULL


async def an_update_changes_what_is_given_and_nothing_else(store: WorkingStore) -> None:
    seat = seated(store)
    expected = await seat.make(SetTask(FULL))
    given: tuple[tuple[int | None, float | None, str | None], ...] = (
        (0, None, None),
        (None, 0.0, None),
        (None, None, ""),
        (None, None, None),
        (3, 99.9, "done"),
    )
    for step, percent, status in given:
        updated = await seat.make(UpdateTask(step, percent, status))
        assert updated is not None
        fields = {"current_step": step, "progress_percent": percent, "status": status}
        changed = {name: value for name, value in fields.items() if value is not None}
        expected = expected.model_copy(update={**changed, "updated_at": updated.updated_at})
        assert updated == expected
        assert await seat.ask(GetTask()) == expected


async def a_task_is_cleared_once(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    assert [await seat.make(ClearTask()) for _ in range(2)] == [True, False]
    assert await seat.ask(GetTask()) is None
    assert await seat.make(UpdateTask(1, None, None)) is None
    assert await seat.notes() == ["first", "second"]


async def notes_come_oldest_first_and_the_newest_are_kept(store: WorkingStore) -> None:
    seat = seated(store)
    assert await seat.notes() == []
    for i in range(5):
        assert (await seat.make(AppendNote(str(i), 4))).text == str(i)
    assert await seat.notes() == ["1", "2", "3", "4"]
    assert await seat.notes(2) == ["3", "4"]
    assert await seat.notes(0) == []
    assert await seat.notes(99) == ["1", "2", "3", "4"]


async def a_cap_of_one_keeps_one_note(store: WorkingStore) -> None:
    seat = seated(store)
    for text in "abc":
        await seat.make(AppendNote(text, 1))
        assert await seat.notes() == [text]


async def a_lower_cap_drops_the_oldest_notes(store: WorkingStore) -> None:
    seat = seated(store)
    for i in range(10):
        await seat.note(str(i))
    await seat.make(AppendNote("last", 3))
    assert await seat.notes() == ["8", "9", "last"]


async def notes_with_one_text_are_all_kept(store: WorkingStore) -> None:
    seat = seated(store)
    for text in ("again", "", "again", "again"):
        await seat.note(text)
    assert await seat.notes() == ["again", "", "again", "again"]


async def a_note_is_read_as_it_was_returned(store: WorkingStore) -> None:
    seat = seated(store)
    returned = tuple([await seat.note(text) for text in ("one", "two\n", "三")])
    assert await seat.ask(ListNotes(None)) == returned
    instants = [note.at for note in returned]
    assert instants == sorted(instants)


async def clearing_notes_says_how_many_there_were(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    assert await seat.make(ClearNotes()) == 2
    assert await seat.notes() == []
    assert await seat.make(ClearNotes()) == 0
    assert await seat.values() == {"city": "Lisbon", "none": None}
    await seat.note("new")
    assert await seat.notes() == ["new"]


async def counts_say_what_a_scope_holds(store: WorkingStore) -> None:
    seat = seated(store)
    empty = await seat.ask(CountAll())
    assert empty.created_at is None
    assert (empty.blocks, empty.variables, empty.notes, empty.checkpoints) == (0, 0, 0, 0)
    assert not empty.has_task
    await furnish(seat)
    await seat.note("third")
    for _ in range(4):
        await seat.checkpoint()
    found = await seat.ask(CountAll())
    assert (found.blocks, found.variables, found.notes, found.checkpoints) == (2, 2, 3, 4)
    assert found.has_task
    assert found.created_at is not None


async def what_is_written_bears_the_time_of_its_writing(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    started = clock.now
    first = await seat.put("a", "a")
    clock.advance(0.25)
    second, note = await seat.put("b", "b"), await seat.note("n")
    task = await seat.make(SetTask(TaskState(task_id="t", updated_at=datetime(1999, 1, 1, tzinfo=UTC))))
    made = await seat.checkpoint()
    assert first.updated_at == started
    assert second.updated_at == note.at == task.updated_at == made.created_at == clock.now
    clock.advance(0.25)
    updated, changed = await seat.make(UpdateTask(1, None, None)), await seat.append("a", "!")
    assert updated is not None
    assert changed.updated_at == updated.updated_at == clock.now
    assert (await seat.ask(CountAll())).created_at == started
    assert await seat.block("b") == second


async def an_idle_session_is_dropped_and_nothing_else(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    scopes = (
        seat,
        seat.at(agent_id="a"),
        seat.at(session_id="s"),
        seat.at(agent_id="a", session_id="s"),
    )
    for scope in scopes:
        await furnish(scope)
        await scope.checkpoint()
    clock.advance(SESSION_TTL + 1)
    for scope in scopes[:2]:
        assert (await scope.ask(CountAll())).checkpoints == 1
        assert len(await scope.blocks()) == len(await scope.notes()) == 2
        assert await scope.values() == {"city": "Lisbon"}
    empty = await seated(store).everything()
    for scope in scopes[2:]:
        assert await scope.everything() == empty


async def a_session_that_is_read_now_and_then_is_kept(store: WorkingStore, clock: Clock) -> None:
    session = seated(store, session_id="s")
    await furnish(session)
    kept = await session.checkpoint()
    for _ in range(3):
        clock.advance(SESSION_TTL * 0.75)
        assert len(await session.blocks()) == 2
    clock.advance(SESSION_TTL * 0.75)
    counts = await session.ask(CountAll())
    assert (counts.blocks, counts.notes, counts.checkpoints, counts.has_task) == (2, 2, 1, True)
    assert counts.created_at is not None
    assert kept.created_at >= counts.created_at


TASK_CHECKS: tuple[WorkingCheck, ...] = (
    a_scope_that_nobody_used_has_no_task,
    a_task_comes_back_as_it_was_set,
    the_argument_is_not_changed,
    an_update_changes_what_is_given_and_nothing_else,
    a_task_is_cleared_once,
    notes_come_oldest_first_and_the_newest_are_kept,
    a_cap_of_one_keeps_one_note,
    a_lower_cap_drops_the_oldest_notes,
    notes_with_one_text_are_all_kept,
    a_note_is_read_as_it_was_returned,
    clearing_notes_says_how_many_there_were,
    counts_say_what_a_scope_holds,
)

TASK_CLOCK_CHECKS: tuple[WorkingClockCheck, ...] = (
    what_is_written_bears_the_time_of_its_writing,
    an_idle_session_is_dropped_and_nothing_else,
    a_session_that_is_read_now_and_then_is_kept,
)
