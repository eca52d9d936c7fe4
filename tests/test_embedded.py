"""The embedded server: started and stopped as a whole, whoever cancels meanwhile."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recollect import ConfigurationError, StoreUnavailable
from recollect.postgres import open_embedded

pytestmark = pytest.mark.usefixtures("postgres_dsn")


@pytest.fixture
def data() -> Iterator[Path]:
    """Not under pytest's own directory: when root, the server runs as another user."""
    with tempfile.TemporaryDirectory(prefix="recollect-tests-", ignore_cleanup_errors=True) as directory:
        yield Path(directory) / "data"


def is_running(data: Path) -> bool:
    return (data / "postmaster.pid").exists()


def files_in(data: Path) -> list[str]:
    return [entry.name for entry in data.iterdir()]


async def cancel_in_its_thread(task: "asyncio.Task[None]") -> None:
    """Cancel as the event loop does, which no shield holds off, while the server's thread is at work."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio_only
async def test_a_start_that_is_cancelled_leaves_no_server(data: Path, anyio_backend: object) -> None:
    async def use() -> None:
        async with open_embedded(str(data)):
            raise AssertionError

    await cancel_in_its_thread(asyncio.create_task(use()))
    assert (data / "PG_VERSION").exists()  # it was started, and waited for
    assert not is_running(data)


@pytest.mark.asyncio_only
async def test_a_stop_that_is_cancelled_is_waited_for(data: Path, anyio_backend: object) -> None:
    running = asyncio.Event()

    async def use() -> None:
        async with open_embedded(str(data)):
            assert is_running(data)
            running.set()

    task = asyncio.create_task(use())
    await running.wait()
    await cancel_in_its_thread(task)
    assert not is_running(data)


@pytest.fixture
def taken(data: Path) -> Path:
    data.mkdir()
    (data / "file").write_text("mine", encoding="utf-8")
    return data


@pytest.mark.parametrize("path", ["", " ", "{taken}", "{taken}/file/deeper"])
async def test_a_place_that_cannot_be_its_own_is_refused(
    taken: Path, anyio_backend: object, path: str
) -> None:
    with pytest.raises(ConfigurationError):
        async with open_embedded(path.format(taken=taken)):
            raise AssertionError
    assert files_in(taken) == ["file"]


async def test_a_server_that_does_not_start_says_where_its_log_is(data: Path, anyio_backend: object) -> None:
    async with open_embedded(str(data)):
        pass
    (data / "postgresql.conf").write_text("nonsense = 1", encoding="utf-8")
    with pytest.raises(StoreUnavailable, match=str(data / "log")):
        async with open_embedded(str(data)):
            raise AssertionError
