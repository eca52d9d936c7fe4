"""Each way in which PostgreSQL can refuse has its class, raised by a real server, and tells no secret."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import asyncpg
import pytest

from recollect import (
    ConfigurationError,
    EpisodeDraft,
    Memory,
    OutcomeUnknown,
    Overloaded,
    RecollectError,
    SchemaError,
    StoreUnavailable,
    open_memory,
)
from recollect.postgres.upkeep import migrate_schema

from ..conftest import PrivateServer
from .conftest import with_option
from .interruption import HANGS

# A trigger that is deferred raises when everything was done and only the commit is left.
REFUSING = """
create table {schema}.refusal (state text);
create sequence {schema}.asked;
create function {schema}.refuse() returns trigger language plpgsql as $$
declare
    planned text := (select state from {schema}.refusal);
begin
    if nextval('{schema}.asked') <= {times} then
        raise exception 'refused' using errcode = planned;
    end if;
    return null;
end $$;
create constraint trigger refuse after insert on {schema}.episode
    deferrable initially deferred for each row execute function {schema}.refuse();
"""

SITUATIONS: dict[str, type[RecollectError]] = {
    "40001": Overloaded,
    "40P01": Overloaded,
    "55P03": Overloaded,
    "57014": Overloaded,
    "53300": Overloaded,
    "53100": Overloaded,
    "53200": Overloaded,
    "25006": StoreUnavailable,
    "57P01": OutcomeUnknown,
    "57P02": OutcomeUnknown,
    "57P03": OutcomeUnknown,
    "08006": OutcomeUnknown,
    "28000": ConfigurationError,
    "28P01": ConfigurationError,
    "42501": ConfigurationError,
    "3D000": ConfigurationError,
    "42P05": ConfigurationError,
    "26000": ConfigurationError,
    "42P01": SchemaError,
    "42704": SchemaError,
}


@asynccontextmanager
async def _refusing(
    dsn: str, schema: str, watch: asyncpg.Connection, *, state: str, times: int
) -> AsyncIterator[Memory]:
    await migrate_schema(dsn, schema=schema)
    await watch.execute(REFUSING.format(schema=schema, times=times))
    await watch.execute(f"insert into {schema}.refusal values ($1)", state)
    async with open_memory(postgres=dsn, schema=schema, deadline=HANGS) as memory:
        yield memory


@pytest.mark.parametrize("many", [False, True], ids=["one", "several with ids"])
@pytest.mark.parametrize("state", SITUATIONS)
async def test_refusal_has_its_class_and_stores_nothing(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection, state: str, many: bool
) -> None:
    drafts = [EpisodeDraft("kanarienvogel", id=f"e{i}") for i in range(1 + many)]
    async with _refusing(postgres_dsn, schema, watch, state=state, times=1_000) as memory:
        alice = memory.user("alice")
        with pytest.raises(RecollectError) as caught:
            await alice.remember_many(drafts)
        assert type(caught.value) is SITUATIONS[state]
        if type(caught.value) in (Overloaded, StoreUnavailable):
            assert isinstance(caught.value.__cause__, asyncpg.PostgresError)
        assert "kanarienvogel" not in f"{caught.value} {caught.value!r}"
        assert await alice.episodes.count() == 0
        assert (await memory.users()).items == ()


@pytest.mark.parametrize("many", [False, True], ids=["one", "several with ids"])
@pytest.mark.parametrize("state", ["40001", "40P01", "25006", "08006", "57P01"])
async def test_refusal_that_passes_is_tried_again_and_applied_once(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection, state: str, many: bool
) -> None:
    drafts = [EpisodeDraft("hello", id=f"e{i}") for i in range(1 + many)]
    async with _refusing(postgres_dsn, schema, watch, state=state, times=1) as memory:
        alice = memory.user("alice")
        stored = await alice.remember_many(drafts)
        assert [each.seq for each in stored] == list(range(1, len(drafts) + 1))
        assert await alice.episodes.count() == len(drafts)


@pytest.mark.parametrize(
    "dsn", ["postgresql://[", "http://example.org", "postgresql://h:port/d", "secretword"]
)
async def test_dsn_that_cannot_be_read_is_a_mistake_in_the_configuration(
    anyio_backend: object, dsn: str, postgres_dsn: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with open_memory(postgres=dsn):
            raise AssertionError("it was opened")
    assert dsn not in str(caught.value)


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:secretword@127.0.0.1:1/d", "postgresql://u:secretword@no-such-host.invalid/d"]
)
async def test_server_that_is_not_there_is_unavailable(dsn: str, postgres_dsn: str) -> None:
    with anyio.fail_after(30), pytest.raises(StoreUnavailable) as caught:
        async with open_memory(postgres=dsn):
            raise AssertionError("it was opened")
    assert "secretword" not in f"{caught.value} {caught.value!r}"


async def test_database_that_does_not_exist_is_a_mistake_in_the_configuration(postgres_dsn: str) -> None:
    missing = urlsplit(postgres_dsn)._replace(path="/no_such_database").geturl()
    with pytest.raises(ConfigurationError, match="database does not exist"):
        async with open_memory(postgres=missing):
            raise AssertionError("it was opened")


async def test_user_without_privileges_is_told_so(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection
) -> None:
    role = f"role_{uuid4().hex[:12]}"
    await migrate_schema(postgres_dsn, schema=schema)
    await watch.execute(f"create role {role} login password 'secretword'")
    try:
        as_role = with_option(postgres_dsn, f"options=-c%20role%3D{role}")
        with pytest.raises(ConfigurationError, match="privilege"):
            async with open_memory(postgres=as_role, schema=schema):
                raise AssertionError("it was opened")
        with pytest.raises(ConfigurationError, match="privilege"):
            async with open_memory(postgres=as_role, schema=f"{schema}_x", migrate="auto"):
                raise AssertionError("it was opened")
    finally:
        await watch.execute(f"drop role {role}")


async def test_wrong_password_is_a_mistake_and_is_not_told(
    private_server: PrivateServer, postgres_dsn: str, watch: asyncpg.Connection
) -> None:
    if postgres_dsn != private_server.dsn:
        pytest.skip("the server under test has rules of its own for who may log in")
    role = f"role_{uuid4().hex[:12]}"
    rules = anyio.Path(await watch.fetchval("show hba_file"))
    before = await rules.read_text()
    await watch.execute(f"create role {role} login password 'right'")
    try:
        await rules.write_text(f"local all {role} scram-sha-256\n{before}")
        await watch.execute("select pg_reload_conf()")
        with anyio.fail_after(HANGS):
            while not await watch.fetchval(
                "select count(*) from pg_hba_file_rules where user_name = array[$1]", role
            ):
                await anyio.lowlevel.checkpoint()
        wrong = postgres_dsn.replace("postgres:@", f"{role}:secretword@", 1)
        with pytest.raises(ConfigurationError, match="password") as caught:
            async with open_memory(postgres=wrong):
                raise AssertionError("it was opened")
        assert "secretword" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    finally:
        await rules.write_text(before)
        await watch.execute("select pg_reload_conf()")
        await watch.execute(f"drop role {role}")
