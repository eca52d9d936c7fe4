"""A reranker of the user's orders the best hits; whatever it does, there is an answer."""

import logging
from collections.abc import Sequence

import anyio
import pytest

from recollect import Limits, open_memory

TEXTS = ("one cat", "two cats and a cat", "cat, cat and cat: three of them")


async def shortest_first(query: str, texts: Sequence[str]) -> list[float]:
    assert query == "cat"
    return [-len(text) for text in texts]


async def raises(query: str, texts: Sequence[str]) -> list[float]:
    raise RuntimeError("no such model")


async def hangs(query: str, texts: Sequence[str]) -> list[float]:
    await anyio.sleep_forever()
    raise AssertionError


async def too_few(query: str, texts: Sequence[str]) -> list[float]:
    return [1.0]


async def not_a_number(query: str, texts: Sequence[str]) -> list[float]:
    return [float("nan")] * len(texts)


async def recalled(reranker, *, limit: int = 3, reranked: int = 50) -> list[str]:
    async with open_memory(reranker=reranker, deadline=2.0, limits=Limits(reranked=reranked)) as memory:
        alice = memory.user("alice")
        for text in TEXTS:
            await alice.remember(text)
        return [hit.episode.input for hit in await alice.recall("cat", limit=limit)]


async def test_hits_come_in_the_order_of_the_scores() -> None:
    assert await recalled(shortest_first) == sorted(TEXTS, key=len)


async def test_the_best_by_score_is_found_below_the_limit() -> None:
    own = await recalled(None)
    assert own != sorted(TEXTS, key=len)
    assert await recalled(shortest_first, limit=1) == [min(TEXTS, key=len)]


async def test_only_the_first_hits_are_reranked() -> None:
    own = await recalled(None)
    assert await recalled(shortest_first, limit=1, reranked=1) == own[:1]


async def test_the_score_of_a_hit_is_that_of_the_reranker() -> None:
    async with open_memory(reranker=shortest_first) as memory:
        await memory.user("alice").remember("one cat")
        (hit,) = await memory.user("alice").recall("cat")
    assert hit.score == hit.signals.rerank == -7.0


@pytest.mark.parametrize("reranker", [raises, hangs, too_few, not_a_number])
async def test_a_bad_reranker_costs_the_order_but_not_the_answer(
    reranker, caplog: pytest.LogCaptureFixture
) -> None:
    own = await recalled(None)
    with caplog.at_level(logging.WARNING, "recollect"):
        assert await recalled(reranker) == own
    assert len(caplog.records) == 1
    assert "no such model" not in caplog.text
