from collections.abc import Sequence
from functools import partial
from typing import Literal

from anyio import to_thread

from .._checks import check_count, check_text
from .._context import estimated_tokens, pack
from .._deadline import bounded
from .._fact_recall import recall_facts
from .._facts_shown import shown
from .._isolation import warn_if_shared
from .._recall import recall
from .._together import both
from ..errors import InvalidInput
from ..stores import Filters
from ..stores.facts import FactFilter
from ..types import Context, Episode, Fact, Profile, Recollection, Session
from .handle import Handle

FEWEST = 100
"""Facts, and episodes, that a context is made from if there are so many, however small its budget is."""

MOST = 1_000
TOKENS = 16
"""Of an item, more or less: what the smallest ones need for their ids and dates."""

MAX_BUDGET = 10_000_000
MANY = 100_000
"""Characters from which on they are packed in a worker thread: about 10 ms."""

SHOWN = 10
"""Sessions, and facts, of a profile."""


class Describing(Handle):
    """Says what is remembered: in a text for a prompt, and in short."""

    async def context(
        self,
        query: str | None = None,
        *,
        token_budget: int = 1500,
        format: Literal["xml", "markdown"] = "xml",
    ) -> Context:
        """Pack memory into a text for a prompt: blocks, then facts, then recollections.

        All blocks that `blocks.list(inherit=True)` returns, whatever the budget is. Then, as far as there is
        room, facts that are true now, and episodes: with a query, those that answer it, best first; without
        one, facts as they were learned, and episodes the newest first. The whole tenant is looked at. What
        there was no room for is counted in `omitted`, of the best hundred of each kind, or more if the budget
        is large.

        Everything in it is labelled as remembered data, with its id and its dates, and cannot leave its
        place. With nothing to say the text is empty.

        Args:
            query: in plain words. Blank is the same as None.
            token_budget: of the whole text, 0..10,000,000, as counted by the memory's `count_tokens`;
                exceeded only by blocks.

        Raises:
            InvalidInput: before anything is read.
            ConfigurationError: `count_tokens` did not return a number of tokens.
            StoreUnavailable, Overloaded, DeadlineExceeded: try later.
        """
        composition, scope = self._composition, self._scope
        asked = "" if query is None else check_text("query", query, limit=composition.limits.max_text_bytes)
        budget = check_count("token_budget", token_budget, low=0, high=MAX_BUDGET)
        if format not in ("xml", "markdown"):
            raise InvalidInput("format", 'must be "xml" or "markdown"')
        limit = min(max(budget // TOKENS, FEWEST), MOST)

        async def work() -> tuple[tuple[Fact, ...], tuple[Recollection, ...]]:
            await warn_if_shared(composition, scope.tenant)
            everywhere = Filters()
            return await both(
                lambda: self._facts_for(asked, limit),
                lambda: recall(
                    composition, scope, asked, mode="hybrid", filters=everywhere, limit=limit, neighbours=0
                ),
            )

        with bounded(composition.deadline):
            # Before the rest: a parent is another tenant, and a call must not hold one to wait for another.
            blocks = await self.blocks.list(inherit=True)
            facts, recollections = await composition.call(scope.tenant, work)
            work_out = partial(
                pack,
                blocks,
                facts,
                recollections,
                budget=budget,
                format=format,
                count=composition.count_tokens,
            )
            if composition.count_tokens is estimated_tokens and _characters(recollections) < MANY:
                return work_out()
            return await to_thread.run_sync(work_out, abandon_on_cancel=True)
        raise AssertionError  # the block returns, or has raised

    async def profile(self) -> Profile:
        """Return in short what is remembered of the user: how much, until when, and some of it.

        The whole tenant is looked at; staged facts are not counted, and shown only to their session. The
        parts are read one by one: what is stored meanwhile may be in one and not in another.

        Raises:
            StoreUnavailable, Overloaded, DeadlineExceeded: try later.
        """
        composition, tenant = self._composition, self._scope.tenant
        episodes, facts = composition.archive.episodes, composition.archive.facts

        async def counts() -> tuple[int, int]:
            return await episodes.count(tenant), await facts.count(tenant, composition.clock())

        async def newest() -> tuple[Sequence[Episode], Sequence[Session]]:
            last = await episodes.newest(tenant, Filters(), limit=1)
            return last, await episodes.recent_sessions(tenant, limit=SHOWN)

        async def work() -> Profile:
            await warn_if_shared(composition, tenant)
            (episode_count, fact_count), (last, sessions) = await both(counts, newest)
            return Profile(
                user_id=tenant.user_id,
                episode_count=episode_count,
                fact_count=fact_count,
                last_seen=last[0].occurred_at if last else None,
                recent_sessions=tuple(sessions),
                sample_facts=await self._facts_for("", SHOWN),
            )

        return await composition.call(tenant, work)

    async def _facts_for(self, query: str, limit: int) -> tuple[Fact, ...]:
        """Return facts that are true now: that answer a query, best first; without one in their order."""
        composition, scope = self._composition, self._scope
        if query.strip():
            hits = await recall_facts(composition, scope, query, limit=limit, valid_at=None, known=None)
            return tuple(hit.fact for hit in hits)
        now = FactFilter(now=composition.clock(), branch=scope.session_id)
        found, _ = await composition.archive.facts.find(scope.tenant, now, after=None, limit=limit)
        return tuple(map(shown, found))


def _characters(recollections: Sequence[Recollection]) -> int:
    return sum(len(each.episode.input) + len(each.episode.output) for each in recollections)
