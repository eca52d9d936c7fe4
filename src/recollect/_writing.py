"""Episodes on their way into an archive: embedded together, and stored in few transactions.

A transaction of several tenants waits for the slowest of them, whose clock row somebody else may hold. So it
is given up after a quarter of the time that its leader has, and all that was in it is stored tenant by
tenant: at once where nobody is in the way. Who is held up has a queue of its own until that is empty. What it
submits meanwhile joins it, and no transaction of others is given up for it again.
"""

from collections.abc import Sequence

import anyio

from ._batching import Batcher, BatcherStatistics
from ._deadline import half_of_the_rest
from ._embedding import Embedding
from .stores import Archive, Write
from .types import Episode, Tenant, text_of

APART = 256
"""Episodes that are worth a transaction of their own."""

WAITING = 5_000
"""Writes of one user that may wait, of twice as many of all."""

Outcome = tuple[Episode, ...] | Exception
"""The stored episodes of a write, or why there are none."""


class EpisodeWrites:
    """Turns concurrent writes into few transactions, and few calls of an embedder.

    Args:
        embedding: None to store them as they are.
        unembedded: takes the writes for which the embedder is too slow.
    """

    def __init__(
        self,
        archive: Archive,
        embedding: Embedding | None = None,
        unembedded: "EpisodeWrites | None" = None,
    ) -> None:
        self._archive = archive
        self._embedding = embedding
        self._unembedded = unembedded
        self._shared = Batcher[Write, tuple[Episode, ...] | None](
            self._share,
            prepare=None if embedding is None else self._embed,
            unprepared=None if unembedded is None else unembedded.submit,
            party=_tenant_of,
            weigh=_weight_of,
            max_weight=APART,
            max_each=WAITING,
            share=0.5,
            lanes=2,
        )
        self._held: dict[Tenant, Batcher[Write, tuple[Episode, ...]]] = {}
        self._transactions = 0
        self._writes = 0

    def statistics(self) -> BatcherStatistics:
        waiting = self._shared.statistics().waiting
        waiting += sum(each.statistics().waiting for each in self._held.values())
        return BatcherStatistics(waiting=waiting, flushes=self._transactions, items=self._writes)

    async def submit(self, write: Write) -> tuple[Episode, ...]:
        """Store a write together with what others submit meanwhile; see `Batcher.submit`."""
        tenant, held = write.tenant, self._held
        if tenant not in held and _weight_of(write) < APART:
            episodes = await self._shared.submit(write)
            if episodes is not None:
                return episodes
        own = held.get(tenant)
        if own is None:
            own = held[tenant] = Batcher(
                self._append,
                prepare=None if self._embedding is None else self._embed,
                unprepared=None if self._unembedded is None else self._unembedded.submit,
                weigh=_weight_of,
                max_weight=APART,
            )
        try:
            return await own.submit(write)
        finally:
            if not own.busy and held.get(tenant) is own:
                del held[tenant]

    async def _embed(self, writes: Sequence[Write]) -> None:
        assert self._embedding is not None  # noqa: S101  # else it is not called
        episodes = [(write, new) for write in writes if not write.handed_over for new in write.episodes]
        texts = [text_of(new.input, new.output) for _, new in episodes]
        # An embedder that hangs is one that failed.
        found = await self._embedding.documents(texts, seconds=half_of_the_rest())
        for (write, new), vectors in zip(episodes, found, strict=True):
            if vectors is not None and not write.handed_over:
                new.vectors, new.embedding_state = vectors, "ready"

    async def _share(self, writes: Sequence[Write]) -> Sequence[Outcome | None]:
        with anyio.move_on_after(half_of_the_rest() / 2):
            return await self._append(writes)
        return [None for _ in writes]

    async def _append(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        for write in writes:
            write.handed_over = True
        outcomes = await self._archive.episodes.append(writes)
        self._transactions += 1
        self._writes += len(writes)
        return outcomes


def _tenant_of(write: Write) -> Tenant:
    return write.tenant


def _weight_of(write: Write) -> int:
    return len(write.episodes)
