"""Forgetting a part of what a tenant owns, or all of it, in one transaction under its clock row."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .._clock import aware
from .._erasure import unsaid
from .._timeline import Assertion
from .._tombstones import SECRET_BYTES
from ..stores import Erased, Erasure
from ..types import Tenant
from ._pool import Connection, Postgres
from ._sql import statements
from .fact_rebuilding import bury, unsay
from .fact_rows import assertion_of

_PASSES = (
    "($2::text is null or e.session_id = $2) and ($3::text[] is null or e.id = any($3))"
    " and ($4::timestamptz is null or e.recorded_at < $4)"
)


class PostgresErasing:
    """Erases from all tables of an archive."""

    def __init__(
        self, postgres: Postgres, *, schema: str, vector: str, clock: Callable[[], datetime] | None
    ) -> None:
        self._postgres = postgres
        self._facts = statements("facts", schema=schema, vector=vector)
        sql = statements("erasure", schema=schema, vector=vector)
        self._sql = {name: each.replace("{passes}", _PASSES) for name, each in sql.items()}
        self._clock = None if clock is None else aware(clock)

    async def generation(self, tenant: Tenant) -> int:
        row = await self._postgres.fetchrow(self._sql["generation"], tenant.key)
        return 0 if row is None else row["generation"]

    async def erase(self, tenant: Tenant, erasure: Erasure) -> Erased:
        async def work(conn: Connection) -> Erased:
            now = None if self._clock is None else self._clock()
            # Taken by a statement of its own: what follows sees all that was committed before.
            await conn.execute(self._facts["clock"], tenant.key, tenant.namespace, tenant.user_id, now)
            if erasure.everything:
                secret = os.urandom(SECRET_BYTES)
                row = await conn.fetchrow(self._sql["forget_everything"], tenant.key, secret)
                assert row is not None  # noqa: S101  # it selects from nothing
                await conn.execute(self._sql["drop_all_vectors"], tenant.key)
                return Erased(**dict(row))
            return await _Work(conn, self._sql, self._facts, tenant.key, erasure).erase()

        return await self._postgres.transaction(work)

    async def left(self, tenant: Tenant, erasure: Erasure) -> int:
        async def work(conn: Connection) -> int:
            if erasure.everything:
                count: int = await conn.fetchval(self._sql["left_of_everything"], tenant.key)
                return count
            return await _Work(conn, self._sql, self._facts, tenant.key, erasure).left()

        return await self._postgres.transaction(work)


@dataclass(frozen=True, slots=True)
class _Work:
    """One erasure by filters, in a transaction that has the clock row."""

    conn: Connection
    sql: Mapping[str, str]
    facts: Mapping[str, str]
    tenant: str
    erasure: Erasure

    async def erase(self) -> Erased:
        erasure = self.erasure
        row = await self.conn.fetchrow(self.sql["forget"], self.tenant, os.urandom(SECRET_BYTES))
        assert row is not None  # noqa: S101  # its clock was taken
        said = await self._unsaid()
        episodes, sources = 0, frozenset[str]()
        if erasure.fact_ids is None:
            found = await self.conn.fetch(self.sql["sources"], self.tenant, *self._filters())
            sources = frozenset(each["episode_id"] for each in found)
            gone = await self.conn.fetch(
                self.sql["drop_episodes"], self.tenant, *self._filters(), row["secret"]
            )
            episodes = len(gone)
            await self.conn.execute(self.sql["drop_vectors"], self.tenant, [each["seq"] for each in gone])
        if erasure == Erasure(episode_ids=erasure.episode_ids):
            await bury(self.conn, self.facts, self.tenant, row["secret"], erasure.episode_ids or ())
        facts = 0
        if said or sources:
            facts = await unsay(self.conn, self.facts, self.tenant, sources, said)
        return Erased(episodes, facts, row["generation"])

    async def left(self) -> int:
        said = await self._unsaid()
        facts: int = await self.conn.fetchval(self.sql["left_of_facts"], self.tenant)
        if self.erasure.fact_ids is not None:
            return len(said) + facts
        count: int = await self.conn.fetchval(self.sql["left_of_episodes"], self.tenant, *self._filters())
        return count + len(said) + facts

    def _filters(self) -> Sequence[object]:
        erasure = self.erasure
        ids = None if erasure.episode_ids is None else list(erasure.episode_ids)
        return erasure.session_id, ids, erasure.before

    async def _unsaid(self) -> frozenset[str]:
        erasure = self.erasure
        if erasure.episode_ids is not None:
            return frozenset()
        if erasure.fact_ids is not None:
            said = await self._said("named", list(erasure.fact_ids))
        else:
            said = await self._said("said", erasure.session_id, erasure.before)
        replaced = [each.replaces for each in said if each.replaces is not None]
        found = await self._said("identified", replaced) if replaced else []
        return unsaid(erasure, {each.id: each for each in (*said, *found)}.values())

    async def _said(self, statement: str, *given: object) -> list[Assertion]:
        rows = await self.conn.fetch(self.sql[statement], self.tenant, *given)
        return [assertion_of(row) for row in rows]
