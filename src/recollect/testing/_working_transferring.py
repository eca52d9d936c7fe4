"""Scopes go from one tenant to another as a whole, and nobody sees a part of them."""

from collections.abc import Sequence
from dataclasses import replace

from .._ids import uuid7
from .._workspace import (
    Contents,
    CreateCheckpoint,
    DumpCheckpoint,
    DumpScope,
    ListScopes,
    PublishScopes,
    RestoreCheckpoint,
    Saved,
    ScopeName,
    StageCheckpoint,
    StageScope,
    WithdrawScopes,
)
from ..errors import Conflict
from ..stores import WorkingStore
from ._clock import Clock
from ._working_material import (
    SESSION_TTL,
    Seat,
    WorkingCheck,
    WorkingClockCheck,
    delete,
    empty,
    error_of,
    furnish,
    seated,
)

NAMES: tuple[ScopeName, ...] = ((None, None), ("a", None), (None, "s/1"), ("a/b", "%2F"))

Taken = dict[ScopeName, tuple[Contents, list[Saved]]]


async def _furnished(store: WorkingStore) -> Seat:
    seat = seated(store)
    for agent_id, session_id in NAMES:
        scope = seat.at(agent_id=agent_id, session_id=session_id)
        await furnish(scope)
        await scope.make(CreateCheckpoint("first", "before", 32))
        await scope.put("persona", "long answers")
        await scope.put("gone", "x")
        await delete(scope, "gone")
        await scope.make(CreateCheckpoint("second", "after", 32))
    return seat


async def taken(seat: Seat) -> Taken:
    """Return all that a tenant has, with all that its checkpoints keep."""
    found: Taken = {}
    for name in await seat.ask(ListScopes()):
        scope = seat.at(agent_id=name[0], session_id=name[1])
        contents = await scope.ask(DumpScope())
        kept = [await scope.ask(DumpCheckpoint(made.id)) for made in contents.checkpoints]
        found[name] = contents, [saved for saved in kept if saved is not None]
    return found


async def stage(seat: Seat, load: str, given: Taken) -> Sequence[ScopeName]:
    for name, (contents, kept) in given.items():
        scope = seat.at(agent_id=name[0], session_id=name[1])
        await scope.make(StageScope(load, contents))
        for saved in kept:
            await scope.make(StageCheckpoint(load, saved))
    return tuple(given)


def _timeless(given: Taken) -> object:
    """Return what does not pass with time."""
    return {
        name: (
            replace(contents, variables={}),
            {key: (value, left is None) for key, (value, left) in contents.variables.items()},
            kept,
        )
        for name, (contents, kept) in given.items()
    }


async def scopes_are_put_back_as_they_were_taken(store: WorkingStore) -> None:
    seat, other = await _furnished(store), seated(store)
    given = await taken(seat)
    assert set(given) == set(NAMES)
    names = await stage(other, "load", given)
    await other.make(PublishScopes("load", names))
    assert _timeless(await taken(other)) == _timeless(given)
    for agent_id, session_id in NAMES:
        one, copy = (each.at(agent_id=agent_id, session_id=session_id) for each in (seat, other))
        assert await one.everything() == await copy.everything()
        for scope in (one, copy):
            await scope.make(RestoreCheckpoint("first"))
            assert ("persona", "short answers") in await scope.blocks()
            assert (await scope.put("gone", "again")).version > 1


async def what_is_staged_is_seen_by_nobody(store: WorkingStore) -> None:
    seat, other = await _furnished(store), seated(store)
    await stage(other, "load", await taken(seat))
    assert await other.ask(ListScopes()) == ()
    assert await other.blocks() == []
    assert not await store.left(other.local, other.place.tenant, None)
    await other.put("persona", "mine")
    assert await other.blocks() == [("persona", "mine")]


async def who_holds_anything_is_left_alone(store: WorkingStore) -> None:
    seat, other = await _furnished(store), seated(store)
    names = await stage(other, "load", await taken(seat))
    scope = other.at(session_id="another")
    await scope.note("mine")
    assert isinstance(await error_of(other.make(PublishScopes("load", names))), Conflict)
    assert await scope.notes() == ["mine"]
    assert await other.blocks() == []


async def who_held_something_once_is_empty(store: WorkingStore) -> None:
    seat, other = await _furnished(store), seated(store)
    await furnish(other)
    await empty(other)
    names = await stage(other, "load", await taken(seat))
    await other.make(PublishScopes("load", names))
    assert _timeless(await taken(other)) == _timeless(await taken(seat))


async def another_load_ends_the_one_before(store: WorkingStore) -> None:
    seat, other = await _furnished(store), seated(store)
    given = await taken(seat)
    names = await stage(other, "one", given)
    await stage(other, "two", given)
    await other.make(PublishScopes("two", names))
    assert isinstance(await error_of(other.make(PublishScopes("one", names))), Conflict)
    assert _timeless(await taken(other)) == _timeless(given)


async def what_is_withdrawn_is_gone(store: WorkingStore) -> None:
    seat, other = await _furnished(store), seated(store)
    given = await taken(seat)
    names = await stage(other, "staged", given)
    await other.make(WithdrawScopes("staged", names))
    assert isinstance(await error_of(other.make(PublishScopes("staged", names))), Conflict)
    names = await stage(other, "published", given)
    await other.make(PublishScopes("published", names))
    await other.make(WithdrawScopes("published", names))
    assert await other.ask(ListScopes()) == ()
    await other.put("persona", "mine")
    await other.make(WithdrawScopes("published", names))
    assert await other.blocks() == [("persona", "mine")]


async def a_part_of_a_load_may_be_made_twice(store: WorkingStore) -> None:
    seat, other = await _furnished(store), seated(store)
    given, load = await taken(seat), uuid7()
    names = await stage(other, load, given)
    await stage(other, load, given)
    for _ in range(2):
        await other.make(PublishScopes(load, names))
    assert _timeless(await taken(other)) == _timeless(given)


async def taking_is_no_use_of_a_session(store: WorkingStore, clock: Clock) -> None:
    scope = seated(store).at(session_id="s")
    await furnish(scope)
    for _ in range(2):
        clock.advance(SESSION_TTL / 2 - 1)
        assert await taken(scope) != {}
    clock.advance(3)
    assert await taken(scope) == {}
    assert (await scope.ask(DumpScope())).empty


async def time_that_variables_have_left_goes_along(store: WorkingStore, clock: Clock) -> None:
    seat, other = seated(store), seated(store)
    await seat.store_value("short", 1, ttl=60)
    await seat.make(CreateCheckpoint("c", "", 32))
    clock.advance(20)
    given = await taken(seat)
    (_, left) = given[None, None][0].variables["short"]
    assert left is not None
    assert left.total_seconds() == 40
    await other.make(PublishScopes("load", await stage(other, "load", given)))
    assert await taken(other) == given
    clock.advance(39.5)
    assert await other.value("short") == 1
    clock.advance(1)
    assert await other.value("short") is ...
    await other.make(RestoreCheckpoint("c"))
    clock.advance(59.5)
    assert await other.value("short") == 1
    clock.advance(1)
    assert await other.value("short") is ...


async def a_session_that_was_put_back_ends_when_nobody_uses_it(store: WorkingStore, clock: Clock) -> None:
    seat, other = seated(store).at(session_id="s"), seated(store).at(session_id="s")
    await furnish(seat)
    await other.make(PublishScopes("load", await stage(other, "load", await taken(seat))))
    clock.advance(SESSION_TTL - 1)
    assert await other.notes() == ["first", "second"]
    clock.advance(SESSION_TTL + 1)
    assert await other.notes() == []


WORKING_TRANSFER_CHECKS: tuple[WorkingCheck, ...] = (
    scopes_are_put_back_as_they_were_taken,
    what_is_staged_is_seen_by_nobody,
    who_holds_anything_is_left_alone,
    who_held_something_once_is_empty,
    another_load_ends_the_one_before,
    what_is_withdrawn_is_gone,
    a_part_of_a_load_may_be_made_twice,
)

WORKING_TRANSFER_CLOCK_CHECKS: tuple[WorkingClockCheck, ...] = (
    taking_is_no_use_of_a_session,
    time_that_variables_have_left_goes_along,
    a_session_that_was_put_back_ends_when_nobody_uses_it,
)
