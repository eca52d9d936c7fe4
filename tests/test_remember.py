"""What is remembered is stored once, as a whole, under the id that was asked for."""

import logging
import re
import traceback
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import anyio
import pytest

from recollect import EpisodeConflict, EpisodeDraft, Memory, RecollectError
from recollect.postgres._sql import for_one, statements
from recollect.testing import Clock, FaultyEmbedder

from .conftest import Connect

GIVEN: dict[str, Any] = {
    "input": "a",
    "output": "b",
    "session_id": "s",
    "occurred_at": datetime(2024, 1, 1, 12, tzinfo=UTC),
    "metadata": {"k": 1, "l": [None]},
    "transcript": [{"role": "user"}],
}


async def test_same_content_under_its_id_returns_what_is_stored(memory: Memory, clock: Clock) -> None:
    alice = memory.user("alice")
    first = await alice.remember(**GIVEN, id="e")
    clock.advance(60)
    assert await alice.remember(**GIVEN, id="e") == first
    assert await alice.episodes.count() == 1


async def test_same_is_what_the_caller_passed_and_not_when_it_was_passed(
    memory: Memory, clock: Clock
) -> None:
    alice = memory.user("alice")
    first = await alice.remember("hello", id="e")
    assert first.occurred_at == clock.now
    clock.advance(60)
    assert await alice.remember("hello", id="e") == first


async def test_same_in_other_words_is_the_same(memory: Memory) -> None:
    alice = memory.user("alice")
    first = await alice.remember(**GIVEN, id="e")
    tokyo = GIVEN["occurred_at"].astimezone(timezone(timedelta(hours=9)))
    reordered = {"l": [None], "k": 1}
    assert await alice.remember(**{**GIVEN, "occurred_at": tokyo, "metadata": reordered}, id="e") == first


@pytest.mark.parametrize(
    "changed",
    [
        {"input": "A"},
        {"output": ""},
        {"session_id": "t"},
        {"session_id": None},
        {"occurred_at": None},
        {"occurred_at": GIVEN["occurred_at"] + timedelta(microseconds=1)},
        {"metadata": None},
        {"metadata": {"k": True, "l": [None]}},
        {"transcript": None},
        {"transcript": [{"role": "assistant"}]},
    ],
    ids=str,
)
async def test_anything_else_under_a_taken_id_conflicts(memory: Memory, changed: dict[str, Any]) -> None:
    alice = memory.user("alice")
    first = await alice.remember(**GIVEN, id="e")
    with pytest.raises(EpisodeConflict) as caught:
        await alice.remember(**{**GIVEN, **changed}, id="e")
    assert caught.value.id == "e"
    assert (await alice.episodes.list()).items == (first,)


async def test_another_agent_says_something_else(memory: Memory) -> None:
    alice = memory.user("alice", agent_id="a")
    await alice.remember("hello", id="e")
    with pytest.raises(EpisodeConflict):
        await alice.at(agent_id="b").remember("hello", id="e")


async def test_one_id_of_two_tenants_is_two_episodes(memory: Memory) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    hers, his = await alice.remember("hers", id="e"), await bob.remember("his", id="e")
    assert await alice.episodes.get("e") == hers
    assert await bob.episodes.get("e") == his
    assert await memory.user("carol").episodes.get("e") is None


async def test_without_an_id_the_same_twice_is_two_episodes(memory: Memory) -> None:
    alice = memory.user("alice")
    first, second = await alice.remember("hello"), await alice.remember("hello")
    assert first.id != second.id
    assert UUID(first.id).version == UUID(second.id).version == 7
    assert first.seq < second.seq


async def test_many_are_stored_in_the_order_of_the_drafts(memory: Memory) -> None:
    alice = memory.user("alice")
    stored = await alice.remember_many([EpisodeDraft(f"turn {i}", session_id="s") for i in range(500)])
    assert [each.input for each in stored] == [f"turn {i}" for i in range(500)]
    assert (await alice.episodes.list(limit=1_000)).items == stored


async def test_one_conflict_among_many_stores_nothing(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember("taken", id="e")
    drafts = [EpisodeDraft("a", id="a"), EpisodeDraft("b"), EpisodeDraft("other", id="e"), EpisodeDraft("c")]
    with pytest.raises(EpisodeConflict):
        await alice.remember_many(drafts)
    assert await alice.episodes.count() == 1
    assert await alice.episodes.get("a") is None


async def test_repeating_many_completes_what_is_missing(memory: Memory) -> None:
    alice = memory.user("alice")
    drafts = [EpisodeDraft(f"turn {i}", id=str(i)) for i in range(4)]
    first = await alice.remember_many(drafts[:2])
    again = await alice.remember_many(drafts)
    assert again[:2] == first
    assert await alice.remember_many(drafts) == again
    assert await alice.episodes.count() == 4


async def test_what_the_caller_changes_afterwards_is_not_remembered(memory: Memory) -> None:
    alice = memory.user("alice")
    metadata, transcript = {"k": [1]}, [{"t": 1}]
    stored = await alice.remember("hello", metadata=metadata, transcript=transcript, id="e")
    metadata["k"].append(2)
    transcript.append({"t": 2})
    assert await alice.episodes.get("e") == stored
    assert (stored.metadata, stored.transcript) == ({"k": [1]}, [{"t": 1}])


async def test_concurrent_writes_share_transactions(memory: Memory) -> None:
    async with anyio.create_task_group() as tasks:
        for i in range(64):
            tasks.start_soon(memory.user(f"user {i % 8}").remember, f"turn {i}")
    statistics = memory.statistics()
    assert statistics.writes == 64
    assert statistics.transactions < 32
    assert statistics.waiting == 0
    assert [await memory.user(f"user {i}").episodes.count() for i in range(8)] == [8] * 8


async def test_one_conflict_among_concurrent_writes_fails_alone(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember("taken", id="e")
    refused: list[int] = []

    async def remember(i: int) -> None:
        try:
            await alice.remember(f"turn {i}", id="e" if i % 10 == 5 else None)
        except EpisodeConflict:
            refused.append(i)

    async with anyio.create_task_group() as tasks:
        for i in range(40):
            tasks.start_soon(remember, i)
    assert sorted(refused) == [5, 15, 25, 35]
    assert await alice.episodes.count() == 1 + 36


async def test_one_id_remembered_by_many_tasks_at_once_is_stored_once(memory: Memory) -> None:
    alice = memory.user("alice")
    stored = []

    async def remember() -> None:
        stored.append(await alice.remember("hello", id="e"))

    async with anyio.create_task_group() as tasks:
        for _ in range(32):
            tasks.start_soon(remember)
    assert stored == [stored[0]] * 32
    assert await alice.episodes.count() == 1


def test_the_statement_for_one_is_that_for_many_without_arrays() -> None:
    for block in ("append", "seen", "seen_apart"):
        many = statements("episodes", schema="s", vector="v")[block]
        one = for_one(many)
        assert "[]" in many
        assert not re.search(r"\[\]|unnest|any\(", one)
        assert sorted(set(re.findall(r"\$\d+", one))) == sorted(set(re.findall(r"\$\d+", many)))


async def test_cancelled_writer_takes_nobody_with_it(memory: Memory) -> None:
    alice = memory.user("alice")

    async def give_up(i: int) -> None:
        with anyio.CancelScope() as scope:
            tasks.start_soon(stop, scope)
            await alice.remember(f"given up {i}", id=f"given up {i}")

    async def stop(scope: anyio.CancelScope) -> None:
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        for i in range(20):
            tasks.start_soon(alice.remember, f"kept {i}")
            tasks.start_soon(give_up, i)
    found = [each.input for each in await alice.episodes.list()]
    assert sorted(text for text in found if text.startswith("kept")) == sorted(f"kept {i}" for i in range(20))
    assert len(found) == len(set(found))
    assert memory.statistics().waiting == memory.statistics().leased == 0


async def test_no_text_of_a_user_stands_in_an_error_or_a_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary, embedder = "kanarienvogel", FaultyEmbedder()
    secret: dict[str, Any] = {
        "input": canary,
        "output": canary,
        "session_id": canary,
        "metadata": {canary: canary},
        "transcript": canary,
    }
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        await alice.remember(**secret, id="e")
        embedder.fault = "raises"
        await alice.remember(**{**secret, "input": f"{canary} again"})
        failing = (
            lambda: alice.remember(**{**secret, "input": f"{canary}!"}, id="e"),
            lambda: alice.recall(f"{canary}?", mode="semantic"),
        )
        for call in failing:
            with pytest.raises(RecollectError) as caught:
                await call()
            assert canary not in repr(caught.value.args)
            assert canary not in "".join(traceback.format_exception_only(caught.value))
    assert "embedder" in caplog.text
    assert canary not in caplog.text
