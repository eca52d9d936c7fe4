"""What an administrator does with a schema: bring it up to date, look at it, read its SQL."""

from dataclasses import dataclass

from .._bridge import over_bridge
from ._migrations import LEDGER, applied, check, migrate, migrations, pending
from ._pool import Connection
from ._sql import quoted, rendered
from .archive import check_schema, connected, reached

# Checked at commit, because a write opens pieces and closes others in no order of theirs. Slots are told
# apart by a hash, which needs no extension: that two have the same one is as likely as 1 in 2^64.
_GUARD = """
alter table {schema}.fact add constraint fact_disjoint exclude using gist (
    int8range(
        hash_array_extended(array[tenant, branch, subject, predicate, slot], 0),
        hash_array_extended(array[tenant, branch, subject, predicate, slot], 0), '[]'
    ) with &&,
    tstzrange(valid_from, valid_to) with &&
) where (tx_to is null) deferrable initially deferred
"""
_GUARDED = """
select exists (
    select from pg_constraint c
    join pg_class t on t.oid = c.conrelid
    join pg_namespace n on n.oid = t.relnamespace
    where nspname = $1 and relname = 'fact' and conname = 'fact_disjoint'
)
"""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Names of migrations, in their order.

    Attributes:
        applied: those that the database has.
        pending: those that it still needs.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]


@over_bridge
async def migrate_schema(where: str, *, schema: str) -> tuple[str, ...]:
    """Apply what is missing, all or nothing; return the names.

    Args:
        where: a DSN, or "embedded:PATH".
        schema: made if it does not exist.

    Raises:
        SchemaError: another version of the package migrated it.
    """
    check_schema(schema)
    async with reached(where) as there, connected(there) as postgres:
        return tuple(await migrate(postgres, schema))


@over_bridge
async def schema_status(where: str, *, schema: str) -> SchemaStatus:
    """Return which migrations are applied; arguments and errors as those of `migrate_schema`."""
    check_schema(schema)
    async with reached(where) as there, connected(there) as postgres:
        missing = tuple(migration.name for migration in await pending(postgres, schema))
        ledger = await applied(postgres, schema)
    return SchemaStatus(
        applied=tuple(migration.name for migration in migrations() if migration.number in ledger),
        pending=missing,
    )


@over_bridge
async def guard_schema(where: str, *, schema: str) -> bool:
    """Let the database itself refuse two current facts of one slot at one instant, whoever writes them.

    It costs an index more, which every write of facts keeps up to date. Our own writes never need it: it
    is for those who let others write to the tables, or trust nobody. Reads and writes wait meanwhile.

    Returns:
        Whether it was missing.

    Raises:
        SchemaError: the schema is not the one that this version reads.
        ConfigurationError: there are two such facts already.
    """
    check_schema(schema)

    async def work(conn: Connection) -> bool:
        await conn.execute(rendered("lock table {schema}.fact", schema=schema, vector="public"))
        if await conn.fetchval(_GUARDED, schema):
            return False
        await conn.execute(rendered(_GUARD, schema=schema, vector="public"))
        return True

    async with reached(where) as there, connected(there) as postgres:
        await check(postgres, schema)
        return await postgres.transaction(work)


def schema_sql(schema: str) -> str:
    """Return one script that makes the schema from nothing, for those who apply SQL by themselves.

    It fills the ledger too. It expects pgvector in the schema "public", where it puts it if it is missing.
    """
    check_schema(schema)
    parts = [
        "begin;",
        f"create schema if not exists {quoted(schema)};",
        "create extension if not exists vector schema public;",
        f"{rendered(LEDGER, schema=schema, vector='public').strip()};",
    ]
    for migration in migrations():
        values = f"({migration.number}, '{migration.name}', '{migration.checksum}')"
        parts += [
            rendered(migration.sql, schema=schema, vector="public").strip(),
            f"insert into {quoted(schema)}.migration (number, name, checksum) values {values};",  # noqa: S608
        ]
    return "\n\n".join([*parts, "commit;"]) + "\n"
