from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from ._batching import Batcher
from ._clock import Clock
from ._context import CountTokens, estimated_tokens
from ._deadline import half_of_the_rest
from ._embedding import Embedding
from ._tenants import TenantMap
from ._writing import EpisodeWrites
from .errors import DeadlineExceeded, MemoryClosed, RecollectError
from .hooks import Hooks
from .predicates import Predicates
from .stores import Archive, Extractor, Reranker, WorkingStore
from .stores.changes import Change, Committed, Discard, Promote, Rollback
from .types import Limits, RecallWeights, Tenant

T = TypeVar("T")

ALONE = 256
"""Operations on facts that are worth a transaction of their own."""


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
        tenants: of each what the store of working memory keeps here: its `local()`.
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
    tenants: TenantMap[Tenant, Any]
    embedding: Embedding | None
    reranker: Reranker | None
    limits: Limits
    weights: RecallWeights
    language: str
    clock: Clock
    deadline: float | None
    writes: EpisodeWrites
    embedded_writes: EpisodeWrites
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
