"""What an administrator does with a schema: bring it up to date, look at it, read its SQL."""

from dataclasses import dataclass

from .._bridge import over_bridge
from ._migrations import LEDGER, applied, check, migrate, migrations, pending
from ._partitions import check_partitions, cut, parts_of
from ._pool import Connection
from ._sql import quoted, rendered
from .archive import check_schema, connected, reached

# Checked at commit, because a write opens pieces and closes others in no order of theirs. Slots are told
# apart by a hash, which needs no extension: that two have the same one is as likely as 1 in 2^64.
_GUARD = """
alter table {schema}.{leaf} add constraint {leaf}_disjoint exclude using gist (
    int8range(
        hash_array_extended(array[tenant, branch, subject, predicate, slot], 0),
        hash_array_extended(array[tenant, branch, subject, predicate, slot], 0), '[]'
    ) with &&,
    tstzrange(valid_from, valid_to) with &&
) where (tx_to is null) deferrable initially deferred
"""
# A table that is cut cannot have it as a whole, but each of its parts can: a slot is of one tenant.
_UNGUARDED = """
select t.relname
from pg_class t
join pg_namespace n on n.oid = t.relnamespace
left join pg_inherits i on i.inhrelid = t.oid
left join pg_class whole on whole.oid = i.inhparent
where nspname = $1 and t.relkind = 'r' and coalesce(whole.relname, t.relname) = 'fact'
and not exists (select from pg_constraint where conrelid = t.oid and conname = t.relname || '_disjoint')
"""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Names of migrations, in their order, and the shape of the tables.

    Attributes:
        applied: those that the database has.
        pending: those that it still needs.
        partitions: how many parts each table with a tenant has; None if they are whole.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    partitions: int | None = None


@over_bridge
async def migrate_schema(where: str, *, schema: str, partitions: int | None = None) -> tuple[str, ...]:
    """Apply what is missing, all or nothing; return the names.

    Args:
        where: a DSN, or "embedded:PATH".
        schema: made if it does not exist.
        partitions: from 2 to 64: a schema that is made gets its tables cut by tenant, each into so many
            partitions. None: one that is made gets them whole, and one that exists stays as it is.

    Raises:
        SchemaError: another version of the package migrated it, or it exists with other partitions.
    """
    check_schema(schema)
    check_partitions(partitions)
    async with reached(where) as there, connected(there) as postgres:
        return tuple(await migrate(postgres, schema, parts=partitions))


@over_bridge
async def schema_status(where: str, *, schema: str) -> SchemaStatus:
    """Return which migrations are applied; arguments and errors as those of `migrate_schema`."""
    check_schema(schema)
    async with reached(where) as there, connected(there) as postgres:
        missing = tuple(migration.name for migration in await pending(postgres, schema))
        ledger = await applied(postgres, schema)
        parts = await parts_of(postgres, schema)
    return SchemaStatus(
        applied=tuple(migration.name for migration in migrations() if migration.number in ledger),
        pending=missing,
        partitions=parts,
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
        leaves = [row["relname"] for row in await conn.fetch(_UNGUARDED, schema)]
        for leaf in leaves:
            guard = _GUARD.replace("{leaf}", leaf)
            await conn.execute(rendered(guard, schema=schema, vector="public"))
        return bool(leaves)

    async with reached(where) as there, connected(there) as postgres:
        await check(postgres, schema)
        return await postgres.transaction(work)


def schema_sql(schema: str, *, partitions: int | None = None) -> str:
    """Return one script that makes the schema from nothing, for those who apply SQL by themselves.

    It fills the ledger too. It expects pgvector in the schema "public", where it puts it if it is missing.
    Partitions are those of `migrate_schema`.
    """
    check_schema(schema)
    check_partitions(partitions)
    parts = [
        "begin;",
        f"create schema if not exists {quoted(schema)};",
        "create extension if not exists vector schema public;",
        f"{rendered(LEDGER, schema=schema, vector='public').strip()};",
    ]
    for migration in migrations():
        values = f"({migration.number}, '{migration.name}', '{migration.checksum}')"
        parts += [
            rendered(cut(migration.sql, partitions), schema=schema, vector="public").strip(),
            f"insert into {quoted(schema)}.migration (number, name, checksum) values {values};",  # noqa: S608
        ]
    return "\n\n".join([*parts, "commit;"]) + "\n"
