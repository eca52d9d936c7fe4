"""Rows of a tenant as records, and back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

import asyncpg
import numpy as np
from anyio.lowlevel import checkpoint

from .._clock import aware
from .._draft import UNDECLARED
from .._immutability import check_immutable
from .._timeline import Assertion, Slot
from .._tombstones import tombstone
from ..errors import ConfigurationError, Conflict, EpisodeConflict, OutcomeUnknown
from ..stores import NewEpisode
from ..stores.changes import FactText
from ..stores.transfer import (
    FORGOTTEN,
    OCCUPIED,
    Holdings,
    Kept,
    KeptAssertion,
    KeptEpisode,
    KeptTransaction,
    Loading,
    Position,
    Transfers,
    other_rules,
)
from ..types import Tenant
from . import terms, vectors
from ._errors import ConnectionLost
from ._pool import Connection, Postgres
from ._sql import statements
from .episodes import PostgresEpisodes
from .fact_rebuilding import rebuild
from .fact_rows import assertion_of, columns
from .fact_writes import array, assertion_row, rule_of

if TYPE_CHECKING:
    from ..stores import Vectors

BYTES = 4_000_000
"""Of text in a page, or one record."""

SUBJECTS = 20
"""Subjects, each with a predicate, whose projections are derived at once."""


class PostgresTransfers(Transfers):
    """Takes tenants out of the tables of a `PostgresArchive`, and puts them there.

    Args:
        episodes: of the same archive; knows the embedder.
    """

    def __init__(
        self,
        postgres: Postgres,
        episodes: PostgresEpisodes,
        *,
        schema: str,
        vector: str,
        clock: Callable[[], datetime] | None,
    ) -> None:
        self._postgres = postgres
        self._episodes = episodes
        self._sql = statements("transfer", schema=schema, vector=vector, binary=postgres.binary)
        self._facts = statements("facts", schema=schema, vector=vector, binary=postgres.binary)
        self._given: Callable[[Vectors], Sequence[object]] = (
            vectors.packed if postgres.binary else vectors.spelled
        )
        self._clock = None if clock is None else aware(clock)

    async def survey(self, tenant: Tenant) -> Holdings:
        row = await self._postgres.fetchrow(self._sql["survey"], tenant.key)
        if row is None:
            return Holdings()
        rules = await self._postgres.fetch(self._sql["rules"], tenant.key)
        return Holdings(
            tx=row["tx"],
            at=row["at"],
            generation=row["generation"],
            episodes=row["episodes"],
            transactions=row["transactions"],
            assertions=row["assertions"],
            rules={each["name"]: rule_of(each) for each in rules},
            consolidated=row["consolidated"],
            passed_over=frozenset(row["passed_over"]),
            secret=row["secret"] if row["tombstones"] else None,
            tombstones=row["tombstones"],
        )

    async def dump(
        self, tenant: Tenant, *, basis: int, after: Position, limit: int, vectors: bool
    ) -> Sequence[Kept]:
        tx, place = after
        sql = self._sql
        # What is known at `basis` stays as it is, so that three reads are as good as one.
        rows = await self._postgres.fetch(sql["episodes"], tenant.key, tx, basis, limit, BYTES, vectors)
        episodes = [_episode(row) for row in rows]
        headers = [
            _header(row) for row in await self._postgres.fetch(sql["headers"], tenant.key, tx, basis, limit)
        ]
        said = await self._postgres.fetch(
            sql["assertions"], tenant.key, tx, place - 1, basis, limit, BYTES, vectors
        )
        assertions = [_assertion(row) for row in said]
        # Of each kind there may be more; what comes after that is left to the next page.
        cut: list[Kept] = []
        cut += episodes[-1:] if _has_more(rows, limit) else ()
        cut += headers[-1:] if len(headers) == limit else ()
        cut += assertions[-1:] if _has_more(said, limit) else ()
        last = min((each.position for each in cut), default=(basis, 2**31))
        ordered: Iterator[Kept] = merge(episodes, headers, assertions, key=lambda each: each.position)
        return [each for each in islice(ordered, limit) if each.position <= last]

    async def load(self, tenant: Tenant, loading: Loading) -> None:
        async def work(conn: Connection) -> None:
            await self._load(conn, tenant, loading)

        try:
            await self._postgres.transaction(work)
        except ConnectionLost as exc:
            raise OutcomeUnknown("restore") from exc.__cause__
        await self._postgres.advance(tenant.key)

    async def _load(self, conn: Connection, tenant: Tenant, loading: Loading) -> None:
        now = None if self._clock is None else self._clock()
        # Taken first: nobody else writes for this tenant from here on.
        clock = await conn.fetchrow(self._facts["clock"], tenant.key, tenant.namespace, tenant.user_id, now)
        assert clock is not None  # noqa: S101  # it is inserted or updated
        if await conn.fetchval(self._sql["holds"], tenant.key):
            raise Conflict(OCCUPIED)
        await conn.execute(self._sql["drop_vectors"], tenant.key)
        recorded = await conn.fetch(self._sql["recorded"], list(loading.rules))
        rules = {row["name"]: rule_of(row) for row in recorded}
        for name, rule in loading.rules.items():
            if rules.get(name, UNDECLARED) != rule:
                raise ConfigurationError(other_rules(name, rule, rules.get(name, UNDECLARED)))
        secret: bytes | None = clock["secret"]
        if secret is not None and loading.tombstones and loading.secret != secret:
            raise Conflict(FORGOTTEN)
        async with aclosing(loading.pages()) as pages:
            async for page in pages:
                await self._refuse_forgotten(conn, tenant, secret, page)
                await self._store(conn, tenant, page)
        await self._project(conn, tenant, loading)
        await conn.execute(
            self._sql["set_clock"], tenant.key, loading.tx, loading.at, loading.consolidated, loading.secret,
            list(loading.tombstones), list(loading.passed_over),
        )  # fmt: skip

    async def _refuse_forgotten(
        self, conn: Connection, tenant: Tenant, secret: bytes | None, page: Sequence[Kept]
    ) -> None:
        if secret is None:
            return
        hashes = {
            tombstone(secret, each.new.id if isinstance(each, KeptEpisode) else each.key): each
            for each in page
            if not isinstance(each, KeptAssertion)
        }
        found = {row["digest"] for row in await conn.fetch(self._sql["buried"], tenant.key, list(hashes))}
        for hash, each in hashes.items():
            if hash in found:
                if isinstance(each, KeptEpisode):
                    raise EpisodeConflict(each.new.id, erased=True)
                raise Conflict(FORGOTTEN)

    async def _store(self, conn: Connection, tenant: Tenant, page: Sequence[Kept]) -> None:
        episodes = [each for each in page if isinstance(each, KeptEpisode)]
        headers = [each for each in page if isinstance(each, KeptTransaction)]
        assertions = [each for each in page if isinstance(each, KeptAssertion)]
        embedder = self._episodes.embedder
        if episodes:
            chunks, matrices = _chunks(episodes)
            await conn.execute(
                self._sql["load_episodes"], tenant.key, *columns([_row(each) for each in episodes], 13),
                *columns(chunks, 2), self._given(np.concatenate(matrices)) if matrices else [], *embedder,
            )  # fmt: skip
        if headers:
            await conn.execute(
                self._sql["load_headers"], tenant.key, *columns([_header_row(each) for each in headers], 9)
            )
        if assertions:
            rows = [assertion_row(each.said, ()) for each in assertions]
            await conn.execute(self._sql["load_assertions"], tenant.key, *columns(rows, 22))
        texts = {each.text.digest: each.text for each in assertions if each.text is not None}
        if texts:
            ready = [(each.digest, each.vectors) for each in texts.values() if each.vectors is not None]
            await conn.execute(
                self._sql["load_texts"], tenant.key, *columns(list(map(_text_row, texts.values())), 4),
                [digest for digest, _ in ready],
                self._given(np.concatenate([matrix for _, matrix in ready])) if ready else [], *embedder,
            )  # fmt: skip

    async def _project(self, conn: Connection, tenant: Tenant, loading: Loading) -> None:
        """Derive the projections, some subjects at a time."""
        after = ("", "")
        while pairs := await conn.fetch(self._sql["subjects"], tenant.key, *after, SUBJECTS):
            after = pairs[-1]["subject"], pairs[-1]["predicate"]
            given = columns([(each["subject"], each["predicate"]) for each in pairs], 2)
            log = [assertion_of(row) for row in await conn.fetch(self._sql["log"], tenant.key, *given)]
            places: dict[Slot, list[Assertion]] = {}
            for each in log:
                places.setdefault(each.place, []).append(each)
            check_immutable(places, loading.rules)
            await rebuild(conn, self._facts, tenant.key, (), log)
            await checkpoint()


def _has_more(rows: Sequence[asyncpg.Record], limit: int) -> bool:
    return bool(rows) and (rows[0]["offered"] > len(rows) or len(rows) == limit)


def _matrix(sent: Sequence[bytes]) -> "Vectors":
    """Return vectors as the server sends them: dimensions, an unused int16, floats."""
    return np.stack([np.frombuffer(each, dtype=">f4", offset=4) for each in sent]).astype(np.float32)


def _episode(row: asyncpg.Record) -> KeptEpisode:
    new = NewEpisode(
        id=row["id"],
        digest=row["digest"],
        session_id=row["session_id"],
        agent_id=row["agent_id"],
        input=row["input"],
        output=row["output"],
        occurred_at=row["occurred_at"],
        metadata=row["metadata"],
        transcript=row["transcript"],
        terms=(),
        embedding_state=row["embedding_state"],
        vectors=None if row["vectors"] is None else _matrix(row["vectors"]),
    )
    return KeptEpisode(new, row["seq"], row["recorded_at"])


def _header(row: asyncpg.Record) -> KeptTransaction:
    return KeptTransaction(
        tx=row["tx"],
        recorded_at=row["recorded_at"],
        name=row["name"],
        session_id=row["session_id"],
        actor=row["actor"],
        reason=row["reason"],
        key=row["key_hash"],
        digest=row["digest"],
        undone_by=row["undone_by"],
    )


def _assertion(row: asyncpg.Record) -> KeptAssertion:
    said = assertion_of(row)
    if row["embedding_state"] is None:
        return KeptAssertion(said)
    vectors = None if row["vector"] is None else _matrix([row["vector"]])
    return KeptAssertion(said, FactText(b"", "", (), row["embedding_state"], vectors))


def _row(kept: KeptEpisode) -> tuple[object, ...]:
    new = kept.new
    return (
        kept.seq, new.id, new.digest, new.session_id, new.agent_id, new.input, new.output, new.occurred_at,
        kept.recorded_at, new.metadata, new.transcript, new.embedding_state, terms.packed(new.terms),
    )  # fmt: skip


def _header_row(kept: KeptTransaction) -> tuple[object, ...]:
    return (
        kept.tx, kept.recorded_at, kept.name, kept.session_id, kept.actor, kept.reason, kept.key, kept.digest,
        kept.undone_by,
    )  # fmt: skip


def _text_row(text: FactText) -> tuple[object, ...]:
    return text.digest, text.text, array(text.terms), text.embedding_state


def _chunks(episodes: Sequence[KeptEpisode]) -> "tuple[Sequence[tuple[object, ...]], Sequence[Vectors]]":
    ready = [(each.seq, each.new.vectors) for each in episodes if each.new.vectors is not None]
    chunks = [(seq, chunk) for seq, matrix in ready for chunk in range(len(matrix))]
    return chunks, [matrix for _, matrix in ready]
