from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np

from .. import _json
from .._batching import own_copy
from .._clock import aware
from .._values import made
from ..errors import Conflict, EpisodeConflict, OutcomeUnknown, RecollectError, TryLater
from ..stores import Candidates, EpisodeStore, Filters, NewEpisode, Query, Write
from ..types import EmbeddingState, Episode, Session, Tenant
from . import terms, vectors
from ._errors import ConnectionLost
from ._pool import Connection, Postgres
from ._sql import for_one, statements
from .episode_filters import filtered
from .searching import PostgresSearch

if TYPE_CHECKING:
    from ..stores import Vectors

    Given = Callable[[Vectors], Sequence[object]]

Identity = tuple[str, str]
"""Tenant key and episode id."""

Stored = Mapping[Identity, tuple[int | None, datetime, EmbeddingState]]
"""What the database gave to the episodes that a statement has stored: number, instant, state.

No number: it was erased.
"""

Taken = Mapping[Identity, asyncpg.Record]
"""What is stored under ids that a statement left alone."""

Outcome = tuple[Episode, ...] | RecollectError


class PostgresEpisodes(EpisodeStore):
    """Episodes in the tables `episode` and `episode_vector`."""

    def __init__(
        self,
        postgres: Postgres,
        *,
        schema: str,
        vector: str,
        clock: Callable[[], datetime] | None = None,
        partitioned: bool = False,
    ) -> None:
        self._postgres = postgres
        self._sql = statements("episodes", schema=schema, vector=vector, binary=postgres.binary)
        seen = self._sql["seen_apart" if partitioned else "seen"]
        self._append = self._sql["append"].replace("{seen}", seen)
        self._append_one = for_one(self._append)
        self._given: Callable[[Vectors], Sequence[object]] = (
            vectors.packed if postgres.binary else vectors.spelled
        )
        self._search = PostgresSearch(
            postgres, schema=schema, vector=vector, sql=self._sql, given=self._given
        )
        self._clock = None if clock is None else aware(clock)
        self.embedder: tuple[str | None, int | None] = (None, None)
        """Model and dimensions that this process adopted: what else is in the archive then, is kept out."""

    async def append(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        outcomes: dict[int, Outcome] = {}
        # A write that may have to be undone needs a transaction to itself. All the others share one
        # statement, in which every id occurs once.
        alone = [write for write in writes if write.guarded and len(write.episodes) > 1]
        rest = [write for write in writes if not (write.guarded and len(write.episodes) > 1)]
        for write in alone:
            outcomes[id(write)] = await self._append_alone(write)
        while rest:
            batch = _Batch()
            for write in rest:
                batch.admits(write)
            outcomes.update(await self._append_together(batch))
            rest = [write for write in rest if id(write) not in outcomes]
        for write in writes:
            outcome = outcomes[id(write)]
            if isinstance(outcome, tuple):
                self._saw(write.tenant, outcome)
        return [outcomes[id(write)] for write in writes]

    async def _append_together(self, batch: "_Batch") -> Mapping[int, Outcome]:
        """Store the writes of a batch, but for those that came too late: these have no outcome."""
        try:
            rows = await self._postgres.fetch(*self._statement(batch))
        except ConnectionLost:
            return {id(write): OutcomeUnknown(write.episodes[0].id) for write in batch.writes}
        except TryLater as exc:
            return {id(write): own_copy(exc) for write in batch.writes}
        late = {row["tenant"] for row in rows if row["late"]}
        stored, missing = _stored(rows), batch.without(rows)
        taken: Taken | None = {}
        if missing:
            taken = None
            # The others have landed: not to be able to look now must not make them fail.
            with suppress(TryLater):
                taken = _taken(await self._postgres.fetch(self._sql["named"], *_columns(missing, 2)))
        return {
            id(write): _outcome(write, stored, taken)
            for write in batch.writes
            if write.tenant.key not in late
        }

    async def _append_alone(self, write: Write) -> Outcome:
        batch = _Batch()
        batch.admits(write)

        async def work(conn: Connection) -> Outcome:
            rows = await conn.fetch(*self._statement(batch))
            if any(row["late"] for row in rows):  # by now the clock is ours, and nobody comes in between
                rows = await conn.fetch(*self._statement(batch))
            stored, missing = _stored(rows), batch.without(rows)
            taken: Taken = {}
            if missing:
                taken = _taken(await conn.fetch(self._sql["named"], *_columns(missing, 2)))
            outcome = _outcome(write, stored, taken)
            if isinstance(outcome, RecollectError):
                raise outcome  # undoes the rest of the write
            return outcome

        try:
            return await self._postgres.transaction(work)
        except ConnectionLost:
            return OutcomeUnknown(write.episodes[0].id)
        except (Conflict, TryLater) as exc:
            return exc

    def _statement(self, batch: "_Batch") -> Sequence[Any]:
        """Return the statement that stores a batch, and its parameters."""
        now = None if self._clock is None else self._clock()
        statement = self._append_one if batch.is_one else self._append
        return (statement, *batch.arguments(now, self._given), *self.embedder)

    async def get(self, tenant: Tenant, id: str) -> Episode | None:
        row = await self._postgres.fetchrow(self._sql["get"], tenant.key, id)
        return None if row is None else self._saw(tenant, [_episode(tenant, row)])[0]

    async def page(
        self, tenant: Tenant, filters: Filters, *, after: int, limit: int
    ) -> tuple[Sequence[Episode], int]:
        # The basis first: whatever is committed in between is then beyond it, and not denied by it.
        basis = await self._basis(tenant)
        rows = await self._fetch_filtered("page", filters, tenant.key, after, limit)
        return [_episode(tenant, row) for row in rows], basis

    async def newest(self, tenant: Tenant, filters: Filters, *, limit: int) -> Sequence[Episode]:
        rows = await self._fetch_filtered("newest", filters, tenant.key, limit)
        return self._saw(tenant, [_episode(tenant, row) for row in rows])

    async def by_seq(self, tenant: Tenant, seqs: Sequence[int]) -> Mapping[int, Episode]:
        rows = await self._postgres.read(self._sql["by_seq"], tenant.key, seqs)
        return {row["seq"]: _episode(tenant, row) for row in rows}

    async def around(
        self, tenant: Tenant, episodes: Sequence[Episode], *, distance: int
    ) -> Mapping[int, tuple[Episode, ...]]:
        hits = [(episode.seq, episode.session_id) for episode in episodes if episode.session_id is not None]
        rows = await self._postgres.read(self._sql["around"], tenant.key, *_columns(hits, 2), distance)
        found: defaultdict[int, list[Episode]] = defaultdict(list)
        for row in rows:
            found[row["hit"]].append(_episode(tenant, row))
        return {seq: tuple(beside) for seq, beside in found.items()}

    async def sessions(self, tenant: Tenant, *, after: int, limit: int) -> tuple[Sequence[Session], int]:
        basis = await self._basis(tenant)
        rows = await self._postgres.fetch(self._sql["sessions"], tenant.key, after, limit)
        return [made(Session, **dict(row)) for row in rows], basis

    async def recent_sessions(self, tenant: Tenant, *, limit: int) -> Sequence[Session]:
        rows = await self._postgres.fetch(self._sql["recent_sessions"], tenant.key, limit)
        return [made(Session, **dict(row)) for row in rows]

    async def count(self, tenant: Tenant) -> int:
        row = await self._postgres.fetchrow(self._sql["count"], tenant.key)
        return 0 if row is None else row[0]

    async def candidates(self, tenant: Tenant, query: Query) -> Candidates:
        return await self._search.candidates(tenant, query)

    async def unembedded(self, tenant: Tenant, *, after: int = 0, limit: int) -> Sequence[Episode]:
        rows = await self._postgres.fetch(self._sql["unembedded"], tenant.key, after, limit)
        return [_episode(tenant, row) for row in rows]

    async def unconsolidated(self, tenant: Tenant, *, after: int, limit: int) -> Sequence[Episode]:
        rows = await self._postgres.fetch(self._sql["unconsolidated"], tenant.key, after, limit)
        return [_episode(tenant, row) for row in rows]

    async def count_unconsolidated(self, tenant: Tenant) -> int:
        row = await self._postgres.fetchrow(self._sql["count_unconsolidated"], tenant.key)
        return 0 if row is None else row[0]

    async def set_vectors(self, tenant: Tenant, vectors: "Mapping[str, Vectors]") -> int:
        if not vectors:
            return 0
        places = [(id, chunk) for id, matrix in vectors.items() for chunk in range(len(matrix))]
        given = self._given(np.concatenate(list(vectors.values())))
        row = await self._postgres.fetchrow(
            self._sql["set_vectors"], tenant.key, *_columns(places, 2), given, *self.embedder
        )
        await self._postgres.advance(tenant.key)
        return 0 if row is None else row[0]

    async def _basis(self, tenant: Tenant) -> int:
        row = await self._postgres.fetchrow(self._sql["basis"], tenant.key)
        basis = 0 if row is None else row["tx"]
        self._postgres.saw(tenant.key, tx=basis)
        return basis

    def _saw(self, tenant: Tenant, episodes: Sequence[Episode]) -> Sequence[Episode]:
        self._postgres.saw(tenant.key, tx=max((episode.seq for episode in episodes), default=0))
        return episodes

    async def _fetch_filtered(
        self, statement: str, filters: Filters, *args: object
    ) -> Sequence[asyncpg.Record]:
        sql, values = filtered(self._sql[statement], filters, first=len(args) + 1)
        return await self._postgres.fetch(sql, *args, *values)


@dataclass(slots=True)
class _Batch:
    """The episodes of several writes as columns. No id occurs twice."""

    writes: list[Write] = field(default_factory=list[Write])
    items: dict[Identity, NewEpisode] = field(default_factory=dict[Identity, NewEpisode])

    def admits(self, write: Write) -> bool:
        """Take the write in, unless an id of it is in already."""
        items = {(write.tenant.key, new.id): new for new in write.episodes}
        if not self.items.keys().isdisjoint(items):
            return False
        self.writes.append(write)
        self.items.update(items)
        return True

    def without(self, rows: Sequence[asyncpg.Record]) -> Sequence[Identity]:
        """Return the ids that a statement left alone, because they were taken."""
        told = {(row["tenant"], row["id"]) for row in rows}
        return [identity for identity in self.items if identity not in told]

    @property
    def is_one(self) -> bool:
        """Whether it is one episode, and no more than one vector."""
        return len(self.items) == 1 and all(
            new.vectors is None or len(new.vectors) == 1 for new in self.items.values()
        )

    def arguments(self, now: datetime | None, given: "Given") -> Sequence[object]:
        """Return the parameters of the statement `append`, with vectors as the server is given them."""
        left = Counter(tenant for tenant, _ in self.items)
        tenants = {write.tenant.key: write.tenant for write in self.writes}
        clocks = [(key, tenant.namespace, tenant.user_id, left[key]) for key, tenant in tenants.items()]
        rows: list[tuple[object, ...]] = []
        chunks: list[tuple[str, str, int]] = []
        matrices: list[Vectors] = []
        for (tenant, id), new in self.items.items():
            left[tenant] -= 1
            rows.append((
                tenant, left[tenant], id, new.digest, new.session_id, new.agent_id, new.input, new.output,
                new.occurred_at, new.metadata, new.transcript, new.embedding_state, terms.packed(new.terms),
            ))  # fmt: skip
            if new.vectors is not None:
                chunks.extend((tenant, id, chunk) for chunk in range(len(new.vectors)))
                matrices.append(new.vectors)
        sent = given(np.concatenate(matrices)) if matrices else ()
        embedded = [(*chunk, vector) for chunk, vector in zip(chunks, sent, strict=True)]
        shape = _only if self.is_one else _columns
        return (*shape(clocks, 4), now, *shape(rows, 13), *shape(embedded, 4))


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> Sequence[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _only(rows: Sequence[tuple[object, ...]], width: int) -> Sequence[object]:
    return rows[0] if rows else [None] * width


def _stored(rows: Sequence[asyncpg.Record]) -> Stored:
    return {
        (row["tenant"], row["id"]): (row["seq"], row["recorded_at"], row["embedding_state"]) for row in rows
    }


def _taken(rows: Sequence[asyncpg.Record]) -> Taken:
    return {(row["tenant"], row["id"]): row for row in rows}


def _outcome(write: Write, stored: Stored, taken: Taken | None) -> Outcome:
    """Return what became of a write; `taken` is None if nobody could look at the ids that were there."""
    episodes: list[Episode] = []
    for new in write.episodes:
        identity = (write.tenant.key, new.id)
        row = None if taken is None else taken.get(identity)
        if row is not None:
            if row["digest"] != new.digest:
                return EpisodeConflict(new.id)
            episodes.append(_episode(write.tenant, row))
        elif identity in stored:
            seq, recorded_at, state = stored[identity]
            if seq is None:
                return EpisodeConflict(new.id, erased=True)
            episodes.append(_fresh(write.tenant, new, seq, recorded_at, state))
        elif taken is None:
            return OutcomeUnknown(new.id)
        else:  # taken when we wrote, gone when we looked: only an erasure removes
            return EpisodeConflict(new.id, erased=True)
    return tuple(episodes)


def _fresh(
    tenant: Tenant, new: NewEpisode, seq: int, recorded_at: datetime, state: EmbeddingState
) -> Episode:
    return made(
        Episode,
        id=new.id,
        user_id=tenant.user_id,
        session_id=new.session_id,
        agent_id=new.agent_id,
        seq=seq,
        input=new.input,
        output=new.output,
        occurred_at=new.occurred_at,
        recorded_at=recorded_at,
        metadata=_json.loads(new.metadata),
        transcript=None if new.transcript is None else _json.loads(new.transcript),
        embedding_state=state,
    )


def _episode(tenant: Tenant, row: asyncpg.Record) -> Episode:
    return made(
        Episode,
        id=row["id"],
        user_id=tenant.user_id,
        session_id=row["session_id"],
        agent_id=row["agent_id"],
        seq=row["seq"],
        input=row["input"],
        output=row["output"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        metadata=_json.loads(row["metadata"]),
        transcript=None if row["transcript"] is None else _json.loads(row["transcript"]),
        embedding_state=row["embedding_state"],
    )
