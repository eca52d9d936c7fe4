from datetime import datetime

from ._checks import check_count, check_id, check_instant, check_optional_id, check_time_range
from ._composition import Composition, Scope
from ._cursor import opened, sealed
from .errors import ConfigurationError
from .stores import Filters
from .types import Episode, Page, Session, text_of


class Episodes:
    """The episodes of one tenant, as they were stored. Of the whole tenant, unless filtered."""

    def __init__(self, composition: Composition, scope: Scope) -> None:
        self._composition = composition
        self._scope = scope
        self._store = composition.archive.episodes

    async def get(self, id: str) -> Episode | None:
        """Return an episode, or None if this tenant has none with this id."""
        check_id("id", id)
        tenant = self._scope.tenant
        return await self._composition.call(tenant, lambda: self._store.get(tenant, id))

    async def list(
        self,
        *,
        session_id: str | None = None,
        before: datetime | None = None,
        after: datetime | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Episode]:
        """Return episodes in order of `seq`.

        Args:
            session_id: of this session only.
            before: that occurred before this instant.
            after: that occurred at or after this instant.
            cursor: of the page before, with the same arguments.
            limit: 1..1000.
        """
        tenant = self._scope.tenant
        start = None if after is None else check_instant("after", after)
        end = None if before is None else check_instant("before", before)
        check_time_range("before", (start, end))
        filters = Filters(session_id=check_optional_id("session_id", session_id), start=start, end=end)
        query = ("episodes", tenant.key, session_id, str(start), str(end))
        position = opened(cursor, int, *query) or 0
        check_count("limit", limit)
        found, basis = await self._composition.call(
            tenant, lambda: self._store.page(tenant, filters, after=position, limit=limit + 1)
        )
        more = sealed(found[limit - 1].seq, *query) if len(found) > limit else None
        return Page(items=tuple(found[:limit]), cursor=more, basis=basis)

    async def sessions(self, *, cursor: str | None = None, limit: int = 100) -> Page[Session]:
        """Return the sessions in order of their first episode.

        Args:
            cursor: of the page before.
            limit: 1..1000.
        """
        tenant = self._scope.tenant
        query = ("sessions", tenant.key)
        position = opened(cursor, int, *query) or 0
        check_count("limit", limit)
        found, basis = await self._composition.call(
            tenant, lambda: self._store.sessions(tenant, after=position, limit=limit + 1)
        )
        more = sealed(found[limit - 1].first_seq, *query) if len(found) > limit else None
        return Page(items=tuple(found[:limit]), cursor=more, basis=basis)

    async def count(self) -> int:
        """Return how many episodes the tenant has."""
        tenant = self._scope.tenant
        return await self._composition.call(tenant, lambda: self._store.count(tenant))

    async def embed_pending(self, *, limit: int = 100) -> int:
        """Embed episodes that have no vector yet, the oldest first; return how many are ready now.

        For when the embedder has failed, was put off by `embed="later"`, or is new to the archive.
        An episode that fails again stays pending. Not bounded by the deadline.

        Args:
            limit: episodes to embed, 1..1000; those that fail are passed over, each is tried once.

        Raises:
            ConfigurationError: there is no embedder.
        """
        check_count("limit", limit)
        self._composition.ensure_open()
        embedding = self._composition.embedding
        if embedding is None:
            msg = "embed_pending needs an embedder; give one to open_memory"
            raise ConfigurationError(msg)
        tenant = self._scope.tenant
        done = after = 0
        async with self._composition.tenants.lease(tenant):
            while done < limit:
                waiting = await self._store.unembedded(tenant, after=after, limit=limit - done)
                if not waiting:
                    break
                after = waiting[-1].seq
                found = await embedding.documents([text_of(each.input, each.output) for each in waiting])
                ready = {
                    episode.id: vectors
                    for episode, vectors in zip(waiting, found, strict=True)
                    if vectors is not None
                }
                done += await self._store.set_vectors(tenant, ready)
        return done
