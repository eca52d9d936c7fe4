from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import numpy as np

from .._together import both
from ..stores import Candidates, Filters, Query
from ..types import Tenant
from . import terms
from ._pool import Postgres
from .episode_filters import filtered

if TYPE_CHECKING:
    from ..stores import Booleans, Floats, Integers, Vectors


class PostgresSearch:
    """Looks at all episodes of a tenant.

    Args:
        sql: the statements of episodes.sql.
        given: makes vectors what the server is given.
    """

    def __init__(
        self,
        postgres: Postgres,
        sql: Mapping[str, str],
        given: "Callable[[Vectors], Sequence[object]]",
    ) -> None:
        self._postgres = postgres
        self._sql = sql
        self._given = given

    async def candidates(self, tenant: Tenant, query: Query) -> Candidates:
        if query.vector is None:
            return _candidates(query, await self._words(tenant, query.filters), None)
        (vector,) = self._given(query.vector[np.newaxis])
        words, meanings = await both(
            lambda: self._words(tenant, query.filters),
            lambda: self._postgres.readrow(self._sql["meanings"], tenant.key, vector),
        )
        return _candidates(query, words, meanings)

    async def _words(self, tenant: Tenant, filters: Filters) -> asyncpg.Record | None:
        sql, values = filtered(self._sql["words"], filters, first=2)
        return await self._postgres.readrow(sql, tenant.key, *values)


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
    cosines = _unpacked(meanings, "cosines", ">f8").astype(np.float64)
    places = cast("Integers", np.searchsorted(seqs, owners))
    known: Booleans = places < len(seqs)
    known[known] = seqs[places[known]] == owners[known]
    best: Floats = np.full(len(seqs), np.nan)
    np.fmax.at(best, places[known], cosines[known])
    return best


def _unpacked(row: asyncpg.Record | None, column: str, dtype: str) -> Any:
    return np.frombuffer(b"" if row is None else row[column] or b"", dtype=dtype)
