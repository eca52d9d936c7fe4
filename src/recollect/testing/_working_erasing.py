"""What is forgotten of working memory is gone, in every scope that it was in; nothing else is."""

from .._workspace import GetTask, ListCheckpoints, ListConflicts, SaveBlock, SetBlock, SetVariable
from ..errors import StoreUnavailable
from ..stores import Wiped, WorkingStore
from ._concurrency import at_once
from ._material import HOSTILE
from ._working_material import MANY, Seat, WorkingCheck, furnish, seated

FURNISHED = Wiped(blocks=2, variables=2, notes=2, checkpoints=1, tasks=1)


async def _furnished(seat: Seat) -> Seat:
    await furnish(seat)
    await seat.checkpoint("before the move")
    return seat


async def _erase(seat: Seat, session_id: str | None = None) -> Wiped:
    return await seat.store.erase(seat.local, seat.place.tenant, session_id)


async def _left(seat: Seat, session_id: str | None = None) -> Wiped:
    return await seat.store.left(seat.local, seat.place.tenant, session_id)


async def _check_empty(seat: Seat) -> None:
    assert await seat.blocks() == []
    assert await seat.values() == {}
    assert await seat.notes() == []
    assert await seat.ask(GetTask()) is None
    assert await seat.ask(ListCheckpoints()) == ()
    assert await seat.ask(ListConflicts()) == ()


async def every_scope_of_a_tenant_is_forgotten(store: WorkingStore) -> None:
    seat = seated(store)
    scopes = [seat, seat.at(agent_id="a"), seat.at(session_id="s"), seat.at(agent_id="a", session_id="s")]
    for each in scopes:
        await _furnished(each)
    assert await _left(seat) == sum([FURNISHED] * 4, Wiped())
    assert await _erase(seat) == sum([FURNISHED] * 4, Wiped())
    for each in scopes:
        await _check_empty(each)
    assert not await _left(seat)
    assert await _erase(seat) == Wiped()


async def a_session_is_forgotten_whatever_its_agent(store: WorkingStore) -> None:
    seat = seated(store)
    of_session = [seat.at(session_id="s"), seat.at(agent_id="a", session_id="s")]
    others = [
        seat,
        seat.at(agent_id="a"),
        seat.at(agent_id="s"),
        seat.at(session_id="s2"),
        seat.at(session_id="as"),
        seat.at(agent_id="s", session_id="a"),
        seat.at(session_id="a/s"),
    ]
    for each in (*of_session, *others):
        await _furnished(each)
    before = [await each.everything() for each in others]
    assert await _left(seat, "s") == FURNISHED + FURNISHED
    assert await _erase(seat, "s") == FURNISHED + FURNISHED
    assert not await _left(seat, "s")
    for each in of_session:
        await _check_empty(each)
    assert [await each.everything() for each in others] == before
    assert await _erase(seat, "unknown") == Wiped()


async def a_session_of_any_name_is_forgotten(store: WorkingStore) -> None:
    seat = seated(store)
    for name in HOSTILE:
        await seat.at(session_id=name).put("b", name)
    for i, name in enumerate(HOSTILE):
        assert (await _erase(seat, name)).blocks == 1, name
        assert (await _left(seat)).blocks == len(HOSTILE) - i - 1, name


async def other_tenants_keep_what_they_have(store: WorkingStore) -> None:
    seat, other = await _furnished(seated(store)), await _furnished(seated(store, session_id="s"))
    before = await other.everything()
    await _erase(seat)
    await _erase(seat, "s")
    assert await other.everything() == before


async def a_scope_begins_anew_after_it_was_forgotten(store: WorkingStore) -> None:
    seat = await _furnished(seated(store, session_id="s"))
    await _erase(seat)
    assert (await seat.put("persona", "new", if_version=0)).version == 1
    await seat.note("new")
    assert (await seat.blocks(), await seat.notes()) == ([("persona", "new")], ["new"])
    assert await _left(seat) == Wiped(blocks=1, notes=1)


async def a_conflict_is_forgotten_with_its_text(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.put("b", "theirs")
    await seat.make(SaveBlock("c1", "b", "ours", 7, 8))
    assert await _left(seat) == Wiped(blocks=1, conflicts=1)
    await _erase(seat)
    await _check_empty(seat)


async def a_variable_that_has_ceased_to_be_is_not_counted(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.make(SetVariable("gone", "1", 0.0, MANY))
    await seat.store_value("there", 1)
    assert await _erase(seat) == Wiped(variables=1)


async def a_key_is_free_again_after_what_it_made_was_forgotten(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.make(SetBlock("b", "one", None, MANY), id="key", digest="aa")
    await _erase(seat)
    await seat.make(SetBlock("b", "two", None, MANY), id="key", digest="bb")
    assert await seat.blocks() == [("b", "two")]


async def edits_beside_an_erasure_are_forgotten_or_stay_whole(store: WorkingStore) -> None:
    seat = seated(store)

    async def act(n: int) -> None:
        if n == 8:
            await _erase(seat)
            return
        try:
            await seat.append("b", f"<{n}>")
        except StoreUnavailable:  # it was under way
            await seat.append("b", f"<{n}>")

    await at_once(16, act)
    try:
        found = await seat.blocks()
    except StoreUnavailable:  # the erasure was behind an edit, and is told of itself, once
        found = await seat.blocks()
    text = "".join(text for _, text in found)
    pieces = [piece for piece in text.replace(">", "> ").split() if piece]
    assert set(pieces) <= {f"<{n}>" for n in range(16)}
    assert len(pieces) == len(set(pieces))


WORKING_ERASING_CHECKS: tuple[WorkingCheck, ...] = (
    every_scope_of_a_tenant_is_forgotten,
    a_session_is_forgotten_whatever_its_agent,
    a_session_of_any_name_is_forgotten,
    other_tenants_keep_what_they_have,
    a_scope_begins_anew_after_it_was_forgotten,
    a_conflict_is_forgotten_with_its_text,
    a_variable_that_has_ceased_to_be_is_not_counted,
    a_key_is_free_again_after_what_it_made_was_forgotten,
    edits_beside_an_erasure_are_forgotten_or_stay_whole,
)
