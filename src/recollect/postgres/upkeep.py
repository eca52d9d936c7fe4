"""What an administrator does with a schema: bring it up to date, look at it, read its SQL."""

from dataclasses import dataclass

from ._migrations import LEDGER, applied, migrate, migrations, pending
from ._sql import quoted, rendered
from .archive import check_schema, connected, reached


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Names of migrations, in their order.

    Attributes:
        applied: those that the database has.
        pending: those that it still needs.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]


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
