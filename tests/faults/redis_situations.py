"""Ways in which a Redis can be there and yet be of no use, each brought about on a real server.

Each is a context manager: within it the server is in the situation, afterwards it is as it was before, with
all that it held.
"""

import socket
import struct
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from threading import Thread

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..redis_servers import HOST, PATIENCE, RedisServer, until, unused_port

Situation = Callable[[RedisServer], AbstractContextManager[object]]

SLOWLY = {"appendonly": "yes", "key-load-delay": "1"}
"""Options of a server that makes a pause after each command that it loads, and answers after a thousand."""

POPULATE = "for i = 1, 100000 do redis.call('SET', 'key', i) end"


@contextmanager
def control(server: RedisServer) -> Generator[redis.Redis]:
    """A connection that stays, whatever becomes of the others."""
    client = redis.Redis.from_url(
        server.url, single_connection_client=True, socket_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
    )
    with client:
        yield client


def kill_connections(client: redis.Redis) -> None:
    """End every connection but this one."""
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@contextmanager
def killed(server: RedisServer) -> Generator[None]:
    server.command("SAVE")
    server.kill()
    try:
        yield
    finally:
        server.restart()


@contextmanager
def resetting(server: RedisServer) -> Generator[None]:
    """In its place is something that resets each connection as soon as anything is said."""
    with killed(server), socket.create_server((HOST, server.port)) as listener:
        resetter = Thread(target=_reset_all, args=(listener,))
        resetter.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            resetter.join()


def _reset_all(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # shut down
            return
        with connection:
            connection.settimeout(PATIENCE)
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def stopped(server: RedisServer) -> Generator[None]:
    server.stop()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def full_of_clients(server: RedisServer) -> Generator[None]:
    with configured(server, maxclients="1") as client:
        kill_connections(client)
        yield


@contextmanager
def loading(server: RedisServer) -> Generator[None]:
    server.command("CONFIG", "SET", "appendonly", "yes")
    until(lambda: "aof_rewrite_in_progress:0" in _persistence(server), "it does not write down what it has")
    server.command("EVAL", POPULATE, 0)
    server.restart(SLOWLY)
    assert _refuses(server, exceptions.BusyLoadingError)
    try:
        yield
        assert _refuses(server, exceptions.BusyLoadingError), "it did not take long enough"
    finally:
        server.restart({"appendonly": "yes"})
        until(lambda: not _refuses(server, exceptions.BusyLoadingError), "it does not end loading")


@contextmanager
def cut_off(server: RedisServer) -> Generator[None]:
    """It is a replica that has lost its master, and does not serve what is stale."""
    with configured(server, **{"replica-serve-stale-data": "no"}), replica(server):
        yield


@contextmanager
def replica(server: RedisServer) -> Generator[None]:
    server.command("REPLICAOF", HOST, unused_port())
    try:
        yield
    finally:
        server.command("REPLICAOF", "NO", "ONE")


@contextmanager
def busy(server: RedisServer) -> Generator[None]:
    """Somebody's script does not end."""

    def run() -> None:
        with suppress(exceptions.ResponseError):  # it is killed
            server.command("EVAL", "while true do end", 0)

    with configured(server, **{"lua-time-limit": "100"}):
        script = Thread(target=run)
        script.start()
        until(lambda: _refuses(server, exceptions.ResponseError), "the script does not keep it busy")
        try:
            yield
        finally:
            server.command("SCRIPT", "KILL")
            script.join()


def _refuses(server: RedisServer, kind: type[exceptions.RedisError]) -> bool:
    try:
        server.command("PING")
    except kind:
        return True
    return False


@contextmanager
def configured(server: RedisServer, **options: str) -> Generator[redis.Redis]:
    with control(server) as client:
        before: dict[str, str] = {}
        for name, value in options.items():
            before |= client.config_get(name)
            client.config_set(name, value)
        try:
            yield client
        finally:
            for name, value in before.items():
                client.config_set(name, value)


@contextmanager
def unable_to_save(server: RedisServer) -> Generator[None]:
    """The file that it saves to cannot be replaced: there is a directory of that name, even to root."""
    obstacle = server.directory / "dump.rdb"
    with configured(server, save="3600 1000000"):
        obstacle.mkdir()
        server.command("BGSAVE")
        until(lambda: "rdb_last_bgsave_status:err" in _persistence(server), "it can be saved all the same")
        try:
            yield
        finally:
            obstacle.rmdir()
            server.command("BGSAVE")
            until(lambda: "rdb_last_bgsave_status:ok" in _persistence(server), "it cannot be saved")


def _persistence(server: RedisServer) -> str:
    info: Mapping[str, object] = server.command("INFO", "persistence")
    return " ".join(f"{name}:{value}" for name, value in info.items())


@contextmanager
def locked_out(server: RedisServer) -> Generator[None]:
    """The password is another one."""
    with configured(server, requirepass="another") as client:
        kill_connections(client)
        yield


@contextmanager
def limited(server: RedisServer, *rules: str) -> Generator[None]:
    """The user may do less."""
    with control(server) as client:
        client.execute_command("ACL", "SETUSER", "default", *rules)
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@all", "~*")


@contextmanager
def taken(server: RedisServer) -> Generator[None]:
    """Somebody else has put something under our keys."""
    with control(server) as client:
        keys: list[bytes] = client.keys("recollect:*")
        assert keys
        for key in keys:
            client.rename(key, b"aside:" + key)
            client.set(key, "something else")
        try:
            yield
        finally:
            for key in keys:
                client.rename(b"aside:" + key, key)


AWAY: dict[str, Situation] = {
    "refused": killed,
    "reset": resetting,
    "timeout": stopped,
    "maxclients": full_of_clients,
    "loading": loading,
    "cut-off replica": cut_off,
    "busy script": busy,
}
"""It can be used for nothing."""

WRITES_ONLY: dict[str, Situation] = {
    "read-only replica": replica,
    "out of memory": partial(configured, maxmemory="1"),
    "MISCONF": unable_to_save,
    "NOREPLICAS": partial(configured, **{"min-replicas-to-write": "1"}),
}
"""It can be asked, and not written to."""

MISTAKES: dict[str, Situation] = {
    "wrong password": locked_out,
    "no scripts": lambda server: limited(server, "-@scripting"),
    "no writes": lambda server: limited(server, "-@write", "-@read"),
    "other keys": lambda server: limited(server, "resetkeys", "~other:*"),
    "wrong type": taken,
}
"""Somebody has to mend it: it does not pass."""
