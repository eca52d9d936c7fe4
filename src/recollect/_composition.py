from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio.lowlevel import checkpoint_if_cancelled

from ._batching import Batcher
from ._clock import Clock
from ._deadline import bounded
from ._embedding import Embedding
from ._tenants import TenantMap
from .errors import MemoryClosed, RecollectError
from .stores import Archive, Reranker, Write
from .types import Episode, Limits, RecallWeights, Tenant


class TenantState:
    """What the process keeps of a tenant while it is leased or idle."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What a handle stands for: a tenant, and what its writes default to."""

    tenant: Tenant
    agent_id: str | None = None
    session_id: str | None = None


@dataclass(slots=True, eq=False)
class Composition:
    """The parts that a memory is made of, shared by its handles.

    Attributes:
        deadline: seconds that a call may take, None for no bound.
        closed: set by the owner; from then on every call raises `MemoryClosed`.
    """

    archive: Archive
    tenants: TenantMap[Tenant, TenantState]
    embedding: Embedding | None
    reranker: Reranker | None
    limits: Limits
    weights: RecallWeights
    language: str
    clock: Clock
    deadline: float | None
    writes: Batcher[Write, tuple[Episode, ...]]
    closed: bool = False

    def ensure_open(self) -> None:
        if self.closed:
            raise MemoryClosed

    @asynccontextmanager
    async def call(
        self, tenant: Tenant | None = None, *, late: Callable[[], RecollectError] | None = None
    ) -> AsyncGenerator[None]:
        """Bound the block by the deadline, from outside whatever it acquires, and lease the tenant.

        Args:
            tenant: None for what concerns no single one.
            late: words what it means that the block was not done in time.
        """
        self.ensure_open()
        await checkpoint_if_cancelled()
        with bounded(self.deadline, late=late):
            if tenant is None:
                yield
            else:
                async with self.tenants.lease(tenant):
                    yield


def group_commit(archive: Archive) -> Batcher[Write, tuple[Episode, ...]]:
    """Return what turns concurrent writes into few transactions."""

    async def flush(writes: Sequence[Write]) -> Sequence[tuple[Episode, ...] | Exception]:
        for write in writes:
            write.handed_over = True
        return await archive.episodes.append(writes)

    return Batcher(flush, weigh=lambda write: len(write.episodes), share=0.5)
