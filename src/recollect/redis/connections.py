"""One command over one connection, so that whatever ends it, no reply reaches anybody else."""

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self, cast

import anyio
from redis import exceptions as driver
from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.client import NEVER_DECODE

from .._loop import read_in_pieces
from ..errors import Overloaded
from ._errors import FAILURES, Broken, answered
from .encoding import packed

GRACE = 0.3
"""Seconds a finaliser may outlive a cancellation."""


class Server(Protocol):
    """What commands are sent to."""

    def name(self, key: bytes) -> Hashable:
        """Return which of its machines a key is on, as far as is known without asking."""
        ...

    async def ask(self, key: bytes, *command: bytes, fresh: bool = False) -> Any:
        """Send a command, and return its reply, with text as bytes.

        Args:
            key: that the command is about, if any.
            fresh: over a connection that is made for it: others may have died.

        Raises:
            Broken: nobody answered.
            NoScriptError: as the driver has it.
            Away, ConfigurationError: the server said no; nothing was done.
            Overloaded: all connections are in use, and stay so.
        """
        ...

    async def close(self) -> None: ...


class Pool(Protocol):
    async def take(self, *, fresh: bool) -> AbstractConnection:
        """Return a connection that is there. Cancelled, it keeps none."""
        ...

    async def give(self, connection: AbstractConnection, *, clean: bool) -> None:
        """Take a connection back.

        Args:
            clean: whether there is no reply on its way.
        """
        ...

    async def close(self) -> None: ...


class OwnPool(Pool):
    """Connections that nobody else uses; whoever takes one is counted elsewhere."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._idle: list[AbstractConnection] = []
        self._closed = False

    async def take(self, *, fresh: bool) -> AbstractConnection:
        connection = self._idle.pop() if self._idle else self._made()
        try:
            if connection.is_connected and (fresh or await connection.can_read()):
                # There is nothing to be read but the end of it.
                await _cut(connection)
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]
                read_in_pieces(getattr(connection._writer, "transport", None))
        except BaseException:
            # Cut off in the middle of a handshake, it must not be taken for one that is ready.
            await _cut(connection)
            raise
        return connection

    def _made(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def give(self, connection: AbstractConnection, *, clean: bool) -> None:
        if clean and not self._closed:
            self._idle.append(connection)
        else:
            await _cut(connection)

    async def close(self) -> None:
        self._closed = True
        await _closed(self._idle)


class BorrowedPool(Pool):
    """The pool of a client of the caller's, who uses it as well."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def take(self, *, fresh: bool) -> AbstractConnection:
        connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        if fresh:
            try:
                await _cut(connection)
                await connection.connect()  # type: ignore[no-untyped-call]
            except BaseException:
                await self.give(connection, clean=False)
                raise
        return connection

    async def give(self, connection: AbstractConnection, *, clean: bool) -> None:
        if not clean:
            await _cut(connection)
        with anyio.move_on_after(GRACE, shield=True):
            await self._pool.release(connection)

    async def close(self) -> None:
        """Leave it to its owner."""


class Gate:
    """Bounds how many calls are under way, and how long each may take.

    Args:
        room: calls at a time.
        patience: seconds that others wait.
        operation: seconds that the server may take.
    """

    def __init__(self, *, room: int, patience: float, operation: float) -> None:
        self._room = anyio.Semaphore(room, fast_acquire=True)
        self._patience = patience
        self.operation = operation

    async def enter(self) -> "Attempt":
        if self._room.value:
            await self._room.acquire()
            return Attempt(self)
        with anyio.move_on_after(self._patience):
            await self._room.acquire()
            return Attempt(self)
        raise _overloaded()

    def leave(self) -> None:
        self._room.release()


class Attempt:
    """One command: a block that ends in time, and whose failures are told in our words.

    A time-out of ours is the server's fault; the caller's own deadline, or a cancellation, goes through.

    Attributes:
        sent: it may have arrived.
        waits_for_others: it has no connection, because all of the pool are in use.
    """

    __slots__ = ("_gate", "_scope", "sent", "waits_for_others")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._scope = anyio.CancelScope()
        self.sent = False
        self.waits_for_others = False

    def __enter__(self) -> Self:
        self._scope.deadline = anyio.current_time() + self._gate.operation
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._gate.leave()
        if self._scope.__exit__(kind, exc, traceback):
            raise _overloaded() if self.waits_for_others else Broken(sent=self.sent, silent=True)
        if not isinstance(exc, FAILURES) or isinstance(exc, driver.NoScriptError):
            return
        if _is_full(exc):
            raise _overloaded() from None
        error = answered(exc)
        if error is not None:
            raise error from None  # what was answered may quote what was sent
        raise Broken(sent=self.sent) from exc


class SingleServer(Server):
    """One Redis, or what stands for one.

    Args:
        pool: of its connections.
        is_full: whether others hold all of them.
    """

    def __init__(self, pool: Pool, gate: Gate, *, is_full: Callable[[], bool] = lambda: False) -> None:
        self._pool = pool
        self._gate = gate
        self._is_full = is_full

    def name(self, key: bytes) -> Hashable:  # noqa: ARG002
        return "redis"

    async def ask(self, key: bytes, *command: bytes, fresh: bool = False) -> Any:  # noqa: ARG002
        with await self._gate.enter() as attempt:
            attempt.waits_for_others = self._is_full()
            connection = await self._pool.take(fresh=fresh)
            attempt.waits_for_others = False
            clean = False
            try:
                attempt.sent = True
                await connection.send_packed_command(packed(command))
                reply = cast("Any", await connection.read_response(disable_decoding=True))
                clean = True
            except driver.ResponseError:
                clean = True  # read to its end
                raise
            finally:
                await self._pool.give(connection, clean=clean)
            return reply
        raise AssertionError  # whatever ends the block otherwise, is raised there

    async def close(self) -> None:
        await self._pool.close()


class ClusterServer(Server):
    """A Redis Cluster. The driver knows where keys are, and follows them.

    Args:
        owned: whether to close it.
    """

    def __init__(self, client: RedisCluster, gate: Gate, *, owned: bool) -> None:
        self._client = client
        self._gate = gate
        self._owned = owned

    def name(self, key: bytes) -> Hashable:
        try:
            return str(self._client.get_node_from_key(key.decode()).name)  # type: ignore[union-attr]
        except (driver.RedisClusterException, AttributeError):  # nobody has been asked yet
            return "redis"

    async def ask(self, key: bytes, *command: bytes, fresh: bool = False) -> Any:  # noqa: ARG002
        with await self._gate.enter() as attempt:
            await self._client.initialize()
            node = self._client.get_node_from_key(key.decode())
            name, *arguments = command
            # With a node given, the driver follows a key that has moved, and repeats nothing.
            options: dict[str, Any] = {"target_nodes": node}
            if key:  # what is about no key, the driver reads in its own way
                options[NEVER_DECODE] = True
            attempt.sent = True
            try:
                return await self._client.execute_command(name.decode(), *arguments, **options)
            except driver.ConnectionError as exc:
                attempt.sent = "connecting to" not in str(exc)
                raise
            except AttributeError as exc:
                if exc.obj is not None or exc.name not in ("execute_command", "connection_kwargs"):
                    raise
                # The key is moving to a node that has no slot yet: of such a one the driver knows nothing.
                raise driver.TryAgainError from exc

    async def close(self) -> None:
        if not self._owned:
            return
        # Of nodes that it means to ask anew where keys are, the driver closes nothing.
        manager = self._client.nodes_manager
        nodes = (*manager.startup_nodes.values(), *manager.nodes_cache.values())
        try:
            await _closed({id(one): one for node in nodes for one in node._connections}.values())
        finally:
            await self._client.aclose()


async def _closed(connections: Iterable[AbstractConnection]) -> None:
    """Close connections, and wait for that as long as there is time: none is left open."""
    left = [(connection, connection._writer) for connection in connections]
    try:
        for connection, _ in left:
            with suppress(driver.TimeoutError):  # it may wait for less than we do
                await connection.disconnect()
    finally:
        for connection, writer in left:
            await _cut(connection, writer)


async def _cut(connection: AbstractConnection, writer: Any = None) -> None:
    """Close a connection without a word: over TLS the driver would wait for one from the other side.

    Args:
        writer: what the connection had before it began to close.
    """
    writer = writer or connection._writer
    if writer is not None:
        writer.transport.abort()
    await connection.disconnect(nowait=True)


def _is_full(exc: Exception) -> bool:
    """Whether the driver's own pool has no connection left, which it says in two ways."""
    if isinstance(exc, driver.MaxConnectionsError):
        return True
    return isinstance(exc, driver.ConnectionError) and str(exc) == "No connection available."


def _overloaded() -> Overloaded:
    return Overloaded("all connections to Redis are in use; try later, or open it with more `connections`")
