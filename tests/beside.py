"""Connections beside those under test, from any event loop."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import asyncpg

from recollect._bridge import driven, front_of


def connected(dsn: str) -> AbstractAsyncContextManager[asyncpg.Connection]:
    """Own a connection for the length of the block."""
    return driven(partial(_connected, dsn), front_of)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(dsn: str, sql: str, *values: object) -> str:
    """Run a statement, or several without values; return what it says of what it did."""
    async with connected(dsn) as connection:
        return await connection.execute(sql, *values)


@asynccontextmanager
async def in_transaction(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Own a connection with a transaction, which is committed."""
    async with connected(dsn) as connection:
        await connection.execute("begin")
        yield connection
        await connection.execute("commit")
