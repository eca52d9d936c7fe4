from collections.abc import Sequence
from datetime import datetime
from functools import partial

from ._checks import check_count, check_id, check_optional_id, check_time_range
from ._cursor import opened, sealed
from ._fact_reads import PAGE, FactReads
from ._facts_shown import found, logged, of_slot, shown, spans
from ._timeline import Assertion, Piece, overlay, supporters
from .errors import InvalidInput
from .stores.facts import Slots
from .types import Change, Diff, Episode, Fact, Page, Provenance, Span, Transaction

LAST = 1 << 30
"""Beyond every position in a transaction."""


class FactHistory(FactReads):
    """What was believed, when, and why."""

    async def timeline(
        self, subject: str, predicate: str, *, known_at: datetime | int | None = None
    ) -> tuple[Span, ...]:
        """Return all of valid time as spans, from the first instant of which anything is known.

        In order, disjoint and without gaps: where nothing is true there is a span without facts. Equal
        neighbours are one. The last span has no end.
        """
        slots = await self._slots(subject, predicate)
        known, _ = await self._known(known_at)
        pieces = [piece for piece in slots.pieces if piece.known(known)]
        branch = self._scope.session_id
        if branch is not None:
            main = [piece for piece in pieces if not piece.assertion.branch]
            pieces = overlay(main, [piece for piece in pieces if piece.assertion.branch == branch])
        return spans((found(piece, of_slot(slots, piece), known=known) for piece in pieces), known=known)

    async def history(self, subject: str, predicate: str) -> tuple[Fact, ...]:
        """Return every piece there ever was, voids and superseded ones too, in the order of both times."""
        slots = await self._slots(subject, predicate)
        return tuple(shown(found(piece, of_slot(slots, piece))) for piece in slots.pieces)

    async def _slots(self, subject: str, predicate: str) -> Slots:
        check_id("subject", subject)
        check_id("predicate", predicate)
        tenant, branch = self._scope.tenant, self._scope.session_id
        return await self._composition.call(
            tenant, lambda: self._store.slots(tenant, subject, predicate, branch=branch)
        )

    async def diff(
        self,
        known_a: datetime | int,
        known_b: datetime | int,
        *,
        subject: str | None = None,
        valid_during: tuple[datetime | None, datetime | None] | None = None,
    ) -> Diff:
        """Return what is believed at one point of known time and not at another, without what is staged.

        `diff(a, b).apply(...)` turns what `find(valid_during=(None, None), known_at=a)` gives into what
        it gives at `b`.

        Args:
            subject: only of this one.
            valid_during: only what is true at any instant of this half-open range.
        """
        start, end = check_time_range("valid_during", valid_during)
        check_optional_id("subject", subject)
        (a, _), (b, _) = await self._known(known_a), await self._known(known_b)
        if a is None or b is None:
            raise InvalidInput("known_a" if a is None else "known_b", "expected a datetime or a transaction")
        states: dict[int, dict[tuple[str, int], Fact]] = {a: {}, b: {}}
        for pair in await self._touched(min(a, b), max(a, b), subject):
            slots = await self._slots(*pair)
            for known, facts in states.items():
                for piece in slots.pieces:
                    here = (
                        piece.known(known) and piece.overlaps(start, end) and piece.assertion.op == "assert"
                    )
                    if here and not piece.assertion.branch:
                        fact = shown(found(piece, of_slot(slots, piece), known=known), known=known)
                        facts[fact.version_id, fact.support] = fact
        removed = [fact for at, fact in states[a].items() if states[b].get(at) != fact]
        added = [fact for at, fact in states[b].items() if states[a].get(at) != fact]
        return Diff(known_a=a, known_b=b, removed=tuple(removed), added=tuple(added))

    async def _touched(self, after: int, until: int, subject: str | None) -> Sequence[tuple[str, str]]:
        """Return the subjects and predicates of which something was said in a range of transactions."""
        tenant = self._scope.tenant
        pairs: dict[tuple[str, str], None] = {}
        position = (after, LAST)
        while True:
            read = partial(self._store.changes, tenant, after=position, limit=PAGE)
            entries, _ = await self._composition.call(tenant, read)
            for each in entries:
                if each.tx <= until and subject in (None, each.subject):
                    pairs[each.subject, each.predicate] = None
            if len(entries) < PAGE or entries[-1].tx > until:
                return list(pairs)
            position = (entries[-1].tx, entries[-1].seq)

    async def changes(self, since: int = 0, *, cursor: str | None = None, limit: int = 100) -> Page[Change]:
        """Return what was said, in order, without gaps that fill in later: a feed for an index outside.

        Staged facts are in it when they are promoted. At the end of the feed, go on with `since` the
        `tx` of the last change that was read.

        Args:
            since: a transaction; what comes after it is returned. Ignored with a cursor.
            cursor: of the page before.
            limit: 1..1000.
        """
        check_count("since", since, low=0, high=2**62)
        check_count("limit", limit)
        tenant = self._scope.tenant
        position = opened(cursor, str, "changes", tenant.key)
        tx, seq = (since, LAST) if position is None else map(int, position.split())
        entries, basis = await self._composition.call(
            tenant, lambda: self._store.changes(tenant, after=(tx, seq), limit=limit + 1)
        )
        more = None
        if len(entries) > limit:
            more = sealed(f"{entries[limit - 1].tx} {entries[limit - 1].seq}", "changes", tenant.key)
        visible = (each for each in entries[:limit] if self._sees(each))
        return Page(items=tuple(map(logged, visible)), cursor=more, basis=basis)

    async def journal(
        self, *, session_id: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[Transaction]:
        """Return the transactions of facts, newest first, with what each did to what was believed.

        Args:
            session_id: only of this session; None for all.
            cursor: of the page before, with the same session.
            limit: 1..1000.
        """
        check_optional_id("session_id", session_id)
        check_count("limit", limit)
        tenant = self._scope.tenant
        query = ("journal", tenant.key, session_id or "")
        before = opened(cursor, int, *query)
        headers, basis = await self._composition.call(
            tenant,
            lambda: self._store.headers(tenant, session_id=session_id, before=before, limit=limit + 1),
        )
        more = sealed(headers[limit - 1].tx, *query) if len(headers) > limit else None
        items = tuple(
            Transaction(
                tx=each.tx,
                recorded_at=each.recorded_at,
                operation=each.name,
                actor=each.actor,
                reason=each.reason,
                session_id=each.session_id,
                undone_by=each.undone_by,
                before=self._alone(each.before),
                after=self._alone(each.after),
            )
            for each in headers[:limit]
        )
        return Page(items=items, cursor=more, basis=basis)

    async def why(self, fact: Fact | str) -> Provenance | None:
        """Return who says so: the assertions that support a fact, and the episodes that they come from.

        Args:
            fact: or its id. None is returned if there is none with this id.
        """
        fact_id = fact.fact_id if isinstance(fact, Fact) else check_id("fact", fact)
        tenant = self._scope.tenant
        slots = (await self._composition.call(tenant, lambda: self._store.get(tenant, [fact_id]))).get(
            fact_id
        )
        held = await self.get(fact_id)
        if slots is None or held is None:
            return None
        at = fact.valid_from if isinstance(fact, Fact) else held.valid_from
        said = next(each for each in slots.log if each.id == fact_id)
        assertions = supporters(slots.log, said.object, at)
        episodes = list[Episode]()
        for source in dict.fromkeys(source for each in assertions for source in each.sources):
            read = partial(self._composition.archive.episodes.get, tenant, source)
            episode = await self._composition.call(tenant, read)
            if episode is not None:
                episodes.append(episode)
        return Provenance(
            fact=fact if isinstance(fact, Fact) else held,
            assertions=tuple(map(logged, assertions)),
            episodes=tuple(sorted(episodes, key=lambda each: each.seq)),
        )

    def _sees(self, assertion: Assertion) -> bool:
        """Whether it is in the main branch, or in that of this handle's session."""
        return assertion.branch in ("", self._scope.session_id)

    def _alone(self, pieces: Sequence[Piece]) -> tuple[Fact, ...]:
        """Return pieces as facts that support only themselves."""
        return tuple(shown(found(each, [each.assertion])) for each in pieces if self._sees(each.assertion))
