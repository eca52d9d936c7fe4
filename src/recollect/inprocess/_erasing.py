"""Forgetting a part of what a tenant owns in process, or all of it.

What is to be is worked out beside what is, in parts, while other tasks run; then it takes its place at once.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from anyio.lowlevel import checkpoint

from .._erasure import unsaid
from .._repetition import without
from .._timeline import Slot
from ..stores import Erased, Erasure
from ..types import Tenant
from ._fact_tables import FactTable
from ._revision import AT_ONCE, Logs, Pace, Revision
from ._tables import Row, Tables, TenantTable

if TYPE_CHECKING:
    from ..stores import Booleans

PATIENCE = 3
"""How often others may write in between before they have to wait."""

COLUMNS = (
    "rows", "by_id", "by_seq", "by_session", "seqs", "session_codes", "lengths", "occurred", "postings",
    "vectors", "terms", "memo",
)  # fmt: skip


class Unpaced(Pace):
    """Works to the end."""

    async def step(self, work: int = 1) -> None:
        pass


@dataclass(slots=True, eq=False)
class _Choice:
    """What passes, and what is to be in its place.

    Attributes:
        edits, tx: of the table when it was looked at.
        gone: which of its rows.
        episodes: their ids.
        tombstones: what is kept of these.
        kept: the columns without them.
    """

    edits: int
    tx: int
    gone: "Booleans"
    episodes: frozenset[str]
    tombstones: frozenset[bytes]
    kept: TenantTable
    revision: Revision = field(init=False)


class Erasing:
    """Erases from the tables of an `InProcessArchive`."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock

    async def erase(self, tenant: Tenant, erasure: Erasure) -> Erased:
        if erasure.everything:
            return await self._erase_everything(tenant)
        table = self._tables.open(tenant, self._clock())
        choice: _Choice | None = None
        for attempt in range(PATIENCE + 1):
            pace = Pace() if attempt < PATIENCE else Unpaced()
            table = self._tables.open(tenant, self._clock())
            choice = await _chosen(table, erasure, pace)
            while not await choice.revision.prepare(pace):
                pass
            if table is self._tables.get(tenant) and (choice.edits, choice.tx) == (table.edits, table.tx):
                break
        assert choice is not None  # noqa: S101
        # From here on without an await.
        for name in COLUMNS if choice.episodes else ():
            setattr(table, name, getattr(choice.kept, name))
        table.edits += 1
        table.generation += 1
        table.facts.tombstones |= choice.tombstones
        if erasure == Erasure(episode_ids=erasure.episode_ids):
            table.facts.bury(erasure.episode_ids or ())
        gone = choice.revision.apply()
        return Erased(len(choice.episodes), gone, table.generation)

    async def _erase_everything(self, tenant: Tenant) -> Erased:
        buried: dict[str | bytes, bytes] = {}
        while True:
            table = self._tables.open(tenant, self._clock())
            rest = [each for each in _ids(table) if each not in buried]
            for each in rest[:AT_ONCE]:
                buried[each] = table.facts.tombstone(each)
            if len(rest) <= AT_ONCE:
                break
            await checkpoint()
        facts = table.facts.emptied(buried[each] for each in _ids(table))
        generation = table.generation + 1
        self._tables.replace(TenantTable(tenant, table.at, tx=table.tx, generation=generation, facts=facts))
        return Erased(len(table.rows), len(table.facts.assertions), generation)

    async def left(self, tenant: Tenant, erasure: Erasure) -> int:
        table = self._tables.get(tenant)
        if table is None:
            return 0
        if erasure.everything:
            facts = table.facts
            return len(table.rows) + len(facts.assertions) + len(facts.headers) + len(facts.texts)
        said = await _unsaid(table.facts, erasure, Pace())
        return len(_rows(table, erasure)) + len(said)


def _ids(table: TenantTable) -> Iterator[str | bytes]:
    yield from table.by_id
    yield from table.facts.by_key


async def _chosen(table: TenantTable, erasure: Erasure, pace: Pace) -> _Choice:
    edits, tx = table.edits, table.tx
    indices = _rows(table, erasure)
    gone = np.zeros(len(table.rows), dtype=np.bool_)
    gone[np.array(indices, dtype=np.int64)] = True
    episodes = frozenset(table.rows[index].new.id for index in indices)
    said = await _unsaid(table.facts, erasure, pace)
    kept = table
    if episodes and (table.edits, table.tx) == (edits, tx):
        kept = await _without_rows(table, gone, pace)
    tombstones: set[bytes] = set()
    for id in episodes:
        tombstones.add(table.facts.tombstone(id))
        await pace.step()
    choice = _Choice(edits, tx, gone, episodes, frozenset(tombstones), kept)

    def affected(facts: FactTable) -> Iterable[Sequence[Slot]]:
        found = facts.sourced(episodes)
        found.update(dict.fromkeys(facts.by_id[id].place for id in said if id in facts.by_id))
        return [(place,) for place in found]

    def rewrite(logs: Logs) -> Logs:
        return {place: without(log, episodes, said) for place, log in logs.items()}

    choice.revision = Revision(table.facts, affected, rewrite)
    return choice


def _rows(table: TenantTable, erasure: Erasure) -> Sequence[int]:
    """Return the indices of the rows that pass."""
    if erasure.fact_ids is not None:
        return ()
    indices: Iterable[int] = range(len(table.rows))
    if erasure.episode_ids is not None:
        indices = (table.by_id[id] for id in erasure.episode_ids if id in table.by_id)
    elif erasure.session_id is not None:
        indices = table.by_session.get(erasure.session_id, ())
    elif erasure.before is not None:
        indices = range(bisect_left(table.rows, erasure.before, key=lambda row: row.recorded_at))
    return [index for index in indices if _passes(table.rows[index], erasure)]


def _passes(row: Row, erasure: Erasure) -> bool:
    return erasure.session_id in (None, row.new.session_id) and (
        erasure.before is None or row.recorded_at < erasure.before
    )


async def _unsaid(facts: FactTable, erasure: Erasure, pace: Pace) -> frozenset[str]:
    chosen: set[str] = set()
    for tx in _transactions(facts, erasure):
        said = facts.of(tx)
        replaced = [facts.by_id[each.replaces] for each in said if each.replaces in facts.by_id]
        chosen |= unsaid(erasure, (*said, *replaced))
        await pace.step(1 + len(said))
    return frozenset(chosen)


def _transactions(facts: FactTable, erasure: Erasure) -> Sequence[int]:
    """Return transactions in which all that passes was said."""
    if erasure.episode_ids is not None:
        return ()
    if erasure.fact_ids is not None:
        return sorted({facts.by_id[id].tx for id in erasure.fact_ids if id in facts.by_id})
    if erasure.session_id is not None:
        return [header.tx for header in facts.by_session.get(erasure.session_id, ())]
    headers = facts.headers
    if erasure.before is not None:
        headers = headers[: bisect_left(headers, erasure.before, key=lambda each: each.recorded_at)]
    return [header.tx for header in headers]


async def _without_rows(table: TenantTable, gone: "Booleans", pace: Pace) -> TenantTable:
    """Return a table whose columns are those of another one without some of its rows.

    It is of no use if the other one changes meanwhile.
    """
    edits, keep = table.edits, ~gone
    kept = TenantTable(table.tenant, table.at)
    for row in [row for row, dropped in zip(table.rows, gone.tolist(), strict=True) if not dropped]:
        index = len(kept.rows)
        kept.rows.append(row)
        kept.by_id[row.new.id] = kept.by_seq[row.seq] = index
        kept.session_codes.append(kept.join_session(row.new.session_id, index))
        await pace.step()
        if table.edits != edits:
            return kept
    renumbered = keep.cumsum() - 1
    for term, (at, counts) in list(table.postings.items()):
        await pace.step(1 + len(at) // 8)
        if table.edits != edits:
            return kept
        where = np.array(at)
        stays = keep[where]
        if stays.any():
            kept.postings[term] = (
                array("q", renumbered[where[stays]].tolist()),
                array("q", np.array(counts)[stays].tolist()),
            )
    kept.seqs, kept.lengths, kept.occurred = (
        column.only(keep) for column in (table.seqs, table.lengths, table.occurred)
    )
    kept.terms = int(kept.lengths.view().sum())
    kept.vectors = table.vectors.only(keep)
    return kept
