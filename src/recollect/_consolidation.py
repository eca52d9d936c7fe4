"""Facts out of episodes, by code of the user's that is never trusted.

The extractor runs without a lock, a lease or a connection. What it returns is checked like any input, and
lands in the transaction that marks its episode: once, however many extract it at the same time. Between the
two nothing is kept, so that whoever is cut off has done nothing.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, cast

import anyio
from anyio.lowlevel import checkpoint

from ._committing import Request, land
from ._composition import Composition, Scope
from ._context import stripped
from ._requests import asked
from .errors import ConfigurationError, InvalidInput, NotFound, RecollectError, UnsupportedOperation
from .stores import Extractor, Filters
from .types import Episode, FactDraft, Tenant
from .types.consolidation import ConsolidationReport, ExtractionFailure

PAGE = 20
"""Episodes read at once. Few: what is read may be consolidated by somebody else before its turn comes."""

ACTOR = "consolidate"


def required_extractor(composition: Composition) -> Extractor:
    """Return the extractor of a memory.

    Raises:
        UnsupportedOperation: it has none.
    """
    if composition.extractor is None:
        msg = "consolidate needs an extractor; give one to open_memory"
        raise UnsupportedOperation(msg)
    return composition.extractor


async def consolidate(
    composition: Composition,
    tenant: Tenant,
    *,
    limit: int | None = None,
    is_due: Callable[[Episode], bool] = lambda episode: True,
) -> ConsolidationReport:
    """Extract what is not consolidated, several episodes at once, in order of `seq`; each once.

    Args:
        limit: episodes to look at; None for all that there are when it begins.
        is_due: whether it is an episode's turn; one whose turn it is not is not looked at.
    """
    store = composition.archive.episodes
    extractor = required_extractor(composition)
    newest = await composition.call(tenant, lambda: store.newest(tenant, Filters(), limit=1))
    # What is remembered meanwhile waits, else an extractor that remembers would never come to an end.
    last = newest[0].seq if newest else 0
    run = _Run(composition, tenant, extractor, last, limit, is_due)
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(composition.limits.max_extractions):
                tasks.start_soon(run.work)
    except BaseExceptionGroup as group:
        # Several workers are not a group to their caller.
        raise group.exceptions[0] from group.exceptions[0].__cause__
    remaining = await composition.call(tenant, lambda: store.count_unconsolidated(tenant))
    return ConsolidationReport(
        considered=run.considered,
        consolidated=run.consolidated,
        facts=run.facts,
        failures=tuple(run.failures[seq] for seq in sorted(run.failures)),
        skipped=run.skipped,
        forgotten=run.forgotten,
        remaining=remaining,
    )


@dataclass(slots=True, eq=False)
class _Run:
    """What several workers share.

    Attributes:
        last: the newest episode to look at.
        failures: by the number of the episode.
    """

    composition: Composition
    tenant: Tenant
    extractor: Extractor
    last: int
    limit: int | None
    is_due: Callable[[Episode], bool]
    considered: int = 0
    consolidated: int = 0
    facts: int = 0
    skipped: int = 0
    forgotten: int = 0
    failures: dict[int, ExtractionFailure] = field(default_factory=dict[int, ExtractionFailure])
    _after: int = 0
    _waiting: deque[Episode] = field(default_factory=deque[Episode])
    _reading: anyio.Lock = field(default_factory=lambda: anyio.Lock(fast_acquire=True))

    async def work(self) -> None:
        while (episode := await self._next()) is not None:
            await self._consolidate(episode)

    async def _next(self) -> Episode | None:
        store = self.composition.archive.episodes
        async with self._reading:
            while not self._waiting and self._after < self.last and self.considered != self.limit:
                page = await self.composition.call(
                    self.tenant, lambda: store.unconsolidated(self.tenant, after=self._after, limit=PAGE)
                )
                self._after = page[-1].seq if page else self.last
                self._waiting.extend(each for each in page if each.seq <= self.last and self.is_due(each))
            if not self._waiting or self.considered == self.limit:
                return None
            self.considered += 1
            return self._waiting.popleft()

    async def _consolidate(self, episode: Episode) -> None:
        try:
            drafts = await self._extracted(episode)
        except Exception as exc:  # noqa: BLE001  # boundary to user code: it raises what it likes
            self._fail(episode, exc)
            return
        scope = Scope(self.tenant, episode.agent_id, episode.session_id)
        try:
            request = await self._request(scope, episode, drafts)
            landed = await land(self.composition, scope, request)
        except NotFound:  # of all that could be missing, a request names its episode only
            self.forgotten += 1
        except ConfigurationError:
            raise  # closed, or wired in a way that no episode can help
        except RecollectError as exc:  # refused, or not able to; neither concerns the others
            self._fail(episode, exc)
        else:
            if landed is None:
                self.skipped += 1
            else:
                self.consolidated += 1
                self.facts += sum(fact.changed for (fact,) in landed)

    def _fail(self, episode: Episode, exc: Exception) -> None:
        self.failures[episode.seq] = ExtractionFailure(episode_id=episode.id, error=type(exc).__name__)

    async def _extracted(self, episode: Episode) -> Sequence[FactDraft]:
        """Ask the extractor; return drafts with the episode as their source."""
        view = view_of(episode)
        if not (view.input.strip() or view.output.strip()):
            return ()  # all of it was context
        return own_drafts(
            await self.extractor.extract(view), episode.id, limit=self.composition.limits.max_batch
        )

    async def _request(self, scope: Scope, episode: Episode, drafts: Sequence[FactDraft]) -> Request:
        made = asked(self.composition, scope, "add", actor=ACTOR, reason=None, key=None)
        for i, draft in enumerate(drafts):
            if i:
                await checkpoint()  # each may be long
            made.add(draft, at=f"drafts[{i}].")
        return replace(made.request(), consolidates=episode.id)


def view_of(episode: Episode) -> Episode:
    """Return an episode without our own contexts in its texts."""
    return episode.model_copy(
        update={
            "input": stripped(episode.input),
            "output": stripped(episode.output),
            "metadata": _stripped(episode.metadata),
            "transcript": _stripped(episode.transcript),
        }
    )


def _stripped(value: object) -> Any:
    """Return JSON without our own contexts in its strings."""
    match value:
        case str():
            return stripped(value)
        case list():
            return [_stripped(each) for each in cast("list[object]", value)]
        case dict():
            return {name: _stripped(each) for name, each in cast("dict[str, object]", value).items()}
        case _:
            return value


def own_drafts(given: object, episode_id: str, *, limit: int) -> Sequence[FactDraft]:
    """Return drafts that can add facts with this episode as their source, and nothing else.

    Raises:
        InvalidInput: they are none, too many, or would do more.
    """
    if not isinstance(given, list | tuple):
        raise InvalidInput("drafts", f"expected a list or tuple, got {type(given).__name__}")
    drafts = list(islice(cast("Sequence[object]", given), limit + 1))
    if len(drafts) > limit:
        raise InvalidInput("drafts", f"more than {limit}")
    return [_own(f"drafts[{i}]", draft, episode_id) for i, draft in enumerate(drafts)]


def _own(at: str, draft: object, episode_id: str) -> FactDraft:
    if type(draft) is not FactDraft:
        raise InvalidInput(at, f"expected a FactDraft, got {type(draft).__name__}")
    if draft.id is not None:
        raise InvalidInput(f"{at}.id", "must be None: an extractor does not choose ids")
    if draft.staged is not False:
        raise InvalidInput(f"{at}.staged", "must be False: nobody would promote it")
    sources = cast("object", draft.sources)
    if type(sources) not in (list, tuple) or not all(
        type(each) is str and each == episode_id for each in cast("Sequence[object]", sources)
    ):
        raise InvalidInput(f"{at}.sources", "must name the episode that was given, or nothing")
    return replace(draft, sources=(episode_id,))
