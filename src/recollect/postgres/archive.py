import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import cast

import asyncpg

from .._bridge import Bridge, driven, front_of_archive
from .._deadline import bounded
from .._loop import require_asyncio
from ..errors import ConfigurationError, EmbeddingMismatch, TryLater
from ..stores import Archive, Directory, Erased, Erasure
from ..stores.changes import Rule
from ..stores.garbage import Leftovers
from ..stores.indexing import Indexing, Outcome
from ..stores.traits import Traits
from ..types import Health, Tenant
from ._embedded import open_embedded
from ._migrations import check, migrate, pending, vector_schema
from ._partitions import parts_of
from ._pool import Connection, Pool, Postgres, open_pool
from ._replica import open_replica
from ._sql import statements
from .episodes import PostgresEpisodes
from .erasing import PostgresErasing
from .facts import PostgresFacts
from .garbage import PostgresGarbage
from .predicates import PostgresPredicates
from .transferring import PostgresTransfers
from .vector_indexes import PostgresVectorIndexes

EMBEDDED = "embedded:"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,40}")


class PostgresArchive(Archive, Indexing):
    """Episodes and facts in one schema of a database. Borrows its pool.

    Args:
        postgres: where.
        schema: holds our tables, migrated.
        vector: holds pgvector.
        clock: gives `recorded_at`; None for the server's clock, which all processes share.
        partitioned: whether its tables are cut by tenant.
    """

    def __init__(
        self,
        postgres: Postgres,
        *,
        schema: str,
        vector: str,
        clock: Callable[[], datetime] | None = None,
        partitioned: bool = False,
    ) -> None:
        self._postgres = postgres
        self.traits = Traits("postgres", durable=True, replicated=postgres.replicated)
        self._sql = statements("directory", schema=schema, vector=vector)
        self._episodes = PostgresEpisodes(
            postgres, schema=schema, vector=vector, clock=clock, partitioned=partitioned
        )
        self._facts = PostgresFacts(postgres, schema=schema, vector=vector, clock=clock)
        self._predicates = PostgresPredicates(postgres, schema=schema, vector=vector)
        self._directory = PostgresDirectory(postgres, schema=schema, vector=vector)
        self._transfers = PostgresTransfers(
            postgres, self._episodes, schema=schema, vector=vector, clock=clock
        )
        self._erasing = PostgresErasing(postgres, schema=schema, vector=vector, clock=clock)
        self._garbage = PostgresGarbage(postgres, schema=schema, vector=vector)
        self._indexes = PostgresVectorIndexes(postgres, schema=schema, vector=vector)

    @property
    def episodes(self) -> PostgresEpisodes:
        return self._episodes

    @property
    def facts(self) -> PostgresFacts:
        return self._facts

    @property
    def transfers(self) -> PostgresTransfers:
        return self._transfers

    @property
    def directory(self) -> "PostgresDirectory":
        return self._directory

    async def health(self) -> Health:
        started = perf_counter()  # an event loop may only count milliseconds
        try:
            await self._postgres.fetch("select 1")
        except (TryLater, ConfigurationError) as exc:
            return Health(ok=False, source="postgres", latency=None, error=str(exc))
        return Health(ok=True, source="postgres", latency=perf_counter() - started)

    async def replica_health(self) -> Health | None:
        return await self._postgres.replica_health()

    async def adopt_embedder(self, model: str, dimensions: int, *, reembed: bool) -> None:
        given = (model, dimensions)

        async def replace(conn: Connection) -> None:
            # Waits for writes in flight and holds off the next ones, which then see the new model.
            await conn.execute(self._sql["stop_writes"])
            await conn.execute(self._sql["replace_embedder"], model, dimensions)
            await conn.execute(self._sql["drop_vectors"])
            await conn.execute(self._sql["make_pending"])

        row = await self._postgres.fetchrow(self._sql["embedder"])
        if row is None:
            await self._postgres.fetch(self._sql["record_embedder"], model, dimensions)
            row = await self._postgres.fetchrow(self._sql["embedder"])
        stored = given if row is None else (row["model"], row["dimensions"])
        if stored != given:
            if not reembed:
                raise EmbeddingMismatch(stored, given)
            await self._postgres.transaction(replace)
            self._postgres.leave_replica()
        self._episodes.embedder = self._facts.embedder = given

    async def adopt_predicates(self, rules: Mapping[str, Rule], *, replace: bool) -> Mapping[str, Rule]:
        return await self._predicates.adopt(rules, replace=replace)

    async def erase(self, tenant: Tenant, erasure: Erasure) -> Erased:
        erased = await self._erasing.erase(tenant, erasure)
        self._postgres.saw(tenant.key, generation=erased.generation)
        return erased

    async def generation(self, tenant: Tenant) -> int:
        return await self._erasing.generation(tenant)

    async def left(self, tenant: Tenant, erasure: Erasure) -> int:
        return await self._erasing.left(tenant, erasure)

    async def sweep(self, tenant: Tenant, *, dry_run: bool) -> Leftovers:
        return await self._garbage.sweep(tenant, dry_run=dry_run)

    async def index_vectors(self, *, above: int) -> Outcome:
        return await self._indexes.index(above=above)


class PostgresDirectory(Directory):
    """The only statements that look across tenants."""

    def __init__(self, postgres: Postgres, *, schema: str, vector: str) -> None:
        self._postgres = postgres
        self._sql = statements("directory", schema=schema, vector=vector)

    async def tenants(self, *, after: Tenant | None, limit: int) -> Sequence[Tenant]:
        rows = await self._postgres.fetch(self._sql["tenants"], "" if after is None else after.key, limit)
        return [Tenant(row["namespace"], row["user_id"]) for row in rows]

    async def users(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        rows = await self._postgres.fetch(self._sql["users"], namespace, after, limit)
        return [row["user_id"] for row in rows]

    async def unconsolidated(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        rows = await self._postgres.fetch(self._sql["unconsolidated"], namespace, after, limit)
        return [row["user_id"] for row in rows]

    async def has_named_users(self, namespace: str) -> bool:
        row = await self._postgres.fetchrow(self._sql["has_named_users"], namespace)
        return row is not None and row[0]


def check_schema(name: str) -> None:
    """Raise `ConfigurationError` unless `name` can name a schema of ours."""
    if not _SCHEMA.fullmatch(name):
        msg = f"a schema name matches {_SCHEMA.pattern}"
        raise ConfigurationError(msg)


@asynccontextmanager
async def reached(where: str | Pool) -> AsyncGenerator[str | Pool]:
    """Own the embedded server if `where` names one; yield where to connect to."""
    if isinstance(where, str) and where.startswith(EMBEDDED):
        async with open_embedded(where.removeprefix(EMBEDDED)) as dsn:
            yield dsn
    else:
        yield where


@asynccontextmanager
async def connected(where: str | Pool, *, vector: str | None = None) -> AsyncGenerator[Postgres]:
    """Own a pool if `where` is a DSN.

    Args:
        vector: the schema of pgvector; without it vectors go over as text.
    """
    if isinstance(where, str):
        async with open_pool(where, vector=vector) as pool:
            yield Postgres(pool, binary=vector is not None)
    else:
        yield Postgres(where)  # a codec would change what the caller's own code is given


@asynccontextmanager
async def open_postgres(
    where: str | Pool,
    *,
    replica: str | None = None,
    schema: str = "recollect",
    migrations: str | None = None,
    deadline: float | None = 5.0,
    clock: Callable[[], datetime] | None = None,
    bridge: Bridge | None = None,
) -> AsyncGenerator[Archive]:
    """Own whatever is needed to reach the archive at `where`, for the length of the block.

    Args:
        where: a DSN, "embedded:PATH", or a pool of the caller's, which is not closed.
        replica: DSN of a streaming replica, which then answers what is searched.
        schema: `[a-z_][a-z0-9_]{0,40}`.
        deadline: seconds the server may take to answer, None for no bound; a migration may take longer.
        migrations: "auto" applies what is missing, "never" refuses an old schema; None is auto for
            an embedded server and never for any other.
        clock: for what is stored; on trio it is called in another thread.
        bridge: to where the driver runs, if that is not here; None for one of its own.

    Raises:
        ConfigurationError: wrong DSN, password or schema name; a pool, on trio.
        SchemaError: the tables are older or newer than this version reads.
        StoreUnavailable, DeadlineExceeded: the server did not answer.
    """
    check_schema(schema)
    if not isinstance(where, str):
        require_asyncio("a pool", "a DSN")
    given = cast("object", where)
    if not isinstance(given, (str, asyncpg.Pool)):
        msg = f"postgres must be a DSN or an asyncpg.Pool, not a {type(given).__name__}"
        raise ConfigurationError(msg)
    if replica is not None and (not isinstance(cast("object", replica), str) or replica.startswith(EMBEDDED)):
        msg = "read_postgres must be the DSN of a streaming replica"
        raise ConfigurationError(msg)
    opened = partial(
        _opened, where, replica, schema=schema, migrations=migrations, deadline=deadline, clock=clock
    )
    async with driven(opened, front_of_archive, bridge) as archive:
        yield archive


@asynccontextmanager
async def _opened(
    where: str | Pool,
    replica: str | None,
    *,
    schema: str,
    migrations: str | None,
    deadline: float | None,
    clock: Callable[[], datetime] | None,
) -> AsyncGenerator[Archive]:
    embedded = isinstance(where, str) and where.startswith(EMBEDDED)
    async with reached(where) as there:
        # A pool of its own: what connected before pgvector was there does not know its types.
        async with connected(there) as postgres:
            with bounded(deadline):
                behind = bool(await pending(postgres, schema))
            if behind and (migrations == "auto" or (migrations is None and embedded)):
                await migrate(postgres, schema)
            with bounded(deadline):
                await check(postgres, schema)
                vector = await vector_schema(postgres)
                partitioned = await parts_of(postgres, schema) is not None
        async with (
            connected(there, vector=vector) as primary,
            _beside(replica, primary, schema=schema, vector=vector, deadline=deadline) as postgres,
        ):
            yield PostgresArchive(
                postgres, schema=schema, vector=vector, clock=clock, partitioned=partitioned
            )


@asynccontextmanager
async def _beside(
    replica: str | None, primary: Postgres, *, schema: str, vector: str, deadline: float | None
) -> AsyncGenerator[Postgres]:
    if replica is None:
        yield primary
        return
    async with open_replica(replica, primary, schema=schema, vector=vector, deadline=deadline) as both:
        yield both
