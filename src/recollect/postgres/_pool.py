from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import anyio
import asyncpg
from anyio.lowlevel import checkpoint_if_cancelled
from asyncpg.pool import PoolConnectionProxy

from .._loop import read_in_pieces
from .._retry import retrying
from ..errors import ConfigurationError, SchemaError
from ..types import Health
from ._errors import BROKEN, translated

T = TypeVar("T")

BEGIN = """
begin isolation level read committed;
set local idle_in_transaction_session_timeout = '10s';
"""
"""A process that is stopped in the middle must not hold a tenant's clock row for ever."""

BY_KEY = """
set local plan_cache_mode = force_generic_plan;
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local jit = off;
"""
"""For statements that look rows up by key: planning one each time would take longer than running it.

Before 18 the server takes for very dear whatever is ruled out and done all the same. It would compile that
each time, for half a second.
"""

DISCARD = "discard plans;"

GRACE = 0.3
"""Seconds a finaliser (rollback, release, close) may outlive a cancellation; then the connection is cut."""

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:  # generic in the stubs only
    Pool, Connection = asyncpg.Pool, PoolConnectionProxy


class Postgres:
    """A pool whose statements and transactions leave nothing behind a cancellation.

    Args:
        pool: borrowed.
        binary: whether its connections take vectors in pgvector's own format.

    Attributes:
        replicated: whether a replica answers some reads.
    """

    replicated = False

    def __init__(self, pool: Pool, *, binary: bool = False) -> None:
        self._pool = pool
        self._uses: dict[int, int] = {}  # transactions by key of each connection
        self.binary = binary

    @property
    def connections(self) -> int:
        """How many there may be at once."""
        return self._pool.get_max_size()

    async def fetch(self, sql: str, *args: object) -> Sequence[asyncpg.Record]:
        """Run one idempotent statement as a transaction of its own, again if that may help."""

        async def once() -> Sequence[asyncpg.Record]:
            async with self._connection() as conn:
                attempt.sent = True
                rows: Sequence[asyncpg.Record] = await conn.fetch(sql, *args)
                return rows

        with translated() as attempt:
            return await retrying(once, retryable=attempt.is_retryable)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """Like `fetch`, for the first row."""
        rows = await self.fetch(sql, *args)
        return rows[0] if rows else None

    # What a replica takes part in, where there is one.

    async def read(self, sql: str, tenant: str, *args: object) -> Sequence[asyncpg.Record]:
        """Like `fetch`, for a statement about the tenant `$1` that a replica may answer as well."""
        return await self.fetch(sql, tenant, *args)

    async def readrow(self, sql: str, tenant: str, *args: object) -> asyncpg.Record | None:
        """Like `read`, for the first row."""
        rows = await self.read(sql, tenant, *args)
        return rows[0] if rows else None

    def saw(self, tenant: str, *, tx: int = 0, generation: int = 0) -> None:
        """Have no replica answer that is behind what was stored, read or forgotten here."""

    async def advance(self, tenant: str) -> None:
        """The same, after something that a tenant's clock does not tell: make it tell."""

    def leave_replica(self) -> None:
        """The same, after something that no tenant's clock tells: ask no replica from now on."""

    async def replica_health(self) -> Health | None:
        """Ask the replica whether it answers; None if there is none."""
        return None

    async def transaction(self, work: Callable[[Connection], Awaitable[T]], *, settings: str = "") -> T:
        """Run idempotent `work` in one READ COMMITTED transaction, again if that may help.

        Work can be cancelled, and is rolled back then. A commit that is cancelled may have happened.

        Args:
            settings: of the transaction, as statements that begin with `set local`.
        """

        async def once() -> T:
            async with self._connection() as conn:
                await conn.execute((self._renewed(conn) if settings == BY_KEY else "") + BEGIN + settings)
                result = await work(conn)
                attempt.sent = True
                await conn.execute("commit")
                return result

        with translated() as attempt:
            return await retrying(once, retryable=attempt.is_retryable)

    def _renewed(self, conn: Connection) -> str:
        """Return what makes plans anew for the sizes that tables have now, if many uses ago they were others.

        While a table is empty, any index looks as good as another.
        """
        if len(self._uses) > 10 * self.connections:  # most of these connections are gone
            self._uses.clear()
        pid = conn.get_server_pid()
        uses = self._uses[pid] = self._uses.get(pid, 0) + 1
        return DISCARD if uses & (uses - 1) == 0 else ""  # twice as many as when they were made

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection]:
        await checkpoint_if_cancelled()  # a free connection is handed out without a pause
        try:
            conn = await self._pool.acquire()
        except ValueError:  # the driver reads the DSN when it connects for the first time
            msg = "the PostgreSQL DSN cannot be read; it looks like postgresql://user:password@host:5432/database"
            raise ConfigurationError(msg) from None
        finished = False
        try:
            yield conn
            finished = True
        finally:
            # One grace for both: to undo what is open, and to wait for what was cancelled.
            # What fails on a dead connection must not replace the error that came first.
            with anyio.move_on_after(GRACE, shield=True) as grace, suppress(*BROKEN):
                if not finished:
                    await _undo(conn)
                await self._pool.release(conn, timeout=GRACE)
            if grace.cancelled_caught:
                with suppress(asyncpg.InterfaceError):  # released at the last moment after all
                    conn.terminate()


async def _undo(conn: Connection) -> None:
    """End whatever transaction is open; a connection that cannot do that is of no use to anybody."""
    # Cut off after it was parsed, a statement leaves a transaction open that the driver knows nothing of;
    # any other statement ends it.
    try:
        await conn.execute("rollback" if conn.is_in_transaction() else "select 1")
    except BROKEN:
        conn.terminate()


def _as_it_is(value: bytes) -> bytes:
    return value


async def _keep_session(conn: object) -> None:
    """Replace the driver's reset: we leave no session state, so a release needs no round trip."""


@asynccontextmanager
async def open_pool(dsn: str, *, max_size: int = 16, vector: str | None = None) -> AsyncGenerator[Pool]:
    """Own a pool for the length of the block. It connects when it is used.

    Args:
        vector: the schema of pgvector, to send vectors in its own format.

    Raises:
        ConfigurationError: not on asyncio.
    """

    async def prepare(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        read_in_pieces(getattr(conn, "_transport", None))
        if vector is None:
            return
        try:
            await conn.set_type_codec(
                "vector", schema=vector, encoder=_as_it_is, decoder=_as_it_is, format="binary"
            )
        except ValueError:  # the driver's, for a type that it does not find
            msg = f"pgvector is gone from schema {vector!r}; run `recollect db migrate`, and open it anew"
            raise SchemaError(msg) from None
        except BaseException:
            conn.terminate()  # the driver would take leave of a server that may never answer
            raise

    # min_size and lifetime 0: no connection is opened, and none closed, behind a caller's back.
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        max_inactive_connection_lifetime=0,
        reset=_keep_session,
        init=prepare,
    )
    await pool
    try:
        yield pool
    finally:
        with anyio.move_on_after(GRACE, shield=True) as grace:
            await pool.close()
        if grace.cancelled_caught:
            pool.terminate()
