from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from types import TracebackType
from typing import Any, Self

from ._checks import (
    check_count,
    check_instant,
    check_mode,
    check_optional_id,
    check_text,
    check_time_range,
    check_where,
)
from ._composition import Composition, Scope
from ._fact_reads import check_known, known_transaction
from ._fact_recall import recall_facts
from ._isolation import warn_if_shared
from ._recall import recall
from ._remembering import Embed, remember
from .episodes import Episodes
from .errors import ConfigurationError, LeaseError
from .facts import Facts
from .stores import Filters
from .types import Episode, EpisodeDraft, FactHit, Message, Mode, Recollection
from .working import Blocks, Checkpoints, Scratchpad, Task, Variables, Working


class UserMemory:
    """A light handle on one tenant, what agents hold. Made by `Memory.user`.

    Every call leases the tenant for its own duration. `async with alice:` leases it for longer,
    which keeps its in-process state from being evicted.
    """

    def __init__(self, composition: Composition, scope: Scope) -> None:
        self._composition = composition
        self._scope = scope
        self._leases = 0
        self.episodes = Episodes(composition, scope)
        self.facts = Facts(composition, scope)
        self.blocks = Blocks(composition, scope)
        self.variables = Variables(composition, scope)
        self.task = Task(composition, scope)
        self.scratchpad = Scratchpad(composition, scope)
        self.checkpoints = Checkpoints(composition, scope)
        self.working = Working(composition, scope)

    @property
    def user_id(self) -> str | None:
        return self._scope.tenant.user_id

    @property
    def namespace(self) -> str:
        return self._scope.tenant.namespace

    @property
    def agent_id(self) -> str | None:
        return self._scope.agent_id

    @property
    def session_id(self) -> str | None:
        return self._scope.session_id

    @property
    def leases(self) -> int:
        """How often this handle was acquired and not released."""
        return self._leases

    @property
    def closed(self) -> bool:
        """Whether the memory is closed."""
        return self._composition.closed

    def __repr__(self) -> str:
        return f"<UserMemory user_id={self.user_id!r} namespace={self.namespace!r}>"

    def scope_in(self, composition: Composition) -> Scope:
        """Return what it stands for, for another handle of the same memory."""
        if self._composition is not composition:
            msg = "a parent must be a handle of the same memory"
            raise ConfigurationError(msg)
        return self._scope

    def at(self, *, agent_id: str | None = None, session_id: str | None = None) -> "UserMemory":
        """Return a narrower handle on the same tenant; what is not given stays as it is here."""
        self._composition.ensure_open()
        scope = Scope(
            self._scope.tenant,
            check_optional_id("agent_id", agent_id) or self._scope.agent_id,
            check_optional_id("session_id", session_id) or self._scope.session_id,
            self._scope.parents,
        )
        return UserMemory(self._composition, scope)

    async def acquire(self) -> Self:
        """Lease the tenant until `release`; leases of one tenant add up.

        Raises:
            Overloaded: every place in the tenant map is leased.
        """
        self._composition.ensure_open()
        await self._composition.tenants.acquire(self._scope.tenant)
        self._leases += 1
        return self

    def release(self) -> None:
        """Give one lease of this handle back.

        Raises:
            LeaseError: it holds none.
        """
        if not self._leases:
            raise LeaseError
        self._leases -= 1
        self._composition.tenants.release(self._scope.tenant)

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    async def remember(
        self,
        input: str,
        output: str = "",
        *,
        session_id: str | None = None,
        occurred_at: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        transcript: Any = None,
        id: str | None = None,
        embed: Embed = "now",
    ) -> Episode:
        """Store one exchange. Concurrent calls share transactions.

        Atomic, and idempotent by `id`: the same content again returns what is stored. If the
        embedder fails, the episode is stored all the same, found by words, and left `pending`.

        Args:
            input: what the user said.
            output: what the agent answered. Not both may be blank.
            session_id: None for that of the handle.
            occurred_at: aware; None for now.
            metadata: a JSON object, returned equal, filtered by `recall(where=)`.
            transcript: any JSON value, returned equal.
            id: None for a new one.
            embed: "later" leaves the vector to `episodes.embed_pending`.

        Raises:
            InvalidInput: nothing was stored.
            EpisodeConflict: the id is taken by other content.
            OutcomeUnknown: it may have been stored; call again with `id=error.key`.
            StoreUnavailable, Overloaded, DeadlineExceeded: nothing was stored; try later.
        """
        draft = EpisodeDraft(
            input=input,
            output=output,
            session_id=session_id,
            occurred_at=occurred_at,
            metadata=metadata,
            transcript=transcript,
            id=id,
        )
        (episode,) = await remember(self._composition, self._scope, (draft,), embed=embed, many=False)
        return episode

    async def remember_many(
        self, drafts: Sequence[EpisodeDraft], *, embed: Embed = "now"
    ) -> tuple[Episode, ...]:
        """Store several exchanges in one transaction: all of them, or none.

        Args:
            drafts: a list or tuple, at most `Limits.max_batch`, in the order to be kept. Ids that are
                not given follow from the first one's: a batch with that id again is the same batch.
            embed: as in `remember`.

        Returns:
            The stored episodes, in the order of the drafts.

        Raises:
            InvalidInput: names the index of the draft at fault; nothing was stored.
            EpisodeConflict: as in `remember`; nothing was stored.
            OutcomeUnknown: call again with `error.key` as the id of the first draft.
        """
        return await remember(self._composition, self._scope, drafts, embed=embed, many=True)

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

        By meaning, by words, and through the conversation around an episode; the formula is in
        `recollect._ranking`. What has none of these signals is not returned, so there may be fewer
        than `limit`, or none. Looks at the whole tenant, unless filtered.

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
