"""A proxy before PostgreSQL or Redis that can lose replies and fall silent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from ssl import SSLContext
from urllib.parse import parse_qs, urlsplit

from recollect._bridge import open_bridge


class Proxy:
    """Forwards bytes between 127.0.0.1 and a server.

    Attributes:
        loses: asked before each piece of a reply: whether to cut the connection instead of passing it on.
        cuts: how many connections it has cut.
    """

    def __init__(self, dsn: str) -> None:
        self._upstream = urlsplit(dsn)
        self.loses: Callable[[], bool] = lambda: False
        self.cuts = 0
        self._loop = asyncio.get_running_loop()
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.port = 0

    @property
    def dsn(self) -> str:
        """The address of the server, but through here."""
        user = self._upstream.username or ("" if self._is_redis else "postgres")
        password = f":{self._upstream.password}" if self._upstream.password else ""
        address = f"{user}{password}{'@' if user or password else ''}127.0.0.1:{self.port}"
        options = "" if self._is_redis else "?sslmode=disable"
        return f"{self._upstream.scheme}://{address}{self._upstream.path}{options}"

    @property
    def _is_redis(self) -> bool:
        return self._upstream.scheme == "redis"

    def silence(self) -> None:
        """Accept whatever comes, and pass nothing on, in either direction."""
        self._speaks.clear()

    def speak(self) -> None:
        self._loop.call_soon_threadsafe(self._speaks.set)

    async def close(self) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _turns()  # what was aborted is closed by the event loop, and so is what came at the last moment

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        streams = [writer]
        try:
            with suppress(asyncio.CancelledError):  # by `close`
                upstream, server = await self._connected()
                streams.append(server)
                async with asyncio.TaskGroup() as group:
                    requests = group.create_task(self._pass_on(reader, server, reply=False))
                    await self._pass_on(upstream, writer, reply=True)
                    requests.cancel()
        finally:
            for stream in streams:
                stream.transport.abort()
            self._tasks.discard(task)

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, reply: bool
    ) -> None:
        with suppress(OSError):
            while piece := await source.read(65_536):
                await self._speaks.wait()
                if reply and self.loses():
                    self.cuts += 1
                    return
                target.write(piece)
                await target.drain()
        if not reply:
            target.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        directory = parse_qs(self._upstream.query).get("host", [""])[0]
        port = self._upstream.port or (6379 if self._is_redis else 5432)
        if directory.startswith("/"):
            return await asyncio.open_unix_connection(f"{directory}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._upstream.hostname or directory or "localhost", port)


@asynccontextmanager
async def open_proxy(dsn: str, *, tls: SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Own a proxy, which runs in a thread of its own, for the length of the block.

    Args:
        tls: how it is spoken to; to the server it speaks plainly.
    """
    async with open_bridge() as bridge, bridge.holding(partial(_opened, dsn, tls)) as proxy:
        yield proxy


@asynccontextmanager
async def _opened(dsn: str, tls: SSLContext | None) -> AsyncIterator[Proxy]:
    proxy = Proxy(dsn)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        # A server that is closed in the middle of accepting a connection leaves that open: first nobody is
        # accepted any more.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        await _turns()
        server.close()
        await proxy.close()
        await server.wait_closed()


async def _turns() -> None:
    """Let the event loop do what it has begun."""
    for _ in range(10):
        await asyncio.sleep(0)
