"""The published checks of an archive, over tables that are cut into partitions."""

from collections.abc import AsyncIterator

import anyio
import pytest

from recollect.postgres import PostgresArchive, open_postgres
from recollect.postgres.upkeep import migrate_schema
from recollect.testing import (
    CLOCK_CHECKS,
    DIRECTORY_CHECKS,
    EMBEDDER_CHECKS,
    EPISODE_CHECKS,
    FACT_CHECKS,
    TRANSFER_CHECKS,
    Check,
    Clock,
    ClockCheck,
)

HANGS = 60

pytestmark = [pytest.mark.asyncio_only, pytest.mark.one_loop]


@pytest.fixture
async def archive(
    anyio_backend: object, postgres_dsn: str, partitioned_schema: str, clock: Clock
) -> AsyncIterator[PostgresArchive]:
    async with open_postgres(postgres_dsn, schema=partitioned_schema, clock=clock) as opened:
        yield opened


@pytest.mark.parametrize(
    "check",
    [*EPISODE_CHECKS, *DIRECTORY_CHECKS, *FACT_CHECKS, *TRANSFER_CHECKS],
    ids=lambda check: check.__name__,
)
async def test_partitions(check: Check, archive: PostgresArchive) -> None:
    with anyio.fail_after(HANGS):
        await check(archive)


@pytest.mark.parametrize("check", CLOCK_CHECKS, ids=lambda check: check.__name__)
async def test_clock_of_partitions(check: ClockCheck, archive: PostgresArchive, clock: Clock) -> None:
    with anyio.fail_after(HANGS):
        await check(archive, clock)


@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=lambda check: check.__name__)
async def test_embedder_of_partitions(check: Check, postgres_dsn: str, schema: str) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=2)
    async with open_postgres(postgres_dsn, schema=schema) as unused:
        with anyio.fail_after(HANGS):
            await check(unused)
