"""Tables cut by tenant: each partition of a table holds the tenants whose hash leaves the same remainder.

The files of migrations say nothing of it, so that both shapes have the same ledger. What a schema was made
with is read from the catalog, and is for ever: later migrations cut the tables that they add in the same way.
"""

import re
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from ._pool import Connection, Postgres

MOST = 64
"""Making and dropping them locks each part of each table, and the server's table of locks has an end."""

# The form of every table of ours that has a tenant, which is then its first column.
_TABLE = re.compile(
    r"^(?P<head>create table \{schema\}\.(?P<name>\w+) \(\n    tenant .*?^\))(?P<storage> with \(.*?\))?;",
    re.MULTILINE | re.DOTALL,
)
_PARTS = """
select count(i.inhrelid)::int
from pg_partitioned_table p
join pg_class c on c.oid = p.partrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits i on i.inhparent = c.oid
where nspname = $1 and relname = 'tenant' and partstrat = 'h'
"""


def check_partitions(count: int | None) -> None:
    """Raise `ConfigurationError` unless tables can be cut into that many."""
    if count is not None and not 2 <= count <= MOST:
        msg = f"partitions must be from 2 to {MOST}, or left out for tables that are whole"
        raise ConfigurationError(msg)


def cut(sql: str, count: int | None) -> str:
    """Return a migration whose tables with a tenant are cut into `count` parts; None leaves them whole."""
    return sql if count is None else _TABLE.sub(lambda table: _parts(table, count), sql)


def _parts(table: re.Match[str], count: int) -> str:
    name, storage = table["name"], table["storage"] or ""  # a table that is cut stores nothing itself
    return "\n".join(
        [
            f"{table['head']} partition by hash (tenant);",
            *(
                f"create table {{schema}}.{name}_{i} partition of {{schema}}.{name}"
                f" for values with (modulus {count}, remainder {i}){storage};"
                for i in range(count)
            ),
        ]
    )


async def parts_of(postgres: "Postgres | Connection", schema: str) -> int | None:
    """Return how many parts each table with a tenant has there; None if they are whole, or not there."""
    row = await postgres.fetchrow(_PARTS, schema)
    return (row[0] or None) if row is not None else None


def check_shape(schema: str, there: int | None, wanted: int | None) -> None:
    """Pass if tables that are cut into `there` parts are what was asked for.

    Raises:
        SchemaError: they are not, and no statement changes that.
    """
    if wanted is not None and there != wanted:
        is_cut = "without partitions" if there is None else f"with {there} partitions"
        msg = (
            f"the schema {schema!r} was made {is_cut}, which stays; make another one with {wanted},"
            " and move each user there with `recollect export` and `recollect restore`"
        )
        raise SchemaError(msg)
