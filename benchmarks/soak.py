"""Does half an hour of mixed work stay as it began: rate, latencies, memory, and a responsive event loop?

    python benchmarks/soak.py [--minutes 30] [--tasks 64] [--tenants 10000] [--postgres DSN]

As many tasks as are asked for do what agents do, one call after the other, each for a tenant at random: store
and recall episodes, add and find facts, edit and list blocks, set and read variables, read messages, make the
context of a prompt; on PostgreSQL and Redis, both private and on the same machine. A heartbeat sleeps for ten
milliseconds again and again beside them: what it oversleeps is how long the event loop was busy.

Resident memory is that of this process. Its growth is a straight line through what comes after a quarter of
the time, when every tenant has been seen. At the end each tenant is counted: what was acknowledged is there
once, and nothing else.
"""

import ctypes
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import numpy as np
import psutil
from _made_up import Drawn, made_up
from _measure import DOCS, SCHEMA, Goal, arguments, redis_server, save, server, show, significant, versions
from _plot import Line, Panel, draw

from recollect import Limits, Memory, TryLater, UserMemory, open_memory

EXCHANGES = made_up(2_000)
SAMPLES = 180
BEAT = 0.01
PIECE = "+"
PICTURES = {"soak.svg": "Calls a second, latencies, resident memory and lag of the event loop during the run"}
GOALS = (
    Goal(
        "soak: acknowledged writes lost or doubled, tenant by tenant", "", ("wrong",), at_most=0, unit=""
    ),
    Goal("soak: calls that failed", "", ("failed",), at_most=0, unit=""),
    Goal(
        "soak: growth of resident memory over the last three quarters", "flat", ("memory", "growth_percent"),
        at_most=5, unit=" %",
        bound="See the slope, the picture, and what of it is in use: what the allocator holds free is not. A "
        "run of a few minutes is still filling what it keeps.",
    ),
    Goal(
        "soak: lag of the event loop, 99.9 % of the heartbeats", "", ("lag_ms", "p99.9"), at_most=50,
        unit=" ms",
        bound="A full collection of Python's garbage looks at all that was imported, which alone takes about "
        "as long as the goal allows, at four objects of each of the users, and at those of 64 calls. "
        "`gc.freeze` or a higher threshold are the program's to choose. All else is within the 99 %.",
    ),
)  # fmt: skip

Do = Callable[[UserMemory, random.Random], Awaitable[object]]
WORK: dict[str, tuple[int, Do]] = {
    "remember": (20, lambda user, rng: user.remember(*rng.choice(EXCHANGES), session_id="s")),
    "recall": (20, lambda user, rng: user.recall(_question(rng), limit=5)),
    "facts.add": (10, lambda user, rng: user.facts.add("it", "is", f"{rng.getrandbits(60):x}")),
    "facts.find": (15, lambda user, _: user.facts.find("it", "is", limit=10)),
    "messages": (5, lambda user, _: user.messages("s", limit=10)),
    "context": (5, lambda user, rng: user.context(_question(rng))),
    "blocks.append": (5, lambda user, _: user.blocks.append("log", PIECE)),
    "blocks.list": (10, lambda user, _: user.blocks.list()),
    "variables.set": (5, lambda user, rng: user.variables.set("state", rng.random())),
    "variables.get": (5, lambda user, _: user.variables.get("state")),
}
"""Percent of the calls, and what is called."""


async def appended(user: UserMemory) -> int:
    block = await user.blocks.get("log")
    return 0 if block is None else len(block.text) // len(PIECE)


COUNTED: dict[str, Callable[[UserMemory], Awaitable[int]]] = {
    "remember": lambda user: user.episodes.count(),
    "facts.add": lambda user: user.facts.count(),
    "blocks.append": appended,
}


def _question(rng: random.Random) -> str:
    return " ".join(rng.choice(EXCHANGES)[0].split()[:8])


class Latencies:
    """Any number of latencies in the same small space: each is known to three percent."""

    def __init__(self) -> None:
        self.counts = np.zeros(800, dtype=np.int64)

    def add(self, seconds: float) -> None:
        self.counts[min(799, max(0, int(100 * np.log10(seconds * 1e6))))] += 1

    def percentiles(self) -> dict[str, float]:
        """Return milliseconds."""
        summed = self.counts.cumsum()
        found = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "most": 1.0}
        return {
            name: significant(10 ** ((np.searchsorted(summed, share * summed[-1]) + 0.5) / 100) / 1e3)
            for name, share in found.items()
        }


class MallocInfo(ctypes.Structure):
    """What `mallinfo2` of glibc returns."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    )


def free_mb() -> float:
    """Return how much the allocator holds though nobody uses it; 0 where it does not say."""
    try:
        tell = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return 0.0
    tell.restype = MallocInfo
    return round(tell().fordblks / 1e6, 1)


def growth(samples: Sequence[dict[str, float]], name: str) -> dict[str, float]:
    """Return where a figure was at first and at last, and the straight line through all of it."""
    times, values = (np.array([each[of] for each in samples]) for of in ("minute", name))
    slope = float(np.polyfit(times, values, 1)[0])
    grown = slope * (times[-1] - times[0]) / np.median(values)
    return {
        "settled_mb": float(values[0]),
        "last_mb": float(values[-1]),
        "slope_mb_per_hour": significant(slope * 60),
        "growth_percent": significant(float(grown) * 100),
    }


class Soak:
    """What is done, and what is noted of it."""

    def __init__(self, memory: Memory, tenants: int) -> None:
        self._memory = memory
        self.names = [f"user{i}" for i in range(tenants)]
        self.acknowledged = {name: np.zeros(tenants, dtype=np.int32) for name in COUNTED}
        self.uncertain = {name: np.zeros(tenants, dtype=np.int32) for name in COUNTED}
        self.failures = Counter[str]()
        self.latencies = {name: Latencies() for name in WORK}
        self.lag = Latencies()
        self.samples: list[dict[str, float]] = []
        self._recent, self._recent_lag = Latencies(), Latencies()

    async def work(self, seed: int, until: float) -> None:
        rng = random.Random(seed)
        kinds, shares = list(WORK), [share for share, _ in WORK.values()]
        while time.perf_counter() < until:
            (kind,), i = rng.choices(kinds, shares), rng.randrange(len(self.names))
            begin = time.perf_counter()
            try:
                await WORK[kind][1](self._memory.user(self.names[i]), rng)
            except TryLater as exc:
                self.failures[type(exc).__name__] += 1
                noted = self.uncertain
            else:
                noted = self.acknowledged
            if kind in noted:
                noted[kind][i] += 1
            took = time.perf_counter() - begin
            self.latencies[kind].add(took)
            self._recent.add(took)

    async def beat(self) -> None:
        while True:
            begin = time.perf_counter()
            await anyio.sleep(BEAT)
            late = max(time.perf_counter() - begin - BEAT, 1e-6)
            self.lag.add(late)
            self._recent_lag.add(late)

    async def sample(self, interval: float) -> None:
        process, began = psutil.Process(), time.perf_counter()
        last = began
        while True:
            await anyio.sleep(interval)
            now = time.perf_counter()
            calls, lag = self._recent, self._recent_lag
            self._recent, self._recent_lag = Latencies(), Latencies()
            resident, free = round(process.memory_info().rss / 1e6, 1), free_mb()
            self.samples.append(
                {
                    "minute": round((now - began) / 60, 3),
                    "rate": significant(float(calls.counts.sum()) / (now - last)),
                    **calls.percentiles(),
                    "lag": lag.percentiles()["most"],
                    "resident_mb": resident,
                    "in_use_mb": round(resident - free, 1),
                }
            )
            last = now

    async def run(self, *, minutes: float, tasks: int) -> None:
        until = time.perf_counter() + minutes * 60
        async with anyio.create_task_group() as beside:
            beside.start_soon(self.beat)
            beside.start_soon(self.sample, minutes * 60 / SAMPLES)
            async with anyio.create_task_group() as workers:
                for seed in range(tasks):
                    workers.start_soon(self.work, seed, until)
            beside.cancel_scope.cancel()

    async def count(self, tasks: int) -> int:
        """Return how many tenants have something that nobody was told of, or not what they were told."""
        todo, wrong = iter(range(len(self.names))), 0

        async def look() -> None:
            nonlocal wrong
            for i in todo:
                user = self._memory.user(self.names[i])
                for kind, count in COUNTED.items():
                    found, known = await count(user), self.acknowledged[kind][i]
                    wrong += not known <= found <= known + self.uncertain[kind][i]

        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(look)
        return wrong

    def results(self, *, minutes: float, wrong: int) -> dict[str, Any]:
        every = Latencies()
        every.counts = np.sum([each.counts for each in self.latencies.values()], axis=0)
        kinds = self.latencies | {"all of them": every}
        settled = [each for each in self.samples if each["minute"] >= minutes / 4]
        return {
            "minutes": minutes,
            "calls": {
                name: {
                    "calls": int(each.counts.sum()),
                    "rate": significant(float(each.counts.sum()) / minutes / 60),
                    **each.percentiles(),
                }
                for name, each in kinds.items()
            },
            "failed": self.failures.total(),
            "failures": dict(self.failures),
            "written": {name: int(each.sum()) for name, each in self.acknowledged.items()},
            "wrong": wrong,
            "lag_ms": self.lag.percentiles(),
            "memory": {
                "first_mb": self.samples[0]["resident_mb"],
                **growth(settled, "resident_mb"),
                "in_use": growth(settled, "in_use_mb"),
            },
            "samples": self.samples,
        }


async def main() -> None:
    options = arguments(__doc__, minutes=30, tasks=64, tenants=10_000, quick={"minutes": 1})
    async with (
        server(options.postgres) as dsn,
        redis_server() as url,
        open_memory(
            postgres=dsn, redis=url, schema=SCHEMA, migrate="auto", embedder=Drawn(),
            limits=Limits(max_users=None),
        ) as memory,
    ):  # fmt: skip
        soak = Soak(memory, options.tenants)
        await soak.run(minutes=options.minutes, tasks=options.tasks)
        assert not memory.user("user0").working.status.degraded
        results = soak.results(minutes=options.minutes, wrong=await soak.count(options.tasks))
        found = await versions(dsn)
    report(results)
    save("soak", results, options=options, servers=found)
    (DOCS / "soak.svg").write_text(picture(results), encoding="utf-8")


def picture(results: dict[str, Any]) -> str:
    def line(name: str, of: str) -> Line:
        return Line(name, [(each["minute"], each[of]) for each in results["samples"]])

    latencies = [line(name, name) for name in ("p50", "p99", "p99.9")]
    panels = [
        Panel("Calls a second", "minutes", [line("all kinds", "rate")]),
        Panel("Latency, milliseconds", "minutes", latencies, log_y=True),
        Panel("Memory, MB", "minutes", [line("resident", "resident_mb"), line("in use", "in_use_mb")]),
        Panel("Longest lag of the event loop, milliseconds", "minutes", [line("heartbeat", "lag")]),
    ]
    calls = results["calls"]["all of them"]["calls"]
    title = f"{results['minutes']:g} minutes of mixed work, {calls:,} calls"
    return draw(title, panels, columns=2)


def report(results: dict[str, Any]) -> None:
    show(
        f"{results['minutes']:g} minutes of mixed work",
        ["call", "calls", "calls/s", "p50 ms", "p99 ms", "p99.9 ms", "longest ms"],
        [
            (
                name,
                f"{each['calls']:,}",
                f"{each['rate']:,}",
                *(f"{each[p]:,}" for p in ("p50", "p99", "p99.9", "most")),
            )
            for name, each in results["calls"].items()
        ],
    )
    memory, lag = results["memory"], results["lag_ms"]
    failures = ", ".join(f"{count} {name}" for name, count in results["failures"].items())
    show(
        "what is left of it",
        ["what", "figure"],
        [
            ("resident memory after the first sample, MB", f"{memory['first_mb']:,}"),
            ("after a quarter of the time, MB", f"{memory['settled_mb']:,}"),
            ("at the end, MB", f"{memory['last_mb']:,}"),
            ("slope since the first quarter, MB an hour", f"{memory['slope_mb_per_hour']:,}"),
            *of_which_is_used(memory),
            ("lag of the event loop, ms at p50", f"{lag['p50']:,}"),
            ("at p99", f"{lag['p99']:,}"),
            ("at p99.9", f"{lag['p99.9']:,}"),
            ("longest", f"{lag['most']:,}"),
            ("calls that failed", failures or "0"),
            ("acknowledged writes", f"{sum(results['written'].values()):,}"),
            ("counts of a tenant that are not what was acknowledged", f"{results['wrong']:,}"),
        ],
    )


def of_which_is_used(memory: dict[str, Any]) -> list[tuple[str, str]]:
    """Return rows about what the allocator does not merely hold, if that was measured."""
    if "in_use" not in memory:
        return []
    used = memory["in_use"]
    settled, last = (f"{used[name]:,}" for name in ("settled_mb", "last_mb"))
    return [
        ("less what the allocator holds free, after a quarter and at the end, MB", f"{settled} and {last}"),
        ("growth of that, %", f"{used['growth_percent']:,}"),
    ]


if __name__ == "__main__":
    anyio.run(main)
