"""The schema's versions: numbered SQL files, and a ledger of those that were applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from ..errors import SchemaError
from ._partitions import check_shape, cut, parts_of
from ._pool import Connection, Postgres
from ._sql import quoted, rendered

# One lock for all schemas: they share the extension.
_LOCK = "select pg_advisory_xact_lock(hashtextextended('recollect.migrate', 0))"
LEDGER = """
create table if not exists {schema}.migration (
    number integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp()
)
"""
_VECTOR = """
select nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'vector'
"""

# Not to_regclass: it answers from a cache that is not brought up to date within a transaction.
_THERE = """
select exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where nspname = $1 and relname = 'migration'
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """A numbered SQL file of this version of the package."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return sha256(self.sql.encode()).hexdigest()


@cache
def migrations() -> Sequence[Migration]:
    """Return the migrations in their order."""
    found = [
        Migration(int(entry.name[:4]), entry.name.removesuffix(".sql"), entry.read_text())
        for entry in (files("recollect.postgres") / "migrations").iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


async def vector_schema(postgres: Postgres) -> str:
    """Return the schema that pgvector is installed in.

    Raises:
        SchemaError: it is not installed.
    """
    row = await postgres.fetchrow(_VECTOR)
    if row is None:
        msg = "pgvector is not installed in this database; run `recollect db migrate`"
        raise SchemaError(msg)
    name: str = row["nspname"]
    return name


async def applied(postgres: Postgres, schema: str) -> Mapping[int, str]:
    """Return the ledger: number to checksum; empty without a ledger."""
    ledger = f"{quoted(schema)}.migration"
    row = await postgres.fetchrow("select to_regclass($1) is not null as there", ledger)
    if row is None or not row["there"]:
        return {}
    rows = await postgres.fetch(f"select number, checksum from {ledger}")  # noqa: S608
    return {row["number"]: row["checksum"] for row in rows}


async def pending(postgres: Postgres, schema: str) -> Sequence[Migration]:
    """Return what is still to be applied.

    Raises:
        SchemaError: the database was migrated by another version of the package.
    """
    ledger = dict(await applied(postgres, schema))
    missing: list[Migration] = []
    for migration in migrations():
        checksum = ledger.pop(migration.number, None)
        if checksum is None:
            missing.append(migration)
        elif checksum != migration.checksum:
            msg = f"migration {migration.name} was applied with other content; use the version that did it"
            raise SchemaError(msg)
    if ledger:
        msg = f"the schema is newer than this version of recollect (migration {max(ledger)}); upgrade it"
        raise SchemaError(msg)
    return missing


async def check(postgres: Postgres, schema: str) -> None:
    """Pass if the schema is the one this version reads.

    Raises:
        SchemaError: it is older or newer.
    """
    missing = await pending(postgres, schema)
    if missing:
        msg = f"{len(missing)} migration(s) missing; run `recollect db migrate`, or open with migrate='auto'"
        raise SchemaError(msg)


async def migrate(postgres: Postgres, schema: str, *, parts: int | None = None) -> Sequence[str]:
    """Apply what is missing in one transaction; return the names. Many workers may start at once.

    Args:
        parts: how many partitions a new schema gets; None for none. One that exists stays as it is.

    Raises:
        SchemaError: it exists with another number of them.
    """

    async def work(conn: Connection) -> None:
        await conn.execute(_LOCK)
        # Asked again under the lock: another worker may have been faster.
        there = await conn.fetchval(_THERE, schema)
        done, count = set[int](), parts
        if there:
            rows = await conn.fetch(f"select number from {quoted(schema)}.migration")  # noqa: S608
            done = {row["number"] for row in rows}
            count = await parts_of(conn, schema)
            check_shape(schema, count, parts)
        else:
            await conn.execute(f"create schema if not exists {quoted(schema)}")
            await conn.execute("create extension if not exists vector")
            await conn.execute(rendered(LEDGER, schema=schema, vector="public"))
        vector: str = await conn.fetchval(_VECTOR)
        for migration in missing:
            if migration.number not in done:
                await conn.execute(rendered(cut(migration.sql, count), schema=schema, vector=vector))
                await conn.execute(
                    f"insert into {quoted(schema)}.migration (number, name, checksum) values ($1, $2, $3)",  # noqa: S608
                    migration.number,
                    migration.name,
                    migration.checksum,
                )

    missing = await pending(postgres, schema)
    if missing or parts is not None:
        await postgres.transaction(work)
    return [migration.name for migration in missing]
