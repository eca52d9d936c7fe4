"""Recall from a streaming replica: never behind what this process knows, and never missed when it is away."""

import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from recollect import ConfigurationError, Memory, Settings, UserMemory, blocking, open_memory
from recollect._bridge import over_bridge
from recollect.inprocess import InProcessWorking
from recollect.postgres import Postgres, PostgresArchive, _replica, open_pool
from recollect.postgres._replica import Replicated, open_replica
from recollect.postgres.upkeep import migrate_schema
from recollect.testing import HashEmbedder

from .beside import connected, execute
from .conftest import PrivateServer
from .faults.conftest import with_option
from .faults.interruption import HANGS, everything_is_given_back, running_tasks, until
from .faults.proxy import Proxy, open_proxy
from .faults.test_cancellation import CANCELLATIONS
from .faults.test_remains import there_is
from .replicas import PATIENCE, Replica

Open = Callable[..., AbstractAsyncContextManager[Memory]]


@pytest.fixture(scope="session")
def running(private_server: PrivateServer) -> Iterator[Replica]:
    with tempfile.TemporaryDirectory(prefix="recollect-replica-", ignore_cleanup_errors=True) as directory:
        replica = Replica(private_server.server, Path(directory))
        try:
            yield replica
        finally:
            replica.close()


@pytest.fixture(scope="session")
def replicated_schema(private_server: PrivateServer, running: Replica) -> str:
    """A migrated schema for the tests of this file."""
    name = f"test_{uuid4().hex[:16]}"
    anyio.run(partial(migrate_schema, private_server.dsn, schema=name))
    anyio.run(running.catch_up)
    return name


@pytest.fixture
async def replica(anyio_backend: object, running: Replica, replicated_schema: str) -> AsyncIterator[Replica]:
    """The replica, as far as the primary."""
    await running.catch_up()
    yield running
    if not running.runs:
        running.start()


@pytest.fixture
def primary(private_server: PrivateServer, replicated_schema: str) -> Open:
    """`open_memory` of what the primary holds in a namespace of the test's own."""
    namespace = f"test-{uuid4()}"

    def opened(**options: Any) -> AbstractAsyncContextManager[Memory]:
        given = {
            "postgres": private_server.dsn, "schema": replicated_schema, "namespace": namespace,
            "embedder": HashEmbedder(), "deadline": PATIENCE,
        }  # fmt: skip
        return open_memory(**{**given, **options})

    return opened


@pytest.fixture
def both(primary: Open, replica: Replica) -> Open:
    """The same with the replica."""
    return partial(primary, read_postgres=replica.dsn)


async def texts(user: UserMemory, query: str = "the lamp") -> set[str]:
    return {hit.episode.input for hit in await user.recall(query, limit=50)}


async def objects(user: UserMemory) -> set[Any]:
    return {hit.fact.object for hit in await user.recall_facts("lives in", limit=50)}


@asynccontextmanager
async def lagging(replica: Replica) -> AsyncIterator[None]:
    """Have the replica apply nothing within the block."""
    await replica.pause()
    try:
        yield
    finally:
        await replica.catch_up()


async def known(user: UserMemory) -> None:
    """Have this process learn how far the tenant is."""
    await user.recall("the lamp")
    await user.recall_facts("lives in")


async def followed(user: UserMemory, replica: Replica) -> None:
    """Remember something, and have the replica answer from now on."""
    await user.remember("the lamp is new")
    await replica.catch_up()  # asked before, it would be left alone for a while
    await known(user)


async def read_again(replica: Replica, here: UserMemory, there: UserMemory) -> None:
    """Pass when the replica answers again; it is given some time to catch up."""
    with anyio.fail_after(PATIENCE):
        while True:
            text = f"the lamp of {uuid4()}"
            async with lagging(replica):
                await there.remember(text)
                if text not in await texts(here):
                    return


async def test_what_is_searched_is_answered_by_the_replica(
    both: Open, primary: Open, replica: Replica
) -> None:
    async with both() as memory, primary() as elsewhere:
        here, there = memory.user("alice"), elsewhere.user("alice")
        await there.remember("the lamp is new", session_id="s")
        await there.facts.add("alice", "lives_in", "Lisbon")
        await replica.catch_up()
        await known(here)
        async with lagging(replica):
            # Only the replica does not know of these yet.
            await there.remember("the lamp is broken", session_id="s")
            await there.facts.add("alice", "lives_in", "Porto")
            for mode in ("hybrid", "semantic", "lexical"):
                hits = await here.recall("the lamp", mode=mode, neighbours=1)
                assert [(hit.episode.input, hit.neighbours) for hit in hits] == [("the lamp is new", ())]
            assert await objects(here) == {"Lisbon"}
            assert await texts(there) == {"the lamp is new", "the lamp is broken"}
        assert await texts(here) == {"the lamp is new", "the lamp is broken"}
        assert await objects(here) == {"Lisbon", "Porto"}


async def test_what_is_asked_by_its_order_is_answered_by_the_primary(
    both: Open, primary: Open, replica: Replica
) -> None:
    async with both() as memory, primary() as elsewhere:
        here, there = memory.user("alice"), elsewhere.user("alice")
        await there.remember("the lamp is new")
        await replica.catch_up()
        await known(here)
        async with lagging(replica):
            await there.remember("the lamp is broken")
            assert [each.content for each in await here.messages()] == [
                "the lamp is new",
                "the lamp is broken",
            ]
            # Having been seen here once, it is not missed any more.
            assert await texts(here) == {"the lamp is new", "the lamp is broken"}


WRITES: dict[str, Callable[[UserMemory], Awaitable[Any]]] = {
    "remember": lambda alice: alice.remember("the lamp is red"),
    "remember under a taken id": lambda alice: alice.remember("the lamp is red", id="taken elsewhere"),
    "embed_pending": lambda alice: alice.episodes.embed_pending(limit=5),
    "facts.add": lambda alice: alice.facts.add("alice", "lives_in", "Lisbon"),
    "facts.embed_pending": lambda alice: alice.facts.embed_pending(limit=5),
    "facts.find": lambda alice: alice.facts.find(),
    "facts.get": lambda alice: alice.facts.get("fact elsewhere"),
    "facts.journal": lambda alice: alice.facts.journal(),
    "facts.changes": lambda alice: alice.facts.changes(),
    "episodes.list": lambda alice: alice.episodes.list(),
    "episodes.get": lambda alice: alice.episodes.get("taken elsewhere"),
    "messages": lambda alice: alice.messages(),
    "forget": lambda alice: alice.forget(episode_ids=["first"]),
    "forget everything": lambda alice: alice.forget(everything=True),
}
"""What makes a process know more of a tenant."""


@pytest.mark.parametrize("name", WRITES)
async def test_what_this_process_has_stored_read_or_forgotten_is_never_missed(
    both: Open, primary: Open, replica: Replica, name: str
) -> None:
    async with both() as memory, primary(embedder=None) as elsewhere:
        here, there = memory.user("alice"), elsewhere.user("alice")
        await there.remember("the lamp is new", id="first")
        await there.remember("the lamp is old")
        await there.facts.add("alice", "lives_in", "Faro")
        await replica.catch_up()
        await known(here)
        async with lagging(replica):
            # These are not written here: what is done here is what tells of them.
            if name in {"facts.find", "facts.get", "facts.journal", "facts.changes"}:
                await there.facts.add("alice", "lives_in", "Porto", id="fact elsewhere")
            elif name not in {"embed_pending", "facts.embed_pending"}:
                await there.remember("the lamp is red", id="taken elsewhere")
            before = await answers(here)
            await WRITES[name](here)
            after = await answers(here)
            assert after != before
            async with primary() as fresh:
                assert after == await answers(fresh.user("alice"))


async def answers(user: UserMemory) -> list[Any]:
    """Return all that both searches say."""
    hits, facts = await user.recall("the lamp", limit=50), await user.recall_facts("lives in", limit=50)
    return [
        *[(hit.episode.id, round(hit.score, 6), hit.signals.semantic) for hit in hits],
        *[(hit.fact.fact_id, round(hit.score, 6), hit.signals.semantic) for hit in facts],
    ]


async def test_what_was_restored_is_recalled_at_once(both: Open, replica: Replica) -> None:
    async with both() as memory:
        alice = memory.user("alice")
        await alice.remember("the lamp is new")
        export = await alice.export()
        await alice.remember("the lamp is broken")
        await alice.forget(everything=True)
        await replica.catch_up()
        assert await texts(alice) == set()
        async with lagging(replica), both(namespace=str(uuid4())) as other:
            bob = other.user("bob")
            await known(bob)
            await bob.restore(export)
            assert await texts(bob) == {"the lamp is new"}


async def test_what_was_known_at_a_point_is_answered_by_the_primary(
    both: Open, primary: Open, replica: Replica
) -> None:
    async with both() as memory, primary() as elsewhere:
        here, there = memory.user("alice"), elsewhere.user("alice")
        await there.facts.add("alice", "lives_in", "Lisbon")
        await replica.catch_up()
        await known(here)
        async with lagging(replica):
            await there.facts.add("alice", "lives_in", "Porto")
            point = (await there.facts.find()).basis  # as somebody else may be told it
            hits = await here.recall_facts("lives in", known_at=point)
            assert {hit.fact.object for hit in hits} == {"Lisbon", "Porto"}


async def test_forgotten_text_does_not_come_back_from_a_replica_that_still_has_it(
    both: Open, replica: Replica
) -> None:
    async with both() as memory:
        alice, bob = memory.user("alice"), memory.user("bob")
        for user in (alice, bob):
            await user.remember("the lamp is new", id="e", session_id="s")
            await user.remember("the lamp is secret", id="f", session_id="s")
            await user.facts.add("alice", "lives_in", "Lisbon", sources=["f"])
            await known(user)
        await replica.catch_up()
        async with lagging(replica):
            await alice.forget(episode_ids=["f"])
            await bob.forget(everything=True)
            for _ in range(20):
                hits = await alice.recall("the lamp", neighbours=3)
                assert [(hit.episode.input, hit.neighbours) for hit in hits] == [("the lamp is new", ())]
                assert await texts(bob) == await objects(alice) == await objects(bob) == set()
                assert "secret" not in (await alice.context("the lamp")).text


async def test_tenants_do_not_wait_for_each_other(both: Open, primary: Open, replica: Replica) -> None:
    async with both() as memory, primary() as elsewhere:
        alice, bob = memory.user("alice"), memory.user("bob")
        for user in (alice, bob):
            await followed(user, replica)
        async with lagging(replica):
            await elsewhere.user("bob").remember("the lamp is broken")
            await alice.remember("the lamp is red")
            for _ in range(3):
                assert await texts(alice) == {"the lamp is new", "the lamp is red"}
                assert await texts(bob) == {"the lamp is new"}  # from the replica, as before


async def test_a_replica_that_was_behind_is_read_again(both: Open, primary: Open, replica: Replica) -> None:
    async with both() as memory, primary() as elsewhere:
        here, there = memory.user("alice"), elsewhere.user("alice")
        async with lagging(replica):
            await here.remember("the lamp is new")
            assert await texts(here) == {"the lamp is new"}
            assert await texts(here) == {"the lamp is new"}
        await replica.catch_up()
        await read_again(replica, here, there)


async def test_a_tenant_of_which_nothing_is_known_any_more_is_read_from_the_primary(
    both: Open, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_replica, "TENANTS", 2)
    async with both() as memory:
        users = [memory.user(name) for name in ("alice", "bob", "carol")]
        async with lagging(replica):
            for user in users:
                await user.remember("the lamp is new")
            for user in users:
                assert await texts(user) == {"the lamp is new"}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [each.getMessage() for each in caplog.records if each.name == "recollect"]
    caplog.clear()
    return found


async def test_a_replica_that_dies_is_not_missed_and_is_used_when_it_is_back(
    both: Open, primary: Open, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "recollect")
    async with both() as memory, primary() as elsewhere:
        here, there = memory.user("alice"), elsewhere.user("alice")
        await followed(here, replica)
        replica.kill()
        health = await memory.health()
        assert (health.ok, health.replica is not None and health.replica.ok) == (True, False)
        for _ in range(5):
            await there.remember("the lamp is broken", id="e")
            assert await texts(here) == {"the lamp is new", "the lamp is broken"}
        assert len(lines(caplog)) == 1
        replica.start()
        await replica.catch_up()
        await read_again(replica, here, there)
        assert lines(caplog) == ["the replica of PostgreSQL is back"]


async def test_a_replica_that_is_away_is_left_alone_but_for_a_try_now_and_then(
    primary: Open, replica: Replica
) -> None:
    async with open_proxy(replica.dsn) as proxy, primary(read_postgres=proxy.dsn) as memory:
        alice = memory.user("alice")
        await followed(alice, replica)
        proxy.loses = lambda: True
        for _ in range(50):
            assert await texts(alice) == {"the lamp is new"}
        # Each try is up to three connections; asked with every read it were at least a hundred and fifty.
        assert 0 < proxy.cuts < 50


async def test_nothing_is_written_to_the_replica(
    both: Open, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    async with both() as memory:
        alice = memory.user("alice")
        await known(alice)
        replica.kill()
        await alice.remember("the lamp is new", id="e", embed="later")
        await alice.episodes.embed_pending(limit=5)
        fact = await alice.facts.add("alice", "lives_in", "Lisbon")
        await alice.facts.retract(fact.fact_id)
        await alice.forget(everything=True, verify=True)
        assert lines(caplog) == []  # nobody has noticed that it is away


async def test_it_is_opened_without_a_replica_that_is_away(
    both: Open, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    replica.kill()
    async with both() as memory:
        alice = memory.user("alice")
        await alice.remember("the lamp is new")
        assert await texts(alice) == {"the lamp is new"}
        assert len(lines(caplog)) == 1


@asynccontextmanager
async def hung(primary: Open, replica: Replica) -> AsyncIterator[tuple[UserMemory, Proxy]]:
    """A user whose replica says nothing any more."""
    async with open_proxy(replica.dsn) as proxy, primary(read_postgres=proxy.dsn, deadline=8.0) as memory:
        alice = memory.user("alice")
        await followed(alice, replica)
        proxy.silence()
        yield alice, proxy
        proxy.speak()


async def test_a_replica_that_hangs_takes_a_part_of_the_time_only(
    primary: Open, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    async with hung(primary, replica) as (alice, proxy):
        assert await texts(alice) == {"the lamp is new"}
        assert len(lines(caplog)) == 1
        proxy.speak()
        with anyio.fail_after(PATIENCE):
            while not lines(caplog):  # it is back
                assert await texts(alice) == {"the lamp is new"}


async def test_callers_with_little_time_find_out_as_well_that_a_replica_hangs(
    primary: Open, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    async with hung(primary, replica) as (alice, _):
        with anyio.fail_after(PATIENCE):
            while not lines(caplog):
                with anyio.move_on_after(1.5):
                    await texts(alice)
        assert await texts(alice) == {"the lamp is new"}


async def test_callers_with_little_time_close_a_slow_replica_to_nobody(
    primary: Open, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    async with hung(primary, replica) as (alice, _):
        async with anyio.create_task_group() as tasks:
            for _ in range(40):  # they wait at the same time, which is no longer than one of them
                tasks.start_soon(_hurried, alice)
        assert lines(caplog) == []


async def _hurried(user: UserMemory) -> None:
    with anyio.move_on_after(0.1):
        await texts(user)


async def test_a_long_lag_is_told_when_it_begins_and_when_it_ends(
    both: Open, replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_replica, "LAG", 0.05)
    caplog.set_level(logging.INFO, "recollect")
    async with both() as memory:
        alice = memory.user("alice")
        await known(alice)
        async with lagging(replica):
            await alice.remember("the lamp is new")
            told: list[str] = []
            with anyio.fail_after(PATIENCE):
                while not told:
                    assert await texts(alice) == {"the lamp is new"}
                    told = lines(caplog)
            for _ in range(5):
                await anyio.sleep(0.05)
                assert await texts(alice) == {"the lamp is new"}
            assert told == ["the replica of PostgreSQL is more than 0.05 s behind: the primary is read"]
            assert lines(caplog) == []
        with anyio.fail_after(PATIENCE):
            while not told[1:]:
                assert await texts(alice) == {"the lamp is new"}
                told += lines(caplog)
        assert told[1:] == ["the replica of PostgreSQL has caught up"]


@asynccontextmanager
async def impatient(replica: Replica) -> AsyncIterator[None]:
    """Have the replica cancel at once whatever holds up its replay."""
    name = "max_standby_streaming_delay"
    for each in (f"alter system set {name} = 0", "select pg_reload_conf()"):
        await execute(replica.dsn, each)
    yield
    for each in (f"alter system reset {name}", "select pg_reload_conf()"):
        await execute(replica.dsn, each)


async def test_a_statement_that_is_in_the_way_of_the_replay_is_answered_by_the_primary(
    private_server: PrivateServer, replica: Replica, replicated_schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = f"{replicated_schema}.episode"
    sql = f"""
        select pg_is_in_recovery() as there, (case when pg_is_in_recovery() then pg_sleep(30) end)::text
        from (select count(*) from {table} where tenant = $1) as one
    """

    async def get_in_the_way() -> None:
        while True:
            await execute(private_server.dsn, f"begin; lock table {table} in access exclusive mode; commit")

    @over_bridge
    async def read() -> list[bool]:
        async with (
            open_pool(private_server.dsn) as pool,
            open_replica(
                replica.dsn, Postgres(pool), schema=replicated_schema, vector="public", deadline=PATIENCE
            ) as postgres,
        ):
            await postgres.read("select 1", "nobody")
            rows = await postgres.read(sql, "nobody")
            return [row["there"] for row in rows]

    async with impatient(replica), anyio.create_task_group() as tasks:
        tasks.start_soon(get_in_the_way)
        assert await read() == [False]
        tasks.cancel_scope.cancel()
    assert lines(caplog) == ["the replica of PostgreSQL does not answer (Overloaded): the primary is read"]


@pytest.mark.asyncio_only
@pytest.mark.parametrize("how", CANCELLATIONS)
async def test_a_search_that_is_cancelled_anywhere_gives_its_connections_back(
    private_server: PrivateServer, replica: Replica, replicated_schema: str, how: str
) -> None:
    name = f"test-{uuid4()}"
    async with (
        open_pool(private_server.dsn, max_size=2) as pool,
        open_pool(with_option(replica.dsn, f"application_name={name}"), max_size=2) as copy,
        connected(replica.dsn) as watch,
    ):
        postgres = Replicated(Postgres(pool), Postgres(copy), schema=replicated_schema, patience=HANGS)
        archive = PostgresArchive(postgres, schema=replicated_schema, vector="public")
        memory = Memory(archive=archive, working=InProcessWorking(), namespace=name, embedder=HashEmbedder())
        alice = memory.user("alice")
        await alice.remember("the lamp is new", session_id="s")
        await replica.catch_up()
        await known(alice)
        tasks, at, interrupted = running_tasks(), 0, True
        while interrupted:
            at += 1
            with anyio.fail_after(HANGS):
                search = partial(alice.recall, "the lamp", neighbours=1)
                interrupted = await CANCELLATIONS[how](search, at)
            await everything_is_given_back(copy, tasks, watch, name)
            await everything_is_given_back(pool, tasks, watch, name)
            assert await texts(alice) == {"the lamp is new"}
        assert at > 6, "the call was hardly interrupted"


@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
async def test_nothing_is_left_of_a_memory_with_a_replica(both: Open, replica: Replica, away: bool) -> None:
    async with both():  # what is imported or made once
        pass
    before = there_is()
    if away:
        replica.kill()
    async with both() as memory:
        await memory.user("alice").remember("the lamp is new")
        await known(memory.user("alice"))
        await known(memory.user("alice"))
    await until(lambda: there_is() == before, "something was left")


async def refused(opened: AbstractAsyncContextManager[Memory]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        async with opened:
            raise AssertionError
    return str(caught.value)


async def test_what_is_no_replica_is_refused_when_it_is_opened(
    primary: Open, private_server: PrivateServer, replica: Replica
) -> None:
    name = f"other_{uuid4().hex[:8]}"
    await execute(private_server.dsn, f"create database {name}")
    try:
        other = private_server.dsn.replace("/postgres?", f"/{name}?")
        assert "no replica" in await refused(primary(read_postgres=other))
    finally:
        await execute(private_server.dsn, f"drop database {name}")
    nobody = replica.dsn.replace("postgres:@", "nobody:canary@")
    said = await refused(primary(read_postgres=nobody))
    assert "password" in said
    assert "canary" not in said
    absent = replica.dsn.replace("/postgres?", "/absent?")
    assert "does not exist" in await refused(primary(read_postgres=absent))
    for nonsense in ("nonsense", "embedded:./data", 5):
        await refused(primary(read_postgres=nonsense))
    assert "postgres" in await refused(open_memory(read_postgres=replica.dsn))


async def test_a_memory_with_a_replica_says_so(both: Open, primary: Open) -> None:
    async with both() as memory:
        assert memory.capabilities().read_replica
        health = await memory.health()
        assert health.replica is not None
        assert (health.ok, health.replica.ok, health.replica.source) == (True, True, "replica")
    async with primary() as memory:
        assert not memory.capabilities().read_replica
        assert (await memory.health()).replica is None


def test_the_blocking_face_reads_from_a_replica(
    private_server: PrivateServer, running: Replica, replicated_schema: str
) -> None:
    servers = {"postgres": private_server.dsn, "read_postgres": running.dsn}
    settings = Settings.load(**servers, schema=replicated_schema, namespace=str(uuid4()))
    with blocking.open_memory(settings=settings) as memory:
        alice = memory.user("alice")
        alice.remember("the lamp is new")
        assert [hit.episode.input for hit in alice.recall("the lamp")] == ["the lamp is new"]
        assert memory.capabilities().read_replica
