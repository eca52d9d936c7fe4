"""Edits that are made again under the key of the first time."""

from contextlib import suppress

from .._workspace import AppendBlock, AppendNote, DeleteBlock, SetBlock
from ..errors import IdempotencyConflict, NotFound, VersionConflict
from ..stores import WorkingStore
from ._material import HOSTILE
from ._working_material import MAX_BYTES, WorkingCheck, error_of, refused, seated

ONE, OTHER = "0" * 31 + "1", "f" * 32
"""Digests, as they come with a key."""

PERSONA = SetBlock("persona", "short", None, 100)
MORE = AppendBlock("log", "more", MAX_BYTES, 100)


async def an_edit_made_again_under_its_key_applies_once(store: WorkingStore) -> None:
    seat = seated(store)
    for edit in (PERSONA, MORE):
        name = edit.name
        first = await seat.make(edit, id=name, digest=ONE)
        before = await seat.everything()
        for _ in range(3):
            assert await seat.make(edit, id=name, digest=ONE) == first
        assert await seat.everything() == before
    assert await seat.blocks() == [("persona", "short"), ("log", "more")]


async def a_note_made_again_under_its_key_is_there_once(store: WorkingStore) -> None:
    seat = seated(store)
    first = await seat.make(AppendNote("a", 10), id="k", digest=ONE)
    assert await seat.make(AppendNote("a", 10), id="k", digest=ONE) == first
    await seat.make(AppendNote("a", 10), id="l", digest=ONE)
    assert await seat.notes() == ["a", "a"]
    error = await refused(seat, AppendNote("b", 10), id="k", digest=OTHER)
    assert isinstance(error, IdempotencyConflict), error


async def an_edit_made_again_does_not_undo_what_came_after(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.make(PERSONA, id="k", digest=ONE)
    await seat.make(MORE, id="l", digest=ONE)
    await seat.put("persona", "long")
    await seat.append("log", "!")
    before = await seat.everything()
    # A store may say what it was or what it is by now; either way the call goes through.
    assert (await seat.make(PERSONA, id="k", digest=ONE)).text in ("short", "long")
    assert (await seat.make(MORE, id="l", digest=ONE)).text in ("more", "more!")
    assert await seat.everything() == before


async def an_edit_made_again_is_not_refused_for_what_it_did_itself(store: WorkingStore) -> None:
    seat = seated(store)
    new = SetBlock("a", "new", 0, 1)
    first = await seat.make(new, id="k", digest=ONE)
    assert await seat.make(new, id="k", digest=ONE) == first
    fits_once = AppendBlock("a", "x" * 10, 13, 1)
    await seat.make(fits_once, id="l", digest=ONE)
    assert (await seat.make(fits_once, id="l", digest=ONE)).text == "new" + "x" * 10


async def a_key_with_other_content_is_refused(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.make(PERSONA, id="k", digest=ONE)
    for edit in (SetBlock("persona", "long", None, 100), MORE):
        error = await refused(seat, edit, id="k", digest=OTHER)
        assert isinstance(error, IdempotencyConflict), error
        assert error.key == "k"
    await seat.make(PERSONA, id="k", digest=ONE)


async def a_refused_edit_does_not_use_up_its_key(store: WorkingStore) -> None:
    seat = seated(store)
    early = SetBlock("a", "second", 1, 100)
    error = await refused(seat, early, id="k", digest=ONE)
    assert isinstance(error, VersionConflict), error
    first = await seat.put("a", "first")
    assert first.version == 1
    assert (await seat.make(early, id="k", digest=ONE)).text == "second"
    assert (await seat.make(PERSONA, id="l", digest=OTHER)).text == "short"


async def keys_of_scopes_and_tenants_do_not_meet(store: WorkingStore) -> None:
    seat = seated(store)
    seats = [
        seat,
        seated(store),
        seat.at(agent_id="a"),
        seat.at(session_id="a"),
        seat.at(agent_id="a", session_id="a"),
    ]
    for i, each in enumerate(seats):
        made = await each.make(AppendBlock("log", f"of {i}", MAX_BYTES, 100), id="k", digest=ONE)
        assert made.text == f"of {i}"
    for i, each in enumerate(seats):
        assert await each.blocks() == [("log", f"of {i}")]


async def any_key_is_a_key(store: WorkingStore) -> None:
    seat = seated(store)
    keys = (*HOSTILE, "k" * 256, "é" * 128)
    for _ in range(2):
        for key in keys:
            await seat.make(AppendBlock("log", ".", MAX_BYTES, 100), id=key, digest=ONE)
    assert await seat.blocks() == [("log", "." * len(keys))]
    for key in keys:
        error = await error_of(seat.make(MORE, id=key, digest=OTHER))
        assert isinstance(error, IdempotencyConflict), error


async def a_block_that_was_deleted_is_not_made_again_by_an_old_edit(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.make(PERSONA, id="k", digest=ONE)
    await seat.make(DeleteBlock("persona"))
    before = await seat.everything()
    with suppress(NotFound):  # there is no such block to be told of
        await seat.make(PERSONA, id="k", digest=ONE)
    assert await seat.everything() == before


KEY_CHECKS: tuple[WorkingCheck, ...] = (
    an_edit_made_again_under_its_key_applies_once,
    a_note_made_again_under_its_key_is_there_once,
    an_edit_made_again_does_not_undo_what_came_after,
    an_edit_made_again_is_not_refused_for_what_it_did_itself,
    a_key_with_other_content_is_refused,
    a_refused_edit_does_not_use_up_its_key,
    keys_of_scopes_and_tenants_do_not_meet,
    any_key_is_a_key,
    a_block_that_was_deleted_is_not_made_again_by_an_old_edit,
)
