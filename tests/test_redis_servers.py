"""The servers that other tests trust in."""

from collections.abc import Callable

import anyio
import pytest
import redis.asyncio
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from .faults.proxy import open_proxy
from .redis_servers import RedisCluster, RedisServer, unused_url

HANGS = 60

Start = Callable[..., RedisServer]


def _client(url: str, **options: float) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)


def test_server_that_was_killed_starts_again_at_the_same_place(redis_server: Start) -> None:
    server = redis_server()
    url, pid = server.url, server.pid
    server.command("SET", "a", "1")
    server.restart()
    assert (server.url, server.command("GET", "a")) == (url, None)
    assert server.pid != pid


def test_server_that_writes_down_what_it_holds_has_it_again(redis_server: Start) -> None:
    server = redis_server(appendonly="yes", appendfsync="always", requirepass="secret")
    server.command("SET", "a", "1")
    server.restart()
    assert server.command("GET", "a") == "1"
    server.terminate()
    server.restart()
    assert server.command("GET", "a") == "1"


@pytest.mark.asyncio_only
async def test_stopped_server_is_silent_until_it_is_resumed(redis_server: Start) -> None:
    server = redis_server()
    with anyio.fail_after(HANGS):
        async with _client(server.url, socket_timeout=0.1) as client:
            server.stop()
            with pytest.raises(exceptions.TimeoutError):
                await client.ping()
            server.resume()
        async with _client(server.url) as client:
            assert await client.ping()


@pytest.mark.asyncio_only
async def test_nobody_is_at_an_unused_address(anyio_backend: object, redis_server: Start) -> None:
    with anyio.fail_after(HANGS):
        async with _client(unused_url()) as client:
            with pytest.raises(exceptions.ConnectionError):
                await client.ping()


@pytest.mark.asyncio_only
async def test_proxy_passes_on_loses_and_keeps_silent(redis_url: str) -> None:
    with anyio.fail_after(HANGS):
        async with open_proxy(redis_url) as proxy, _client(proxy.dsn, socket_timeout=HANGS) as client:
            assert await client.ping()
            proxy.loses = lambda: True
            with pytest.raises(exceptions.ConnectionError):
                await client.ping()
            assert proxy.cuts == 1
            proxy.loses = lambda: False
            proxy.silence()
            async with _client(proxy.dsn, socket_timeout=0.1) as hasty:
                with pytest.raises(exceptions.TimeoutError):
                    await hasty.ping()
            proxy.speak()
            assert await client.ping()


def test_cluster_has_a_master_for_every_key(redis_cluster: RedisCluster) -> None:
    for i in range(30):
        assert redis_cluster.node_of(f"key {i}").command("SET", f"key {i}", i)
