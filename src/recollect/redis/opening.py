from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

import anyio
from redis import exceptions as driver
from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from .._clock import Clock
from ..errors import ConfigurationError
from ..stores import Away
from ._errors import Broken, NotPermitted
from .connections import GRACE, BorrowedPool, ClusterServer, Gate, OwnPool, Server, SingleServer
from .keys import Keys
from .working import RedisWorking

Client: TypeAlias = Redis | RedisCluster

OPERATION = 5.0
"""Seconds that the server may take for one command, connecting included; at most a third of the deadline."""

SHORTEST = 0.25
"""Seconds that it may take even so: below that a loop that is busy looks like a server that is away."""

PATIENCE = 2.0
"""Seconds that a call waits for a connection, unless told otherwise."""

CLUSTER = ("redis+cluster", "rediss+cluster")
SCHEMES = ("redis", "rediss", "unix", *CLUSTER)
OLDEST = (6, 2)


@asynccontextmanager
async def open_redis(
    server: str | Client,
    *,
    session_ttl: float | None,
    deadline: float | None,
    clock: Clock | None = None,
    must_answer: bool = True,
    prefix: str = "recollect",
    connections: int = 32,
    patience: float | None = None,
) -> AsyncGenerator[RedisWorking]:
    """Own whatever is needed to reach working memory on `server`, for the length of the block, on asyncio.

    Args:
        server: "redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://", or a client of
            the caller's, which is not closed.
        session_ttl: seconds after which a scope with a session is dropped unless it is used; None for never.
        deadline: seconds that a call may take; a command may take a third of that, or 5 seconds, connecting
            included. What keeps the event loop busy for as long looks like a server that is away.
        clock: gives "now"; None for the server's own.
        must_answer: whether the server has to be there already.
        prefix: of all keys.
        connections: that are open at a time, at most.
        patience: seconds that a call waits for one of them; None for `PATIENCE`.

    Raises:
        ConfigurationError: wrong URL or password; a server older than 6.2.
        StoreUnavailable: the server did not answer, and had to.
    """
    operation = OPERATION if deadline is None else min(OPERATION, max(deadline / 3, SHORTEST))
    patience = PATIENCE if patience is None else patience
    there = _reached(server, connections=connections, patience=patience, operation=operation)
    try:
        await _greet(there, must_answer=must_answer)
        yield RedisWorking(there, keys=Keys(prefix), session_ttl=session_ttl, clock=clock)
    finally:
        with anyio.move_on_after(GRACE, shield=True):
            await there.close()


def _reached(server: str | Client, *, connections: int, patience: float, operation: float) -> Server:
    """Return the server, to which nothing is connected yet."""

    def gate(room: int) -> Gate:
        return Gate(room=room, patience=patience, operation=operation)

    if isinstance(server, RedisCluster):
        return ClusterServer(server, gate(connections), owned=False)
    if isinstance(server, Redis):
        pool = server.connection_pool
        room = min(connections, pool.max_connections)
        return SingleServer(BorrowedPool(pool), gate(room), is_full=lambda: not pool.can_get_connection())
    given = cast("object", server)
    if not isinstance(given, str):
        msg = f"redis must be a URL or a client of redis.asyncio, not a {type(given).__name__}"
        raise ConfigurationError(msg)
    try:
        if _scheme(server) in CLUSTER:
            cluster = _cluster(server, connections=connections, operation=operation)
            return ClusterServer(cluster, gate(connections), owned=True)
        return SingleServer(OwnPool(_pool(server, operation=operation)), gate(connections))
    except (ValueError, TypeError, driver.RedisError, driver.RedisClusterException):
        # Not chained: what the driver says quotes the URL.
        msg = "the Redis URL cannot be read; it looks like redis://user:password@host:6379/0"
        raise ConfigurationError(msg) from None


def _scheme(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme not in SCHEMES:
        msg = f"a Redis URL begins with one of {', '.join(f'{known}://' for known in SCHEMES)}"
        raise ConfigurationError(msg)
    return scheme


def _pool(url: str, *, operation: float) -> ConnectionPool:
    # No time-out of the driver's but for connecting: each command has ours around it, which costs no task.
    options = {**_options(), "socket_timeout": None, "socket_connect_timeout": operation}
    pool = ConnectionPool.from_url(url, **options)  # pyright: ignore[reportUnknownMemberType]
    pool.make_connection()  # type: ignore[no-untyped-call]  # reads the rest of the URL
    return pool


def _cluster(url: str, *, connections: int, operation: float) -> RedisCluster:
    # Of several nodes the first may hang, and then the driver has to get to the next.
    return RedisCluster.from_url(
        url.replace("+cluster", "", 1),
        **_options(),
        max_connections=connections,
        socket_timeout=operation / 3,
        socket_connect_timeout=operation / 3,
    )


def _options() -> dict[str, Any]:
    """Return what keeps the driver from doing anything by itself: it would repeat writes for a minute."""
    return {
        "retry": Retry(NoBackoff(), 0),
        "protocol": 3,
        "driver_info": None,  # or it looks up its own version on the disk for each connection
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


async def _greet(server: Server, *, must_answer: bool) -> None:
    """Have the server answer, and make sure that it can do what scripts ask for."""
    try:
        found = await server.ask(b"", b"INFO", b"server")
    except Broken as exc:
        if must_answer:
            msg = "Redis did not answer; see that it runs, and that the URL is right"
            raise Away(msg) from exc.__cause__
    except NotPermitted:
        return  # it is there; whether it is new enough, it does not say
    except Away:
        if must_answer:
            raise
    else:
        _check_version(found)


def _check_version(info: Any) -> None:
    if isinstance(info, dict):
        version = str(cast("dict[str, object]", info).get("redis_version", ""))
    else:
        lines = dict(line.partition(":")[::2] for line in info.decode().splitlines())
        version = lines.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < OLDEST:
        msg = f"this is Redis {version}; working memory needs 6.2 or newer"
        raise ConfigurationError(msg)
