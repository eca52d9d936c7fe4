"""How much of the machine does the package take for itself: the tenant map, the import, what is installed?

    python benchmarks/footprint.py [--rounds 5] [--calls 50000] [--tenants 1000000]

The tenant map holds from a thousand tenants to a million. "Get" leases one of them and gives it back; its
floor is `OrderedDict.move_to_end`. "Set" does so with one that is new where the map is full, so that another
goes; its floor puts a key into an `OrderedDict` and takes the first one out. "Lease" is a get
by `async with`. The keys are tenants on both sides.

The import is done in processes of its own, in turns with `import pydantic, anyio`. Nothing here waits for
anything, so that all times are of the CPU: how busy the machine is does not count. Which packages an
installation has is read from the metadata of those that are installed here.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import distribution
from itertools import count
from math import log
from typing import Any

import anyio
from _measure import Goal, arguments, in_turns, save, show, shown, spread
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from recollect import Tenant
from recollect._tenants import TenantMap

LATER = ("asyncpg", "numpy", "pgvector", "redis", "Stemmer")
"""What importing the package, and the name everybody asks it for, must leave alone until it is used."""

MOVED = "one `OrderedDict.move_to_end`"
CALLED = (
    "The floor is one call into C. Ours are two calls of a few lines of Python each, which count leases, "
    "read the clock three times, move the tenant between dictionaries and look for what has expired."
)  # fmt: skip
CACHES = (
    "The steps are the same for a million, but the memory they touch is in no cache of the processor then: "
    "the floor grows faster."
)
GOALS = (
    Goal(
        "`TenantMap` get, 100k tenants: time", MOVED, ("map", "100000", "get", "ratio"), at_most=6,
        bound=CALLED,
    ),
    Goal(
        "`TenantMap` set, 100k tenants: time", "one key put, one taken out",
        ("map", "100000", "set", "ratio"), at_most=6, bound=CALLED,
    ),
    Goal(
        "`TenantMap` get, 1k to 1M tenants: growth", "flat", ("exponents", "get"), at_most=0.1,
        unit=" as exponent", bound=CACHES,
    ),
    Goal(
        "`TenantMap` set, 1k to 1M tenants: growth", "flat", ("exponents", "set"), at_most=0.1,
        unit=" as exponent", bound=CACHES,
    ),
    Goal(
        "`import recollect`: time", "`import pydantic, anyio`", ("import", "ratio"), at_most=1.5,
        bound="Like that of pydantic, it loads next to nothing before a name is used.",
    ),
    Goal("driver or numpy imported before it is used", "", ("import", "early"), at_most=0, unit=""),
    Goal("packages installed, itself included", "", ("installed", "count"), at_most=13, unit=""),
)  # fmt: skip


class Maps:
    """A tenant map and an ordered dictionary, full of the same tenants."""

    def __init__(self, tenants: int) -> None:
        self.keys = [Tenant("default", f"user{i}") for i in range(tenants)]
        self._new = (Tenant("default", f"new{i}") for i in count())
        self.map: TenantMap[Tenant, object] = TenantMap(lambda _: None, capacity=tenants, ttl=86_400.0)
        self.ordered: OrderedDict[Tenant, object] = OrderedDict()
        for key in self.keys:
            self.map.admit(key)
            self.map.release(key)
            self.ordered[key] = None

    def picked(self, calls: int, *, new: bool) -> list[Tenant]:
        """Return tenants to ask for, far from each other in the order of use."""
        if new:
            return [next(self._new) for _ in range(calls)]
        step = len(self.keys) * 618 // 1_000 | 1
        return [self.keys[i * step % len(self.keys)] for i in range(calls)]


async def ours(maps: Maps, keys: list[Tenant]) -> None:
    admit, release = maps.map.admit, maps.map.release
    for key in keys:
        admit(key)
        release(key)


async def ours_leased(maps: Maps, keys: list[Tenant]) -> None:
    for key in keys:
        async with maps.map.lease(key):
            pass


async def moved(maps: Maps, keys: list[Tenant]) -> None:
    for key in keys:
        maps.ordered.move_to_end(key)


async def replaced(maps: Maps, keys: list[Tenant]) -> None:
    for key in keys:
        maps.ordered[key] = None
        maps.ordered.popitem(last=False)


Work = Callable[[Maps, list[Tenant]], Awaitable[None]]
PAIRS: dict[str, tuple[Work, Work, bool]] = {
    # "set" comes last: afterwards others than the keys are in the maps.
    "get": (ours, moved, False),
    "lease": (ours_leased, moved, False),
    "set": (ours, replaced, True),
}


async def measure_map(tenants: int, *, calls: int, rounds: int) -> dict[str, Any]:
    maps = Maps(tenants)

    async def go(work: Work, _: int, *, new: bool) -> float:
        keys = maps.picked(calls, new=new)
        begin = time.thread_time()
        await work(maps, keys)
        return (time.thread_time() - begin) / calls * 1e9

    results = {}
    for name, (work, floor, new) in PAIRS.items():
        sides = {"ours": partial(go, work, new=new), "floor": partial(go, floor, new=new)}
        found = await in_turns(sides, rounds=rounds)
        assert len(maps.map) == len(maps.ordered) == tenants
        results[name] = {
            **{f"{side}_ns": spread(values) for side, values in found.items()},
            "ratio": spread(a / b for a, b in zip(found["ours"], found["floor"], strict=True)),
        }
    assert not maps.map.leased
    return results


def exponent(results: dict[str, Any], name: str) -> float:
    """Return the power of the number of tenants that our time grows with, from the first to the last."""
    (few, first), *_, (many, last) = results.items()
    if few == many:
        return 0.0
    grown = last[name]["ours_ns"]["median"] / first[name]["ours_ns"]["median"]
    return round(log(grown) / log(int(many) / int(few)), 3)


async def measure_import(*, rounds: int) -> dict[str, Any]:
    async def go(statement: str, _: int) -> float:
        code = f"import time; begin = time.process_time(); {statement}; print(time.process_time() - begin)"
        return float(run(code)) * 1e3

    sides = {
        "ours": partial(go, "import recollect"), "floor": partial(go, "import pydantic, anyio"),
        "used": partial(go, "from recollect import open_memory"),
        "used_floor": partial(go, "from pydantic import BaseModel; import anyio"),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as cache:
        # The round that warms up compiles what is not compiled.
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache}
        found = await in_turns(sides, rounds=4 * rounds)
        early = run(
            f"import sys, recollect; print(*[each for each in {LATER} if each in sys.modules])"
        ).split()
    return {
        **{f"{side}_ms": spread(values) for side, values in found.items()},
        "ratio": spread(a / b for a, b in zip(found["ours"], found["floor"], strict=True)),
        "used_ratio": spread(a / b for a, b in zip(found["used"], found["used_floor"], strict=True)),
        "early": len(early),
        "imported_early": early,
    }


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def packages(name: str) -> set[str]:
    """Return what `pip install NAME` installs here, without extras."""
    found: set[str] = set()
    todo = [name]
    while todo:
        found.add(name := canonicalize_name(todo.pop()))
        for each in map(Requirement, distribution(name).requires or ()):
            # An extra that somebody asks for would have to be followed; nobody does.
            assert not each.extras, each
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                todo += {canonicalize_name(each.name)} - found
    return found


async def main() -> None:
    options = arguments(
        __doc__, postgres=False, rounds=5, calls=50_000, tenants=1_000_000, quick={"tenants": 100_000}
    )
    sizes = [10**power for power in range(3, 10) if 10**power <= options.tenants]
    of_map = {
        str(size): await measure_map(size, calls=options.calls, rounds=options.rounds) for size in sizes
    }
    installed = sorted(packages("recollect"))
    results = {
        "map": of_map,
        "exponents": {name: exponent(of_map, name) for name in PAIRS},
        "import": await measure_import(rounds=options.rounds),
        "installed": {"count": len(installed), "packages": installed},
    }
    report(results)
    save("footprint", results, options=options)


def report(results: dict[str, Any]) -> None:
    show(
        "a call of the tenant map, nanoseconds; median of the rounds, with lowest and highest",
        ["call", "tenants", "ours", "floor", "our time to it"],
        [
            (
                name if size == next(iter(results["map"])) else "",
                f"{int(size):,}",
                f"{found[name]['ours_ns']['median']:,}",
                f"{found[name]['floor_ns']['median']:,}",
                shown(found[name]["ratio"], " x"),
            )
            for name in PAIRS
            for size, found in results["map"].items()
        ],
    )
    imported, installed = results["import"], results["installed"]
    show(
        "the package itself",
        ["what", "ours", "floor", "to it"],
        [
            (
                "import, ms",
                shown(imported["ours_ms"]),
                shown(imported["floor_ms"]),
                shown(imported["ratio"], " x"),
            ),
            (
                "import of `open_memory`, beside that of `BaseModel` and `anyio`, ms",
                shown(imported["used_ms"]),
                shown(imported["used_floor_ms"]),
                shown(imported["used_ratio"], " x"),
            ),
            ("imported before it is used", " ".join(imported["imported_early"]) or "nothing", "", ""),
            (f"{installed['count']} packages", " ".join(installed["packages"]), "", ""),
        ],
    )


if __name__ == "__main__":
    anyio.run(main)
