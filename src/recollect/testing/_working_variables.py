"""Variables: values that are opaque, times to live, how many there may be."""

from datetime import UTC, datetime

from .. import _json
from .._workspace import (
    ClearVariables,
    CountAll,
    DeleteVariable,
    GetTask,
    GetVariables,
    ListCheckpoints,
    ListVariables,
    RestoreCheckpoint,
    SetVariable,
)
from ..errors import InvalidInput
from ..stores import WorkingStore
from ._clock import Clock
from ._working_material import WorkingCheck, WorkingClockCheck, furnish, refused, seated

VALUES = (
    "null",
    "true",
    "0",
    "1.0",
    "-0.0",
    "1e+300",
    "5e-324",
    "9007199254740991",
    '""',
    '"null"',
    "[]",
    "{}",
    "[[],{}]",
    '{"b":1,"a":[null,{"":false}]}',
    '{"spaced" :  [ 1 ,2 ]}',
    '"quote \\" and \\\\ and \\u0000"',
    '"日本語 👩‍👩‍👧 \u2028"',
)
"""JSON as it may come: what goes in comes out, byte for byte."""


async def a_stored_null_is_not_a_missing_variable(store: WorkingStore) -> None:
    seat = seated(store)
    assert await seat.value("a") is ...
    await seat.store_value("a", None)
    assert await seat.value("a") is None
    assert await seat.values() == {"a": None}
    assert await seat.keys() == ("a",)
    assert await seat.make(DeleteVariable("a")) is True
    assert await seat.value("a") is ...


async def values_come_back_byte_for_byte(store: WorkingStore) -> None:
    seat = seated(store)
    for i, value in enumerate(VALUES):
        await seat.make(SetVariable(f"v{i}", value, None, 100))
    found = await seat.ask(ListVariables())
    assert {key: each.value for key, each in found.items()} == {f"v{i}": v for i, v in enumerate(VALUES)}
    keys = tuple(f"v{i}" for i in range(len(VALUES)))
    assert [each.value for each in (await seat.ask(GetVariables(keys))).values()] == [*VALUES]
    assert all(each.expires_at is None for each in found.values())


async def a_variable_that_is_set_again_has_the_new_value(store: WorkingStore) -> None:
    seat = seated(store)
    for value in ("one", {"two": 2}, None, [3]):
        await seat.store_value("a", value)
        assert await seat.value("a") == value
    assert await seat.values() == {"a": [3]}


async def only_what_is_asked_for_and_there_is_found(store: WorkingStore) -> None:
    seat = seated(store)
    for key in "abc":
        await seat.store_value(key, key)
    found = await seat.ask(GetVariables(("c", "missing", "a")))
    assert {key: each.value for key, each in found.items()} == {"a": '"a"', "c": '"c"'}
    assert await seat.ask(GetVariables(())) == {}


async def a_deletion_says_whether_there_was_a_variable(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.store_value("a", 1)
    await seat.store_value("b", 2)
    said = [await seat.make(DeleteVariable(key)) for key in ("a", "a", "never")]
    assert said == [True, False, False]
    assert await seat.values() == {"b": 2}


async def one_variable_too_many_is_refused(store: WorkingStore) -> None:
    seat = seated(store)
    for key in "ab":
        await seat.make(SetVariable(key, "1", None, 2))
    error = await refused(seat, SetVariable("c", "1", None, 2))
    assert isinstance(error, InvalidInput), error
    assert error.field == "key"
    await seat.make(SetVariable("a", "2", 60.0, 2))
    await seat.make(DeleteVariable("b"))
    await seat.make(SetVariable("c", "3", None, 2))
    assert await seat.values() == {"a": 2, "c": 3}


async def clear_deletes_the_variables_and_nothing_else(store: WorkingStore) -> None:
    seat = seated(store)
    await furnish(seat)
    kept = await seat.checkpoint("kept")
    beside = seat.at(session_id="s")
    await beside.store_value("city", "Rome")
    assert await seat.make(ClearVariables()) == 2
    assert await seat.values() == {}
    assert await seat.blocks() == [("persona", "short answers"), ("goal", "find a flat")]
    assert await seat.notes() == ["first", "second"]
    assert await seat.ask(GetTask()) is not None
    assert await seat.ask(ListCheckpoints()) == (kept,)
    assert await beside.values() == {"city": "Rome"}
    assert await seat.make(ClearVariables()) == 0
    await seat.make(RestoreCheckpoint(kept.id))
    assert await seat.values() == {"city": "Lisbon", "none": None}


async def a_thousand_variables_are_found_in_one_look(store: WorkingStore) -> None:
    seat = seated(store)
    keys = tuple(f"key {i}" for i in range(1_000))
    for i, key in enumerate(keys):
        await seat.store_value(key, i)
    found = await seat.ask(GetVariables(keys))
    assert {key: _json.loads(each.value) for key, each in found.items()} == {
        key: i for i, key in enumerate(keys)
    }
    assert sorted(await seat.keys()) == sorted(keys)
    assert (await seat.ask(CountAll())).variables == 1_000
    assert await seat.make(ClearVariables()) == 1_000


async def a_variable_is_gone_when_its_time_is_up(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.store_value("brief", 1, ttl=0.5)
    await seat.store_value("long", 2, ttl=60)
    await seat.store_value("ever", 3)
    clock.advance(0.499)
    assert await seat.values() == {"brief": 1, "long": 2, "ever": 3}
    assert await seat.value("brief") == 1
    clock.advance(0.001)
    assert await seat.value("brief") is ...
    assert await seat.values() == {"long": 2, "ever": 3}
    assert set(await seat.keys()) == {"long", "ever"}
    assert (await seat.ask(CountAll())).variables == 2
    assert await seat.make(DeleteVariable("brief")) is False
    clock.advance(60)
    assert await seat.make(ClearVariables()) == 1


async def a_time_to_live_says_when_a_variable_ends(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.store_value("a", 1, ttl=1.5)
    ends = (await seat.ask(GetVariables(("a",))))["a"].expires_at
    assert ends is not None
    assert ends == clock.advance(1.5)


async def a_set_without_a_time_to_live_ends_the_old_one(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.store_value("a", 1, ttl=10)
    await seat.store_value("a", 2)
    await seat.store_value("b", 1, ttl=10)
    await seat.store_value("b", 2, ttl=100)
    await seat.store_value("c", 1, ttl=100)
    await seat.store_value("c", 2, ttl=10)
    clock.advance(10)
    assert await seat.values() == {"a": 2, "b": 2}
    clock.advance(90)
    assert await seat.values() == {"a": 2}


async def a_time_to_live_that_no_calendar_reaches_does_not_end(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    for i, ttl in enumerate((1e9, 1e12, 1e18, 1e300)):
        await seat.store_value(f"v{i}", i, ttl=ttl)
    clock.advance(86_400)
    assert await seat.values() == {f"v{i}": i for i in range(4)}


async def a_time_to_live_may_end_with_the_calendar(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    clock.now = datetime(9999, 12, 31, 23, 59, 59, 900_000, tzinfo=UTC)
    for i in range(99_950, 100_050, 5):
        await seat.store_value(f"v{i}", i, ttl=i / 1e6)
    assert len(await seat.values()) == 20


async def variables_whose_time_is_up_make_room(store: WorkingStore, clock: Clock) -> None:
    seat = seated(store)
    await seat.make(SetVariable("a", "1", 10.0, 2))
    await seat.make(SetVariable("b", "2", None, 2))
    error = await refused(seat, SetVariable("c", "3", None, 2))
    assert isinstance(error, InvalidInput), error
    clock.advance(10)
    await seat.make(SetVariable("c", "3", None, 2))
    error = await refused(seat, SetVariable("a", "4", None, 2))
    assert isinstance(error, InvalidInput), error
    assert await seat.values() == {"b": 2, "c": 3}


VARIABLE_CHECKS: tuple[WorkingCheck, ...] = (
    a_stored_null_is_not_a_missing_variable,
    values_come_back_byte_for_byte,
    a_variable_that_is_set_again_has_the_new_value,
    only_what_is_asked_for_and_there_is_found,
    a_deletion_says_whether_there_was_a_variable,
    one_variable_too_many_is_refused,
    clear_deletes_the_variables_and_nothing_else,
    a_thousand_variables_are_found_in_one_look,
)

VARIABLE_CLOCK_CHECKS: tuple[WorkingClockCheck, ...] = (
    a_variable_is_gone_when_its_time_is_up,
    a_time_to_live_says_when_a_variable_ends,
    a_set_without_a_time_to_live_ends_the_old_one,
    a_time_to_live_that_no_calendar_reaches_does_not_end,
    a_time_to_live_may_end_with_the_calendar,
    variables_whose_time_is_up_make_room,
)
