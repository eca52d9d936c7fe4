"""The same in process, on every event loop: nothing there waits for a server, but every call suspends."""

import anyio
import pytest

from recollect import EpisodeDraft, open_memory
from recollect.testing import HashEmbedder

from .interruption import HANGS, cancelled_by_a_scope

CALLS = {
    "remember": lambda alice, at: alice.remember_many(
        [EpisodeDraft(text, id=f"{text}{at}") for text in "abc"]
    ),
    "recall": lambda alice, at: alice.recall(f"what of {at}?", neighbours=1),
    "messages": lambda alice, at: alice.messages(),
    "list": lambda alice, at: alice.episodes.list(),
    "count": lambda alice, at: alice.episodes.count(),
    "embed_pending": lambda alice, at: alice.episodes.embed_pending(limit=1),
}


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
