"""Blocks: their order, their versions, their bounds."""

from itertools import product

from .._workspace import AppendBlock, ListBlocks, MoveBlock, SetBlock
from ..errors import InvalidInput, NotFound, VersionConflict
from ..stores import WorkingStore
from ._working_material import MAX_BYTES, WorkingCheck, delete, error_of, move, refused, seated


async def a_block_that_was_set_or_appended_is_read_as_it_was_returned(store: WorkingStore) -> None:
    seat = seated(store)
    for change, name, text in (
        (seat.put, "a", "one"),
        (seat.put, "a", "two"),
        (seat.append, "a", " and more"),
        (seat.append, "b", "new"),
    ):
        returned = await change(name, text)
        assert await seat.block(name) == returned


async def a_new_block_goes_last_and_an_update_keeps_its_place(store: WorkingStore) -> None:
    seat = seated(store)
    for name in "bca":
        await seat.put(name, name)
    await seat.append("d", "d")
    await seat.put("b", "B")
    await seat.append("c", "C")
    assert await seat.blocks() == [("b", "B"), ("c", "cC"), ("a", "a"), ("d", "d")]


async def a_scope_that_nobody_used_has_no_blocks(store: WorkingStore) -> None:
    seat = seated(store)
    assert await seat.block("a") is None
    assert await seat.blocks() == []
    assert await delete(seat, "a") is False


async def every_change_of_a_text_has_the_next_version(store: WorkingStore) -> None:
    seat = seated(store)
    blocks = [await seat.put("a", "x"), await seat.put("a", "x"), await seat.append("a", "y")]
    await seat.put("b", "beside")
    await move(seat, "a", 1)
    blocks.append(await seat.put("a", "z"))
    first = blocks[0].version
    assert first >= 1
    assert [block.version for block in blocks] == [first, first + 1, first + 2, first + 3]


async def orders_do_not_collide_after_a_deletion(store: WorkingStore) -> None:
    seat = seated(store)
    for name in "abc":
        await seat.put(name, name)
    assert await delete(seat, "b")
    await seat.put("d", "d")
    assert await delete(seat, "a")
    await seat.append("e", "e")
    await seat.put("b", "again")
    assert [name for name, _ in await seat.blocks()] == ["c", "d", "e", "b"]


async def a_version_does_not_go_back_after_a_deletion(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.put("a", "older")
    await seat.put("a", "older")
    old = await seat.put("a", "old")
    assert await delete(seat, "a")
    assert not await delete(seat, "a")
    new = await seat.put("a", "new")
    assert new.version > old.version
    error = await refused(seat, SetBlock("a", "late", old.version, 100))
    assert isinstance(error, VersionConflict), error
    assert await delete(seat, "a")
    assert (await seat.append("a", "newest")).version > new.version


async def a_set_that_expects_another_version_is_refused_with_the_block(store: WorkingStore) -> None:
    seat = seated(store)
    old = await seat.put("a", "old")
    new = await seat.put("a", "new", if_version=old.version)
    assert new.text == "new"
    for version in (old.version, new.version + 1, 0, 2**53):
        error = await refused(seat, SetBlock("a", "late", version, 100))
        assert isinstance(error, VersionConflict), error
        assert error.current == new, "the conflict does not say what is there"


async def version_zero_means_that_there_is_no_block(store: WorkingStore) -> None:
    seat = seated(store)
    error = await refused(seat, SetBlock("a", "early", 1, 100))
    assert isinstance(error, VersionConflict), error
    assert error.current is None
    first = await seat.put("a", "first", if_version=0)
    error = await refused(seat, SetBlock("a", "second", 0, 100))
    assert isinstance(error, VersionConflict), error
    assert error.current == first
    assert await delete(seat, "a")
    assert (await seat.put("a", "third", if_version=0)).text == "third"


async def a_block_moves_to_any_index(store: WorkingStore) -> None:
    names = "abcd"
    for name, index in product(names, range(6)):
        seat = seated(store)
        before = {each: await seat.put(each, each) for each in names}
        moved = await move(seat, name, index)
        expected = [each for each in names if each != name]
        expected.insert(index, name)
        assert await seat.blocks() == [(each, each) for each in expected], f"{name} to {index}"
        assert await seat.block(name) == moved
        versions = {block.name: block.version for block in await seat.ask(ListBlocks())}
        assert versions == {each: block.version for each, block in before.items()}


async def blocks_move_again_after_some_were_deleted(store: WorkingStore) -> None:
    seat = seated(store)
    for name in "abcdef":
        await seat.put(name, name)
    for name in "be":
        await delete(seat, name)
    await move(seat, "f", 1)
    await move(seat, "a", 1_000_000)
    await seat.put("g", "g")
    await move(seat, "g", 0)
    assert [name for name, _ in await seat.blocks()] == ["g", "f", "c", "d", "a"]


async def a_block_that_is_not_there_cannot_be_moved(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.put("a", "a")
    error = await refused(seat, MoveBlock("b", 0))
    assert isinstance(error, NotFound), error
    assert error.key == "b"


async def appended_text_follows_as_it_is(store: WorkingStore) -> None:
    seat = seated(store)
    for piece in ("", " a", "\n", "é", "", "b "):
        await seat.append("log", piece)
    assert await seat.blocks() == [("log", " a\néb ")]


async def a_block_may_be_empty(store: WorkingStore) -> None:
    seat = seated(store)
    made = await seat.put("a", "")
    assert made.text == ""
    assert await seat.block("a") == made
    assert await delete(seat, "a") is True


async def an_append_that_makes_a_block_too_long_is_refused(store: WorkingStore) -> None:
    seat = seated(store)
    await seat.put("a", "éé")
    assert (await seat.make(AppendBlock("a", "é", 6, 100))).text == "ééé"
    for name, text in (("a", "b"), ("new", "éééb")):
        error = await refused(seat, AppendBlock(name, text, 6, 100))
        assert isinstance(error, InvalidInput), error
        assert error.field == "text"


async def one_block_too_many_is_refused(store: WorkingStore) -> None:
    seat = seated(store)
    for name in "ab":
        await seat.make(SetBlock(name, name, None, 2))
    for edit in (SetBlock("c", "c", None, 2), SetBlock("c", "c", 0, 2), AppendBlock("c", "c", MAX_BYTES, 2)):
        error = await refused(seat, edit)
        assert isinstance(error, InvalidInput), error
        assert error.field == "name"
    await seat.make(SetBlock("a", "A", None, 2))
    await seat.make(AppendBlock("b", "B", MAX_BYTES, 2))
    await delete(seat, "a")
    await seat.make(SetBlock("c", "c", None, 2))
    assert await seat.blocks() == [("b", "bB"), ("c", "c")]


async def many_long_blocks_are_all_there(store: WorkingStore) -> None:
    seat = seated(store)
    expected = [(f"block {i:02}", f"{i:02} " * 3_000) for i in range(100)]
    for name, text in expected:
        await seat.put(name, text)
    assert await seat.blocks() == expected
    longest = "日" * (MAX_BYTES // 3)
    await seat.put("block 07", longest)
    found = await seat.block("block 07")
    assert found is not None
    assert found.text == longest
    error = await error_of(seat.append("block 07", "日"))
    assert isinstance(error, InvalidInput), error


BLOCK_CHECKS: tuple[WorkingCheck, ...] = (
    a_block_that_was_set_or_appended_is_read_as_it_was_returned,
    a_new_block_goes_last_and_an_update_keeps_its_place,
    a_scope_that_nobody_used_has_no_blocks,
    every_change_of_a_text_has_the_next_version,
    orders_do_not_collide_after_a_deletion,
    a_version_does_not_go_back_after_a_deletion,
    a_set_that_expects_another_version_is_refused_with_the_block,
    version_zero_means_that_there_is_no_block,
    a_block_moves_to_any_index,
    blocks_move_again_after_some_were_deleted,
    a_block_that_is_not_there_cannot_be_moved,
    appended_text_follows_as_it_is,
    a_block_may_be_empty,
    an_append_that_makes_a_block_too_long_is_refused,
    one_block_too_many_is_refused,
    many_long_blocks_are_all_there,
)
