"""What is exported and restored is what it was, from any composition of stores into any other one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest

from recollect import Memory, open_memory
from recollect.testing import Clock, HashEmbedder

from .conftest import Connect
from .transferring import PREDICATES, fill, observed


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


WORKING = ("inprocess", "redis")
"""Where working memory is."""


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
