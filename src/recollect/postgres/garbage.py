"""What is left of what was erased: vectors of episodes and facts that are not there.

Nothing else can be. What marks an episode goes with it, by a foreign key; all that belongs to an assertion is
written and erased under the clock row of its tenant. The headers of transactions are the journal, keys are
honoured for as long as these are there, and tombstones for ever.
"""

from ..stores.garbage import Leftovers
from ..types import Tenant
from ._pool import Postgres
from ._sql import statements

AT_ONCE = 2_000
"""Vectors that a statement looks at: some milliseconds."""


class PostgresGarbage:
    """Sweeps the tables of an archive."""

    def __init__(self, postgres: Postgres, *, schema: str, vector: str) -> None:
        self._postgres = postgres
        self._sql = statements("garbage", schema=schema, vector=vector)

    async def sweep(self, tenant: Tenant, *, dry_run: bool) -> Leftovers:
        return Leftovers(
            episode_vectors=await self._swept("episode_vectors", tenant, (0, -1), dry_run=dry_run),
            fact_vectors=await self._swept("fact_vectors", tenant, (b"",), dry_run=dry_run),
        )

    async def _swept(self, kind: str, tenant: Tenant, after: tuple[object, ...], *, dry_run: bool) -> int:
        """Go through the vectors of a kind by their primary key; return how many are swept."""
        look, drop = self._sql[f"look_{kind}"], self._sql[f"drop_{kind}"]
        width, count = len(after), 0
        while (row := await self._postgres.fetchrow(look, tenant.key, *after, AT_ONCE)) is not None:
            values = tuple(row)
            after, stray = values[:width], values[width:]
            if not stray[0]:
                continue
            if dry_run:
                count += len(stray[0])
            else:  # counted as they go: another process may sweep as well
                gone = await self._postgres.fetchrow(drop, tenant.key, *stray)
                count += 0 if gone is None else gone[0]
        return count
