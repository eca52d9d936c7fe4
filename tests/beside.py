"""Connections beside those under test, from any event loop, and schemas that are dropped in the end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
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


@contextmanager
def made_schema(dsn: str, make: Callable[..., Awaitable[Any]] | None = None, **options: Any) -> Iterator[str]:
    """Own a name for a schema for the length of the block.

    Args:
        make: is called with the server, the name as `schema`, and the options.
    """
    name = f"test_{uuid4().hex[:16]}"
    if make is not None:
        anyio.run(partial(make, dsn, schema=name, **options))
    yield name
    anyio.run(execute, dsn, f"drop schema if exists {name} cascade")
