"""A tenant's tables as records, and back."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from anyio.lowlevel import checkpoint

from .._draft import UNDECLARED, text_digest
from .._immutability import check_immutable
from .._timeline import Slot
from ..errors import ConfigurationError, Conflict, EpisodeConflict
from ..stores.changes import Rule
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
from ._fact_tables import FactTable, Journaled, SlotTable
from ._progress import Progress
from ._revision import Pace, replayed
from ._tables import MICROSECOND, Row, Tables, TenantTable


class InProcessTransfers(Transfers):
    """Takes tenants out of the tables of an `InProcessArchive`, and puts them there.

    What comes is put together beside what is there, and takes its place at once.
    """

    def __init__(self, tables: Tables, clock: Callable[[], datetime], rules: Mapping[str, Rule]) -> None:
        self._tables = tables
        self._clock = clock
        self._rules = rules

    async def survey(self, tenant: Tenant) -> Holdings:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return Holdings()
        facts, progress = table.facts, table.progress
        used = {way[1] for way in facts.ways("predicate")}
        return Holdings(
            tx=table.tx,
            at=table.at if table.tx else None,
            generation=table.generation,
            episodes=len(table.rows),
            transactions=len(facts.headers),
            assertions=len(facts.assertions),
            rules={name: rule for name, rule in self._rules.items() if name in used},
            consolidated=progress.through,
            passed_over=frozenset(progress.passed_over),
            secret=facts.secret if facts.tombstones else None,
            tombstones=sorted(facts.tombstones),
        )

    async def dump(
        self, tenant: Tenant, *, basis: int, after: Position, limit: int, vectors: bool
    ) -> Sequence[Kept]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return ()
        facts, found = table.facts, list[Kept]()
        start = bisect_right(table.rows, after, key=_place)
        rows = range(start, min(start + limit, len(table.rows)))
        matrices = table.vectors.of(rows) if vectors else {}
        for index in rows:
            row = table.rows[index]
            new = replace(row.new, embedding_state=row.state, vectors=matrices.get(index))
            found.append(KeptEpisode(new, row.seq, row.recorded_at))
        start = bisect_right(facts.headers, after, key=lambda each: (each.tx, 0))
        found += [_kept(each, basis) for each in facts.headers[start : start + limit]]
        start = bisect_right(facts.assertions, after, key=lambda each: (each.tx, each.seq + 1))
        said = facts.assertions[start : start + limit]
        digests = [text_digest(each.subject, each.predicate, each.object or "") for each in said]
        texts = facts.texts.kept(digests) if vectors else {}
        found += [
            KeptAssertion(each, texts.get(digest) if each.op == "assert" else None)
            for each, digest in zip(said, digests, strict=True)
        ]
        found.sort(key=lambda each: each.position)
        return [each for each in found[:limit] if each.position[0] <= basis]

    async def load(self, tenant: Tenant, loading: Loading) -> None:
        await checkpoint()
        before = self._tables.get(tenant)
        seen = _look(before)
        self._refuse(before, loading)
        table = TenantTable(tenant, self._clock() - MICROSECOND, facts=_facts(before, loading))
        buried = frozenset[bytes]() if before is None else frozenset(before.facts.tombstones)
        async with aclosing(loading.pages()) as pages:
            async for page in pages:
                for kept in page:
                    _put(table, kept, buried)
                await checkpoint()
        await _project(table.facts, self._rules)
        # From here on without an await.
        now = self._tables.get(tenant)
        self._refuse(now, loading)
        if now is not before or _look(now) != seen:
            raise Conflict(OCCUPIED)
        table.progress = Progress(loading.consolidated, dict.fromkeys(sorted(loading.passed_over)))
        table.tx = max(loading.tx, 0 if before is None else before.tx)
        if loading.at is not None:
            table.at = loading.at
        if before is not None and before.tx:
            table.at = max(table.at, before.at)
        table.generation = 0 if before is None else before.generation
        self._tables.open(tenant, table.at)
        self._tables.replace(table)

    def _refuse(self, table: TenantTable | None, loading: Loading) -> None:
        if table is not None and (table.rows or table.facts.headers):
            raise Conflict(OCCUPIED)
        for name, rule in loading.rules.items():
            recorded = self._rules.get(name, UNDECLARED)
            if recorded != rule:
                raise ConfigurationError(other_rules(name, rule, recorded))


def _look(table: TenantTable | None) -> tuple[int, int]:
    """Return what changes whenever something is forgotten."""
    return (0, 0) if table is None else (table.generation, len(table.facts.tombstones))


def _facts(before: TenantTable | None, loading: Loading) -> FactTable:
    """Return a table with the tombstones of both."""
    if before is None or not before.facts.tombstones:
        facts = FactTable(tombstones=set(loading.tombstones))
        if loading.secret is not None:
            facts.secret = loading.secret
        return facts
    if loading.tombstones and loading.secret != before.facts.secret:
        raise Conflict(FORGOTTEN)
    return before.facts.emptied(loading.tombstones)


def _place(row: Row) -> Position:
    return row.seq, 0


def _kept(header: Journaled, basis: int) -> KeptTransaction:
    undone = header.undone_by is not None and header.undone_by <= basis
    return KeptTransaction(
        tx=header.tx,
        recorded_at=header.recorded_at,
        name=header.name,
        session_id=header.session_id,
        actor=header.actor,
        reason=header.reason,
        key=header.key,
        digest=header.digest,
        undone_by=header.undone_by if undone else None,
    )


def _put(table: TenantTable, kept: Kept, buried: frozenset[bytes]) -> None:
    facts = table.facts
    match kept:
        case KeptEpisode():
            if buried and facts.tombstone(kept.new.id) in buried:
                raise EpisodeConflict(kept.new.id, erased=True)
            # So that the tick lands where it did.
            table.tx, table.at = kept.seq - 1, kept.recorded_at - MICROSECOND
            table.add(kept.new, kept.recorded_at)
        case KeptTransaction():
            if buried and facts.tombstone(kept.key) in buried:
                raise Conflict(FORGOTTEN)
            facts.enter(
                Journaled(
                    kept.tx, kept.recorded_at, kept.name, kept.session_id, kept.actor, kept.reason,
                    key=kept.key, digest=kept.digest, undone_by=kept.undone_by,
                )
            )  # fmt: skip
        case KeptAssertion():
            facts.say(kept.said)
            if kept.text is not None:
                facts.texts.add(kept.text)


async def _project(facts: FactTable, rules: Mapping[str, Rule]) -> None:
    """Derive the projections of all logs, a subject and a predicate at a time."""
    pace = Pace()
    groups: dict[tuple[str, str], list[Slot]] = {}
    for place in facts.slots:
        groups.setdefault((place[1], place[2]), []).append(place)
    for places in groups.values():
        check_immutable({place: facts.slots[place].log for place in places}, rules)
        for place in places:
            log = facts.slots[place].log
            facts.slots[place] = SlotTable(log, await replayed(log, pace))
