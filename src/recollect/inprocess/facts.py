from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint

from .. import _json
from .._draft import MAIN, MICROSECOND, State, text_digest
from .._ledger import Ledger, places, wanted
from .._repetition import without
from .._timeline import Assertion, Slot
from ..errors import RecollectError
from ..stores import FactStore
from ..stores.changes import Change, Committed, FactText, Rule
from ..stores.facts import FactCandidates, FactFilter, FactPosition, FoundFact, Header, Slots
from ..types import Tenant
from ._fact_looks import Look, slots_of
from ._fact_tables import FactTable, Journaled, Way
from ._revision import Logs, Pace, Revision, prepared, replayed
from ._tables import Row, Tables, TenantTable

if TYPE_CHECKING:
    from ..stores import Vectors

NOTHING = Slots((), (), 0, None)


class InProcessFacts(FactStore):
    """Facts in the tables of an `InProcessArchive`.

    No lock. A commit checkpoints first and then runs without an await. A read that may be long lets other
    tasks run in between: it keeps to what was known after the transaction that was the newest at its
    beginning, and nothing that is written meanwhile changes that.

    Args:
        rules: of predicates, shared by all tenants; the archive adopts them.
    """

    def __init__(self, tables: Tables, clock: Callable[[], datetime], rules: dict[str, Rule]) -> None:
        self._tables = tables
        self._clock = clock
        self._rules = rules

    async def commit(self, changes: Sequence[Change]) -> Sequence[Committed | RecollectError]:
        await checkpoint()
        if not changes:
            return ()
        tenant, now = changes[0].tenant, self._clock()
        ledger = Ledger(self._state(self._tables.get(tenant), changes, now))
        outcomes = [ledger.apply(change) for change in changes]
        if ledger.written:  # a tenant whose first write is refused stays unknown
            table = self._tables.open(tenant, now)
            table.facts.apply(ledger.written, ledger.state.pieces)
            table.tx, table.at = ledger.written.tx, ledger.written.at
            for seq in ledger.written.marks:
                table.progress.mark(seq, table.rows)
        return outcomes

    async def try_commit(
        self, batches: Sequence[Sequence[Change]]
    ) -> Sequence[Sequence[Committed | RecollectError] | None]:
        return [await self.commit(changes) for changes in batches]

    def _state(self, table: TenantTable | None, changes: Sequence[Change], now: datetime) -> State:
        if table is None:
            return State(0, now - MICROSECOND, now, self._rules)
        facts, want = table.facts, wanted(changes)
        known = {key: facts.by_key[key] for key in want.keys if key in facts.by_key}
        undoable = {session: facts.undoable(session, steps) for session, steps in want.steps.items()}
        read = [facts.by_id[id] for id in want.ids if id in facts.by_id]
        for tx in {header.tx for header in known.values()}.union(*undoable.values()):
            read.extend(facts.of(tx))
        for way in _wanted_ways(want.subjects, want.branches):
            read.extend(each for place in facts.at(way) for each in facts.slots[place].log)
        slots = {
            place: facts.slots[place] for place in places(changes, read, self._rules) if place in facts.slots
        }
        return State(
            table.tx, table.at, now, self._rules,
            # Copies: the ledger appends to them, and nothing may be left of it if it fails.
            logs={place: list(slot.log) for place, slot in slots.items()},
            pieces={place: slot.current for place, slot in slots.items()},
            sources={
                id: table.rows[table.by_id[id]].new.occurred_at for id in want.sources if id in table.by_id
            },
            erased=frozenset(facts.erased(want.sources)),
            keys={key: (header.tx, header.digest) for key, header in known.items()},
            erased_keys=frozenset(facts.erased_keys(want.keys)),
            undoable=undoable,
            unconsolidated={
                id: row.seq for id, row in _marked(table, want.marks) if table.progress.lacks(row.seq)
            },
            by_id={each.id: each for each in read},
        )  # fmt: skip

    async def get(self, tenant: Tenant, ids: Sequence[str]) -> Mapping[str, Slots]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return {}
        named = [table.facts.by_id[id] for id in ids if id in table.facts.by_id]
        return {each.id: slots_of(table, [table.facts.slots[each.place]]) for each in named}

    async def find(
        self, tenant: Tenant, filter: FactFilter, *, after: FactPosition | None, limit: int
    ) -> tuple[Sequence[FoundFact], int]:
        await checkpoint()
        look = self._look(tenant, filter)
        if look is None:
            return (), 0
        return await look.supported(await look.pieces(after=after, limit=limit)), look.basis

    async def count(self, tenant: Tenant, now: datetime) -> int:
        await checkpoint()
        look = self._look(tenant, FactFilter(now))
        return 0 if look is None else await look.count()

    async def slots(self, tenant: Tenant, subject: str, predicate: str, *, branch: str | None) -> Slots:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return NOTHING
        facts, branches = table.facts, {MAIN, branch}
        at = facts.at(("both", subject, predicate))
        return slots_of(table, [facts.slots[place] for place in at if place[0] in branches])

    async def linked(self, tenant: Tenant, nodes: Sequence[str], filter: FactFilter) -> Sequence[FoundFact]:
        await checkpoint()
        if not nodes:
            return ()
        ways: list[Way] = [("subject", node) for node in nodes]
        ways += [("object", _json.canonical(node)) for node in nodes]
        look = self._look(tenant, filter, ways)
        if look is None:
            return ()
        subjects, objects = set(nodes), {_json.canonical(node) for node in nodes}
        pieces = [
            each
            for each in await look.pieces()
            if each[0].assertion.subject in subjects or each[0].assertion.object in objects
        ]
        return await look.supported(pieces)

    def _look(self, tenant: Tenant, filter: FactFilter, ways: Sequence[Way] | None = None) -> Look | None:
        table = self._tables.get(tenant)
        return None if table is None else Look(table, filter, ways)

    async def changes(
        self, tenant: Tenant, *, after: tuple[int, int], limit: int
    ) -> tuple[Sequence[Assertion], int]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return (), 0
        start = bisect_right(table.facts.assertions, after, key=lambda each: (each.tx, each.seq))
        return table.facts.assertions[start : start + limit], table.tx

    async def headers(
        self, tenant: Tenant, *, session_id: str | None, before: int | None, limit: int
    ) -> tuple[Sequence[Header], int]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return (), 0
        facts = table.facts
        all = facts.headers if session_id is None else facts.by_session.get(session_id, [])
        end = len(all) if before is None else bisect_right(all, before - 1, key=lambda each: each.tx)
        return [_header(facts, each) for each in all[max(end - limit, 0) : end][::-1]], table.tx

    async def known_at(self, tenant: Tenant, instant: datetime) -> tuple[int, bool]:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return 0, False
        headers = table.facts.headers
        n = bisect_right(headers, instant, key=lambda each: each.recorded_at)
        return headers[n - 1].tx if n else 0, instant <= table.at

    async def candidates(
        self, tenant: Tenant, filter: FactFilter, vector: "Vectors | None"
    ) -> FactCandidates:
        import numpy as np

        await checkpoint()
        look = self._look(tenant, filter)
        if look is None:
            return FactCandidates((), (), None if vector is None else np.empty(0), 0)
        found = await look.supported(await look.pieces())
        texts = look.table.facts.texts
        digests: list[bytes] = []
        for each in (fact.piece.assertion for fact in found):
            await look.pace.step()
            digests.append(text_digest(each.subject, each.predicate, each.object or ""))
        return FactCandidates(
            facts=found,
            terms=[texts.terms(each) for each in digests],
            cosine=None if vector is None else texts.cosines(digests, vector),
            basis=look.basis,
        )

    async def unembedded(self, tenant: Tenant, *, limit: int) -> Sequence[FactText]:
        await checkpoint()
        table = self._tables.get(tenant)
        return () if table is None else table.facts.texts.pending(limit)

    async def set_vectors(self, tenant: Tenant, vectors: "Mapping[bytes, Vectors]") -> int:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return 0
        return sum(table.facts.texts.set(digest, vector) for digest, vector in vectors.items())

    async def erase(self, tenant: Tenant, episodes: Sequence[str]) -> int:
        await checkpoint()
        if not episodes:
            return 0
        chosen = frozenset(episodes)

        def affected(facts: FactTable) -> Iterable[Sequence[Slot]]:
            ways = (facts.at(("source", source)) for source in chosen)
            return [(place,) for place in dict.fromkeys(place for way in ways for place in way)]

        def rewrite(logs: Logs) -> Logs:
            return {place: without(log, chosen) for place, log in logs.items()}

        revisions: dict[Tenant, Revision] = {}

        def current() -> Iterable[Revision]:
            table = self._tables.get(tenant)
            if table is not None:
                revisions.setdefault(tenant, Revision(table.facts, affected, rewrite))
            return revisions.values()

        await prepared(current)
        table = self._tables.open(tenant, self._clock())
        table.generation += 1
        table.facts.bury(chosen)
        return sum(revision.apply() for revision in revisions.values())

    async def verify(self, tenant: Tenant) -> int:
        await checkpoint()
        table = self._tables.get(tenant)
        differing, pace = 0, Pace()
        for slot in () if table is None else list(table.facts.slots.values()):
            log, pieces, current = list(slot.log), list(slot.pieces), list(slot.current)
            derived = await replayed(log, pace)
            still = sorted((each for each in derived if each.tx_to is None), key=lambda each: each.valid_from)
            differing += derived != pieces or still != current
        return differing


def _wanted_ways(subjects: Iterable[tuple[str, str]], branches: Iterable[str]) -> Iterable[Way]:
    yield from (("both", *pair) for pair in subjects)
    yield from (("branch", branch) for branch in branches)


def _marked(table: TenantTable, episodes: Iterable[str]) -> Iterable[tuple[str, Row]]:
    return ((id, table.rows[table.by_id[id]]) for id in episodes if id in table.by_id)


def _header(facts: FactTable, journaled: Journaled) -> Header:
    tx = journaled.tx
    slots = list(facts.touched(tx))
    return Header(
        tx=tx,
        recorded_at=journaled.recorded_at,
        name=journaled.name,
        session_id=journaled.session_id,
        actor=journaled.actor,
        reason=journaled.reason,
        undone_by=journaled.undone_by,
        before=tuple(piece for slot in slots for piece in slot.closed_by(tx)),
        after=tuple(piece for slot in slots for piece in slot.opened_by(tx)),
    )
