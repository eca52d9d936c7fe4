from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from .._checks import (
    check_count,
    check_instant,
    check_mode,
    check_optional_id,
    check_text,
    check_time_range,
    check_where,
)
from .._fact_reads import check_known, known_transaction
from .._fact_recall import recall_facts
from .._isolation import warn_if_shared
from .._recall import recall
from ..stores import Filters
from ..types import Episode, FactHit, Message, Mode, Recollection
from .handle import Handle


class Recalling(Handle):
    """Answers from what was stored."""

    async def recall(
        self,
        query: str,
        *,
        limit: int = 5,
        mode: Mode = "hybrid",
        time_range: tuple[datetime | None, datetime | None] | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        where: Mapping[str, Any] | None = None,
        neighbours: int = 0,
    ) -> tuple[Recollection, ...]:
        """Return the episodes that answer a query, best first.

        By meaning, by words, and through the conversation around an episode: standard scores among all
        that is looked at, added with the weights of `RecallWeights`. What has none of these signals is
        not returned, so there may be fewer than `limit`, or none. Looks at the whole tenant, unless
        filtered.

        Args:
            query: in plain words. Blank is the same as mode "recent". Of a long text all the meaning
                counts that one vector holds, and the first 64 words.
            limit: 1..1000.
            mode: "hybrid"; "semantic" or "lexical" for one leg; "recent" for the newest, unscored.
            time_range: half-open range of `occurred_at`, each side aware or None.
            session_id, agent_id: only of these.
            where: dotted path into `metadata` to the JSON value expected there.
            neighbours: turns of the session to attach on either side of each hit, 0..100.

        Raises:
            InvalidInput: before anything is read.
            UnsupportedOperation: mode "semantic" without an embedder.
            StoreUnavailable, Overloaded, DeadlineExceeded: try later.
        """
        check_text("query", query, limit=self._composition.limits.max_text_bytes)
        start, end = check_time_range("time_range", time_range)
        filters = Filters(
            session_id=check_optional_id("session_id", session_id),
            agent_id=check_optional_id("agent_id", agent_id),
            start=start,
            end=end,
            where=check_where("where", where),
        )
        mode = check_mode(mode)
        check_count("limit", limit)
        check_count("neighbours", neighbours, low=0, high=100)

        async def work() -> tuple[Recollection, ...]:
            await warn_if_shared(self._composition, self._scope.tenant)
            return await recall(
                self._composition,
                self._scope,
                query,
                mode=mode,
                filters=filters,
                limit=limit,
                neighbours=neighbours,
            )

        return await self._composition.call(self._scope.tenant, work)

    async def recall_facts(
        self,
        query: str,
        *,
        limit: int = 5,
        valid_at: datetime | None = None,
        known_at: datetime | int | None = None,
    ) -> tuple[FactHit, ...]:
        """Return the facts that answer a query, best first, by meaning and by words.

        What is true now, unless asked otherwise; superseded facts are not among them. What shares no
        signal with the query is not returned.

        Args:
            query: in plain words. Blank finds nothing; `facts.find` lists.
            limit: 1..1000.
            valid_at: true at this instant; None for now.
            known_at: as far as was known then: aware, or a `tx` or `basis`; None for all that is known.

        Raises:
            InvalidInput: before anything is read.
            StoreUnavailable, Overloaded, DeadlineExceeded: try later.
        """
        check_text("query", query, limit=self._composition.limits.max_text_bytes)
        check_count("limit", limit)
        at = None if valid_at is None else check_instant("valid_at", valid_at)
        asked = check_known("known_at", known_at)

        async def work() -> tuple[FactHit, ...]:
            await warn_if_shared(self._composition, self._scope.tenant)
            known = await known_transaction(self._composition, self._scope.tenant, asked)
            return await recall_facts(
                self._composition, self._scope, query, limit=limit, valid_at=at, known=known.tx
            )

        return await self._composition.call(self._scope.tenant, work)

    async def messages(self, session_id: str | None = None, *, limit: int = 20) -> tuple[Message, ...]:
        """Return the newest `limit` user and assistant turns, oldest first, without empty ones.

        Args:
            session_id: None for that of the handle; the whole tenant if it has none.
            limit: 0..1000.
        """
        session_id = check_optional_id("session_id", session_id) or self._scope.session_id
        check_count("limit", limit, low=0)
        filters = Filters(session_id=session_id, agent_id=self._scope.agent_id)

        async def work() -> Sequence[Episode]:
            await warn_if_shared(self._composition, self._scope.tenant)
            # Every episode has at least one side, so no more than `limit` of them are needed.
            return await self._composition.archive.episodes.newest(self._scope.tenant, filters, limit=limit)

        newest = await self._composition.call(self._scope.tenant, work)
        turns = tuple(chain.from_iterable(map(_sides, reversed(newest))))
        return turns[max(len(turns) - limit, 0) :]


def _sides(episode: Episode) -> Sequence[Message]:
    """Return an episode as messages, without the sides that are empty."""
    sides = (("user", episode.input), ("assistant", episode.output))
    return [
        Message.model_construct(role=role, content=content, episode_id=episode.id, at=episode.occurred_at)
        for role, content in sides
        if content.strip()
    ]
