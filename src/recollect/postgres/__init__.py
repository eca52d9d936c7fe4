"""Stores kept in PostgreSQL with pgvector. They need asyncio."""

from ._embedded import open_embedded
from ._pool import Pool, Postgres, open_pool
from .archive import PostgresArchive, open_postgres
from .episodes import PostgresEpisodes
from .upkeep import SchemaStatus, migrate_schema, schema_sql, schema_status

__all__ = (
    "Pool",
    "Postgres",
    "PostgresArchive",
    "PostgresEpisodes",
    "SchemaStatus",
    "migrate_schema",
    "open_embedded",
    "open_pool",
    "open_postgres",
    "schema_sql",
    "schema_status",
)
