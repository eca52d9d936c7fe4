from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from anyio import to_thread
from anyio.lowlevel import checkpoint

from .. import _json
from .._values import made
from ..errors import EpisodeConflict, RecollectError
from ..stores import Candidates, EpisodeStore, Filters, Query, Write
from ..types import Episode, Session, Tenant
from ._columns import best_cosines
from ._tables import Row, Tables, TenantTable

if TYPE_CHECKING:
    from ..stores import Integers, Vectors

MANY = 10_000
"""Episodes from which on they are looked at in a worker thread: about 1 ms, with filters 5."""


class InProcessEpisodes(EpisodeStore):
    """Episodes in the tables of an `InProcessArchive`.

    No lock: each method checkpoints first and then runs without an await, so no other task can
    observe a half-done write. Only a look at many episodes goes on in a thread, on what it has read.
    """

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock

    async def append(self, writes: Sequence[Write]) -> Sequence[tuple[Episode, ...] | RecollectError]:
        await checkpoint()
        return [self._append(write) for write in writes]

    def _append(self, write: Write) -> tuple[Episode, ...] | RecollectError:
        table = self._tables.get(write.tenant)
        if table is not None:
            for new in write.episodes:
                index = table.by_id.get(new.id)
                if index is not None and table.rows[index].new.digest != new.digest:
                    return EpisodeConflict(new.id)
            for id in table.facts.erased(new.id for new in write.episodes):
                return EpisodeConflict(id, erased=True)
        now = self._clock()
        table = self._tables.open(write.tenant, now)
        stored: list[Episode] = []
        for new in write.episodes:
            index = table.by_id.get(new.id)
            row = table.add(new, now) if index is None else table.rows[index]
            stored.append(_episode(write.tenant, row))
        return tuple(stored)

    async def get(self, tenant: Tenant, id: str) -> Episode | None:
        await checkpoint()
        table = self._tables.get(tenant)
        index = None if table is None else table.by_id.get(id)
        return None if table is None or index is None else _episode(tenant, table.rows[index])

    async def page(
        self, tenant: Tenant, filters: Filters, *, after: int, limit: int
    ) -> tuple[Sequence[Episode], int]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return (), 0
        rows = (row for row in _rows(table, filters.session_id) if row.seq > after and _passes(row, filters))
        return [_episode(tenant, row) for row in islice(rows, limit)], table.tx

    async def newest(self, tenant: Tenant, filters: Filters, *, limit: int) -> Sequence[Episode]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return ()
        rows = (row for row in _rows(table, filters.session_id, newest=True) if _passes(row, filters))
        return [_episode(tenant, row) for row in islice(rows, limit)]

    async def by_seq(self, tenant: Tenant, seqs: Sequence[int]) -> Mapping[int, Episode]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return {}
        found = ((seq, table.by_seq.get(seq)) for seq in seqs)
        return {seq: _episode(tenant, table.rows[index]) for seq, index in found if index is not None}

    async def around(
        self, tenant: Tenant, episodes: Sequence[Episode], *, distance: int
    ) -> Mapping[int, tuple[Episode, ...]]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return {}
        return {episode.seq: tuple(_beside(table, episode, distance)) for episode in episodes}

    async def sessions(self, tenant: Tenant, *, after: int, limit: int) -> tuple[Sequence[Session], int]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return (), 0
        # A dict keeps the order of first appearance, which is the order of first_seq.
        sessions = (
            _session(session_id, [table.rows[index] for index in members])
            for session_id, members in table.by_session.items()
            if table.rows[members[0]].seq > after
        )
        return list(islice(sessions, limit)), table.tx

    async def recent_sessions(self, tenant: Tenant, *, limit: int) -> Sequence[Session]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return ()
        newest = nlargest(limit, table.by_session.items(), key=lambda session: session[1][-1])
        return [_session(name, [table.rows[index] for index in members]) for name, members in newest]

    async def count(self, tenant: Tenant) -> int:
        await checkpoint()
        table = self._tables.get(tenant)
        return 0 if table is None else len(table.rows)

    async def candidates(self, tenant: Tenant, query: Query) -> Candidates:
        await checkpoint()
        table = self._tables.get(tenant) or TenantTable(tenant, self._clock())
        n = len(table.rows)
        found = {term: posting for term in query.terms if (posting := table.posting(term)) is not None}
        words = Candidates(
            seqs=table.seqs.view(),
            sessions=table.session_codes.view(),
            lengths=table.lengths.view(),
            occurred=table.occurred.view(),
            cosine=None,
            postings=found,
            documents=n,
            terms=table.terms,
            frequencies={term: len(at) for term, (at, _) in found.items()},
            memo=table.memo,
        )
        # Whatever is stored from here on stays out: the columns are views of what was there.
        look = partial(_look, words, query, table.rows, *table.vectors.view())
        return look() if n <= MANY else await to_thread.run_sync(look)

    async def unembedded(self, tenant: Tenant, *, after: int = 0, limit: int) -> Sequence[Episode]:
        await checkpoint()
        table = self._tables.get(tenant)
        rows = (
            () if table is None else (row for row in table.rows if row.seq > after and row.state != "ready")
        )
        return [_episode(tenant, row) for row in islice(rows, limit)]

    async def unconsolidated(self, tenant: Tenant, *, after: int, limit: int) -> Sequence[Episode]:
        await checkpoint()
        table = self._tables.get(tenant)
        left = () if table is None else islice(table.unconsolidated(after=after), limit)
        return [_episode(tenant, row) for row in left]

    async def count_unconsolidated(self, tenant: Tenant) -> int:
        await checkpoint()
        table = self._tables.get(tenant)
        return 0 if table is None else sum(1 for _ in table.unconsolidated())

    async def set_vectors(self, tenant: Tenant, vectors: "Mapping[str, Vectors]") -> int:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return 0
        changed = 0
        for id, matrix in vectors.items():
            index = table.by_id.get(id)
            if index is not None and table.set_vectors(index, matrix):
                changed += 1
        return changed


def _look(
    words: Candidates, query: Query, rows: Sequence[Row], matrix: "Vectors", owners: "Integers | None"
) -> Candidates:
    """Compare the vectors of all episodes, and drop those that do not pass the filters."""
    n = words.documents
    found = words
    if query.vector is not None:
        found = replace(words, cosine=best_cosines(matrix, owners, query.vector, n))
    if not query.filters:
        return found
    return found.only(np.fromiter((_passes(row, query.filters) for row in rows), np.bool_, n))


def _rows(table: TenantTable, session_id: str | None, *, newest: bool = False) -> Iterator[Row]:
    rows = table.rows
    if session_id is None:
        return reversed(rows) if newest else iter(rows)
    members = table.by_session.get(session_id, ())
    return (rows[index] for index in (reversed(members) if newest else members))


def _passes(row: Row, filters: Filters) -> bool:
    new = row.new
    return (
        (filters.session_id is None or new.session_id == filters.session_id)
        and (filters.agent_id is None or new.agent_id == filters.agent_id)
        and (filters.start is None or new.occurred_at >= filters.start)
        and (filters.end is None or new.occurred_at < filters.end)
        and (not filters.where or _matches(new.metadata, filters))
    )


def _matches(metadata: str, filters: Filters) -> bool:
    if metadata == "{}":
        return False
    value = _json.loads(metadata)
    for path, expected in filters.where.items():
        exists, found = _json.at_path(value, path)
        if not exists or not _json.equal(found, expected):
            return False
    return True


def _beside(table: TenantTable, episode: Episode, distance: int) -> Iterator[Episode]:
    if episode.session_id is None or episode.id not in table.by_id:
        return
    members = table.by_session[episode.session_id]
    middle = bisect_left(members, table.by_id[episode.id])
    for position in range(max(middle - distance, 0), min(middle + distance + 1, len(members))):
        if position != middle:
            yield _episode(table.tenant, table.rows[members[position]])


def _session(session_id: str, rows: Sequence[Row]) -> Session:
    instants = [row.new.occurred_at for row in rows]
    return Session(
        session_id=session_id,
        episode_count=len(rows),
        first_seq=rows[0].seq,
        last_seq=rows[-1].seq,
        first_at=min(instants),
        last_at=max(instants),
    )


def _episode(tenant: Tenant, row: Row) -> Episode:
    new = row.new
    return made(
        Episode,
        id=new.id,
        user_id=tenant.user_id,
        session_id=new.session_id,
        agent_id=new.agent_id,
        seq=row.seq,
        input=new.input,
        output=new.output,
        occurred_at=new.occurred_at,
        recorded_at=row.recorded_at,
        metadata=_json.loads(new.metadata),
        transcript=None if new.transcript is None else _json.loads(new.transcript),
        embedding_state=row.state,
    )
