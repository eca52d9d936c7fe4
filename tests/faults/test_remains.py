"""After the block nothing of a memory is there: no task, thread, socket or file, however it was left."""

import os
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from recollect import Memory, open_memory
from recollect._transfer import spooling
from recollect.testing import HashEmbedder
from recollect.user import transferring

from ..extraction import FunctionExtractor, words
from .interruption import HANGS, running_tasks, until

POOLS = ("AnyIO worker thread", "asyncio_", "Trio thread")
"""Threads that are the event loop's own."""

ENDS = ("left", "raised", "cancelled", "closed")

PARTS: dict[str, Any] = {
    "embedder": HashEmbedder(), "extractor": FunctionExtractor(words), "deadline": 60.0,
}  # fmt: skip


def open_files() -> set[str]:
    """Return what the descriptors of this process stand for that are no devices and no pipes."""
    found: set[str] = set()
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("/") and not name.startswith(("/dev/", "/proc/"))}


def there_is() -> tuple[set[int], list[str], int, set[str]]:
    """Return tasks, threads, the number of sockets, and files."""
    threads = [each.name for each in threading.enumerate() if not each.name.startswith(POOLS)]
    sockets = len(psutil.Process().net_connections(kind="all"))
    return {id(task) for task in running_tasks()}, sorted(threads), sockets, open_files()


async def with_a_pause(lines: list[str], reached: anyio.Event, *, ends: bool) -> AsyncIterator[str]:
    for line in lines[:-1]:
        yield line
    reached.set()
    if not ends:
        await anyio.sleep_forever()
    yield lines[-1]


async def use(memory: Memory, reached: anyio.Event, *, ends: bool) -> None:
    """Do what needs connections, other threads and a file; then finish, or stay in the middle of it."""
    alice, bob = memory.user("alice"), memory.user("bob")
    for i in range(8):
        await alice.remember(f"turn {i} of the talk", session_id="s")
        await alice.blocks.append("persona", "text")
    async with anyio.create_task_group() as tasks:
        for i in range(8):
            tasks.start_soon(alice.recall, f"turn {i}")
            tasks.start_soon(alice.scratchpad.append, f"note {i}")
        tasks.start_soon(alice.consolidate)
    await alice.context("talk")
    lines = [line async for line in alice.export_lines()]
    await bob.restore_lines(with_a_pause(lines, reached, ends=ends))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are made by those who do not say where; a restoration soon needs one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(transferring, "IN_MEMORY", 1)
    monkeypatch.setattr(spooling, "CHUNK", 256)
    return tmp_path


async def check_that_nothing_remains(place: Path, end: str, **options: Any) -> None:
    before, during = there_is(), None
    reached = anyio.Event()
    with anyio.fail_after(HANGS), anyio.CancelScope() as scope, suppress(LookupError, ExceptionGroup):
        async with (
            open_memory(**PARTS, **options) as memory,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(lambda: use(memory, reached, ends=end == "left"))
            await reached.wait()
            during = there_is()
            if end == "cancelled":
                scope.cancel()
            if end == "raised":
                raise LookupError
            if end == "closed":
                memory.close()
                tasks.cancel_scope.cancel()
    assert during is not None
    assert during != before, "there was nothing that could remain"
    assert during[3] > before[3], "no file was opened"
    await until(lambda: there_is() == before, f"stayed behind, of {there_is()}")
    assert os.listdir(place) == []  # noqa: PTH208


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_remains_of_a_memory_in_process(place: Path, end: str) -> None:
    await check_that_nothing_remains(place, end)


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_remains_of_a_memory_on_servers(
    place: Path, end: str, namespace: str, postgres_dsn: str, shared_schema: str, redis_url: str
) -> None:
    await check_that_nothing_remains(
        place, end, postgres=postgres_dsn, schema=shared_schema, redis=redis_url, namespace=namespace
    )
