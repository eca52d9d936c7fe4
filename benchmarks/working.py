"""How fast is working memory on Redis, beside the best single command that does the same? And in process?

    python benchmarks/working.py [--rounds 5] [--calls 4000] [--tenants 1000000]

On Redis, from one task and from 64, on 32 connections: a scope of five blocks is listed, text is added to a
block, a variable is read and set. The floors are one HGETALL, one EVALSHA of a script that checks the length,
counts the version and remembers the operation, one HGET and one HSET, on redis-py's blocking pool, their
replies left as they come. The server is private, persists nothing, and is on the same machine.

In process: does a call take the same among a thousand tenants and among a million, does the map stay within
its bound, and what does a tenant weigh, with a block and a variable, and with nothing in it? On Redis it
weighs something as well: what is kept of it in this process, to go on with while Redis is away.
"""

import gc
import random
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from _measure import (
    Goal,
    Load,
    arguments,
    compared,
    in_turns,
    load,
    redis_server,
    save,
    show,
    shown,
    significant,
    spread,
)
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from recollect import Limits, open_memory

USERS = 100
CONNECTIONS = 32
"""What ours has at most."""

TEXT = "Prefers short answers, and tea over coffee; no bullet points unless asked for. " * 3
PIECE = "One more. "
VALUE = '{"cart": ["tea", "lamp"], "discount": 0.1}'
JSON = {"cart": ["tea", "lamp"], "discount": 0.1}
APPEND = """
if redis.call('EXISTS', KEYS[2]) == 1 then return redis.call('HGET', KEYS[1], ARGV[1]) end
local text = (redis.call('HGET', KEYS[1], ARGV[1]) or '') .. ARGV[2]
if #text > tonumber(ARGV[3]) then return redis.error_reply('TOOLONG') end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], ARGV[1], text, 'at', ARGV[4])
redis.call('SET', KEYS[2], version, 'PX', 300000)
return {text, version}
"""
TRIP = "One round trip on both sides; what is above it is our Python around the driver's call."
GOALS = (
    *(
        Goal(
            f"`{call}`, Redis, {tasks}: time", floor, ("redis", f"{call}, {tasks}", "time_to_floor"),
            at_most=1.5, bound=TRIP,
        )
        for call, floor in (
            ("blocks.list", "one HGETALL on redis-py's blocking pool"),
            ("blocks.append", "one EVALSHA on redis-py's blocking pool"),
        )
        for tasks in ("1 task", "64 tasks")
    ),
    *(
        Goal(
            f"memory per idle tenant in the map, {where}", "",
            ("in process", "bytes_per_tenant", "nothing in it", where), at_most=1_000, unit=" bytes",
            bound="What Redis has said is kept here, to go on with while it is away.",
        )
        for where in ("in process", "on Redis")
    ),
)  # fmt: skip
SAMPLE = 1_000
WEIGHED = 5_000

Call = Callable[[int], Awaitable[object]]


def ours(memory: Any) -> dict[str, Call]:
    users = [memory.user(f"user{i}") for i in range(USERS)]

    def of(i: int) -> Any:
        return users[i % USERS]

    return {
        "blocks.list": lambda i: of(i).blocks.list(),
        "blocks.append": lambda i: of(i).blocks.append("log", PIECE),
        "variables.get": lambda i: of(i).variables.get("state"),
        "variables.set": lambda i: of(i).variables.set("state", JSON),
    }


def floors(client: Any, sha: str) -> dict[str, Call]:
    keys = [f"{{floor{i}}}" for i in range(USERS)]
    unique = iter(range(1 << 62))

    def append(i: int) -> Awaitable[object]:
        key = keys[i % USERS]
        arguments = ("log", PIECE, 262_144, time.time_ns() // 1_000)
        return client.evalsha(sha, 2, f"{key}:appended", f"{key}:{next(unique)}", *arguments)

    return {
        "blocks.list": lambda i: client.hgetall(f"{keys[i % USERS]}:blocks"),
        "blocks.append": append,
        "variables.get": lambda i: client.hget(f"{keys[i % USERS]}:variables", "state"),
        "variables.set": lambda i: client.hset(f"{keys[i % USERS]}:variables", "state", VALUE),
    }


async def fill(memory: Any, client: Any) -> None:
    """Give both the same five blocks of each user, and the same variable."""
    for i in range(USERS):
        user = memory.user(f"user{i}")
        for number in range(5):
            name = f"block{number}"
            await user.blocks.set(name, TEXT)
            fields = {name: TEXT, f"{name}:order": number, f"{name}:version": 1, f"{name}:at": time.time_ns()}
            await client.hset(f"{{floor{i}}}:blocks", mapping=fields)
        await user.variables.set("state", JSON)
        await client.hset(f"{{floor{i}}}:variables", "state", VALUE)


async def measure_redis(*, rounds: int, calls: int) -> tuple[dict[str, Any], str]:
    results: dict[str, Any] = {}
    async with redis_server() as url, open_memory(redis=url) as memory:
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, retry=Retry(NoBackoff(), 0))
        client = Redis(connection_pool=pool)
        try:
            await fill(memory, client)
            sides = {"ours": ours(memory), "floor": floors(client, await client.script_load(APPEND))}
            for what in sides["ours"]:
                for tasks in (1, 64):

                    async def go(side: str, _: int, what: str = what, tasks: int = tasks) -> Load:
                        return await load(
                            sides[side][what], calls=calls // (4 if tasks == 1 else 1), tasks=tasks
                        )

                    found = await in_turns({side: partial(go, side) for side in sides}, rounds=rounds)
                    results[f"{what}, {tasks} task{'s' * (tasks > 1)}"] = compared(found)
            await verify(memory, client, expected=(rounds + 1) * (calls // 4 + calls))
            version = (await client.info("server"))["redis_version"]
        finally:
            await client.aclose()
            await pool.aclose()
    return results, version


async def verify(memory: Any, client: Any, *, expected: int) -> None:
    """Assert that what was asked for is there: nothing was lost, or made twice."""
    texts = [(await memory.user(f"user{i}").blocks.get("log")).text for i in range(USERS)]
    assert sum(map(len, texts)) == expected * len(PIECE)
    assert [len(await client.hget(f"{{floor{i}}}:appended", "log")) for i in range(USERS)] == [
        *map(len, texts)
    ]
    assert await memory.user("user1").variables.get("state") == JSON
    assert not memory.user("user1").working.status.degraded


async def measure_sizes(*, total: int, rounds: int, calls: int) -> list[dict[str, Any]]:
    """Measure a call in process among ever more tenants."""
    rng, rows = random.Random(0), []
    async with open_memory(limits=Limits(max_users=None)) as memory:
        held = 0
        for size in (10**power for power in range(3, 10) if 10**power <= total):
            for i in range(held, size):
                await memory.user(f"user{i}").variables.set("state", i)
            held = size
            assert memory.statistics().users == size
            picked = rng.sample(range(size), SAMPLE)
            users = [memory.user(f"user{i}") for i in picked]
            gc.collect()
            # What the collector does with a million tenants is not what a call costs.
            gc.freeze()

            def get(i: int, users: Any = users) -> Awaitable[object]:
                return users[i % SAMPLE].variables.get("state")

            def put(i: int, users: Any = users, picked: Any = picked) -> Awaitable[object]:
                return users[i % SAMPLE].variables.set("state", picked[i % SAMPLE])

            async def go(call: Call, _: int) -> Load:
                return await load(call, calls=calls)

            found = await in_turns({"get": partial(go, get), "set": partial(go, put)}, rounds=rounds)
            assert [await user.variables.get("state") for user in users] == picked
            rows.append(
                {"tenants": size}
                | {
                    f"{name}_us": spread(each.percentile(50) * 1e3 for each in loads)
                    for name, loads in found.items()
                }
            )
    gc.unfreeze()
    return rows


async def measure_bound(*, bound: int) -> dict[str, int]:
    """Visit more tenants than there is room for; return how many were held at most, and at the end."""
    most = 0
    async with open_memory(limits=Limits(max_users=bound)) as memory:
        for i in range(bound + bound // 2):
            await memory.user(f"user{i}").variables.set("state", i)
            most = max(most, memory.statistics().users)
        # The first ones had to go, the last ones are there.
        assert await memory.user("user0").variables.get("state") is None
        assert await memory.user(f"user{bound + bound // 2 - 1}").variables.get("state") is not None
        assert most == bound
        return {"visited": bound + bound // 2, "bound": bound, "held_at_most": most}


async def weigh(redis: str | None, visit: Callable[[Any, int], Awaitable[object]]) -> float:
    """Return the bytes that a tenant takes in this process once it was visited."""
    async with open_memory(redis=redis) as memory:
        for i in range(100):
            await visit(memory.user(f"warm{i}"), i)
        gc.collect()
        tracemalloc.start()
        for i in range(WEIGHED):
            await visit(memory.user(f"user{i}"), i)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return significant(size / WEIGHED)


async def measure_weights() -> dict[str, dict[str, float]]:
    visits = {
        "nothing in it": _look,
        "a variable": _set_variable,
        "a variable and a block of 200 characters": _set_both,
    }
    async with redis_server() as url:
        sides = {"in process": None, "on Redis": url}
        return {
            name: {side: await weigh(where, visit) for side, where in sides.items()}
            for name, visit in visits.items()
        }


async def _look(user: Any, _: int) -> None:
    await user.variables.get("state")


async def _set_variable(user: Any, i: int) -> None:
    await user.variables.set("state", i)


async def _set_both(user: Any, i: int) -> None:
    await user.variables.set("state", i)
    await user.blocks.set("persona", f"{i:<200}")


async def main() -> None:
    quick = {"tenants": 100_000}
    options = arguments(__doc__, postgres=False, rounds=5, calls=4_000, tenants=1_000_000, quick=quick)
    on_redis, version = await measure_redis(rounds=options.rounds, calls=options.calls)
    weights = await measure_weights()
    bound = await measure_bound(bound=min(100_000, options.tenants))
    sizes = await measure_sizes(total=options.tenants, rounds=options.rounds, calls=options.calls)
    in_process = {"sizes": sizes, "bytes_per_tenant": weights, "bound": bound}
    results = {"redis": on_redis, "in process": in_process}
    report(results)
    save("working", results, options=options, servers={"redis-server": version})


def report(results: dict[str, Any]) -> None:
    show(
        "working memory on Redis, median of the rounds; ratios with lowest and highest",
        ["call", "", "calls/s", "p50 ms", "p99 ms", "client CPU us", "our time to it"],
        [
            (
                name if side == "ours" else "",
                side,
                *(
                    f"{r[side][figure]['median']:,}"
                    for figure in ("rate", "p50_ms", "p99_ms", "client_cpu_us")
                ),
                "" if side == "ours" else shown(r["time_to_floor"], " x"),
            )
            for name, r in results["redis"].items()
            for side in ("ours", "floor")
        ],
    )
    show(
        "a call in process, microseconds at the median",
        ["tenants", "get", "set"],
        [
            (f"{row['tenants']:,}", shown(row["get_us"]), shown(row["set_us"]))
            for row in results["in process"]["sizes"]
        ],
    )
    weighed = results["in process"]["bytes_per_tenant"]
    show(
        "what a tenant weighs in this process, bytes",
        ["with", "in process", "on Redis"],
        [(name, *(f"{size:,}" for size in sizes.values())) for name, sizes in weighed.items()],
    )


if __name__ == "__main__":
    anyio.run(main)
