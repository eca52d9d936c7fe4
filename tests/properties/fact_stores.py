"""Several archives that are told the same, and have to answer the same: each other, and the definition."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from anyio.from_thread import BlockingPortal
from hypothesis import note

from recollect._timeline import Assertion, Piece
from recollect.errors import RecollectError
from recollect.stores import Archive, NewEpisode, Write
from recollect.stores.changes import Change, Committed, Rule
from recollect.stores.facts import FactFilter, FoundFact, Header
from recollect.types import Tenant

from . import oracle
from .fact_expectations import MAIN, NOW, by_place, of
from .histories import day

EPISODES = {f"e{i}": day(5 * i) for i in range(5)}
Point = tuple[datetime | None, int | None, str | None]


@dataclass
class Told:
    """What the test knows of a tenant.

    Attributes:
        log: as the first archive tells it.
        used: keys, with the change and its outcome, while they have to be remembered.
    """

    tenant: Tenant
    log: list[Assertion] = field(default_factory=list)
    used: list[tuple[Change, Any]] = field(default_factory=list)
    occurred: dict[str, datetime] = field(default_factory=lambda: dict(EPISODES))
    erased: frozenset[str] = frozenset()


def outcome_of(result: Committed | RecollectError) -> Any:
    """Return what can be compared: errors by type and by what they say."""
    if isinstance(result, RecollectError):
        return type(result), result.args
    return result


class Stores:
    """Tells archives the same on one event loop, and compares."""

    def __init__(self, portal: BlockingPortal, archives: Sequence[Archive]) -> None:
        self.portal = portal
        self.archives = archives
        self.turns = 0

    def each(self, ask: Any) -> Any:
        """Ask every archive; return what all of them answer."""

        async def all_of_them() -> list[Any]:
            return [await ask(archive) for archive in self.archives]

        first, *others = self.portal.call(all_of_them)
        for other in others:
            assert other == first, differences(first, other)
        return first

    def open_tenant(self, tenant: Tenant) -> None:
        async def remember(archive: Archive) -> int:
            for id, at in EPISODES.items():
                episode = NewEpisode(id, b"", None, None, "said", "", at, "{}", None, (), "none", None)
                await archive.episodes.append([Write(tenant, (episode,), guarded=True)])
            return await archive.facts.count(tenant, day(0))

        self.each(remember)

    def adopt(self, rules: dict[str, Rule], *, replace: bool) -> None:
        async def adopt(archive: Archive) -> dict[str, Rule]:
            adopted = await archive.adopt_predicates(rules, replace=replace)
            return {name: adopted[name] for name in rules}

        assert self.each(adopt) == rules

    def commit(self, changes: Sequence[Change]) -> list[Any]:
        self.turns += 1

        async def commit(archive: Archive) -> list[Any]:
            outcomes = None
            if self.turns % 2:
                (outcomes,) = await archive.facts.try_commit([changes])
            if outcomes is None:
                outcomes = await archive.facts.commit(changes)
            return [outcome_of(each) for each in outcomes]

        return self.each(commit)

    def erase(self, tenant: Tenant, episodes: Sequence[str]) -> int:
        return self.each(lambda archive: archive.facts.erase(tenant, episodes))

    def log(self, tenant: Tenant) -> list[Assertion]:
        """Return the feed, read in pages."""

        async def read(archive: Archive) -> list[Assertion]:
            found: list[Assertion] = []
            while True:
                after = (found[-1].tx, found[-1].seq) if found else (0, 0)
                page, _ = await archive.facts.changes(tenant, after=after, limit=7)
                if not page:
                    return found
                found.extend(page)

        return self.each(read)

    def headers(self, tenant: Tenant, session: str | None = None) -> list[Header]:
        async def read(archive: Archive) -> list[Header]:
            found: list[Header] = []
            while True:
                before = found[-1].tx if found else None
                page, _ = await archive.facts.headers(tenant, session_id=session, before=before, limit=5)
                if not page:
                    return found
                found.extend(_in_order(each) for each in page)

        return self.each(read)

    def undoable(self, tenant: Tenant, session: str | None) -> list[int]:
        return [
            each.tx
            for each in self.headers(tenant)
            if each.session_id == session and each.undone_by is None and each.name != "rollback"
        ]

    def clock(self, tenant: Tenant, now: datetime) -> datetime:
        """Return the instant of the next transaction."""
        newest = self.each(lambda archive: _newest(archive, tenant))
        return max(now, newest + timedelta(microseconds=1))

    # Reads, compared with the definition too.

    def check_find(self, told: Told, point: Point, now: datetime) -> None:
        v, k, branch = point
        filter = FactFilter(now=now, valid_at=v, known=k, branch=branch)

        async def find(archive: Archive) -> tuple[list[FoundFact], int]:
            found, basis = await archive.facts.find(told.tenant, filter, after=None, limit=100)
            paged: list[FoundFact] = []
            while True:
                after = paged[-1].position if paged else None
                page, _ = await archive.facts.find(told.tenant, filter, after=after, limit=2)
                if not page:
                    break
                paged.extend(page)
            assert paged == list(found)
            return paged, basis

        found, _ = self.each(find)
        at = v or self.looked_at(told, now)
        note(f"find at {at} known {k} for {branch!r}")
        assert [describe(each) for each in found] == sorted(expected_at(told.log, at, k, branch))
        if branch is None and v is None and k is None:
            assert self.each(lambda archive: archive.facts.count(told.tenant, now)) == len(found)

    def looked_at(self, told: Told, now: datetime) -> datetime:
        return max(now, self.each(lambda archive: _newest(archive, told.tenant)))

    def check_range(
        self, told: Told, during: tuple[datetime | None, datetime | None], k: int | None, now: datetime
    ) -> None:
        filter = FactFilter(now=now, during=during, known=k)

        async def find(archive: Archive) -> list[FoundFact]:
            return list((await archive.facts.find(told.tenant, filter, after=None, limit=100))[0])

        start, end = during
        within = {each.piece.assertion.id for each in self.each(find)}
        expected: set[str] = set()
        for place, log in by_place(told.log).items():
            if place[0] == MAIN:
                vs = [*oracle.moments(log), *(v for v in (start,) if v is not None)]
                vs = [v for v in vs if (start is None or start <= v) and (end is None or v < end)]
                expected |= {w.id for w in oracle.winners(log, vs, _or_now(k)) if w and w.op == "assert"}
        assert within == expected

    def check_slots(self, told: Told, subject: str, predicate: str, branch: str | None) -> None:
        """Check every piece there ever was of a subject and a predicate, at every point."""

        async def read(archive: Archive) -> tuple[list[Assertion], list[Piece], int, datetime | None]:
            slots = await archive.facts.slots(told.tenant, subject, predicate, branch=branch)
            return list(slots.log), _settled(slots.pieces), slots.basis, slots.at

        log, pieces, _, _ = self.each(read)
        wanted = {MAIN, branch}
        assert log == [
            each
            for each in told.log
            if each.branch in wanted and (each.subject, each.predicate) == (subject, predicate)
        ]
        for place, records in by_place(log).items():
            vs = oracle.moments(records)
            mine = [piece for piece in pieces if piece.assertion.place == place]
            for k in oracle.counters(records):
                known = [piece for piece in mine if piece.known(k)]
                for v, w in zip(vs, oracle.winners(records, vs, k), strict=True):
                    assert [p.assertion for p in known if p.covers(v)] == ([] if w is None else [w])

    def check_known(self, told: Told, instant: datetime) -> None:
        tx, _ = self.each(lambda archive: archive.facts.known_at(told.tenant, instant))
        headers = self.headers(told.tenant)
        assert tx == max((each.tx for each in headers if each.recorded_at <= instant), default=0)
        assert {each.tx for each in told.log} <= {each.tx for each in headers}

    def check_derived(self, tenant: Tenant) -> None:
        assert self.each(lambda archive: archive.facts.verify(tenant)) == 0

    def check_get(self, told: Told, ids: Sequence[str]) -> None:
        async def get(archive: Archive) -> dict[str, tuple[list[Assertion], list[Piece]]]:
            found = await archive.facts.get(told.tenant, ids)
            return {id: (list(each.log), _settled(each.pieces)) for id, each in found.items()}

        found = self.each(get)
        named = {each.id: each for each in told.log if each.id in ids}
        assert {id: log for id, (log, _) in found.items()} == {
            id: of(told.log, each.place) for id, each in named.items()
        }


def expected_at(
    log: list[Assertion], v: datetime, k: int | None, branch: str | None
) -> list[tuple[Any, ...]]:
    """Return what is true at a point, by definition."""
    k = _or_now(k)
    found: list[tuple[Any, ...]] = []
    places = {each.place[1:] for each in log if each.branch in (MAIN, branch)}
    for rest in places:
        main = of(log, (MAIN, *rest))
        over = [] if branch is None else of(log, (branch, *rest))
        w = oracle.laid_over(main, over, v, k)
        if w is not None and w.op == "assert":
            held = oracle.support(of(log, w.place), w.object, v, k)
            found.append(
                (w.tx, w.seq, w.id, len(held), sorted(oracle.sources(held)), max(e.confidence for e in held))
            )
    return found


def describe(fact: FoundFact) -> tuple[Any, ...]:
    said = fact.piece.assertion
    return said.tx, said.seq, said.id, fact.support, sorted(fact.sources), fact.confidence


def _or_now(k: int | None) -> int:
    return NOW if k is None else k


def _in_order(header: Header) -> Header:
    """Return a header whose pieces can be compared: they are in no order."""
    return replace(
        header, before=tuple(sorted(header.before, key=_named)), after=tuple(sorted(header.after, key=_named))
    )


def _settled(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces in an order that leaves no ties: those of several slots may come in any."""
    order = [(piece.tx_from, piece.valid_from) for piece in pieces]
    assert order == sorted(order)
    return sorted(
        pieces, key=lambda piece: (piece.tx_from, piece.valid_from, piece.assertion.seq, _named(piece))
    )


def _named(piece: Piece) -> tuple[str, datetime, int]:
    return piece.assertion.id, piece.valid_from, piece.tx_from


async def _newest(archive: Archive, tenant: Tenant) -> datetime:
    slots = await archive.facts.slots(tenant, "", "", branch=None)
    return slots.at or day(0)


def differences(first: Any, other: Any) -> Any:
    """Return where two answers part, to be read."""
    if isinstance(first, (list, tuple)) and isinstance(other, (list, tuple)) and len(first) == len(other):
        return [differences(a, b) for a, b in zip(first, other, strict=True) if a != b]
    return f"in process {first}, otherwise {other}"
