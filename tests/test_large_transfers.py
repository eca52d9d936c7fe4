"""A large tenant goes through line by line: in bounded memory, and without holding up the loop."""

import gc
import tracemalloc

import anyio
from anyio.lowlevel import checkpoint

from recollect import EpisodeDraft, FactDraft, Memory

from .conftest import Connect

EPISODES = 20_000
PAGE = 1_000_000
"""Bytes that a page takes as Python objects, and more."""


async def fill(memory: Memory) -> None:
    user = memory.user("large")
    for start in range(0, EPISODES, 500):
        drafts = [EpisodeDraft(f"episode {i} " + "word " * 40, id=f"e{i}") for i in range(start, start + 500)]
        await user.remember_many(drafts, embed="later")
    for start in range(0, 2_000, 500):
        await user.facts.add_many(
            [FactDraft(f"s{i}", "likes", f"o{i}", sources=(f"e{i}",)) for i in range(start, start + 500)]
        )


async def test_a_large_tenant_streams_in_bounded_memory(connect: Connect) -> None:
    async with connect(embedder=None) as memory:
        await fill(memory)
        size = count = 0
        gc.collect()
        tracemalloc.start()
        try:
            async for line in memory.user("large").export_lines():
                size, count = size + len(line), count + 1
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert count > EPISODES
        assert peak < 4 * PAGE < size / 2


async def test_while_a_large_tenant_is_restored_others_have_their_turns(connect: Connect) -> None:
    async with connect(embedder=None) as memory:
        await fill(memory)
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                await checkpoint()
                turns += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take_turns)
            await memory.user("copy").restore_lines(memory.user("large").export_lines())
            tasks.cancel_scope.cancel()
        assert turns > EPISODES
        assert await memory.user("copy").episodes.count() == EPISODES
        assert await memory.user("copy").facts.count() == 2_000
