from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import pytest

from ..beside import in_transaction


def with_option(dsn: str, option: str) -> str:
    return f"{dsn}{'&' if '?' in dsn else '?'}{option}"


@pytest.fixture
def application() -> str:
    """A name under which the server lists the connections of this test."""
    return f"test {uuid4()}"


@pytest.fixture
def namespace() -> str:
    """One of the test's own."""
    return str(uuid4())


@pytest.fixture
def named_dsn(postgres_dsn: str, application: str) -> str:
    return with_option(postgres_dsn, f"application_name={application}")


Locked = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def locked(anyio_backend: object, postgres_dsn: str, shared_schema: str) -> Locked:
    """Hold the table of episodes, so that whoever needs it waits."""

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        # Not by `watch`: within a transaction it would see the other sessions as they were at its start.
        async with in_transaction(postgres_dsn) as connection:
            await connection.execute(f"lock table {shared_schema}.episode in access exclusive mode")
            yield

    return locked
