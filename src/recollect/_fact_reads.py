from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from . import _json
from ._checks import (
    check_count,
    check_id,
    check_instant,
    check_optional_id,
    check_time_range,
    check_where,
)
from ._composition import Composition, Scope
from ._cursor import opened, sealed
from ._facts_shown import Standing, last_known, shown
from ._isolation import warn_if_shared
from ._timeline import Piece, visible
from .errors import ConfigurationError, InvalidInput
from .stores.facts import FactFilter, FactPosition, Slots
from .types import Fact, FactPath, Page, Tenant

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Known:
    """A point of known time.

    Attributes:
        tx: as far as was known after this transaction; None for all that is known.
        open: whether another transaction may still come before it.
    """

    tx: int | None
    open: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ended: all pages together are one answer, given at the moment of the first one."""

    after: FactPosition
    now: datetime
    known: int
    stable: bool


class FactReads:
    """What is believed. By default what is true now, as far as is known now.

    `known_at` asks what was believed then: an aware datetime, or a `tx` or `basis`. The answer of a
    page at its own `basis` stays the same for ever, until something is erased. Voids, retractions and
    what other sessions have staged are not facts; a handle with a session sees what that has staged.

    All raise InvalidInput before anything is read, and StoreUnavailable, Overloaded or DeadlineExceeded
    if the store does not answer.
    """

    def __init__(self, composition: Composition, scope: Scope) -> None:
        self._composition = composition
        self._scope = scope
        self._store = composition.archive.facts

    async def get(self, fact_id: str) -> Fact | None:
        """Return the fact as it is held, or as it was last held; None if there is none with this id.

        Of several parts that it holds of valid time, the one that is true now, or else the latest.
        """
        check_id("fact_id", fact_id)
        slots = await self._slots_of(fact_id)
        piece = None if slots is None else self._held(slots, fact_id)
        if slots is None or piece is None:
            return None
        return shown(Standing(slots.log).found(piece, known=last_known(piece)))

    async def _slots_of(self, fact_id: str) -> Slots | None:
        """Return the slot of an assertion; None if this handle sees none with this id."""
        tenant = self._scope.tenant
        slots = (await self._composition.call(tenant, lambda: self._store.get(tenant, [fact_id]))).get(
            fact_id
        )
        if slots is None:
            return None
        said = next((each for each in slots.log if each.id == fact_id), None)
        return slots if said is not None and said.branch in ("", self._scope.session_id) else None

    def _held(self, slots: Slots, fact_id: str) -> Piece | None:
        pieces = [piece for piece in slots.pieces if piece.assertion.id == fact_id]
        last = max((piece.tx_to or 0 for piece in pieces), default=0)
        held = [piece for piece in pieces if piece.tx_to is None]
        held = held or [piece for piece in pieces if piece.tx_to == last]
        now = self._composition.clock()
        now = now if slots.at is None else max(now, slots.at)
        return max(held, key=lambda piece: (piece.covers(now), piece.valid_from), default=None)

    async def count(self) -> int:
        """Return how many facts are true now, without what is staged."""
        tenant, now = self._scope.tenant, self._composition.clock()
        return await self._composition.call(tenant, lambda: self._store.count(tenant, now))

    async def find(
        self,
        subject: str | None = None,
        predicate: str | None = None,
        object: Any = ...,
        *,
        where: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        valid_at: datetime | None = None,
        valid_during: tuple[datetime | None, datetime | None] | None = None,
        known_at: datetime | int | None = None,
        as_of: datetime | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Fact]:
        """Return the facts to which all that is given applies, in the order in which they were learned.

        All pages together are one answer: what is learned meanwhile is not in the later ones.

        Args:
            object: any JSON value, None being JSON null, or a pydantic model.
            where: dotted path into the object to the JSON value expected there.
            session_id: only what was asserted in this session.
            valid_at: true at this instant.
            valid_during: true at any instant of this half-open range, sides None for unbounded.
            known_at: as far as was known then.
            as_of: both: true then, as far as was known then.
            cursor: of the page before, with the same arguments.
            limit: 1..1000.

        Returns:
            Its `basis` is the transaction up to which it knows. It is not `stable` if `known_at` is not in
            the past yet: what comes before then will be in it, too.
        """
        if as_of is not None and (valid_at, valid_during, known_at) != (None, None, None):
            raise InvalidInput("as_of", "says both when it is true and when it is known; give it alone")
        if valid_at is not None and valid_during is not None:
            raise InvalidInput("valid_during", "cannot be given together with valid_at")
        point = None if as_of is None else check_instant("as_of", as_of)
        asked = check_known("known_at", known_at) if point is None else point
        filter = FactFilter(
            now=self._composition.clock(),
            subject=check_optional_id("subject", subject),
            predicate=check_optional_id("predicate", predicate),
            object=None if object is ... else self._named(predicate, object),
            where=check_where("where", where),
            session_id=check_optional_id("session_id", session_id),
            branch=self._scope.session_id,
            valid_at=point if valid_at is None else check_instant("valid_at", valid_at),
            during=None if valid_during is None else check_time_range("valid_during", valid_during),
        )
        check_count("limit", limit)
        query = self._query(filter, asked)
        position = opened(cursor, str, *query)
        place = None if position is None else _place(position)
        tenant = self._scope.tenant

        async def work() -> Page[Fact]:
            await warn_if_shared(self._composition, tenant)
            if place is None:
                known = await known_transaction(self._composition, tenant, asked)
                return await self._page(replace(filter, known=known.tx), query, limit, open=known.open)
            again = replace(filter, now=place.now, known=place.known)
            return await self._page(again, query, limit, after=place.after, open=not place.stable)

        return await self._composition.call(tenant, work)

    def _query(self, filter: FactFilter, asked: datetime | int | None) -> tuple[object, ...]:
        where = sorted((list(path), _json.canonical(value)) for path, value in filter.where.items())
        given = (filter.subject, filter.predicate, filter.object, filter.session_id, filter.branch)
        return (
            "facts",
            self._scope.tenant.key,
            where,
            *given,
            *map(str, (filter.valid_at, filter.during, asked)),
        )

    async def _page(
        self,
        filter: FactFilter,
        query: tuple[object, ...],
        limit: int,
        *,
        after: FactPosition | None = None,
        open: bool,
    ) -> Page[Fact]:
        facts, basis = await self._store.find(self._scope.tenant, filter, after=after, limit=limit + 1)
        known = basis if filter.known is None else min(basis, filter.known)
        stable = not open and (filter.known is None or filter.known <= basis)
        more = None
        if len(facts) > limit:
            tx, seq, start = facts[limit - 1].position
            place = (tx, seq, start.isoformat(), filter.now.isoformat(), known, int(stable))
            more = sealed(" ".join(map(str, place)), *query)
        return Page(
            items=tuple(shown(each, known=filter.known) for each in facts[:limit]),
            cursor=more,
            basis=known,
            stable=stable,
        )

    async def related(
        self, subject: str, *, hops: int = 2, valid_at: datetime | None = None, limit: int = 20
    ) -> tuple[FactPath, ...]:
        """Return how a subject is linked to others: by facts whose object is a string, in either direction.

        One path to each that can be reached: the shortest, and of these the one learned first.

        Args:
            hops: links from the subject, 1..10.
            valid_at: when all of the links hold; None for now.
            limit: paths, 1..1000; the shortest ones first, then the oldest.
        """
        check_id("subject", subject)
        check_count("hops", hops, high=10)
        check_count("limit", limit)
        filter = FactFilter(
            now=self._composition.clock(),
            branch=self._scope.session_id,
            valid_at=None if valid_at is None else check_instant("valid_at", valid_at),
        )
        tenant = self._scope.tenant
        return await self._composition.call(tenant, lambda: self._paths(subject, filter, hops, limit))

    async def _paths(self, subject: str, filter: FactFilter, hops: int, limit: int) -> tuple[FactPath, ...]:
        ends = {subject: FactPath(nodes=(subject,), facts=())}
        frontier, paths = [subject], list[FactPath]()
        for _ in range(hops):
            links = await self._store.linked(self._scope.tenant, frontier, filter)
            reached: dict[str, FactPath] = {}
            near_ones = set(frontier)
            for link in links:
                fact = shown(link)
                if not isinstance(fact.object, str):
                    continue
                for near, far in ((fact.subject, fact.object), (fact.object, fact.subject)):
                    if near in near_ones and far not in ends and far not in reached:
                        path = ends[near]
                        reached[far] = FactPath(nodes=(*path.nodes, far), facts=(*path.facts, fact))
            paths.extend(reached.values())
            if not reached or len(paths) >= limit:
                break
            ends |= reached
            frontier = list(reached)
        return tuple(paths[:limit])

    async def embed_pending(self, *, limit: int = 100) -> int:
        """Embed facts that have no vector yet; return how many are ready now. As `Episodes.embed_pending`.

        Args:
            limit: facts to embed, 1..1000; those that fail are passed over, each is tried once.

        Raises:
            ConfigurationError: there is no embedder.
        """
        check_count("limit", limit)
        self._composition.ensure_open()
        embedding, tenant, done = self._composition.embedding, self._scope.tenant, 0
        if embedding is None:
            msg = "embed_pending needs an embedder; give one to open_memory"
            raise ConfigurationError(msg)
        async with self._composition.tenants.lease(tenant):
            # More than are to be embedded: the first ones may be those that always fail.
            waiting = list(await self._store.unembedded(tenant, limit=PAGE))
            while waiting and done < limit:
                tried, waiting = waiting[: limit - done], waiting[limit - done :]
                found = await embedding.documents([each.text for each in tried])
                ready = {
                    each.digest: vectors[:1]
                    for each, vectors in zip(tried, found, strict=True)
                    if vectors is not None
                }
                done += await self._store.set_vectors(tenant, ready)
        return done

    def _named(self, predicate: str | None, object: object) -> str:
        limit = self._composition.limits.max_metadata_bytes
        return self._composition.predicates.named(predicate or "", object, limit=limit)


def check_known(field: str, value: object) -> datetime | int | None:
    """Return a point of known time: an instant in UTC, a transaction, or None for all that is known."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return check_instant(field, value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(field, f"expected an aware datetime or a tx, got {type(value).__name__}")
    return check_count(field, value, low=0, high=2**62)


async def known_transaction(composition: Composition, tenant: Tenant, asked: datetime | int | None) -> Known:
    """Return what a point of known time means."""
    if not isinstance(asked, datetime):
        return Known(asked)
    tx, final = await composition.archive.facts.known_at(tenant, asked)
    return Known(tx, not final)


async def staged_assertions(
    composition: Composition, tenant: Tenant, session_id: str, select: Callable[[Fact], bool]
) -> frozenset[str]:
    """Return what says the facts that are selected of all that a session has staged."""
    store = composition.archive.facts
    filter = FactFilter(
        now=composition.clock(), session_id=session_id, branch=session_id, during=(None, None)
    )
    chosen: dict[str, str | None] = {}
    after: FactPosition | None = None
    more = True
    while more:
        read = partial(store.find, tenant, filter, after=after, limit=PAGE)
        facts, basis = await composition.call(tenant, read)
        # What is staged meanwhile was not there to be selected.
        filter = filter if filter.known is not None else replace(filter, known=basis)
        staged = [each for each in facts if each.piece.assertion.branch == session_id]
        said = [each.piece.assertion for each in staged if select(shown(each))]
        chosen.update((each.id, each.object) for each in said)
        more = len(facts) == PAGE
        after = facts[-1].position if facts else None
    found = await composition.call(tenant, lambda: store.get(tenant, list(chosen)))
    return frozenset(
        each.id
        for id, slots in found.items()
        for each in visible(slots.log)
        if each.op == "assert" and each.branch == session_id and each.object == chosen[id]
    )


def _place(position: str) -> _Place:
    try:
        tx, seq, start, now, known, stable = position.split(" ")
        after = int(tx), int(seq), datetime.fromisoformat(start)
        place = _Place(after, datetime.fromisoformat(now), int(known), stable == "1")
    except ValueError:
        raise InvalidInput("cursor", "is not a cursor; pass one back as it was given") from None
    aware = all(each.utcoffset() is not None for each in (after[2], place.now))
    if not aware or not (0 <= after[0] < 2**62 and 0 <= after[1] < 2**31 and 0 <= place.known < 2**62):
        raise InvalidInput("cursor", "is not a cursor; pass one back as it was given")
    return place
