from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np
from anyio import to_thread

from .._shortlist import WORTH, Shortlist, count_nearest, is_complete
from .._together import both
from ..stores import Candidates, Filters, Query
from ..types import Tenant
from . import terms
from ._pool import Connection, Postgres
from ._sql import quoted
from .episode_filters import filtered
from .vector_indexes import VectorIndex

if TYPE_CHECKING:
    from ..stores import Booleans, Floats, Integers, Vectors


# By the index as long as there is one; the others are too dear to be planned.
_BY_INDEX = """
set local enable_sort = off;
set local hnsw.iterative_scan = relaxed_order;
set local hnsw.ef_search = {reach};
"""
_REACH = 1_000
"""The most that pgvector looks for at once; beyond, it goes on from where it was."""


class PostgresSearch:
    """Looks at all episodes of a tenant.

    Args:
        sql: the statements of episodes.sql.
        given: makes vectors what the server is given.
    """

    def __init__(
        self,
        postgres: Postgres,
        *,
        schema: str,
        vector: str,
        sql: Mapping[str, str],
        given: "Callable[[Vectors], Sequence[object]]",
    ) -> None:
        self._postgres = postgres
        self._schema = schema
        self._vector = vector
        self._sql = sql
        self._given = given

    async def candidates(self, tenant: Tenant, query: Query) -> Candidates:
        if query.vector is None:
            return _candidates(query, await self._words(tenant, query.filters), None)
        (vector,) = self._given(query.vector[np.newaxis])
        asked = _Asked(VectorIndex(tenant.key, len(query.vector)), vector)
        words, meanings = await both(
            lambda: self._words(tenant, query.filters), lambda: self._meanings(asked, unless_indexed=True)
        )
        if meanings is None or not meanings["indexed"]:
            return _candidates(query, words, meanings)
        # The index is of a tenant with many: what is worked out of its words takes a while.
        found = await to_thread.run_sync(_candidates, query, words, None)
        return await self._by_index(asked, query, found)

    async def _words(self, tenant: Tenant, filters: Filters) -> asyncpg.Record | None:
        sql, values = filtered(self._sql["words"], filters, first=2)
        return await self._postgres.readrow(sql, tenant.key, *values)

    async def _meanings(self, asked: "_Asked", *, unless_indexed: bool) -> asyncpg.Record | None:
        name = f"{quoted(self._schema)}.{quoted(asked.index.name)}" if unless_indexed else None
        return await self._postgres.readrow(self._sql["meanings"], asked.index.tenant, asked.vector, name)

    async def _by_index(self, asked: "_Asked", query: Query, found: Candidates) -> Candidates:
        """Complete candidates with cosines: of all if they are few, or if the index gave too little."""
        wanted = count_nearest(query.limit)
        if len(found.seqs) <= max(query.exact, WORTH * wanted):
            return replace(found, cosine=await self._compared(asked, found.seqs, found.seqs))
        seqs = await self._nearest(asked, wanted, found.seqs if query.filters else None)
        if len(seqs) == wanted:
            places, known = _places(seqs, found.seqs)
            nearest = places[known]
            short = await to_thread.run_sync(Shortlist.of, found, query.terms, nearest)
            cosine = await self._compared(asked, found.seqs[short.compared], found.seqs)
            if is_complete(cosine, nearest, query.limit):
                return replace(found, cosine=cosine, spread=short.spread(cosine))
        meanings = await self._meanings(asked, unless_indexed=False)
        return replace(found, cosine=_best_cosines(meanings, found.seqs))

    async def _nearest(self, asked: "_Asked", count: int, passing: "Integers | None") -> "Integers":
        """Return the numbers of the episodes of up to `count` vectors, of those that pass."""
        sql = asked.index.told(
            self._sql["nearest"],
            vector=self._vector,
            passing="" if passing is None else "and seq = any($3::bigint[])",
        )
        values = () if passing is None else (passing.tolist(),)

        async def work(conn: Connection) -> Sequence[asyncpg.Record]:
            rows: Sequence[asyncpg.Record] = await conn.fetch(sql, asked.vector, count, *values)
            return rows

        settings = _BY_INDEX.format(reach=min(count, _REACH))
        rows = await self._postgres.transaction(work, settings=settings)
        return np.array([row["seq"] for row in rows], dtype=np.int64)

    async def _compared(self, asked: "_Asked", wanted: "Integers", seqs: "Integers") -> "Floats":
        """Return the cosines of those that are wanted among all episodes, NaN for the others."""
        row = await self._postgres.readrow(
            self._sql["compared"], asked.index.tenant, asked.vector, wanted.tolist()
        )
        return _best_cosines(row, seqs)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the vectors of a tenant are compared with, as the server is given it."""

    index: VectorIndex
    vector: object


def _candidates(query: Query, words: asyncpg.Record | None, meanings: asyncpg.Record | None) -> Candidates:
    seqs = _unpacked(words, "seqs", ">i8").astype(np.int64)
    sessions = _unpacked(words, "sessions", ">i8").astype(np.int64)
    lengths = _unpacked(words, "lengths", ">i4").astype(np.int64)
    found = terms.postings(query.terms, b"" if words is None else words["terms"] or b"", lengths)
    everything = Candidates(
        seqs=seqs,
        # A hash has any sign, and 0 stands for no session.
        sessions=np.where(sessions == 0, -1, sessions & np.iinfo(np.int64).max),
        lengths=lengths.astype(np.float64),
        occurred=_unpacked(words, "occurred", ">f8").astype(np.float64),
        cosine=None if query.vector is None else _best_cosines(meanings, seqs),
        postings=found,
        documents=len(seqs),
        terms=int(lengths.sum()),
        frequencies={term: len(at) for term, (at, _) in found.items()},
    )
    if not query.filters:
        return everything
    return everything.only(_unpacked(words, "passes", "?"))


def _best_cosines(meanings: asyncpg.Record | None, seqs: "Integers") -> "Floats":
    """Align the cosines of chunks with the episodes; what was stored between the two reads is left out."""
    owners = _unpacked(meanings, "seqs", ">i8").astype(np.int64)
    cosines: Floats = _unpacked(meanings, "cosines", ">f8").astype(np.float64)
    if np.array_equal(owners, seqs):  # as it is unless a text is long or embedded later
        return cosines
    places, known = _places(owners, seqs)
    best: Floats = np.full(len(seqs), np.nan)
    np.fmax.at(best, places[known], cosines[known])
    return best


def _places(wanted: "Integers", seqs: "Integers") -> "tuple[Integers, Booleans]":
    """Return where each of the wanted numbers is among the ascending `seqs`, and whether it is there."""
    places = np.searchsorted(seqs, wanted)
    known: Booleans = places < len(seqs)
    known[known] = seqs[places[known]] == wanted[known]
    return places, known


def _unpacked(row: asyncpg.Record | None, column: str, dtype: str) -> Any:
    return np.frombuffer(b"" if row is None else row[column] or b"", dtype=dtype)
