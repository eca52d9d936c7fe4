"""Memories on a Redis that comes and goes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from recollect import Memory, StoreUnavailable, UserMemory, WorkingStatus, open_memory

from ..redis_servers import RedisServer
from .interruption import HANGS

Start = Callable[..., RedisServer]

PASSWORD = "secretword"
TEXT = "kanarienvogel"
KEY = "kanarienkey"

DEADLINE = 3.0
"""Seconds, where the server is silent: a third of it is waited for. Else a busy machine is no outage."""

THERE = WorkingStatus(source="redis")


@asynccontextmanager
async def opened(server: RedisServer | str, namespace: str, **options: Any) -> AsyncIterator[Memory]:
    url = server if isinstance(server, str) else server.url
    given: dict[str, Any] = {"redis": url, "namespace": namespace, "deadline": 60.0}
    with anyio.fail_after(HANGS * 3):
        async with open_memory(**{**given, **options}) as memory:
            yield memory


async def texts(user: UserMemory) -> list[str]:
    return [block.text for block in await user.blocks.list()]


async def write_elsewhere(server: RedisServer, namespace: str, *names: str) -> None:
    """Have another process write to tenants that this one then has never seen."""
    async with opened(server, namespace) as memory:
        for name in names:
            await memory.user(name).blocks.set("plan", f"plan of {name}")


async def heal(user: UserMemory) -> None:
    """Call until the server is used again, and has all."""
    while user.working.status != THERE:
        await anyio.sleep(0.02)
        with suppress(StoreUnavailable):
            await user.blocks.list()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what we have logged, which tells no secret."""
    found = [record for record in caplog.records if record.name.startswith("recollect")]
    told = "".join(f"{record.getMessage()} {record.args} {record.exc_text}" for record in found)
    assert not any(secret in told for secret in (PASSWORD, TEXT, KEY))
    return [record.getMessage() for record in found]
