"""What does a call cost among ever more tenants, and ever more of a tenant's own?

    python benchmarks/growth.py [--items 100000] [--calls 100] [--rounds 3] [--postgres DSN]

Among others: 1, 10, 100 tenants and so on, of ten episodes and ten facts each, up to so many items; those
that came last are asked. Its own: one tenant of 1,000, of 10,000 and so on, up to so many. `--items 1000000`
is a million of each, which takes a quarter of an hour. On PostgreSQL the items are made by SQL, in the tables
and with the columns of `remember` and `facts.add`; in process they are stored through the API, a
hundred thousand at most.

The exponent is the slope of a straight line through the medians with both axes logarithmic: 0 is flat, 1 is
linear, and a logarithm is about 0.1 over such a range. A recall looks at all vectors of a tenant, so that it
may be linear in the tenant's own. Plans of PostgreSQL change with size: a step is not a slope.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import asyncpg
import numpy as np
from _made_up import Drawn, made_up
from _measure import (
    DOCS,
    SCHEMA,
    Goal,
    Load,
    arguments,
    in_turns,
    load,
    save,
    server,
    show,
    shown,
    spread,
    versions,
)
from _plot import Line, Panel, draw
from tenants import AT, TEMPLATES, Group, fill, prepare

from recollect import EpisodeDraft, FactDraft, Memory, Tenant, UserMemory, open_memory

EACH = 10
"""Items of one of many tenants: so many episodes, and as many facts."""

QUERIES = 50
AMONG, OWN = "among other tenants", "of its own"
CALLS = ("recall", "find", "remember")
PICTURES = {
    "growth.svg": "Median time of recall, find and remember over the number of items, both logarithmic"
}
SCAN = (
    "Its vectors are compared one by one, exactly: an index over all tenants would lose hits of one that is "
    "far from the others."
)
GOALS = tuple(
    Goal(
        f"growth of `{call}` with the items {axis}, {store}", floor, (store, axis, "exponents", call),
        at_most=most, unit=" as exponent", bound=SCAN if call == "recall" and axis == OWN else "",
    )
    for store in ("PostgreSQL", "in process")
    for axis, floor, most in ((AMONG, "flat or logarithmic", 0.1), (OWN, "at most linear", 1.0))
    for call in CALLS
)  # fmt: skip

FACTS = (
    f"""
    insert into {SCHEMA}.assertion (
        tenant, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object, claimed_from, onset,
        confidence, sources, text_digest, hidden
    )
    select tenant, n, 0, 'fact' || n, $3, 'assert', '', 'subject' || n / 5, 'p' || n % 5, '',
        ('"value ' || n || '"')::json, $3, true, 1, '{{}}', decode(md5(n::text), 'hex'), '{{}}'
    from unnest($1::text[], $2::int[]) as t (tenant, size) cross join lateral generate_series(1, size) as n
    order by n, tenant
    """,
    f"""
    insert into {SCHEMA}.fact (
        tenant, assertion_tx, assertion_seq, valid_from, tx_from, recorded_at, branch, subject, predicate,
        slot, object_digest, void
    )
    select
        tenant, tx, seq, claimed_from, tx, recorded_at, branch, subject, predicate, slot, text_digest, false
    from {SCHEMA}.assertion where tenant = any($1::text[]) order by tx, tenant
    """,
    f"vacuum analyze {SCHEMA}.fact",
    f"vacuum analyze {SCHEMA}.assertion",
)

EXCHANGES = made_up(TEMPLATES)
Fill = Callable[[Group], Awaitable[None]]


@asynccontextmanager
async def on_postgres(dsn: str) -> AsyncGenerator[tuple[Memory, Fill]]:
    """Open a memory in a schema that is empty."""
    conn = await asyncpg.connect(dsn)
    try:
        async with open_memory(
            postgres=dsn, schema=SCHEMA, migrate="auto", embedder=Drawn(), deadline=120.0
        ) as memory:
            await prepare(conn, EXCHANGES)

            async def more(group: Group) -> None:
                await fill(conn, [group])
                keys = [Tenant("default", user).key for user in group.users()]
                for statement in FACTS:
                    given = (keys, [group.size] * group.count, AT)
                    used = [value for n, value in enumerate(given, 1) if f"${n}" in statement]
                    await conn.execute(statement, *used, timeout=None)

            yield memory, more
        await conn.execute(f"drop schema {SCHEMA} cascade", timeout=None)
    finally:
        await conn.close()


@asynccontextmanager
async def in_process() -> AsyncGenerator[tuple[Memory, Fill]]:
    async with open_memory(embedder=Drawn(), deadline=120.0) as memory:

        async def more(group: Group) -> None:
            drafts = [EpisodeDraft(input=said, output=answer) for said, answer in EXCHANGES]
            facts = [FactDraft(f"subject{n // 5}", f"p{n % 5}", f"value {n}") for n in range(group.size + 1)]
            for number, user in enumerate(group.users()):
                handle = memory.user(user)
                for start in range(0, group.size, 1_000):
                    many = min(1_000, group.size - start)
                    picked = [drafts[(number + start + i) % TEMPLATES] for i in range(many)]
                    await handle.remember_many(picked)
                    await handle.facts.add_many(facts[start + 1 : start + 1 + many])

        yield memory, more


def calls_of(users: Sequence[UserMemory], size: int) -> dict[str, Callable[[int], Awaitable[object]]]:
    questions = [" ".join(said.split()[2:8]) for said, _ in EXCHANGES[:QUERIES]]

    async def recall(i: int) -> None:
        hits = await users[i % len(users)].recall(questions[i % QUERIES], limit=5)
        # Of ten episodes fewer than five may have anything to do with a question.
        assert len(hits) == 5 or size == EACH

    async def find(i: int) -> None:
        n = 1 + i * 7919 % size
        (found,) = await users[i % len(users)].facts.find(f"subject{n // 5}", f"p{n % 5}")
        assert found.object == f"value {n}"

    async def remember(i: int) -> None:
        await users[i % len(users)].remember(*EXCHANGES[i % TEMPLATES])

    return {"recall": recall, "find": find, "remember": remember}


async def ask(memory: Memory, groups: Sequence[Group], *, calls: int, rounds: int) -> list[dict[str, Any]]:
    """Measure each kind of call on tenants of each group, groups in turns, the kind that adds last."""
    kinds: dict[str, dict[str, Callable[[int], Awaitable[Load]]]] = {name: {} for name in CALLS}

    async def go(call: Callable[[int], Awaitable[object]], number: int, many: int) -> Load:
        return await load(lambda i: call(number * many + i), calls=many)

    for group in groups:
        names = np.random.default_rng(0).permutation(group.users())[: calls * rounds]
        for kind, call in calls_of([memory.user(name) for name in names], group.size).items():
            # A recall of a million takes seconds.
            many = max(3, min(calls, 3_000_000 // group.size)) if kind == "recall" else calls
            kinds[kind][group.name] = partial(go, call, many=many)
    found = {kind: await in_turns(of_groups, rounds=rounds) for kind, of_groups in kinds.items()}
    return [
        {kind: spread(each.percentile(50) for each in found[kind][group.name]) for kind in CALLS}
        for group in groups
    ]


def stages(items: int) -> dict[str, list[Group]]:
    """Return what is added to each axis, step by step."""
    few = [10**power for power in range(10) if EACH * 10**power <= items]
    many = [10**power for power in range(3, 10) if 10**power <= items]
    return {
        AMONG: [Group(f"t{n}", EACH, n - n // 10) for n in few],
        OWN: [Group(f"own{n}", n, 1) for n in many],
    }


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of a straight line through two points or more, both axes logarithmic."""
    x, y = np.log10(np.array(points)).T
    return round(float(np.polyfit(x, y, 1)[0]), 3) or 0.0  # not -0.0


async def measure(opened: Callable[[], Any], *, items: int, calls: int, rounds: int) -> dict[str, Any]:
    results = {}
    for axis, groups in stages(items).items():
        sizes = [group.size if axis == OWN else EACH * int(group.name[1:]) for group in groups]
        asked: list[dict[str, Any]] = []
        async with opened() as (memory, more):
            for group in groups:
                await more(group)
                print(f"{len(groups)} sizes {axis}: stored {group}")
                if axis == AMONG:
                    asked += await ask(memory, [group], calls=calls, rounds=rounds)
            # These are there together, so that they can take turns.
            asked = asked or await ask(memory, groups, calls=calls, rounds=rounds)
        points: list[dict[str, Any]] = [
            {"items": size, **each} for size, each in zip(sizes, asked, strict=True)
        ]
        exponents = {
            call: exponent([(each["items"], each[call]["median"]) for each in points]) for call in CALLS
        }
        results[axis] = {"points": points, "exponents": exponents}
    return results


async def main() -> None:
    options = arguments(__doc__, items=100_000, calls=100, rounds=3, quick={"items": 10_000})
    assert options.items >= 10_000, "a line needs two points"
    given = {"calls": options.calls, "rounds": options.rounds}
    async with server(options.postgres) as dsn:
        results = {"PostgreSQL": await measure(partial(on_postgres, dsn), items=options.items, **given)}
        found = await versions(dsn)
    results["in process"] = await measure(in_process, items=min(options.items, 100_000), **given)
    report(results)
    save("growth", results, options=options, servers=found)
    (DOCS / "growth.svg").write_text(picture(results), encoding="utf-8")


def picture(results: dict[str, Any]) -> str:
    panels: list[Panel] = []
    for store, axes in results.items():
        for axis, found in axes.items():
            lines = [
                Line(
                    f"{call} {found['exponents'][call]:+.2f}",
                    [(each["items"], each[call]["median"]) for each in found["points"]],
                    dots=True,
                )
                for call in CALLS
            ]
            panels.append(Panel(f"{store}: milliseconds", f"items {axis}", lines, log_x=True, log_y=True))
    return draw("What a call takes, and the exponent it grows with", panels, columns=2)


def report(results: dict[str, Any]) -> None:
    for store, axes in results.items():
        for axis, found in axes.items():
            show(
                f"{store}: milliseconds at the median, by items {axis}",
                ["items", *CALLS],
                [
                    *(
                        (f"{each['items']:,}", *(shown(each[call]) for call in CALLS))
                        for each in found["points"]
                    ),
                    ("exponent", *(f"{found['exponents'][call]:+.3f}" for call in CALLS)),
                ],
            )


if __name__ == "__main__":
    anyio.run(main)
