from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from ._batching import Batcher, own_copy
from ._clock import Clock
from ._context import CountTokens, estimated_tokens
from ._deadline import half_of_the_rest
from ._embedding import Embedding
from ._tenants import TenantMap
from .errors import DeadlineExceeded, MemoryClosed, OutcomeUnknown, RecollectError
from .hooks import Hooks
from .predicates import Predicates
from .stores import Archive, Extractor, Reranker, WorkingStore, Write
from .stores.changes import Change, Committed, Discard, Promote, Rollback
from .types import Episode, Limits, RecallWeights, Tenant, text_of

T = TypeVar("T")

ALONE = 256
"""Operations on facts that are worth a transaction of their own."""

Outcome = tuple[Episode, ...] | Exception
"""The stored episodes of a write, or why there are none."""


@dataclass(slots=True, eq=False)
class TenantState:
    """What the process keeps of a tenant while it is leased or idle.

    Attributes:
        working: what the store of working memory keeps: its `local()`.
    """

    working: Any


@dataclass(frozen=True, slots=True)
class Scope:
    """What a handle stands for: a tenant, what its writes default to, and what it inherits from."""

    tenant: Tenant
    agent_id: str | None = None
    session_id: str | None = None
    parents: tuple["Scope", ...] = ()


@dataclass(slots=True, eq=False)
class Composition:
    """The parts that a memory is made of, shared by its handles.

    Attributes:
        deadline: seconds that a call may take, None for no bound.
        writes: what is stored as it is.
        embedded_writes: what is embedded first; apart, so that an embedder that hangs holds up nothing else.
        fact_writes: per tenant what gathers the changes of its facts; there while somebody waits for one.
        fact_batches: gathers these batches, of several tenants.
        fact_transactions: of changes of one tenant that had to wait for somebody else, so far.
        fact_changes: that were committed so far.
        extractor: finds facts in episodes; None if there is none.
        closed: set by the owner; from then on every call raises `MemoryClosed`.
    """

    archive: Archive
    working: WorkingStore
    tenants: TenantMap[Tenant, TenantState]
    embedding: Embedding | None
    reranker: Reranker | None
    limits: Limits
    weights: RecallWeights
    language: str
    clock: Clock
    deadline: float | None
    writes: Batcher[Write, tuple[Episode, ...]]
    embedded_writes: Batcher[Write, tuple[Episode, ...]]
    fact_batches: Batcher[Sequence[Change], Sequence[Committed | RecollectError] | None]
    predicates: Predicates
    count_tokens: CountTokens = estimated_tokens
    extractor: Extractor | None = None
    hooks: Hooks = field(default_factory=Hooks)
    fact_writes: dict[Tenant, Batcher[Change, Committed]] = field(
        default_factory=dict[Tenant, Batcher[Change, Committed]]
    )
    fact_transactions: int = 0
    fact_changes: int = 0
    closed: bool = False

    def ensure_open(self) -> None:
        if self.closed:
            raise MemoryClosed

    async def call(
        self,
        tenant: Tenant,
        work: Callable[[], Awaitable[T]],
        *,
        late: Callable[[float], RecollectError] = DeadlineExceeded,
    ) -> T:
        """Do the work of a public call: the tenant leased, bounded from outside whatever it acquires.

        Args:
            late: words what it means that so many seconds were not enough.
        """
        self.ensure_open()
        await checkpoint_if_cancelled()
        with anyio.move_on_after(self.deadline):
            await self.tenants.room(tenant)
            self.tenants.admit(tenant)
            try:
                return await work()
            finally:
                self.tenants.release(tenant)
        raise late(self.deadline or 0.0)


def group_commit(
    archive: Archive,
    embedding: Embedding | None = None,
    unembedded: Batcher[Write, tuple[Episode, ...]] | None = None,
) -> Batcher[Write, tuple[Episode, ...]]:
    """Return what turns concurrent writes into few transactions, and few calls of an embedder.

    Args:
        unembedded: takes the writes for which the embedder is too slow.

    A transaction of several tenants waits for the slowest of them: somebody else may hold a clock row.
    If it takes a quarter of the time that its leader has, it is taken apart by tenant, and those that
    are held up have until half of the rest to get through.
    """

    async def embed(writes: Sequence[Write]) -> None:
        if embedding is None:
            return
        episodes = [(write, new) for write in writes for new in write.episodes]
        texts = [text_of(new.input, new.output) for _, new in episodes]
        # An embedder that hangs is one that failed.
        found = await embedding.documents(texts, seconds=half_of_the_rest())
        for (write, new), vectors in zip(episodes, found, strict=True):
            if vectors is not None and not write.handed_over:
                new.vectors, new.embedding_state = vectors, "ready"

    async def flush(writes: Sequence[Write]) -> Sequence[Outcome]:
        for write in writes:
            write.handed_over = True
        by_tenant: dict[Tenant, list[Write]] = {}
        for write in writes:
            by_tenant.setdefault(write.tenant, []).append(write)
        if len(by_tenant) == 1:
            return await archive.episodes.append(writes)
        with anyio.move_on_after(half_of_the_rest() / 2):
            return await archive.episodes.append(writes)
        outcomes: dict[int, Outcome] = {}
        with anyio.move_on_after(half_of_the_rest()):
            async with anyio.create_task_group() as tasks:
                for of_one in by_tenant.values():
                    tasks.start_soon(append_one, of_one, outcomes)
        return [outcomes.get(id(write), OutcomeUnknown(write.episodes[0].id)) for write in writes]

    async def append_one(writes: Sequence[Write], outcomes: dict[int, Outcome]) -> None:
        try:
            for write, outcome in zip(writes, await archive.episodes.append(writes), strict=True):
                outcomes[id(write)] = outcome
        except RecollectError as exc:  # one tenant's failure must not end the others'
            outcomes.update((id(write), own_copy(exc)) for write in writes)

    return Batcher(
        flush,
        prepare=None if embedding is None else embed,
        unprepared=None if embedding is None or unembedded is None else unembedded.submit,
        weigh=lambda write: len(write.episodes),
        share=0.5,
        lanes=2,
    )


def group_commit_of_facts(
    archive: Archive,
) -> Batcher[Sequence[Change], Sequence[Committed | RecollectError] | None]:
    """Return what turns concurrent batches, each of another tenant, into few transactions.

    Nobody waits long for what another tenant does: a shared transaction that takes a quarter of the time that
    its leader has is given up, and what is worth one of its own never shares one.
    """

    async def flush(
        batches: Sequence[Sequence[Change]],
    ) -> Sequence[Sequence[Committed | RecollectError] | None]:
        for changes in batches:
            for change in changes:
                change.handed_over = True
        if len(batches) == 1:
            return await archive.facts.try_commit(batches)
        with anyio.move_on_after(half_of_the_rest() / 2):
            return await archive.facts.try_commit(batches)
        return [None for _ in batches]

    return Batcher(
        flush,
        weigh=lambda changes: sum(map(weight_of, changes)),
        max_weight=ALONE,
        share=0.5,
        lanes=2,
    )


def weight_of(change: Change) -> int:
    """Return what a change costs, in operations: there is no saying how much a session has done."""
    if any(isinstance(each, Promote | Discard | Rollback) for each in change.operations):
        return ALONE
    return max(len(change.operations), 1)
