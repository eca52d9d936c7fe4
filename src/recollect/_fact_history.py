from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from anyio import to_thread

from ._checks import TimeRange, check_count, check_id, check_optional_id, check_time_range
from ._cursor import opened, sealed
from ._fact_reads import PAGE, FactReads, check_known, known_transaction
from ._facts_shown import Standing, last_known, logged, shown, spans, version_of
from ._timeline import Assertion, Piece, overlay
from .errors import InvalidInput
from .stores.facts import Slots
from .types import Change, Diff, Episode, Fact, Page, Provenance, Span, Transaction

T = TypeVar("T")

LAST = 1 << 30
"""Beyond every position in a transaction."""

MANY = 500
"""Assertions from which on they are worked through in a worker thread: some milliseconds."""


class FactHistory(FactReads):
    """What was believed, when, and why."""

    async def timeline(
        self, subject: str, predicate: str, *, known_at: datetime | int | None = None
    ) -> tuple[Span, ...]:
        """Return all of valid time as spans, from the first instant of which anything is known.

        In order, disjoint and without gaps: where nothing is true there is a span without facts. Equal
        neighbours are one, with what the first of them says. The last span has no end. Nothing if nothing is
        known. Staged facts of this handle's session lie over the others.
        """
        asked = check_known("known_at", known_at)
        tenant, branch = self._scope.tenant, self._scope.session_id
        read = self._slots(subject, predicate)

        async def work() -> tuple[Slots, int | None]:
            known = (await known_transaction(self._composition, tenant, asked)).tx
            return await read(), known

        slots, known = await self._composition.call(tenant, work)

        def line() -> tuple[Span, ...]:
            pieces = [piece for piece in slots.pieces if piece.known(known)]
            main = [piece for piece in pieces if not piece.assertion.branch]
            pieces = overlay(main, [piece for piece in pieces if piece.assertion.branch == branch != ""])
            standing = Standing(slots.log)
            return spans((standing.found(piece, known=known) for piece in pieces), known=known)

        return await _computed(slots, line)

    async def history(self, subject: str, predicate: str) -> tuple[Fact, ...]:
        """Return every piece there ever was, voids and superseded ones too, in the order of both times.

        First by `tx_from`, then by `valid_from`. With the support that each had when it was last held.
        """
        slots = await self._composition.call(self._scope.tenant, self._slots(subject, predicate))

        def pieces() -> tuple[Fact, ...]:
            standing = Standing(slots.log)
            return tuple(shown(standing.found(piece, known=last_known(piece))) for piece in slots.pieces)

        return await _computed(slots, pieces)

    def _slots(self, subject: str, predicate: str) -> Callable[[], Awaitable[Slots]]:
        check_id("subject", subject)
        check_id("predicate", predicate)
        tenant, branch = self._scope.tenant, self._scope.session_id
        return lambda: self._store.slots(tenant, subject, predicate, branch=branch)

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
        it gives at `b`, for the same `subject` and `valid_during`. A fact that is only supported by more or
        less is in both.

        Args:
            known_a, known_b: aware, or a `tx` or `basis`; in either order.
            subject: only of this one.
            valid_during: only what is true at any instant of this half-open range.

        Returns:
            Facts in the order in which their subjects and predicates were first touched.
        """
        during = check_time_range("valid_during", valid_during)
        check_optional_id("subject", subject)
        asked = [_point("known_a", known_a), _point("known_b", known_b)]
        tenant = self._scope.tenant

        async def work() -> list[int]:
            points = [await known_transaction(self._composition, tenant, each) for each in asked]
            return [point.tx or 0 for point in points]

        a, b = await self._composition.call(tenant, work)
        states: dict[int, dict[str, Fact]] = {a: {}, b: {}}
        for pair in await self._touched(min(a, b), max(a, b), subject):
            slots = await self._composition.call(tenant, self._slots(*pair))
            await _computed(slots, partial(_note, slots, states, during))
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

        Staged facts are in it when they are promoted; of this handle's session, at once. What is left out
        may make a page short, or empty: the end is where there is no cursor. Then go on with the `basis` of
        that page as `since`.

        Args:
            since: a transaction; what comes after it is returned. Ignored with a cursor.
            cursor: of the page before.
            limit: 1..1000.
        """
        check_count("since", since, low=0, high=2**62)
        check_count("limit", limit)
        tenant = self._scope.tenant
        position = opened(cursor, str, "changes", tenant.key)
        tx, seq = (since, LAST) if position is None else _place(position)
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

        Before and after are as the transaction left them: without support by others. What other sessions
        have staged is left out.

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

        Of a fact that is not believed any more: those that supported it last.

        Args:
            fact: or its id. None is returned if there is none with this id.
        """
        if not isinstance(fact, Fact):
            check_id("fact", fact)
        fact_id = fact.fact_id if isinstance(fact, Fact) else fact
        slots = await self._slots_of(fact_id)
        piece = None if slots is None else self._held(slots, fact_id)
        if slots is None or piece is None:
            return None
        standing = Standing(slots.log)
        if isinstance(fact, Fact):
            piece = next((each for each in slots.pieces if version_of(each) == fact.version_id), piece)
            told, at = fact, fact.valid_from
        else:
            told, at = shown(standing.found(piece, known=last_known(piece))), piece.valid_from
        assertions = standing.supporters(piece.assertion, at, known=last_known(piece))
        sources = dict.fromkeys(source for each in assertions for source in each.sources)
        tenant, episodes = self._scope.tenant, self._composition.archive.episodes

        async def work() -> list[Episode]:
            found = [await episodes.get(tenant, source) for source in sources]
            return [each for each in found if each is not None]

        found = await self._composition.call(tenant, work)
        return Provenance(
            fact=told,
            assertions=tuple(map(logged, assertions)),
            episodes=tuple(sorted(found, key=lambda each: each.seq)),
        )

    def _sees(self, assertion: Assertion) -> bool:
        """Whether it is in the main branch, or in that of this handle's session."""
        return assertion.branch in ("", self._scope.session_id)

    def _alone(self, pieces: Sequence[Piece]) -> tuple[Fact, ...]:
        """Return pieces as facts that support only themselves."""
        return tuple(
            shown(Standing([each.assertion]).found(each)) for each in pieces if self._sees(each.assertion)
        )


async def _computed(slots: Slots, work: Callable[[], T]) -> T:
    """Do what takes long with a long log in a worker thread."""
    return work() if len(slots.log) < MANY else await to_thread.run_sync(work)


def _note(slots: Slots, states: dict[int, dict[str, Fact]], during: TimeRange) -> None:
    """Take what is believed of some slots at some points of known time."""
    standing = Standing(slots.log)
    for known, facts in states.items():
        for piece in slots.pieces:
            said = piece.assertion
            if said.op == "assert" and not said.branch and piece.known(known) and piece.overlaps(*during):
                fact = shown(standing.found(piece, known=known), known=known)
                facts[fact.version_id] = fact


def _point(field: str, value: object) -> datetime | int:
    point = check_known(field, value)
    if point is None:
        raise InvalidInput(field, "expected an aware datetime or a tx, got None")
    return point


def _place(position: str) -> tuple[int, int]:
    try:
        tx, seq = map(int, position.split(" "))
    except ValueError:
        raise InvalidInput("cursor", "is not a cursor; pass one back as it was given") from None
    if not (0 <= tx < 2**62 and 0 <= seq < 2**31):
        raise InvalidInput("cursor", "is not a cursor; pass one back as it was given")
    return tx, seq
