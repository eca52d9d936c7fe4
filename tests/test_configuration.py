"""What cannot work is refused when a memory is made, not by its first call."""

from datetime import datetime
from typing import Any

import pytest

from recollect import ConfigurationError, InvalidInput, Limits, RecallWeights, open_memory
from recollect._cursor import sealed


@pytest.mark.parametrize(
    "options",
    [
        {"deadline": "5"},
        {"deadline": 0},
        {"deadline": -1.0},
        {"deadline": float("nan")},
        {"deadline": True},
        {"limits": {}},
        {"weights": "heavy"},
        {"clock": 5},
        {"reranker": 5},
        {"embedder": "openai"},
        {"language": "klingon"},
        {"on_embedding_mismatch": "hope"},
        {"migrate": "perhaps"},
    ],
    ids=str,
)
async def test_an_impossible_part_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        async with open_memory(**options):
            pytest.fail("it was opened")


@pytest.mark.parametrize("value", ["1", -1.0, float("inf"), float("nan"), True])
def test_an_impossible_weight_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="semantic"):
        RecallWeights(semantic=value)


@pytest.mark.parametrize("value", ["1", 0, -1, True, float("nan")])
def test_an_impossible_limit_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_users"):
        Limits(max_users=value)


async def test_a_clock_must_be_aware() -> None:
    async with open_memory(clock=lambda: datetime(2026, 5, 1)) as memory:  # noqa: DTZ001
        with pytest.raises(ConfigurationError, match="naive"):
            await memory.user("alice").remember("hello")
        assert await memory.user("alice").episodes.count() == 0


@pytest.mark.parametrize("position", [-1, 2**63])
async def test_a_well_sealed_cursor_that_leads_nowhere_is_refused(position: int) -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        await alice.remember("hello")
        forged = sealed(position, "sessions", "default/alice")
        with pytest.raises(InvalidInput, match="cursor"):
            await alice.episodes.sessions(cursor=forged)


async def test_json_that_shares_its_parts_is_measured_as_it_would_be_written() -> None:
    shared: list[Any] = []
    for _ in range(30):
        shared = [shared, shared]
    async with open_memory() as memory:
        with pytest.raises(InvalidInput, match="metadata"):
            await memory.user("alice").remember("hello", metadata={"a": shared})


async def test_a_filter_is_bounded() -> None:
    async with open_memory() as memory:
        alice = memory.user("alice")
        for where in ({f"k{i}": i for i in range(40)}, {"k": "x" * 10_000}):
            with pytest.raises(InvalidInput, match="where"):
                await alice.recall("hello", where=where)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("name", ["postgres", "redis"])
async def test_what_is_no_server_is_refused_in_words(name: str) -> None:
    given: Any = {name: 5432}
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        async with open_memory(**given):
            raise AssertionError("it was opened")
