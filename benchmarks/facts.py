"""How fast are facts added in PostgreSQL, beside hand-written SQL that does the same work?

    python benchmarks/facts.py [--postgres DSN] [--rounds 5] [--calls 3200]

The floor is one transaction for each call, as it would be written by hand for this one case: take the
clock row, read the current piece of the slot, close it, and store the header, the assertion, its text and the
new piece, in the same tables with the same indexes; a pool of 16. Each call sets a new value of a predicate
with one value at a time, on one of a hundred subjects of a tenant.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import blake2b

import anyio
import asyncpg
from _measure import (
    SCHEMA,
    Goal,
    arguments,
    compared,
    in_turns,
    load,
    raw_pool,
    save,
    server,
    show_compared,
    versions,
)

from recollect import Memory, Predicate, Tenant, open_memory
from recollect._draft import digest, text_digest
from recollect._ids import uuid7

SUBJECTS = 100
BOUND = (
    "What bounds it is the client's CPU, see *client CPU us* below: interval algebra, checks and digests are "
    "our Python, and the floor writes its one case by hand."
)
GOALS = tuple(
    Goal(
        f"`facts.add`, {load}: rate", "one locked transaction per call", (f"add, {load}", "rate_to_floor"),
        at_least=least, bound=BOUND,
    )
    for load, least in (("64 tasks, one tenant", 3), ("64 tasks, 50 tenants", 1.5))
)  # fmt: skip
PREDICATE = Predicate("mood", cardinality="one")

CLOCK = f"""
insert into {SCHEMA}.tenant as t (tenant, namespace, user_id, tx, at)
values ($1, $2, $3, 1, clock_timestamp())
on conflict (tenant) do update
    set tx = t.tx + 1, at = greatest(clock_timestamp(), t.at + interval '1 microsecond')
returning tx, at
"""
CURRENT = f"""
select assertion_tx, assertion_seq, valid_from, valid_to, tx_from from {SCHEMA}.fact
where tenant = $1 and subject = $2 and predicate = $3 and branch = '' and slot = '' and tx_to is null
order by valid_from desc limit 1
"""
WRITE = f"""
with header as (
    insert into {SCHEMA}.fact_transaction (tenant, tx, recorded_at, name, key_hash, digest)
    values ($1, $2, $3, 'add', $4, $5)
), log as (
    insert into {SCHEMA}.assertion (
        tenant, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object, claimed_from, onset,
        confidence, sources, text_digest, hidden
    ) values ($1, $2, 0, $6, $3, 'assert', '', $7, $8, '', $9::text::json, $3, true, 1, '{{}}', $10, '{{}}')
), text as (
    insert into {SCHEMA}.fact_text (tenant, digest, text, terms, embedding_state)
    values ($1, $10, $11, $12, 'none') on conflict do nothing
), closed as (
    update {SCHEMA}.fact set tx_to = $2, superseded_at = $3, superseded_by = $6
    where tenant = $1 and assertion_tx = $13 and assertion_seq = $14 and valid_from = $15 and tx_from = $16
)
insert into {SCHEMA}.fact (
    tenant, assertion_tx, assertion_seq, valid_from, valid_to, tx_from, tx_to, recorded_at, branch, subject,
    predicate, slot, object_digest, void
)
select $1, given.assertion_tx, given.seq, given.valid_from, given.valid_to, $2, null, $3, '', $7, $8, '',
    given.digest, false
from (values
    ($2::bigint, 0, $3::timestamptz, null::timestamptz, $17::bytea),
    ($13, $14, $15, $3, $18)
) as given (assertion_tx, seq, valid_from, valid_to, digest)
where given.assertion_tx is not null
"""


def ours(memory: Memory, users: Sequence[str]) -> Callable[[int], Awaitable[object]]:
    handles = [memory.user(user) for user in users]

    def call(i: int) -> Awaitable[object]:
        facts = handles[i % len(handles)].facts
        return facts.add(f"subject {i // len(handles) % SUBJECTS}", PREDICATE.name, f"value {i}")

    return call


def by_hand(pool: asyncpg.Pool, users: Sequence[str]) -> Callable[[int], Awaitable[object]]:
    tenants = [Tenant("default", user) for user in users]

    async def call(i: int) -> None:
        tenant, subject = tenants[i % len(tenants)], f"subject {i // len(tenants) % SUBJECTS}"
        id, object = uuid7(), f'"value {i}"'
        async with pool.acquire() as conn, conn.transaction():
            clock = await conn.fetchrow(CLOCK, tenant.key, tenant.namespace, tenant.user_id)
            old = await conn.fetchrow(CURRENT, tenant.key, subject, PREDICATE.name)
            closed = (None,) * 4 if old is None else (old[0], old[1], old[2], old[4])
            await conn.execute(
                WRITE, tenant.key, clock["tx"], clock["at"], blake2b(id.encode(), digest_size=16).digest(),
                b"digest", id, subject, PREDICATE.name, object, text_digest(subject, PREDICATE.name, object),
                f"{subject} mood value {i}", [subject, "mood", "valu", str(i)], *closed, digest(object), b"",
            )  # fmt: skip

    return call


async def measure_adding(
    memory: Memory, pool, name: str, *, tasks: int, tenants: int, calls: int, rounds: int
):
    users = {side: [f"{name} {side} {i}" for i in range(tenants)] for side in ("ours", "floor")}
    sides = {"ours": ours(memory, users["ours"]), "floor": by_hand(pool, users["floor"])}

    async def go(call, number: int):
        if number == 1:  # of a table that grew from nothing a server knows nothing, until a minute has passed
            await pool.execute(f"analyze {SCHEMA}.fact, {SCHEMA}.assertion, {SCHEMA}.fact_transaction")
        return await load(lambda i: call(number * calls + i), calls=calls, tasks=tasks)

    found = await in_turns({side: partial(go, call) for side, call in sides.items()}, rounds=rounds)
    stored = [await memory.user(user).facts.count() for side in users for user in users[side]]
    assert sum(stored) == 2 * tenants * min(SUBJECTS, calls * (rounds + 1) // tenants), stored
    await verify(memory, users["ours"][0])
    return compared(found)


async def verify(memory: Memory, user: str) -> None:
    """Assert that the history of a subject has no gaps, its times increase, and all is what the log says."""
    spans = await memory.user(user).facts.timeline("subject 0", PREDICATE.name)
    assert all(len(span.facts) == 1 for span in spans)
    known = await memory.user(user).facts.history("subject 0", PREDICATE.name)
    assert sorted({fact.tx_from for fact in known}) == list(dict.fromkeys(fact.tx_from for fact in known))
    assert await memory._composition.archive.facts.verify(memory.user(user)._scope.tenant) == 0


async def main() -> None:
    options = arguments(__doc__, rounds=5, calls=3_200, quick={"rounds": 3, "calls": 1_600})
    results = {}
    async with (
        server(options.postgres) as dsn,
        open_memory(postgres=dsn, schema=SCHEMA, migrate="auto", predicates=[PREDICATE]) as memory,
        raw_pool(dsn) as pool,
    ):
        for name, tasks, tenants, calls in (
            ("add, one task", 1, 1, options.calls // 4),
            ("add, 64 tasks, one tenant", 64, 1, options.calls),
            ("add, 64 tasks, 50 tenants", 64, 50, options.calls),
        ):
            results[name] = await measure_adding(
                memory, pool, name, tasks=tasks, tenants=tenants, calls=calls, rounds=options.rounds
            )
        servers = await versions(dsn)
    report(results)
    save("facts", results, options=options, servers=servers)


def report(results) -> None:
    show_compared("adding facts to PostgreSQL, median of the rounds", results)


if __name__ == "__main__":
    anyio.run(main)
