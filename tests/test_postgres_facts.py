"""What is particular to facts in PostgreSQL: plans, locks, connections that die, rules that change."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import numpy as np
import pytest

from recollect import ConfigurationError, FactConflict, NotFound, OutcomeUnknown, StoreUnavailable
from recollect.postgres import PostgresArchive, open_postgres
from recollect.postgres.upkeep import guard_schema, migrate_schema
from recollect.stores.changes import Change, Committed, Rollback, Rule
from recollect.testing import Clock
from recollect.testing._fact_material import (
    CITY,
    LIKES,
    change,
    commit,
    correct,
    end,
    everything,
    filtered,
    find,
    fresh,
    objects,
    retract,
    say,
    since,
    spans,
    timeline,
)
from recollect.testing._material import episode, fresh_tenant, store
from recollect.types import Tenant

from .beside import execute, in_transaction
from .faults.interruption import HANGS, one_waits_for_a_lock
from .faults.proxy import open_proxy

RACES = 50


@pytest.fixture
async def other(postgres_archive: PostgresArchive, postgres_dsn: str, shared_schema: str, clock: Clock):
    """The same archive over another pool."""
    async with open_postgres(postgres_dsn, schema=shared_schema, clock=clock) as opened:
        yield opened


# Transactions.


async def test_first_write_that_is_refused_leaves_no_tenant(postgres_archive: PostgresArchive) -> None:
    tenant = fresh_tenant()
    for refused in (retract("nothing"), end(2020, predicate=LIKES), since("Rome", sources=("nothing",))):
        (outcome,) = await postgres_archive.facts.commit([change(tenant, refused)])
        assert isinstance(outcome, NotFound)
    assert await postgres_archive.directory.users(tenant.namespace, after=None, limit=10) == []
    await say(postgres_archive, tenant, since("Rome"))
    assert await postgres_archive.directory.users(tenant.namespace, after=None, limit=10) == ["alice"]


def _many_things(tenant: Tenant, first: str) -> list[Change]:
    """Return changes that use every part of the statement that writes."""
    return [
        change(tenant, since("Oslo", 2021, subject="bob"), since("sushi", predicate=LIKES), session_id="s"),
        change(tenant, retract("missing")),
        change(tenant, correct(first, "Bergen"), vectors=np.ones((1, 4), np.float32)),
        change(tenant, Rollback(str(uuid4()), "s", 1), name="rollback", session_id="s"),
    ]


@pytest.mark.parametrize("lost", ["once", "for good"])
async def test_connection_that_dies_at_any_statement_leaves_all_or_nothing(
    postgres_archive: PostgresArchive, postgres_dsn: str, shared_schema: str, clock: Clock, lost: str
) -> None:
    landed = list[bool]()
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(open_proxy(postgres_dsn))
        archive = await stack.enter_async_context(open_postgres(proxy.dsn, schema=shared_schema, clock=clock))
        interrupted = True
        while interrupted:
            tenant = await fresh(archive)
            (first,) = await say(archive, tenant, since("Rome", 2020))
            before = await everything(archive, tenant)
            changes = _many_things(tenant, first.assertion.id)
            left = len(landed)

            def loses() -> bool:
                nonlocal left
                left -= 1
                return left == -1 or (left < -1 and lost == "for good")

            proxy.loses = loses
            with anyio.fail_after(HANGS):
                outcomes = await archive.facts.commit(changes)
            proxy.loses = lambda: False
            interrupted = left < 0
            after = await everything(postgres_archive, tenant)
            landed.append(after != before)
            if lost == "once" or not interrupted:
                assert _kinds(outcomes) == [Committed, NotFound, Committed, Committed]
                assert after != before
            elif after != before:
                assert _kinds(outcomes) == [OutcomeUnknown] * 4
            else:
                assert set(_kinds(outcomes)) <= {OutcomeUnknown, StoreUnavailable}
            # Whatever became of it: to send it again is to have sent it once.
            repeated = await archive.facts.commit(changes)
            assert _kinds(repeated) == [Committed, NotFound, Committed, Committed]
            assert after in (before, await everything(postgres_archive, tenant))
            assert await postgres_archive.facts.verify(tenant) == 0
    assert landed.count(False) >= 3 or lost == "once", "it was hardly interrupted"


def _kinds(outcomes: Any) -> list[type]:
    return [type(each) for each in outcomes]


async def test_tenant_that_somebody_else_writes_for_does_not_hold_up_others_that_are_tried_with_it(
    postgres_archive: PostgresArchive, postgres_dsn: str, shared_schema: str
) -> None:
    held, free = await fresh(postgres_archive), await fresh(postgres_archive)
    for tenant in (held, free):
        await say(postgres_archive, tenant, since("Rome", 2020))
    batches = [[change(tenant, since("Oslo", 2022))] for tenant in (held, free)]
    before = await everything(postgres_archive, held)
    async with in_transaction(postgres_dsn) as beside:
        await beside.execute(f"update {shared_schema}.tenant set tx = tx where tenant = $1", held.key)
        with anyio.fail_after(HANGS):
            refused, outcomes = await postgres_archive.facts.try_commit(batches)
    assert refused is None
    assert await everything(postgres_archive, held) == before
    assert _kinds(outcomes) == [Committed]
    again, _ = await postgres_archive.facts.try_commit(batches)
    assert _kinds(again) == [Committed]


async def test_tenant_whose_clock_moves_while_it_is_looked_at_is_left_to_a_transaction_of_its_own(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection
) -> None:
    outcomes = list[Any]()
    dsn = f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}application_name={schema}"
    await migrate_schema(postgres_dsn, schema=schema)
    async with open_postgres(dsn, schema=schema) as archive:
        tenant = await fresh(archive)
        await say(archive, tenant, since("Rome", 2020))
        changes = [change(tenant, since("Oslo", 2022, sources=("e1",)))]

        async def look() -> None:
            outcomes.extend(await archive.facts.try_commit([changes]))

        # Whoever reads a rule waits, in the middle of a statement.
        await execute(
            postgres_dsn,
            f"alter table {schema}.predicate rename to rule; create view {schema}.predicate as"
            f" select * from {schema}.rule where pg_advisory_xact_lock_shared(26)::text = ''",
        )
        async with anyio.create_task_group() as tasks, in_transaction(postgres_dsn) as beside:
            await beside.execute("select pg_advisory_xact_lock(26)")
            tasks.start_soon(look)
            await one_waits_for_a_lock(watch, schema)
            await store(archive, tenant, episode(id="e1"))
        assert outcomes == [None]
        assert _kinds(await archive.facts.commit(changes)) == [Committed]


async def test_unknown_tenant_that_is_only_tried_stays_unknown(postgres_archive: PostgresArchive) -> None:
    tenant = fresh_tenant()
    assert await postgres_archive.facts.try_commit([[change(tenant, since("Rome", 2020))]]) == [None]
    assert tenant.user_id not in await postgres_archive.directory.users(tenant.namespace, after=None, limit=9)


async def test_commit_that_waits_for_its_tenant_can_be_cancelled_and_holds_up_nobody_else(
    postgres_archive: PostgresArchive, postgres_dsn: str, shared_schema: str, watch: asyncpg.Connection
) -> None:
    tenant, neighbour = await fresh(postgres_archive), fresh_tenant()
    await say(postgres_archive, tenant, since("Rome", 2020))
    before = await everything(postgres_archive, tenant)
    name = f"test {uuid4()}"
    dsn = f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}application_name={name}"
    async with open_postgres(dsn, schema=shared_schema) as archive:
        async with in_transaction(postgres_dsn) as holder:
            await holder.execute(
                f"select from {shared_schema}.tenant where tenant = $1 for update", tenant.key
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(say, archive, tenant, since("Oslo", 2021))
                await one_waits_for_a_lock(watch, name)
                with anyio.fail_after(HANGS):
                    await say(archive, neighbour, since("Oslo", 2021))
                tasks.cancel_scope.cancel()
        assert await everything(archive, tenant) == before
        await say(archive, tenant, since("Oslo", 2021))


# Races.


@pytest.mark.parametrize("kind", ["one", "immutable", "key"])
async def test_two_pools_that_race_on_one_slot_never_have_two_winners(
    postgres_archive: PostgresArchive, other: PostgresArchive, kind: str
) -> None:
    predicate = f"{kind} {uuid4()}"
    rule = {"one": Rule("one"), "immutable": Rule("one", immutable=True), "key": Rule("one", key="email")}
    await postgres_archive.adopt_predicates({predicate: rule[kind]}, replace=False)
    tenant = fresh_tenant()
    for race in range(RACES):
        said = [
            since({"email": f"{race}", "by": by}, subject=f"{race}", predicate=predicate) for by in ("a", "b")
        ]
        outcomes = await _at_once(
            (postgres_archive, change(tenant, said[0])), (other, change(tenant, said[1]))
        )
        lost = FactConflict if kind == "immutable" else Committed
        assert sorted(_kinds(outcomes), key=str) == sorted([Committed, lost], key=str)
        assert len(await find(other, tenant, subject=f"{race}", predicate=predicate)) == 1
    assert await other.facts.verify(tenant) == 0


async def _at_once(*commits: tuple[PostgresArchive, Change]) -> list[Any]:
    outcomes = list[Any]()

    async def send(archive: PostgresArchive, sent: Change) -> None:
        outcomes.extend(await archive.facts.commit([sent]))

    async with anyio.create_task_group() as tasks:
        for archive, sent in commits:
            tasks.start_soon(send, archive, sent)
    return outcomes


async def test_writers_in_two_pools_are_served_one_after_the_other(
    postgres_archive: PostgresArchive, other: PostgresArchive
) -> None:
    tenant = await fresh(postgres_archive)
    committed = list[Committed]()

    async def write(archive: PostgresArchive, number: int) -> None:
        for i in range(10):
            committed.append(await commit(archive, tenant, since(f"{number} {i}", 2000 + i)))

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(write, (postgres_archive, other)[number % 2], number)
    assert sorted(each.tx for each in committed) == list(range(1, 41))
    log, _ = await other.facts.changes(tenant, after=(0, 0), limit=100)
    instants = [each.recorded_at for each in log]
    assert instants == sorted(set(instants))
    assert await other.facts.verify(tenant) == 0


async def test_the_same_change_sent_by_two_pools_lands_once(
    postgres_archive: PostgresArchive, other: PostgresArchive
) -> None:
    tenant = await fresh(postgres_archive)
    for race in range(10):
        sent = change(tenant, since(f"place {race}", 2000 + race), key=f"key {race}")
        outcomes = await _at_once((postgres_archive, sent), (other, sent), (postgres_archive, sent))
        assert [outcome.tx for outcome in outcomes] == [race + 1] * 3


async def test_longest_names_fit_the_indices(postgres_archive: PostgresArchive) -> None:
    seed = uuid4().int

    def longest(n: int) -> str:  # in bytes, and not to be compressed
        return "".join(chr(0x4E00 + (seed + n * 7919 + i * 104729) % 20_000) for i in range(85))

    tenant = Tenant(longest(0), longest(1))
    said = since("x", 2020, id=longest(2), subject=longest(3), predicate=longest(4), sources=(longest(5),))
    await store(postgres_archive, tenant, episode(id=longest(5)))
    await say(postgres_archive, tenant, replace(said, staged=True), session_id=longest(6))
    found = await find(postgres_archive, tenant, subject=longest(3), branch=longest(6))
    assert [each.piece.assertion.id for each in found] == [longest(2)]
    assert await postgres_archive.facts.erase(tenant, [longest(5)]) == 1


# Pools of the caller's, and vectors.


@pytest.mark.asyncio_only
async def test_vectors_are_the_same_over_a_pool_of_the_callers(
    postgres_archive: PostgresArchive, postgres_dsn: str, shared_schema: str, clock: Clock
) -> None:
    import json

    async def codecs(connection: asyncpg.Connection) -> None:
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)

    tenant = await fresh(postgres_archive)
    query = np.array([0.6, 0.8, 0, 0], np.float32)
    made = asyncpg.create_pool(postgres_dsn, min_size=0, init=codecs, statement_cache_size=0)
    async with made as pool, open_postgres(pool, schema=shared_schema, clock=clock) as archive:
        for i, writer in enumerate((postgres_archive, archive)):
            said = since({'quo"te': ["\\", None, f"{i}"]}, subject=f"{i}", sources=())
            await say(writer, tenant, said, vectors=query[None])
        one, two = [
            await each.facts.candidates(tenant, filtered(), query) for each in (archive, postgres_archive)
        ]
        assert one.cosine is not None
        assert two.cosine is not None
        assert np.allclose(one.cosine, 1)
        assert np.array_equal(one.cosine, two.cosine)
        assert list(one.facts) == list(two.facts)
        assert list(one.facts[1:]) == [two.facts[-1]]
        assert one.terms == two.terms
        assert await objects(archive, tenant, where={('quo"te',): ["\\", None, "1"]}) == [
            {'quo"te': ["\\", None, "1"]}
        ]


async def test_vectors_of_an_embedder_that_was_replaced_are_kept_out(
    postgres_dsn: str, schema: str, clock: Clock
) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    vectors = np.ones((1, 4), np.float32) / 2
    async with (
        open_postgres(postgres_dsn, schema=schema, clock=clock) as old,
        open_postgres(postgres_dsn, schema=schema, clock=clock) as new,
    ):
        tenant = await fresh(old)
        await old.adopt_embedder("old", 4, reembed=False)
        await say(old, tenant, since("Rome", 2020), vectors=vectors)
        assert await old.facts.unembedded(tenant, limit=10) == []
        await new.adopt_embedder("new", 3, reembed=True)
        await say(old, tenant, since("Oslo", 2021), vectors=vectors)
        pending = await new.facts.unembedded(tenant, limit=10)
        assert [each.text for each in sorted(pending, key=lambda each: each.text)] == ['"Oslo"', '"Rome"']
        assert await old.facts.set_vectors(tenant, {each.digest: vectors for each in pending}) == 0
        assert await new.facts.set_vectors(tenant, {pending[0].digest: vectors[:, :3]}) == 1
        found = await new.facts.candidates(tenant, filtered(during=(None, None)), vectors[0, :3])
        assert found.cosine is not None
        assert np.isnan(found.cosine).sum() == 1


# Rules.


async def test_rule_that_is_replaced_folds_the_facts_of_every_tenant_again(
    postgres_archive: PostgresArchive,
) -> None:
    predicate, namespace = f"rule {uuid4()}", str(uuid4())
    tenants = [fresh_tenant(name, namespace=namespace) for name in ("alice", "bob")]
    for tenant in tenants:
        (rome,) = await say(postgres_archive, tenant, since("Rome", 2020, predicate=predicate))
        await say(postgres_archive, tenant, since("Oslo", 2021, predicate=predicate))
        (hiding,) = await say(postgres_archive, tenant, retract(rome.assertion.id))
        await say(postgres_archive, tenant, retract(hiding.assertion.id))
        assert await objects(postgres_archive, tenant, predicate=predicate) == ["Oslo", "Rome"]
    rules = await postgres_archive.adopt_predicates({predicate: Rule("one")}, replace=False)
    assert rules[predicate] == Rule("one")
    for tenant in tenants:
        assert await postgres_archive.facts.verify(tenant) == 0
        assert await timeline(postgres_archive, tenant, predicate=predicate) == spans(
            [("Rome", 2020, 2021), ("Oslo", 2021, None)]
        )
        # As it was before the retraction of the retraction, and before the retraction.
        assert await objects(postgres_archive, tenant, predicate=predicate, known=3) == ["Oslo"]
        known = await timeline(postgres_archive, tenant, predicate=predicate, known=2)
        assert known == spans([("Rome", 2020, 2021), ("Oslo", 2021, None)])
    with pytest.raises(ConfigurationError, match=predicate):
        await postgres_archive.adopt_predicates({predicate: Rule("many")}, replace=False)
    for tenant in tenants:
        (rome, _) = (await postgres_archive.facts.slots(tenant, "anna", predicate, branch=None)).log[:2]
        await say(postgres_archive, tenant, retract(rome.id))
    await postgres_archive.adopt_predicates({predicate: Rule("many")}, replace=True)
    for tenant in tenants:
        assert await postgres_archive.facts.verify(tenant) == 0
        assert await objects(postgres_archive, tenant, predicate=predicate) == ["Oslo"]
        assert await objects(postgres_archive, tenant, predicate=predicate, known=4) == ["Oslo", "Rome"]


async def test_of_two_processes_that_declare_a_predicate_differently_one_is_refused(
    postgres_archive: PostgresArchive, other: PostgresArchive
) -> None:
    for _ in range(10):
        predicate, adopted = f"rule {uuid4()}", list[Rule | None]()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_declare, postgres_archive, predicate, Rule("one"), adopted)
            tasks.start_soon(_declare, other, predicate, Rule("one", immutable=True), adopted)
        (won,) = [each for each in adopted if each is not None]
        recorded = await other.adopt_predicates({}, replace=False)
        assert recorded[predicate] == won
        assert len(adopted) == 2


async def _declare(archive: PostgresArchive, predicate: str, rule: Rule, adopted: list[Rule | None]) -> None:
    try:
        rules = await archive.adopt_predicates({predicate: rule}, replace=False)
    except ConfigurationError:
        adopted.append(None)
    else:
        adopted.append(rules[predicate])


async def test_rule_that_is_declared_while_others_write_holds_of_all_that_is_written(
    postgres_archive: PostgresArchive, other: PostgresArchive
) -> None:
    for _ in range(10):
        predicate, tenant = f"rule {uuid4()}", fresh_tenant()

        async def write(predicate: str = predicate, tenant: Tenant = tenant) -> None:
            for i in range(8):
                await say(other, tenant, since(f"{i}", 2000 + i, predicate=predicate))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await postgres_archive.adopt_predicates({predicate: Rule("one")}, replace=False)
        log = (await other.facts.slots(tenant, "anna", predicate, branch=None)).log
        assert [each.slot for each in log] == [""] * 8
        assert await objects(other, tenant, predicate=predicate) == ["7"]
        assert await other.facts.verify(tenant) == 0


# What guards the projection.


@pytest.mark.parametrize(
    "damage",
    [
        "update {schema}.fact set valid_from = valid_from + interval '1 s' where tenant = $1 and tx_from = 2",
        "update {schema}.fact set session_id = 'another' where tenant = $1",
        "update {schema}.fact set subject = 'another' where tenant = $1",
        "update {schema}.fact set object_digest = 'x' where tenant = $1",
        "delete from {schema}.fact where tenant = $1 and tx_to is not null",
        "update {schema}.assertion set hidden = hidden || 9::bigint where tenant = $1",
        "update {schema}.assertion set claimed_from = claimed_from - interval '1 day' where tenant = $1",
        "delete from {schema}.assertion where tenant = $1",
    ],
)
async def test_damage_is_found(
    postgres_archive: PostgresArchive, shared_schema: str, watch: asyncpg.Connection, damage: str
) -> None:
    tenant = await fresh(postgres_archive)
    await say(postgres_archive, tenant, since("Rome", 2020))
    await say(postgres_archive, tenant, since("Oslo", 2021))
    assert await postgres_archive.facts.verify(tenant) == 0
    await watch.execute(damage.format(schema=shared_schema), tenant.key)
    assert await postgres_archive.facts.verify(tenant) == 1


@pytest.mark.parametrize("partitions", [None, 3], ids=["whole", "cut"])
async def test_guarded_schema_refuses_what_overlaps_and_nothing_that_the_store_writes(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection, clock: Clock, partitions: int | None
) -> None:
    await migrate_schema(postgres_dsn, schema=schema, partitions=partitions)
    assert await guard_schema(postgres_dsn, schema=schema)
    assert not await guard_schema(postgres_dsn, schema=schema)
    async with open_postgres(postgres_dsn, schema=schema, clock=clock) as archive:
        tenant = await fresh(archive)
        await store(archive, tenant, episode(id="e"))
        said = [since("Rome", 2020), since("Oslo", 2023, sources=("e",)), since("Paris", 2021)]
        outcomes = await archive.facts.commit([change(tenant, each) for each in said])
        assert _kinds(outcomes) == [Committed] * 3
        await say(archive, tenant, correct(said[0].id, "Lyon"), since("sushi", predicate=LIKES))
        await say(archive, tenant, end(2022), session_id="s")
        await archive.facts.commit([change(tenant, Rollback("r", "s", 1), name="rollback")])
        assert await archive.facts.erase(tenant, ["e"]) == 1
        await archive.adopt_predicates({CITY: Rule("many")}, replace=True)
        await archive.adopt_predicates({CITY: Rule("one")}, replace=True)
        assert await archive.facts.verify(tenant) == 0
        columns = await watch.fetchval(
            "select string_agg(attname, ', ') from pg_attribute"
            " where attrelid = $1::regclass and attnum > 0 and attname <> 'valid_from'",
            f"{schema}.fact",
        )
        with pytest.raises(asyncpg.ExclusionViolationError):
            await watch.execute(
                f"insert into {schema}.fact ({columns}, valid_from)"
                f" select {columns}, valid_from + interval '1 day' from {schema}.fact where tx_to is null"
            )


async def test_schema_that_holds_an_overlap_cannot_be_guarded(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection
) -> None:
    await migrate_schema(postgres_dsn, schema=schema)
    async with open_postgres(postgres_dsn, schema=schema) as archive:
        await say(archive, await fresh(archive), since("Rome", 2020))
    await watch.execute(
        f"insert into {schema}.fact select (f).* from"
        f' (select jsonb_populate_record(f, \'{{"valid_from": "2021-01-01T00:00:00Z"}}\') as f'
        f" from {schema}.fact f) as copied"
    )
    with pytest.raises(ConfigurationError, match="23P01"):
        await guard_schema(postgres_dsn, schema=schema)
