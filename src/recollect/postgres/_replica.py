"""Reads from a streaming replica that are never older than what this process knows of their tenant.

The row of a tenant says how far it is: `tx` counts its transactions, `generation` its erasures, and neither
goes back. A replica applies commits in their order: where it is as far as this process knows the tenant to
be, it has all that was stored, read or forgotten here. Every read brings both numbers along, of the same
snapshot.

    nothing is known of the tenant     the primary answers, and says how far the tenant is
    the replica is as far              it answers
    it is behind                       the primary answers; the replica has some time to catch up
    it fails, or takes too long        the primary answers, and for a while all other reads as well

There is no task for any of this: the next read does it.
"""

import logging
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import anyio
import asyncpg

from .._circuit import Circuit
from .._deadline import bounded, half_of_the_rest
from ..errors import ConfigurationError, TryLater
from ..types import Health
from ._migrations import pending
from ._pool import Postgres, open_pool
from ._sql import rendered

T = TypeVar("T")

TENANTS = 100_000
"""Tenants of which is known how far they are; of those that were read or written least lately nothing is."""

SHARE = 0.25
"""Of the deadline, or of 20 seconds without one: what a replica may take until the primary is asked."""

LAG = 10.0
"""Seconds behind that are told, and after which a tenant's reads at the latest try the replica again."""

_IDENTITY = "select system_identifier, current_database() from pg_control_system()"
_WITH_BASIS = """
select clock.tx as basis_tx, clock.generation as basis_generation, found.*
from (select 1) as one
left join {schema}.tenant clock on clock.tenant = $1
left join lateral (select true as is_row, answer.* from (
{statement}
) as answer) as found on true
"""
_ADVANCE = """
update {schema}.tenant set tx = tx + 1, at = at + interval '1 microsecond' where tenant = $1 returning tx
"""

logger = logging.getLogger("recollect")


@dataclass(slots=True, eq=False)
class _Known:
    """How far a tenant is, as far as this process knows.

    Attributes:
        since: when the primary last said something new.
        ask_at: from when on the replica may be asked: never before the primary has answered a read.
    """

    since: float
    tx: int = 0
    generation: int = 0
    ask_at: float = math.inf


class Replicated(Postgres):
    """A primary, and a replica of it that answers some reads.

    Args:
        patience: seconds that the replica may take.
    """

    replicated = True

    def __init__(self, primary: Postgres, replica: Postgres, *, schema: str, patience: float) -> None:
        super().__init__(primary._pool, binary=primary.binary)
        self._replica = replica
        self._schema = schema
        self._patience = patience
        self._with_basis = rendered(_WITH_BASIS, schema=schema, vector="public")
        self._advance = rendered(_ADVANCE, schema=schema, vector="public")
        # The one that was used last comes last.
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._circuit = Circuit()
        self._in_vain = 0.0  # seconds that callers have waited for it since it last answered
        self._counted = -math.inf  # up to when: who waits at the same time waits no longer
        self._behind: float | None = None  # when that was known which the replica lacked for too long
        self._left = False

    async def read(self, sql: str, tenant: str, *args: object) -> Sequence[asyncpg.Record]:
        sql = self._with_basis.replace("{statement}", sql)
        known = self._known_of(tenant)
        if anyio.current_time() >= known.ask_at and not self._left:
            rows = await self._ask(lambda: self._replica.fetch(sql, tenant, *args))
            if rows and self._is_as_far(known, *_basis(rows)):
                return _found(rows)
        rows = await self.fetch(sql, tenant, *args)
        tx, generation = _basis(rows)
        self.saw(tenant, tx=tx, generation=generation)
        known = self._known_of(tenant)
        if known.ask_at == math.inf:
            known.ask_at = 0.0
        return _found(rows)

    def saw(self, tenant: str, *, tx: int = 0, generation: int = 0) -> None:
        known = self._known_of(tenant)
        if tx > known.tx or generation > known.generation:
            known.tx, known.generation = max(tx, known.tx), max(generation, known.generation)
            known.since = anyio.current_time()

    async def advance(self, tenant: str) -> None:
        try:
            row = await self.fetchrow(self._advance, tenant)
        except TryLater:
            self.leave_replica()
        else:
            self.saw(tenant, tx=0 if row is None else row["tx"])

    def leave_replica(self) -> None:
        self._left = True

    async def replica_health(self) -> Health:
        started = perf_counter()
        try:
            await self._replica.fetch("select 1")
        except (TryLater, ConfigurationError) as exc:
            return Health(ok=False, source="replica", latency=None, error=str(exc))
        return Health(ok=True, source="replica", latency=perf_counter() - started)

    async def check(self, replica: Postgres) -> None:
        """Pass if the replica is one of the primary, or does not answer: then it is left alone for now.

        Args:
            replica: the same one, over connections that expect nothing to be there.

        Raises:
            ConfigurationError: it is another database, or does not let us in.
            SchemaError: another version of the package migrated it.
        """
        ours = await self.fetchrow(_IDENTITY)

        async def compare() -> ConfigurationError | None:
            try:
                if await replica.fetchrow(_IDENTITY) != ours:
                    msg = "read_postgres is no replica of the database that postgres names; correct its DSN"
                    return ConfigurationError(msg)
                await pending(replica, self._schema)  # what is only missing is on its way
            except ConfigurationError as exc:
                return exc
            return None

        refused = await self._ask(compare)
        if refused is not None:
            raise refused

    async def _ask(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Have the replica do something, unless it is to be left alone; None if it did not."""
        started = anyio.current_time()
        given = self._circuit.admit(started)
        if given is None:
            return None
        try:
            with anyio.move_on_after(min(self._patience, half_of_the_rest())):
                done = await work()
                self._in_vain = 0.0
                if self._circuit.succeeded(given):
                    logger.warning("the replica of PostgreSQL is back")
                return done
        except (TryLater, ConfigurationError) as exc:
            self._went_away(given, type(exc).__name__)
            return None
        except BaseException:
            self._was_late(given, started)
            raise
        self._was_late(given, started)
        return None

    # The rest runs without an await.

    def _was_late(self, given: int, started: float) -> None:
        """Note that a caller has given up. One with little time says little; many add up."""
        now = anyio.current_time()
        self._in_vain += now - max(started, self._counted)
        self._counted = now
        if self._in_vain > self._patience / 2:
            self._went_away(given, "it took too long")
        else:
            self._circuit.gave_up(given, now)

    def _went_away(self, given: int, why: str) -> None:
        if self._circuit.failed(given, anyio.current_time()):
            logger.warning("the replica of PostgreSQL does not answer (%s): the primary is read", why)

    def _known_of(self, tenant: str) -> _Known:
        known = self._known.get(tenant)
        if known is None:
            known = self._known[tenant] = _Known(anyio.current_time())
            if len(self._known) > TENANTS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(tenant)
        return known

    def _is_as_far(self, known: _Known, tx: int, generation: int) -> bool:
        now = anyio.current_time()
        if tx >= known.tx and generation >= known.generation:
            known.tx, known.generation = tx, generation
            if self._behind is not None and known.since >= self._behind:
                self._behind = None
                logger.warning("the replica of PostgreSQL has caught up")
            return True
        # The longer it has not come, the longer it may take: few are asked in vain.
        lag = now - known.since
        known.ask_at = now + min(lag, LAG)
        if lag > LAG and self._behind is None:
            self._behind = known.since
            logger.warning("the replica of PostgreSQL is more than %g s behind: the primary is read", LAG)
        return False


def _basis(rows: Sequence[asyncpg.Record]) -> tuple[int, int]:
    return rows[0]["basis_tx"] or 0, rows[0]["basis_generation"] or 0


def _found(rows: Sequence[asyncpg.Record]) -> Sequence[asyncpg.Record]:
    """Return the rows of the statement itself; without any there is one that only says the basis."""
    return rows if rows[0]["is_row"] else ()


@asynccontextmanager
async def open_replica(
    dsn: str, primary: Postgres, *, schema: str, vector: str, deadline: float | None
) -> AsyncGenerator[Replicated]:
    """Own a pool of connections to a replica for the length of the block.

    Raises:
        ConfigurationError: it is none of the primary, or does not let us in.
    """
    async with open_pool(dsn, vector=vector if primary.binary else None) as pool:
        replica = Postgres(pool, binary=primary.binary)
        patience = SHARE * (20.0 if deadline is None else deadline)
        postgres = Replicated(primary, replica, schema=schema, patience=patience)
        async with open_pool(dsn) as plain:
            with bounded(deadline):
                await postgres.check(Postgres(plain))
        yield postgres
