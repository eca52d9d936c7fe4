from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from . import _json
from ._checks import (
    check_count,
    check_id,
    check_instant,
    check_json,
    check_optional_id,
    check_time_range,
    check_where,
)
from ._composition import Composition, Scope
from ._cursor import opened, sealed
from ._facts_shown import EPOCH, found, of_slot, shown
from .errors import ConfigurationError, InvalidInput
from .stores.facts import FactFilter, FactPosition
from .types import Fact, FactPath, Page, Tenant

PAGE = 1_000


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
        """Return the fact as it is held, or as it was last held; None if there is none with this id."""
        check_id("fact_id", fact_id)
        tenant = self._scope.tenant
        slots = (await self._composition.call(tenant, lambda: self._store.get(tenant, [fact_id]))).get(
            fact_id
        )
        if slots is None:
            return None
        pieces = [piece for piece in slots.pieces if piece.assertion.id == fact_id]
        branch = next(each.branch for each in slots.log if each.id == fact_id)
        if not pieces or branch not in ("", self._scope.session_id):
            return None
        held = [piece for piece in pieces if piece.tx_to is None]
        piece = held[0] if held else max(pieces, key=lambda each: each.tx_to or 0)
        return shown(found(piece, of_slot(slots, piece)))

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

        Args:
            object: any JSON value.
            where: dotted path into the object to the JSON value expected there.
            session_id: only what was asserted in this session.
            valid_at: true at this instant.
            valid_during: true at any instant of this half-open range, sides None for unbounded.
            known_at: as far as was known then.
            as_of: both: true then, as far as was known then.
            cursor: of the page before, with the same arguments.
            limit: 1..1000.
        """
        if as_of is not None and (valid_at, valid_during, known_at) != (None, None, None):
            raise InvalidInput("as_of", "says both when it is true and when it is known; give it alone")
        if valid_at is not None and valid_during is not None:
            raise InvalidInput("valid_during", "cannot be given together with valid_at")
        known, open = await self._known(known_at if as_of is None else as_of)
        at = as_of if as_of is not None else valid_at
        filter = FactFilter(
            now=self._composition.clock(),
            subject=check_optional_id("subject", subject),
            predicate=check_optional_id("predicate", predicate),
            object=None if object is ... else self._json("object", object),
            where=check_where("where", where),
            session_id=check_optional_id("session_id", session_id),
            branch=self._scope.session_id,
            valid_at=None if at is None else check_instant("valid_at", at),
            during=None if valid_during is None else check_time_range("valid_during", valid_during),
            known=known,
        )
        return await self._page(filter, cursor, limit, open=open)

    async def _page(self, filter: FactFilter, cursor: str | None, limit: int, *, open: bool) -> Page[Fact]:
        tenant = self._scope.tenant
        query = ("facts", tenant.key, repr(replace(filter, now=EPOCH)))
        position, after = opened(cursor, str, *query), None
        if position is not None:
            # All pages look at the same moment, which the first one took.
            tx, seq, start, now = position.split()
            after = int(tx), int(seq), datetime.fromisoformat(start)
            filter = replace(filter, now=datetime.fromisoformat(now))
        check_count("limit", limit)
        facts, basis = await self._composition.call(
            tenant, lambda: self._store.find(tenant, filter, after=after, limit=limit + 1)
        )
        more = None
        if len(facts) > limit:
            last_tx, last_seq, last_start = facts[limit - 1].position
            position = f"{last_tx} {last_seq} {last_start.isoformat()} {filter.now.isoformat()}"
            more = sealed(position, *query)
        return Page(
            items=tuple(shown(each, known=filter.known) for each in facts[:limit]),
            cursor=more,
            basis=basis if filter.known is None else min(basis, filter.known),
            stable=not open and (filter.known is None or filter.known <= basis),
        )

    async def related(
        self, subject: str, *, hops: int = 2, valid_at: datetime | None = None, limit: int = 20
    ) -> tuple[FactPath, ...]:
        """Return how a subject is linked to others: by facts whose object is a subject, in either direction.

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
            for link in links:
                fact = shown(link)
                if not isinstance(fact.object, str):
                    continue
                for near, far in ((fact.subject, fact.object), (fact.object, fact.subject)):
                    if near in frontier and far not in ends and far not in reached:
                        path = ends[near]
                        reached[far] = FactPath(nodes=(*path.nodes, far), facts=(*path.facts, fact))
            paths.extend(reached.values())
            if not reached or len(paths) >= limit:
                break
            ends |= reached
            frontier = list(reached)
        return tuple(paths[:limit])

    async def transaction_at(self, known_at: datetime | int | None) -> int | None:
        """Return a point of known time as a transaction; None for all that is known."""
        return (await self._known(known_at))[0]

    async def embed_pending(self, *, limit: int = 100) -> int:
        """Embed facts that have no vector yet; return how many are ready now. As `Episodes.embed_pending`.

        Args:
            limit: facts to try, 1..1000. Those that fail stay pending.

        Raises:
            ConfigurationError: there is no embedder.
        """
        check_count("limit", limit)
        self._composition.ensure_open()
        embedding, tenant = self._composition.embedding, self._scope.tenant
        if embedding is None:
            msg = "embed_pending needs an embedder; give one to open_memory"
            raise ConfigurationError(msg)
        async with self._composition.tenants.lease(tenant):
            waiting = await self._store.unembedded(tenant, limit=limit)
            found = await embedding.documents([each.text for each in waiting])
            ready = {
                each.digest: vectors[:1]
                for each, vectors in zip(waiting, found, strict=True)
                if vectors is not None
            }
            return await self._store.set_vectors(tenant, ready)

    async def _known(self, known_at: object) -> tuple[int | None, bool]:
        """Return a point of known time as a transaction, and whether another one may still come before it."""
        if known_at is None:
            return None, False
        if isinstance(known_at, datetime):
            instant, tenant = check_instant("known_at", known_at), self._scope.tenant
            tx, final = await self._composition.call(tenant, lambda: self._store.known_at(tenant, instant))
            return tx, not final
        return check_count("known_at", known_at, low=0, high=2**62), False

    def _json(self, field: str, value: object) -> str:
        check_json(field, value, limit=self._composition.limits.max_metadata_bytes)
        return _json.canonical(value)


async def staged_facts(composition: Composition, tenant: Tenant, session_id: str) -> list[Fact]:
    """Return all that a session has staged."""
    filter = FactFilter(
        now=composition.clock(), session_id=session_id, branch=session_id, during=(None, None)
    )
    staged: list[Fact] = []
    after: FactPosition | None = None
    more = True
    while more:
        facts, _ = await composition.archive.facts.find(tenant, filter, after=after, limit=PAGE)
        staged.extend(shown(each) for each in facts if each.piece.assertion.branch == session_id)
        more = len(facts) == PAGE
        after = facts[-1].position if facts else None
    return staged
