"""The same in process, on every event loop: nothing there waits for a server, but every call suspends."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import pytest

from recollect import EpisodeDraft, FactDraft, UserMemory, open_memory
from recollect.testing import HashEmbedder

from .interruption import HANGS, cancelled_by_a_scope

CALLS = {
    "remember": lambda alice, at: alice.remember_many(
        [EpisodeDraft(text, id=f"{text}{at}") for text in "abc"]
    ),
    "recall": lambda alice, at: alice.recall(f"what of {at}?", neighbours=1),
    "messages": lambda alice, at: alice.messages(),
    "context": lambda alice, at: alice.context(f"what of {at}?"),
    "profile": lambda alice, at: alice.profile(),
    "list": lambda alice, at: alice.episodes.list(),
    "count": lambda alice, at: alice.episodes.count(),
    "embed_pending": lambda alice, at: alice.episodes.embed_pending(limit=1),
    "recall_facts": lambda alice, at: alice.recall_facts(f"what of {at}?"),
}


async def _transaction(alice: UserMemory, at: int) -> None:
    async with alice.facts.transaction() as tx:
        for i in range(3):
            tx.add(f"subject {at}", "likes", i)


FACTS: dict[str, Callable[[UserMemory, int], Coroutine[Any, Any, object]]] = {
    "add": lambda alice, at: alice.facts.add_many([FactDraft(f"subject {at}", "likes", i) for i in range(3)]),
    "update": lambda alice, at: alice.facts.update("f", {"a": at}),
    "correct": lambda alice, at: alice.facts.correct("f", object={"a": at}),
    "end": lambda alice, at: alice.facts.end("alice", "likes"),
    "deny": lambda alice, at: alice.facts.deny("bob", "likes", "tea", valid_from=START, valid_to=None),
    "retract": lambda alice, at: alice.facts.retract("f"),
    "transaction": _transaction,
    "promote": lambda alice, at: alice.facts.promote_session("s", select=lambda fact: True),
    "discard": lambda alice, at: alice.facts.discard_session("s"),
    "rollback": lambda alice, at: alice.facts.rollback("s", steps=2),
    "get": lambda alice, at: alice.facts.get("f"),
    "count": lambda alice, at: alice.facts.count(),
    "find": lambda alice, at: alice.facts.find(known_at=START),
    "related": lambda alice, at: alice.facts.related("alice"),
    "timeline": lambda alice, at: alice.facts.timeline("alice", "likes", known_at=START),
    "history": lambda alice, at: alice.facts.history("alice", "likes"),
    "diff": lambda alice, at: alice.facts.diff(0, 3),
    "changes": lambda alice, at: alice.facts.changes(),
    "journal": lambda alice, at: alice.facts.journal(),
    "why": lambda alice, at: alice.facts.why("f"),
    "embed_pending": lambda alice, at: alice.facts.embed_pending(limit=1),
}
START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", CALLS)
async def test_call_cancelled_at_any_suspension_leaves_nothing_behind(name: str) -> None:
    async with open_memory(embedder=HashEmbedder()) as memory:
        alice = memory.user("alice")
        await alice.remember_many([EpisodeDraft(f"turn {i}") for i in range(9)], embed="later")
        at, interrupted = 0, True
        while interrupted:
            at += 1
            with anyio.fail_after(HANGS):
                interrupted = await cancelled_by_a_scope(lambda at=at: CALLS[name](alice, at), at)
            statistics = memory.statistics()
            assert (statistics.leased, statistics.waiting) == (0, 0)
            assert await alice.episodes.count() % 3 == 0, "a part of a write was stored"
        assert at >= 2, "the call was not interrupted"
        assert (await alice.remember("the next one")).embedding_state == "ready"


@pytest.mark.parametrize("name", FACTS)
async def test_call_of_facts_cancelled_at_any_suspension_leaves_nothing_behind(name: str) -> None:
    at, interrupted, times = 0, True, 0
    while interrupted:
        at += 1
        async with open_memory(embedder=HashEmbedder()) as memory:
            alice = memory.user("alice")
            episode = await alice.remember("hello")
            session = memory.user("alice", session_id="s")
            # In threes: what an interrupted call has done in parts would show.
            await alice.facts.add_many([FactDraft("alice", "likes", i) for i in range(3)])
            await session.facts.add_many([FactDraft("x", "y", {"a": 1}, id=id, staged=True) for id in "de"])
            await alice.facts.add("x", "y", {"a": 0}, id="f", source=episode)
            before = (await alice.facts.changes(limit=1_000)).items
            with anyio.fail_after(HANGS):
                call = partial(FACTS[name], alice, at)
                interrupted = await cancelled_by_a_scope(call, at)
            times += interrupted
            statistics = memory.statistics()
            assert (statistics.leased, statistics.waiting) == (0, 0)
            assert memory._composition.fact_writes == {}
            new = (await alice.facts.changes(limit=1_000)).items[len(before) :]
            whole = {"add": 3, "transaction": 3, "end": 3, "correct": 2, "update": 2, "promote": 1}
            assert len(new) in (0, whole.get(name, 1)), "a part of a write was stored"
            assert len({each.tx for each in new}) <= 1
            assert (await alice.facts.add("the next", "one", at)).changed
            assert (await alice.recall_facts("the next one"))[0].signals.semantic is not None
    assert times >= 1, "the call was not interrupted"
