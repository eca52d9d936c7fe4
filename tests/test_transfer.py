"""What is exported and restored is what it was, from any composition of stores into any other one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest

from recollect import ConfigurationError, Conflict, EpisodeConflict, Memory, Predicate, open_memory
from recollect.testing import Clock, HashEmbedder

from .conftest import Connect
from .transferring import CITY, PREDICATES, fill, observed


async def test_an_export_restored_is_equal_and_answers_alike(connect: Connect, clock: Clock) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one, other = memory.user("one"), memory.user("other")
        await fill(one, clock)
        export = await one.export(vectors=True)
        seen = await observed(one, clock)
        await other.restore(export)
        again = await other.export(vectors=True)
        assert again.records == export.records
        assert again.header == export.header.model_copy(update={"user_id": "other"})
        assert str(await observed(other, clock)).replace("'other'", "'one'") == str(seen)
        assert await memory._composition.archive.facts.verify(other._scope.tenant) == 0


@pytest.fixture
async def compositions(
    anyio_backend: object, postgres_dsn: str, shared_schema: str, redis_url: str, clock: Clock
) -> AsyncIterator[dict[str, Memory]]:
    """A memory of each combination of stores, in a namespace of the test's own."""
    given: dict[str, Any] = {
        "embedder": HashEmbedder(),
        "clock": clock,
        "namespace": f"test-{uuid4()}",
        "deadline": 60.0,
        "predicates": PREDICATES,
    }
    async with AsyncExitStack() as stack:
        yield {
            f"{'postgres' if archive else 'inprocess'} and {'redis' if working else 'inprocess'}": (
                await stack.enter_async_context(open_memory(**archive, **working, **given))
            )
            for archive in ({}, {"postgres": postgres_dsn, "schema": shared_schema})
            for working in ({}, {"redis": redis_url})
        }


async def test_a_memory_goes_from_any_stores_to_any_other_ones(
    compositions: dict[str, Memory], clock: Clock
) -> None:
    for source, memory in compositions.items():
        one = memory.user(source)
        await fill(one, clock)
        export = await one.export(vectors=True)
        seen = str(await observed(one, clock))
        for target, other_memory in compositions.items():
            other = other_memory.user(f"{source} to {target}")
            await other.restore(export)
            again = await other.export(vectors=True)
            assert again.records == export.records, (source, target)
            assert again.header == export.header.model_copy(update={"user_id": other.user_id})
            answers = str(await observed(other, clock))
            assert answers.replace(f"user_id='{other.user_id}'", f"user_id='{one.user_id}'") == seen


async def test_lines_are_the_export_line_by_line(connect: Connect, clock: Clock) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one, other = memory.user("one"), memory.user("other")
        await fill(one, clock)
        export = await one.export()
        assert [line async for line in one.export_lines()] == list(export.lines())
        assert all("\n" not in line for line in export.lines())
        await other.restore_lines(f"{line}\n" async for line in one.export_lines())
        assert (await other.export()).records == export.records


async def test_without_vectors_episodes_and_facts_are_found_by_words_and_embedded_later(
    connect: Connect, clock: Clock
) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one, other = memory.user("one"), memory.user("other")
        await fill(one, clock)
        await one.episodes.embed_pending()
        await other.restore(await one.export())
        states = {each.embedding_state for each in await other.episodes.list()}
        assert states == {"pending"}
        assert (await other.recall("Lisbon", mode="lexical"))[0].episode.id == "e1"
        assert await other.episodes.embed_pending() == 3
        assert await other.facts.embed_pending() > 0
        await one.facts.embed_pending()
        exports = [await user.export(vectors=True) for user in (one, other)]
        assert exports[0].records == exports[1].records


async def test_what_is_empty_is_exported_and_restored_as_nothing(connect: Connect) -> None:
    async with connect() as memory:
        one, other = memory.user("one"), memory.user("other")
        export = await one.export()
        assert export.records == ()
        await other.restore(export)
        assert (await other.export()).records == ()
        assert (await memory.users()).items == ()
        await other.remember("now I begin")


@pytest.mark.parametrize("held", ["an episode", "a fact", "a block", "a note of a session"])
async def test_a_user_who_has_anything_is_left_alone(connect: Connect, clock: Clock, held: str) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one, other = memory.user("one"), memory.user("other")
        await fill(one, clock)
        export = await one.export()
        match held:
            case "an episode":
                await other.remember("mine", id="mine")
            case "a fact":
                await other.facts.add("me", "likes", "tea")
            case "a block":
                await other.blocks.set("persona", "mine")
            case _:
                await other.at(session_id="s").scratchpad.append("mine")
        before = await other.export()
        with pytest.raises(Conflict, match="has a memory already"):
            await other.restore(export)
        assert await other.export() == before


async def test_life_goes_on_after_what_was_restored(connect: Connect, clock: Clock) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one, other = memory.user("one"), memory.user("other")
        await fill(one, clock)
        await other.restore(await one.export())
        for user in (one, other):
            repeated = await user.remember("I moved to Lisbon", "How nice!", id="e1", session_id="s1")
            assert repeated.seq == 1
            await user.at(session_id="s1").facts.rollback()
            await user.facts.add("ann", CITY.name, "Kiel", sources=["e1"], id="f", key="k")
            await user.remember("and on", id="e9")
            await user.blocks.set("persona", "New.", if_version=(await user.blocks.list())[1].version)
        newest = [(await user.episodes.get("e9"), await user.facts.get("f")) for user in (one, other)]
        assert str(newest[0]) == str(newest[1]).replace("'other'", "'one'")
        with pytest.raises(Conflict):
            await other.facts.add("ann", CITY.name, "Ulm", key="k1")


async def test_what_was_forgotten_stays_forgotten_in_the_copy(connect: Connect, clock: Clock) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one, other = memory.user("one"), memory.user("other")
        await fill(one, clock)
        await one.forget(episode_ids=["e1"])
        export = await one.export()
        await other.restore(export)
        assert (await other.export()).records == export.records
        with pytest.raises(EpisodeConflict) as refused:
            await other.remember("I moved to Lisbon", "How nice!", id="e1", session_id="s1")
        assert refused.value.erased


async def test_an_older_export_does_not_bring_back_what_was_forgotten_since(
    connect: Connect, clock: Clock
) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one = memory.user("one")
        await fill(one, clock)
        export = await one.export()
        await one.forget(everything=True)
        before = await one.export()
        with pytest.raises(EpisodeConflict) as refused:
            await one.restore(export)
        assert refused.value.erased
        assert await one.export() == before
        await memory.user("another").restore(export)


async def test_two_users_are_restored_each_to_their_own(connect: Connect, clock: Clock) -> None:
    async with connect(predicates=PREDICATES) as memory:
        one, two = memory.user("one"), memory.user("two")
        await fill(one, clock)
        await two.remember("I am two", id="e1")
        await two.blocks.set("persona", "two")
        exports = [await user.export() for user in (one, two)]
        copies = [memory.user("copy of one"), memory.user("copy of two")]
        for copy, export in zip(copies, exports, strict=True):
            await copy.restore(export)
        assert [(await user.export()).records for user in copies] == [each.records for each in exports]
        assert [await user.export() for user in (one, two)] == exports
        assert "I am two" not in str(await copies[0].export())


async def test_a_predicate_must_be_declared_as_it_was(connect: Connect, clock: Clock) -> None:
    pet = f"pet-{uuid4()}"
    async with connect() as memory, connect(predicates=PREDICATES) as declared:
        one, other = memory.user("one"), declared.user("other")
        await one.facts.add("ann", pet, "cat")
        export = await one.export()
        await declared.register_predicate(Predicate(pet, cardinality="one"))
        with pytest.raises(ConfigurationError, match="declare it as it was"):
            await other.restore(export)
        assert (await other.export()).records == ()


async def test_what_was_forgotten_while_it_is_exported_is_no_part_of_an_export(
    connect: Connect, clock: Clock
) -> None:
    async with connect() as memory:
        one = memory.user("one")
        await one.remember("first", id="e1")
        lines = one.export_lines()
        await anext(lines)
        await one.forget(episode_ids=["e1"])
        with pytest.raises(Conflict, match="export it again"):
            async for _ in lines:
                pass


async def test_what_comes_while_it_is_exported_is_left_out(connect: Connect, clock: Clock) -> None:
    async with connect() as memory:
        one, other = memory.user("one"), memory.user("other")
        await one.remember("first", id="e1")
        await one.at(session_id="s").facts.add("ann", "likes", "tea")
        expected = [line async for line in one.export_lines()]
        lines = one.export_lines()
        got = [await anext(lines)]
        await one.remember("second", id="e2")
        await one.at(session_id="s").facts.rollback()
        await one.facts.add("ann", "likes", "milk")
        got += [line async for line in lines]
        assert got == expected
        await other.restore_lines(_each(got))


async def _each(lines: list[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line
