"""Working memory in Redis: the same as in process, and what is Redis' own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any
from uuid import uuid4

import anyio
import psutil
import pytest
import redis
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis

from recollect import ConfigurationError, Memory, Overloaded, StoreUnavailable, open_memory
from recollect._bridge import driven, front_of
from recollect._workspace import (
    AppendBlock,
    AppendNote,
    ClearNotes,
    ClearTask,
    ClearVariables,
    CountAll,
    CreateCheckpoint,
    DeleteBlock,
    DeleteCheckpoint,
    DeleteVariable,
    Edit,
    GetBlock,
    GetTask,
    GetVariables,
    ListBlocks,
    ListCheckpoints,
    ListConflicts,
    ListKeys,
    ListNotes,
    ListVariables,
    Look,
    MoveBlock,
    ResolveConflict,
    RestoreCheckpoint,
    SaveBlock,
    SetBlock,
    SetTask,
    SetVariable,
    UpdateTask,
)
from recollect.redis import RedisWorking, open_redis, opening
from recollect.redis.keys import Keys
from recollect.redis.opening import _check_version
from recollect.stores import Away, Emptied, Place, ReplyLost, Stamp
from recollect.testing import Clock
from recollect.types import TaskState, Tenant

from .faults.interruption import cancelled_by_a_scope, cancelled_by_its_host, running_tasks
from .faults.interruption import until as eventually
from .faults.proxy import open_proxy
from .redis_servers import HOST, RedisCluster, RedisServer, until, unused_url

MANY = 1_000_000
HOSTILE = ("{", "}", "*", "?", "[a]", ":", "%", "\\", "\n", "/", "a/b", "a:b", "{a}", "%2F", "é", "a b")
Start = Callable[..., RedisServer]


def _tenant() -> Tenant:
    return Tenant(f"test-{uuid4().hex}", "alice")


def _append(text: str, name: str = "b") -> AppendBlock:
    return AppendBlock(name, text, MANY, MANY)


class Desk:
    """One scope of a store."""

    def __init__(self, store: RedisWorking, place: Place | None = None) -> None:
        self.store = store
        self.place = place or Place(_tenant())
        self.local = store.local()

    def at(self, **narrower: str) -> "Desk":
        desk = Desk(self.store, replace(self.place, **narrower))
        desk.local = self.local
        return desk

    async def ask(self, look: Look[Any]) -> Any:
        (found,) = await self.store.look(self.local, (self.place,), look)
        return found

    async def make(self, edit: Edit[Any], *, id: str | None = None, digest: str = "", age: float = 0) -> Any:
        return await self.store.apply(self.local, self.place, edit, Stamp(id or uuid4().hex, digest, age))

    async def texts(self) -> dict[str, str]:
        return {block.name: block.text for block in await self.ask(ListBlocks())}

    async def fill(self) -> None:
        for edit in (
            _append("text"),
            SetVariable("v", "1", None, 10),
            SetTask(TaskState(task_id="t")),
            AppendNote("note", 10),
            SaveBlock("x", "b", "ours", 7, 8),
            CreateCheckpoint("c", "", 10),
        ):
            await self.make(edit)


@asynccontextmanager
async def _opened(url: Any, **options: Any) -> AsyncIterator[Desk]:
    given: dict[str, Any] = {"session_ttl": 3600.0, "deadline": 30.0, **options}
    async with driven(partial(open_redis, url, **given), front_of) as store:
        yield Desk(store)


@pytest.fixture
async def desk(anyio_backend: object, redis_url: str) -> AsyncIterator[Desk]:
    async with _opened(redis_url) as opened:
        yield opened


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def _keys(raw: redis.Redis, desk: Desk) -> list[bytes]:
    """Return all keys of a tenant."""
    return [key for key in raw.scan_iter(count=1_000) if f"{{{desk.place.tenant.key}}}".encode() in key]


# What is Redis' own


async def test_every_call_is_one_script(desk: Desk, raw: redis.Redis) -> None:
    await desk.fill()
    await desk.ask(ListBlocks())

    def count() -> int:
        stats: Any = raw.info("commandstats")
        return sum(each["calls"] for name, each in stats.items() if name.startswith("cmdstat_eval"))

    before = count()
    await desk.make(_append("more"))
    places = (desk.place, desk.at(session_id="s").place, desk.at(agent_id="a").place)
    found = await desk.store.look(desk.local, places, ListBlocks())
    assert [len(blocks) for blocks in found] == [1, 0, 0]
    assert count() == before + 2


async def test_scripts_that_the_server_has_forgotten_are_sent_again(desk: Desk, raw: redis.Redis) -> None:
    await desk.make(_append("a"))
    raw.script_flush()
    await desk.make(_append("b"))
    raw.script_flush()
    assert await desk.texts() == {"b": "ab"}


async def test_a_hundred_concurrent_appends_are_all_kept(desk: Desk) -> None:
    async with anyio.create_task_group() as tasks:
        for i in range(100):
            tasks.start_soon(desk.make, _append(f"{i},"))
    text = (await desk.texts())["b"]
    assert sorted(text.split(",")) == sorted(["", *map(str, range(100))])
    assert (await desk.ask(GetBlock("b"))).version == 100


async def test_an_edit_that_is_made_again_under_its_id_counts_once(desk: Desk) -> None:
    first = await desk.make(_append("a"), id="i")
    assert await desk.make(_append("a"), id="i") == first
    later = await desk.make(_append("b"))
    assert await desk.make(_append("a"), id="i") == later
    await desk.make(DeleteBlock("b"))
    assert (await desk.make(_append("a"), id="i")).version == first.version
    assert await desk.texts() == {}


@pytest.mark.parametrize(
    "edit",
    [
        DeleteBlock("b"),
        SaveBlock("y", "b", "ours", 9, 3),
        SaveBlock("y", "new", "ours", 0, 3),
        MoveBlock("b", 0),
        ResolveConflict("x", "ours", None),
        SetVariable("w", "2", None, 10),
        DeleteVariable("v"),
        ClearVariables(),
        SetTask(TaskState(task_id="u")),
        UpdateTask(3, None, None),
        ClearTask(),
        AppendNote("other", 10),
        ClearNotes(),
        CreateCheckpoint("d", "", 10),
        RestoreCheckpoint("c"),
        DeleteCheckpoint("c"),
    ],
    ids=lambda edit: type(edit).__name__,
)
async def test_each_edit_returns_the_same_again(desk: Desk, edit: Edit[Any]) -> None:
    await desk.fill()
    first = await desk.make(edit, id="i")
    looks = (ListBlocks(), ListVariables(), GetTask(), ListNotes(None), ListCheckpoints(), ListConflicts())
    before = [await desk.ask(look) for look in looks]
    assert await desk.make(edit, id="i") == first
    assert [await desk.ask(look) for look in looks] == before


# Keys


async def test_all_keys_of_a_tenant_bear_its_hash_tag(desk: Desk, raw: redis.Redis) -> None:
    before = {*raw.keys()}
    await desk.fill()
    await desk.at(agent_id="a", session_id="s").fill()
    tag = f"recollect:{{{desk.place.tenant.key}}}".encode()
    made = {*raw.keys()} - before
    assert made
    assert all(key == tag or key.startswith(tag + b":") for key in made)


async def test_ids_of_any_characters_stay_apart(redis_url: str) -> None:
    async with _opened(redis_url) as opened:
        namespace = uuid4().hex
        tenants = [Tenant(namespace, None), *(Tenant(namespace, id) for id in HOSTILE)]
        desks = [
            Desk(opened.store, Place(tenant, agent, session))
            for tenant in tenants[:6]
            for agent in (None, *HOSTILE)
            for session in (None, "s", ":", "/")
        ]
        async with anyio.create_task_group() as tasks:
            for i, desk in enumerate(desks):
                tasks.start_soon(desk.make, _append(str(i)))
        for i, desk in enumerate(desks):
            assert await desk.texts() == {"b": str(i)}


def test_no_two_scopes_share_a_key() -> None:
    keys = Keys("recollect")
    ids = (None, *HOSTILE)
    places = [
        Place(Tenant(namespace, user), agent, session)
        for namespace in ("n", *HOSTILE)
        for user in ids
        for agent in ids[:6]
        for session in ids[:6]
    ]
    made = [key for place in places for key in (keys.root(place), keys.operation(place, ":b"))]
    assert len({*made}) == len(made)
    for place in places:
        tag = keys.tenant(place.tenant)
        assert tag.count(b"{") == tag.count(b"}") == 1
        assert keys.root(place).startswith(tag + b":")


async def test_names_of_any_characters_come_back(desk: Desk) -> None:
    for i, name in enumerate(HOSTILE):
        await desk.make(SetBlock(name, f"{name}{i}", None, MANY))
        await desk.make(SetVariable(name, f'"{i}"', None, MANY))
        await desk.make(CreateCheckpoint(name, name, MANY))
        await desk.make(SaveBlock(name, name, None, 99, 0))
        await desk.make(AppendNote(name, MANY))
    assert await desk.texts() == {name: f"{name}{i}" for i, name in enumerate(HOSTILE)}
    assert {*await desk.ask(ListKeys())} == {*HOSTILE} == {*await desk.ask(ListVariables())}
    assert tuple(each.id for each in await desk.ask(ListCheckpoints())) == HOSTILE
    assert [each.name for each in await desk.ask(ListConflicts())] == [*HOSTILE]
    assert [note.text for note in await desk.ask(ListNotes(None))] == [*HOSTILE]
    for name in HOSTILE:
        assert await desk.make(DeleteCheckpoint(name))
        assert await desk.make(ResolveConflict(name, "ours", None)) is None
    assert await desk.texts() == {}


async def test_twenty_checkpoints_are_as_large_as_twenty_copies(desk: Desk, raw: redis.Redis) -> None:
    await desk.make(SetBlock("b", "x" * 500, None, MANY))
    await desk.make(SetVariable("v", f'"{"y" * 300}"', None, MANY))
    await desk.make(AppendNote("z" * 200, MANY))
    for i in range(20):
        await desk.make(CreateCheckpoint(str(i), "", 32))
    copies = [key for key in _keys(raw, desk) if b":s:/:c" in key]
    assert len(copies) == 1 + 20 * 3
    assert sum(int(raw.memory_usage(key)) for key in copies) < 60_000
    for i in range(20, 60):
        await desk.make(CreateCheckpoint(str(i), "", 5))
    assert len([key for key in _keys(raw, desk) if b":s:/:c" in key]) == 1 + 5 * 3


# Sessions


async def test_a_session_expires_as_a_whole_and_nothing_else_does(desk: Desk, raw: redis.Redis) -> None:
    session = desk.at(session_id="s")
    for each in (desk, desk.at(agent_id="a"), session):
        await each.fill()
    scopes = [key for key in _keys(raw, desk) if b":s:" in key and b":o:" not in key]
    of_session = [key for key in scopes if b":s:/s:" in key]
    assert len(of_session) == 7 + 4
    assert all(3_590_000 < raw.pttl(key) <= 3_600_000 for key in of_session)
    assert all(raw.pttl(key) == -1 for key in scopes if key not in of_session)


async def test_a_look_keeps_a_session_once_a_hundredth_of_its_time_is_over(
    desk: Desk, raw: redis.Redis
) -> None:
    session = desk.at(session_id="s")
    await session.fill()
    keys = [key for key in _keys(raw, desk) if b":s:/s:" in key and b":o:" not in key]
    for key in keys:
        raw.pexpire(key, 3_590_000)
    await session.ask(ListNotes(None))
    assert all(raw.pttl(key) <= 3_590_000 for key in keys)
    for key in keys:
        raw.pexpire(key, 3_560_000)
    await session.ask(ListNotes(None))
    assert all(raw.pttl(key) > 3_590_000 for key in keys)


async def test_a_session_without_a_time_to_live_is_kept_for_ever(redis_url: str, raw: redis.Redis) -> None:
    async with _opened(redis_url) as opened:
        session = opened.at(session_id="s")
        await session.fill()
    async with _opened(redis_url, session_ttl=None) as other:
        await Desk(other.store, session.place).ask(GetTask())
    keys = [key for key in _keys(raw, session) if b":s:/s:" in key and b":o:" not in key]
    assert [raw.pttl(key) for key in keys] == [-1] * 11


async def test_a_session_that_is_over_begins_anew(desk: Desk, raw: redis.Redis) -> None:
    session = desk.at(session_id="s")
    await session.fill()
    for key in _keys(raw, desk):
        if b":s:/s:" in key:
            raw.delete(key)
    assert (await session.ask(CountAll())).created_at is None
    block = await session.make(_append("new"))
    counts = await session.ask(CountAll())
    assert (block.version, counts.blocks, counts.checkpoints) == (1, 1, 0)
    assert counts.created_at == block.updated_at


async def test_a_key_is_good_for_another_edit_once_its_session_is_over(desk: Desk, raw: redis.Redis) -> None:
    session = desk.at(session_id="s")
    await session.make(_append("x"), id="k", digest="1" * 32)
    for key in _keys(raw, desk):
        if b":s:/s:" in key and b":o:" not in key:
            raw.delete(key)
    await session.make(_append("y"), id="k", digest="2" * 32)
    assert [block.text for block in await session.ask(ListBlocks())] == ["y"]
    of_session = [key for key in _keys(raw, desk) if b":s:/s:" in key]
    assert all(raw.pttl(key) > 0 for key in of_session)


async def test_names_of_sessions_that_are_over_do_not_pile_up(desk: Desk, raw: redis.Redis) -> None:
    for i in range(300):
        session = desk.at(session_id=str(i))
        await session.make(_append("x"))
        raw.delete(Keys("recollect").root(session.place))
    assert raw.hlen(Keys("recollect").tenant(desk.place.tenant)) < 100


# Epochs


async def test_a_server_that_has_lost_everything_is_noticed_once(desk: Desk, raw: redis.Redis) -> None:
    await desk.make(_append("a"))
    raw.delete(*_keys(raw, desk))
    with pytest.raises(Emptied):
        await desk.ask(ListBlocks())
    assert await desk.texts() == {}
    await desk.make(_append("b"))
    raw.delete(*_keys(raw, desk))
    with pytest.raises(Emptied):
        await desk.make(_append("c"))
    assert (await desk.make(_append("d"))).text == "d"


async def test_of_two_processes_each_notices_for_itself(desk: Desk, raw: redis.Redis) -> None:
    other = Desk(desk.store, desk.place)
    await desk.make(_append("a"))
    assert await other.texts() == {"b": "a"}
    raw.delete(*_keys(raw, desk))
    with pytest.raises(Emptied):
        await desk.ask(GetTask())
    await desk.make(_append("new"))
    with pytest.raises(Emptied):
        await other.make(_append("b"))
    assert await other.texts() == {"b": "new"}


async def test_a_look_at_a_tenant_that_never_was_writes_nothing(desk: Desk, raw: redis.Redis) -> None:
    assert await desk.texts() == {}
    assert _keys(raw, desk) == []
    await Desk(desk.store, desk.place).make(_append("of another process"))
    assert await desk.texts() == {"b": "of another process"}


# What was made while the server was away


async def test_of_two_writes_of_a_variable_the_later_one_stays(desk: Desk) -> None:
    await desk.make(SetVariable("v", '"now"', None, MANY))
    await desk.make(SetVariable("v", '"before"', None, MANY), age=60)
    await desk.make(SetVariable("new", '"before"', None, MANY), age=60)
    assert {key: each.value for key, each in (await desk.ask(ListVariables())).items()} == {
        "v": '"now"',
        "new": '"before"',
    }
    assert not await desk.make(DeleteVariable("v"), age=30)
    assert await desk.make(DeleteVariable("new"), age=30)
    await desk.make(SetVariable("new", "1", None, MANY), age=45)
    assert await desk.ask(ListKeys()) == ("v",)


async def test_clearing_late_leaves_what_came_later(desk: Desk) -> None:
    await desk.make(SetVariable("old", "1", None, MANY), age=60)
    await desk.make(SetVariable("young", "1", None, MANY))
    await desk.make(AppendNote("old", MANY), age=60)
    await desk.make(AppendNote("young", MANY))
    assert await desk.make(ClearVariables(), age=30) == 1
    assert await desk.make(ClearNotes(), age=30) == 1
    assert await desk.ask(ListKeys()) == ("young",)
    assert [note.text for note in await desk.ask(ListNotes(None))] == ["young"]
    await desk.make(SetVariable("older", "1", None, MANY), age=45)
    assert await desk.ask(ListKeys()) == ("young",)


async def test_of_two_writes_of_the_task_the_later_one_stays(desk: Desk) -> None:
    now = await desk.make(SetTask(TaskState(task_id="now")))
    assert await desk.make(SetTask(TaskState(task_id="before")), age=60) == now
    assert await desk.make(UpdateTask(9, None, None), age=60) == now
    assert not await desk.make(ClearTask(), age=60)
    assert await desk.ask(GetTask()) == now
    assert await desk.make(ClearTask())
    await desk.make(SetTask(TaskState(task_id="before")), age=60)
    assert await desk.ask(GetTask()) is None


async def test_what_arrives_late_bears_the_instant_it_was_made_at(redis_url: str, clock: Clock) -> None:
    async with _opened(redis_url, clock=clock) as desk:
        made = clock.now - timedelta(seconds=60)
        assert (await desk.make(_append("a"), age=60)).updated_at == made
        assert (await desk.make(AppendNote("n", MANY), age=60)).at == made
        assert (await desk.make(SetTask(TaskState(task_id="t")), age=60)).updated_at == made
        assert (await desk.make(SaveBlock("x", "b", "o", 9, 0), age=60)).at == made
        await desk.make(SetVariable("v", "1", 90, MANY), age=60)
        found = await desk.ask(GetVariables(("v",)))
        assert found["v"].expires_at == clock.now + timedelta(seconds=30)


async def test_any_instant_of_a_clock_comes_back(redis_url: str) -> None:
    for now in (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, 1, 2, 3, 456_789, tzinfo=UTC)):
        async with _opened(redis_url, clock=Clock(now)) as desk:
            block = await desk.make(_append("a"))
            assert block.updated_at == now
            assert await desk.ask(ListBlocks()) == (block,)
            await desk.make(SetTask(TaskState(task_id="t", started_at=now)))
            assert (await desk.ask(GetTask())).started_at == now
            await desk.make(CreateCheckpoint("c", "", 9))
            assert (await desk.make(RestoreCheckpoint("c"))).created_at == now


# Opening


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "localhost:6379",
        "",
        "redis://localhost:port",
        "redis://localhost?db=secret",
        "redis://localhost?secret=1",
        "redis+cluster://localhost:1/3",
    ],
)
async def test_a_url_that_cannot_be_read_is_told_without_it(redis_url: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL") as info:
        async with _opened(url):
            pass
    assert "secret" not in str(info.value)
    assert info.value.__cause__ is None


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_on_trio_an_object_that_is_bound_to_asyncio_is_refused(name: str) -> None:
    async def use() -> None:
        given: Any = {"redis": redis.asyncio.Redis(), "postgres": object()}[name]
        async with open_memory(**{name: given}):
            raise AssertionError("it was opened")

    with pytest.raises(ConfigurationError, match=r"asyncio.*give"):
        anyio.run(use, backend="trio")


async def test_a_server_that_is_not_there(redis_url: str) -> None:
    with pytest.raises(StoreUnavailable):
        async with _opened(unused_url()):
            pass
    async with _opened(unused_url(), must_answer=False) as desk:
        with pytest.raises(Away) as info:
            await desk.make(_append("a"))
        assert not info.value.writes_only
        health = await desk.store.health()
        assert not health.ok
        assert health.error


async def test_a_wrong_password_is_never_taken_for_an_outage(redis_server: Start) -> None:
    server = redis_server(requirepass="right-secret")
    for url in (server.url.replace("right", "wrong"), server.url.replace(":right-secret@", "")):
        with pytest.raises(ConfigurationError, match="password") as info:
            async with _opened(url, must_answer=False):
                pass
        assert "secret" not in f"{info.value}{info.value.__cause__!r}"
    async with _opened(server.url) as desk:
        assert (await desk.store.health()).ok


@pytest.mark.parametrize("version", [b"6.0.16", b"5.0.7"])
def test_an_old_server_is_refused_in_words(version: bytes) -> None:
    with pytest.raises(ConfigurationError, match=version.decode()):
        _check_version(b"# Server\r\nredis_version:" + version + b"\r\nredis_mode:standalone\r\n")
    _check_version(b"# Server\r\nredis_version:6.2.14\r\n")
    _check_version(b"# Server\r\nredis_version:10.0.0\r\n")
    _check_version(b"")


@pytest.mark.asyncio_only
async def test_a_client_of_the_callers_stays_as_it_is(redis_url: str) -> None:
    for decode in (True, False):
        pool = BlockingConnectionPool.from_url(
            redis_url, decode_responses=decode, max_connections=4, timeout=5
        )
        client = Redis(connection_pool=pool)
        async with _opened(client) as desk:
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(desk.make, _append("é"))
            assert await desk.texts() == {"b": "é" * 20}
        assert await client.echo("é") == ("é" if decode else "é".encode())
        assert not pool._in_use_connections
        await client.aclose()
        await pool.aclose()


async def test_a_cluster_is_followed(redis_cluster: RedisCluster) -> None:
    async with _opened(redis_cluster.url) as opened:
        servers = set()
        for _ in range(20):
            desk = Desk(opened.store)
            await desk.fill()
            assert await desk.make(RestoreCheckpoint("c"))
            assert (await desk.ask(CountAll())).blocks == 1
            servers.add(desk.store.server(desk.place.tenant))
        assert len(servers) == 3
        assert (await opened.store.health()).ok


async def test_what_moves_to_a_new_node_of_a_cluster_is_away_until_it_is_there(redis_server: Start) -> None:
    cluster, new = RedisCluster(), redis_server(cluster_enabled="yes")
    try:
        async with _opened(cluster.url) as desk:
            key = Keys("recollect").tenant(desk.place.tenant).decode()
            old, slot = cluster.node_of(key), new.command("CLUSTER", "KEYSLOT", key)
            ids = {node: str(node.command("CLUSTER", "MYID")) for node in (old, new)}
            new.command("CLUSTER", "MEET", HOST, old.port)
            for node, other in ((old, new), (new, old)):
                until(lambda: ids[other] in str(node.command("CLUSTER", "NODES")), "they do not meet")  # noqa: B023
            new.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[old])
            old.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[new])
            for call in (desk.texts(), desk.make(_append("a"))):
                with pytest.raises(Away, match="moving"):
                    await call
            for node in (new, old):
                node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[new])
            with anyio.fail_after(20):
                while True:  # the new one has to hear of the others
                    with suppress(Away):
                        assert (await desk.make(_append("a"))).text == "a"
                        break
                    await anyio.sleep(0.05)
    finally:
        cluster.close()


async def test_of_a_cluster_only_what_is_on_a_dead_node_is_away(redis_server: Start) -> None:
    cluster = RedisCluster({"cluster-require-full-coverage": "no"})
    try:
        async with _opened(cluster.url) as opened:
            desks = [Desk(opened.store) for _ in range(12)]
            for desk in desks:
                await desk.make(_append("a"))
            key = Keys("recollect").tenant(desks[0].place.tenant).decode()
            dead = cluster.node_of(key)
            on_it = [desk for desk in desks if str(dead.port) in str(desk.store.server(desk.place.tenant))]
            dead.kill()
            for desk in on_it:
                with pytest.raises(Away):
                    await desk.ask(ListBlocks())
                with pytest.raises(Away):
                    await desk.make(_append("b"))
            for desk in desks:
                if desk not in on_it:
                    assert (await desk.make(_append("b"))).text == "ab"
            assert 0 < len(on_it) < len(desks)
    finally:
        cluster.close()


@pytest.mark.parametrize("grace", [0.0, 20.0])
async def test_nothing_remains_of_it(
    redis_server: Start, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server()
    monkeypatch.setattr(opening, "GRACE", grace)
    tasks = running_tasks()
    async with open_memory(redis=server.url, on_outage="error", deadline=60.0) as memory:
        await _fill_pool(memory)
    assert running_tasks() <= tasks
    await _everybody_leaves(server)


@pytest.mark.parametrize("grace", [0.0, 20.0])
async def test_nothing_remains_of_a_cluster(
    redis_cluster: RedisCluster, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "GRACE", grace)
    tasks = running_tasks()
    async with open_memory(redis=redis_cluster.url, on_outage="error", deadline=60.0) as memory:
        await _fill_pool(memory)
    assert running_tasks() <= tasks
    for node in redis_cluster.nodes:
        await _everybody_leaves(node)


@pytest.mark.parametrize("grace", [0.3, 20.0])
async def test_nothing_remains_of_connections_over_tls_to_a_server_that_falls_silent(
    redis_server: Start, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = SSLContext(PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("tls.pem"))
    monkeypatch.setattr(opening, "GRACE", grace)
    async with open_proxy(redis_server().url, tls=tls) as server, open_proxy(server.dsn) as wire:
        url = f"{wire.dsn.replace('redis:', 'rediss:')}?ssl_cert_reqs=none&ssl_check_hostname=false"
        async with open_memory(redis=url, on_outage="error", deadline=6.0) as memory:
            await _fill_pool(memory, users=2)
            assert _connections_to(wire.port) > 0
            wire.silence()
        await eventually(lambda: _connections_to(wire.port) == 0, "a connection stayed open")
        wire.speak()


def _connections_to(port: int) -> int:
    found = psutil.Process().net_connections(kind="tcp")
    return sum(each.raddr != () and each.raddr.port == port for each in found)


async def _fill_pool(memory: Memory, users: int = 50) -> None:
    async with anyio.create_task_group() as group:
        for i in range(users):
            group.start_soon(memory.user(str(i)).blocks.set, "b", "x")


async def _everybody_leaves(server: RedisServer) -> None:
    with anyio.fail_after(20):
        # Whoever asks is one of them.
        while len(str(server.command("CLIENT", "LIST", "TYPE", "NORMAL")).split(" laddr=")) > 2:  # noqa: ASYNC110
            await anyio.sleep(0.01)


# Situations


async def test_a_key_of_a_wrong_type_is_told_and_nothing_is_written(desk: Desk, raw: redis.Redis) -> None:
    session = desk.at(session_id="s")
    await session.fill()
    parts = [key for key in _keys(raw, desk) if b":s:/s:" in key and b":o:" not in key]
    touching = (
        (b":b", _append("x")),
        (b":v", SetVariable("v", "2", None, 9)),
        (b":t", SetTask(TaskState(task_id="u"))),
        (b":n", AppendNote("x", 9)),
        (b":c", CreateCheckpoint("d", "", 9)),
        (b":x", SaveBlock("y", "b", "ours", 9, 9)),
        (b":v", CreateCheckpoint("d", "", 9)),
        (b":n", RestoreCheckpoint("c")),
        (b":t", RestoreCheckpoint("c")),
        (b":c", _append("x")),
    )
    for end, edit in touching:
        (key,) = (key for key in parts if key.endswith(b":s:/s" + end))
        saved = raw.dump(key)
        raw.delete(key)
        raw.set(key, "not ours")
        before = {each: raw.dump(each) for each in _keys(raw, desk)}
        with pytest.raises(ConfigurationError, match="key") as info:
            await session.make(edit)
        assert "not ours" not in str(info.value)
        assert {each: raw.dump(each) for each in _keys(raw, desk)} == before
        raw.restore(key, 0, saved, replace=True)


async def test_a_server_without_memory_changes_nothing_and_answers(redis_server: Start) -> None:
    server = redis_server(maxmemory_policy="noeviction")
    async with _opened(server.url) as desk:
        await desk.fill()
        server.command("CONFIG", "SET", "maxmemory", "1")
        for edit in (_append("x"), RestoreCheckpoint("c"), ClearNotes(), DeleteBlock("b")):
            with pytest.raises(Away) as info:
                await desk.make(edit)
            assert info.value.writes_only
        assert await desk.texts() == {"b": "text"}
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert await desk.make(DeleteBlock("b"))


async def test_a_replica_answers_and_takes_no_writes(redis_server: Start) -> None:
    master = redis_server()
    async with _opened(master.url) as desk:
        session = desk.at(session_id="s")
        await session.fill()
        replica = redis_server(replicaof=["127.0.0.1", str(master.port)], repl_diskless_sync="no")
        with anyio.fail_after(30):
            while replica.command("DBSIZE") < master.command("DBSIZE"):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        async with _opened(replica.url, session_ttl=10_000_000.0) as opened:
            there = Desk(opened.store, session.place)
            assert await there.texts() == {"b": "text"}
            with pytest.raises(Away) as info:
                await there.make(_append("x"))
            assert info.value.writes_only


async def test_a_server_that_takes_no_more_connections_is_away(redis_server: Start) -> None:
    server = redis_server()
    with redis.Redis(host=HOST, port=server.port) as other:
        other.config_set("maxclients", 1)
        async with _opened(server.url, must_answer=False) as desk:
            with pytest.raises(Away, match="connections"):
                await desk.ask(ListBlocks())
            other.config_set("maxclients", 100)
            assert await desk.texts() == {}


async def test_what_a_user_may_not_do_is_told(redis_server: Start) -> None:
    server = redis_server()
    server.command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-hset")
    async with _opened(server.url.replace("//", "//reader:pw@")) as desk:
        assert await desk.texts() == {}
        with pytest.raises(ConfigurationError, match="may not"):
            await desk.make(_append("x"))


async def test_connections_that_died_with_the_server_are_replaced(redis_server: Start) -> None:
    server = redis_server(appendonly="yes", appendfsync="always")
    async with _opened(server.url) as desk:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(desk.make, _append("x"))
        server.restart()
        for _ in range(10):
            await desk.make(_append("y"))
        assert await desk.texts() == {"b": "x" * 10 + "y" * 10}


async def test_a_lost_reply_is_asked_for_again_and_the_edit_counts_once(redis_server: Start) -> None:
    server = redis_server()
    async with open_proxy(server.url) as proxy, _opened(proxy.dsn) as desk:
        await desk.make(_append("a"))
        loses = iter([True])
        proxy.loses = lambda: next(loses, False)
        assert (await desk.make(_append("b"))).text == "ab"
        loses = iter([True])
        assert await desk.texts() == {"b": "ab"}
        assert proxy.cuts == 2


async def test_a_reply_that_stays_lost_is_called_that(redis_server: Start) -> None:
    server = redis_server()
    async with open_proxy(server.url) as proxy, _opened(proxy.dsn) as desk:
        await desk.make(_append("a"))
        proxy.loses = lambda: True
        with pytest.raises(ReplyLost) as info:
            await desk.make(_append("b"), id="mine")
        assert info.value.key == "mine"
        with pytest.raises(Away):
            await desk.ask(ListBlocks())
        proxy.loses = lambda: False
        assert (await desk.make(_append("b"), id="mine")).text == "ab"


async def test_a_full_pool_of_our_own_is_no_outage(redis_server: Start) -> None:
    server = redis_server()
    async with _opened(server.url, connections=2, patience=0.05) as desk:
        await desk.make(_append("a"))
        server.stop()
        raised: list[Exception] = []

        async def ask() -> None:
            try:
                await desk.ask(ListBlocks())
            except (Overloaded, Away) as exc:
                raised.append(exc)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)
        server.resume()
        assert sorted(type(exc).__name__ for exc in raised) == ["Away", "Away", "Overloaded", "Overloaded"]
        assert await desk.texts() == {"b": "a"}


async def test_no_reply_reaches_another_call(redis_server: Start) -> None:
    """Calls of two tenants, which are cut off at any moment, over one connection."""
    server = redis_server()
    async with _opened(server.url, connections=1) as one:
        other = Desk(one.store)
        await one.make(_append("one"))
        await other.make(_append("other"))
        for after in range(60):
            with anyio.move_on_after(after * 0.00001):
                await one.ask(ListBlocks())
            assert await other.texts() == {"b": "other"}
            assert await one.texts() == {"b": "one"}


@pytest.mark.asyncio_only
@pytest.mark.parametrize("how", [cancelled_by_a_scope, cancelled_by_its_host])
@pytest.mark.parametrize("kind", ["ours", "theirs", "blocking"])
async def test_a_pool_is_whole_after_a_call_was_cut_off_anywhere(
    redis_server: Start, kind: str, how: Callable[..., Awaitable[bool]]
) -> None:
    server = redis_server()
    pool = (BlockingConnectionPool if kind == "blocking" else ConnectionPool).from_url(
        server.url, max_connections=1, decode_responses=True
    )
    there = server.url if kind == "ours" else Redis(connection_pool=pool)
    async with _opened(there, connections=1, session_ttl=None) as desk:
        other = Desk(desk.store)
        for cold in (False, True):
            at, interrupted = 0, True
            while interrupted:
                at += 1
                await other.make(SetBlock("b", "other", None, 9))
                if cold:
                    server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                async with anyio.create_task_group() as tasks:  # who wait for the only connection
                    tasks.start_soon(other.ask, ListBlocks())
                    tasks.start_soon(other.ask, ListBlocks())
                    interrupted = await how(lambda: desk.make(_append("x")), at)
                assert await other.texts() == {"b": "other"}
            assert at > 1
        assert not pool._in_use_connections
    await pool.aclose()


async def test_no_text_is_in_what_is_raised(redis_server: Start) -> None:
    server = redis_server(maxmemory="1", maxmemory_policy="noeviction")
    async with _opened(server.url, must_answer=False) as desk:
        with pytest.raises(Away) as info:
            await desk.make(SetBlock("b", "canary", None, 9))
        exc: BaseException | None = info.value
        while exc is not None:
            assert "canary" not in f"{exc!r}{exc}"
            exc = exc.__cause__ or exc.__context__
