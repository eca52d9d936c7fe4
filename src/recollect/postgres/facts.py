from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg
import numpy as np
from anyio.lowlevel import checkpoint

from .._batching import own_copy
from .._clock import aware
from .._draft import State
from .._ledger import Ledger
from .._timeline import Assertion
from ..errors import OutcomeUnknown, RecollectError, TryLater
from ..stores import FactStore
from ..stores.changes import Change, Committed, FactText
from ..stores.facts import FactCandidates, FactFilter, FactPosition, FoundFact, Header, Slots
from ..types import Tenant
from . import vectors
from ._errors import ConnectionLost
from ._pool import BY_KEY, Connection, Postgres
from ._sql import statements
from .fact_filters import FactQuery
from .fact_rebuilding import differing_slots, erased
from .fact_rows import FoundFacts, assertion_of, basis_of, found_of, headers_of, read_of
from .fact_writes import Changes, arguments, read_state, take_states

if TYPE_CHECKING:
    from ..stores import Vectors

Outcome = Committed | RecollectError


class PostgresFacts(FactStore):
    """Facts in the tables `assertion`, `fact` and those around them."""

    def __init__(
        self,
        postgres: Postgres,
        *,
        schema: str,
        vector: str,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._postgres = postgres
        sql = statements("facts", schema=schema, vector=vector, binary=postgres.binary)
        self._sql = {**sql, "free_clocks": sql["free_clocks"].replace("{known}", sql["known"])}
        self._given: Callable[[Vectors], Sequence[object]] = (
            vectors.packed if postgres.binary else vectors.spelled
        )
        self._clock = None if clock is None else aware(clock)
        self.embedder: tuple[str | None, int | None] = (None, None)
        """Model and dimensions that this process adopted: what else is in the archive then, is kept out."""

    async def commit(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        if not changes:
            await checkpoint()
            return []

        async def take(conn: Connection, changes: Changes) -> Mapping[str, State]:
            (of_one,) = changes.values()
            return await read_state(conn, self._sql, changes, await self._take_clock(conn, of_one[0].tenant))

        (outcomes,) = await self._commit([changes], take)
        assert outcomes is not None  # noqa: S101  # it waits for its clock
        return outcomes

    async def try_commit(self, batches: Sequence[Sequence[Change]]) -> Sequence[Sequence[Outcome] | None]:
        async def take(conn: Connection, changes: Changes) -> Mapping[str, State]:
            return await take_states(conn, self._sql, changes, self._now())

        return await self._commit(batches, take)

    async def _commit(
        self,
        batches: Sequence[Sequence[Change]],
        take: Callable[[Connection, Changes], Awaitable[Mapping[str, State]]],
    ) -> Sequence[Sequence[Outcome] | None]:
        """Commit the changes of those tenants whose clocks can be taken."""
        given = {changes[0].tenant.key: changes for changes in batches}
        marked: dict[str, Committed] = {}

        async def work(conn: Connection) -> Sequence[Sequence[Outcome] | None]:
            ledgers = {tenant: Ledger(state) for tenant, state in (await take(conn, given)).items()}
            applied = {
                tenant: [_first(marked, each, ledger.apply(each)) for each in given[tenant]]
                for tenant, ledger in ledgers.items()
            }
            outcomes = [applied.get(changes[0].tenant.key) for changes in batches]
            written = {tenant: each.written for tenant, each in ledgers.items() if each.written}
            if not written:
                raise _NothingWritten(outcomes)
            await conn.execute(self._sql["commit"], *arguments(written, self._given, self.embedder))
            for tenant, each in written.items():
                if each.marks:
                    await conn.execute(self._sql["mark"], tenant, each.marks)
            return outcomes

        try:
            outcomes = await self._postgres.transaction(work, settings=BY_KEY)
        except _NothingWritten as nothing:
            outcomes = nothing.outcomes
        except ConnectionLost:
            return [[OutcomeUnknown(change.key) for change in changes] for changes in batches]
        except TryLater as exc:
            return [[own_copy(exc) for _ in changes] for changes in batches]
        for changes, of_one in zip(batches, outcomes, strict=True):
            known = max((each.tx for each in of_one or () if isinstance(each, Committed)), default=0)
            self._postgres.saw(changes[0].tenant.key, tx=known)
        return outcomes

    async def _take_clock(self, conn: Connection, tenant: Tenant) -> asyncpg.Record:
        row = await conn.fetchrow(
            self._sql["clock"], tenant.key, tenant.namespace, tenant.user_id, self._now()
        )
        assert row is not None  # noqa: S101  # it is inserted or updated
        return row

    def _now(self) -> datetime | None:
        return None if self._clock is None else self._clock()

    async def get(self, tenant: Tenant, ids: Sequence[str]) -> Mapping[str, Slots]:
        rows = await self._postgres.fetch(self._sql["get"], tenant.key, list(ids))
        self._basis(tenant, rows)
        read = read_of(rows)
        places = {row["id"]: read.by_id[row["id"]].place for row in rows if row["named"]}
        of_place = {place: read.slots([place], rows[0]) for place in dict.fromkeys(places.values())}
        return {id: of_place[place] for id, place in places.items()}

    async def find(
        self, tenant: Tenant, filter: FactFilter, *, after: FactPosition | None, limit: int
    ) -> tuple[Sequence[FoundFact], int]:
        query = FactQuery(self._sql, tenant, filter)
        query.page(after, limit)
        return await self._found(tenant, query)

    async def linked(self, tenant: Tenant, nodes: Sequence[str], filter: FactFilter) -> Sequence[FoundFact]:
        query = FactQuery(self._sql, tenant, filter)
        query.link(nodes)
        facts, _ = await self._found(tenant, query)
        return facts

    async def _found(self, tenant: Tenant, query: FactQuery) -> tuple[Sequence[FoundFact], int]:
        rows = await self._postgres.fetch(query.statement(), *query.values)
        return [found_of(row) for row in rows if row["id"] is not None], self._basis(tenant, rows)

    def _basis(self, tenant: Tenant, rows: Sequence[asyncpg.Record]) -> int:
        basis = basis_of(rows)
        self._postgres.saw(tenant.key, tx=basis)
        return basis

    async def count(self, tenant: Tenant, now: datetime) -> int:
        row = await self._postgres.fetchrow(self._sql["count"], tenant.key, now)
        return 0 if row is None else row[0]

    async def slots(self, tenant: Tenant, subject: str, predicate: str, *, branch: str | None) -> Slots:
        branches = ["", branch or ""]
        rows = await self._postgres.fetch(self._sql["slots"], tenant.key, subject, predicate, branches)
        self._basis(tenant, rows)
        read = read_of(rows)
        return read.slots(read.logs, rows[0] if rows else None)

    async def changes(
        self, tenant: Tenant, *, after: tuple[int, int], limit: int
    ) -> tuple[Sequence[Assertion], int]:
        rows = await self._postgres.fetch(self._sql["changes"], tenant.key, *after, limit)
        return [assertion_of(row) for row in rows if row["id"] is not None], self._basis(tenant, rows)

    async def headers(
        self, tenant: Tenant, *, session_id: str | None, before: int | None, limit: int
    ) -> tuple[Sequence[Header], int]:
        session, only = ((), "") if session_id is None else ((session_id,), self._sql["of_session"])
        statement = self._sql["headers"].replace("{of_session}", only)
        rows = await self._postgres.fetch(statement, tenant.key, before, limit, *session)
        return headers_of(rows), self._basis(tenant, rows)

    async def known_at(self, tenant: Tenant, instant: datetime) -> tuple[int, bool]:
        row = await self._postgres.fetchrow(self._sql["known_at"], tenant.key, instant)
        return (0, False) if row is None else (row["tx"], row["stable"])

    async def candidates(
        self, tenant: Tenant, filter: FactFilter, vector: "Vectors | None"
    ) -> FactCandidates:
        query = FactQuery(self._sql, tenant, filter)
        texts = self._sql["texts"]
        extra = ", x.terms"
        if vector is not None:
            (given,) = self._given(vector[np.newaxis])
            texts += self._sql["vectors"]
            extra += ", " + self._sql["cosine"].replace("{query}", query.given(given))
        statement = query.statement(columns=extra, texts=texts)
        # How far a replica is, says nothing of a point that was named elsewhere.
        read = self._postgres.read if filter.known is None else self._postgres.fetch
        rows = await read(statement, tenant.key, *query.values[1:])
        found = [row for row in rows if row["id"] is not None]
        return FactCandidates(
            facts=FoundFacts(found),
            terms=[tuple(row["terms"] or ()) for row in found],
            cosine=None
            if vector is None
            else np.array([np.nan if row["cosine"] is None else row["cosine"] for row in found], np.float64),
            basis=basis_of(rows),
        )

    async def unembedded(self, tenant: Tenant, *, limit: int) -> Sequence[FactText]:
        rows = await self._postgres.fetch(self._sql["unembedded"], tenant.key, limit)
        return [
            FactText(row["digest"], row["text"], tuple(row["terms"]), row["embedding_state"]) for row in rows
        ]

    async def set_vectors(self, tenant: Tenant, vectors: "Mapping[bytes, Vectors]") -> int:
        if not vectors:
            await checkpoint()
            return 0
        given = self._given(np.concatenate(list(vectors.values())))
        row = await self._postgres.fetchrow(
            self._sql["set_vectors"], tenant.key, list(vectors), given, *self.embedder
        )
        await self._postgres.advance(tenant.key)
        return 0 if row is None else row[0]

    async def erase(self, tenant: Tenant, episodes: Sequence[str]) -> int:
        if not episodes:
            await checkpoint()
            return 0

        async def work(conn: Connection) -> int:
            await self._take_clock(conn, tenant)
            return await erased(conn, self._sql, tenant.key, frozenset(episodes))

        gone = await self._postgres.transaction(work)
        await self._postgres.advance(tenant.key)
        return gone

    async def verify(self, tenant: Tenant) -> int:
        return await differing_slots(await self._postgres.fetch(self._sql["everything"], tenant.key))


def _first(marked: dict[str, Committed], change: Change, outcome: Outcome) -> Outcome:
    """Return what a change came to when it was first sent, if all that it stores is a mark on its episode.

    It leaves no key: sent again because nobody answered, it finds its own mark, and would be called skipped.
    """
    if isinstance(outcome, Committed) and change.consolidates is not None:
        if not outcome.landed:
            return marked.get(change.key, outcome)
        if not any(entry.changed for entries in outcome.entries for entry in entries):
            marked[change.key] = outcome
    return outcome


class _NothingWritten(Exception):
    """Undoes a transaction that had nothing to store: not even the tenant's row is left of it."""

    def __init__(self, outcomes: Sequence[Sequence[Outcome] | None]) -> None:
        super().__init__()
        self.outcomes = outcomes
