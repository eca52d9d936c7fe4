from anyio.lowlevel import checkpoint_if_cancelled

from .._checks import check_count
from .._consolidation import consolidate
from ..types.consolidation import ConsolidationReport
from .handle import Handle


class Consolidating(Handle):
    """Turns what was said into what is believed."""

    async def consolidate(self, *, limit: int | None = None) -> ConsolidationReport:
        """Have the memory's extractor find facts in the episodes that it has not seen; in the whole tenant.

        Episodes are taken in order of `seq`, `Limits.max_extractions` of them at once. The facts of an
        episode land in the transaction that marks it: each of them once, although several processes may do
        this at the same time, and extract it twice. They have the episode as their source, its session, and
        "consolidate" as their actor; before- and after-hooks see an "add". What fails leaves nothing, is in
        the report, and is tried again by the next call; it holds up no other episode.

        Cancelled, it stops at once: what has landed stays, all else waits for the next call. Not bounded by
        the deadline, and neither is the extractor; each access to a store is.

        Args:
            limit: episodes to look at, 1..1,000,000; None for all that there are.

        Raises:
            UnsupportedOperation: there is no extractor.
            StoreUnavailable, Overloaded, DeadlineExceeded: the episodes could not be read; try later.
        """
        if limit is not None:
            check_count("limit", limit, high=1_000_000)
        self._composition.ensure_open()
        await checkpoint_if_cancelled()
        return await consolidate(self._composition, self._scope.tenant, limit=limit)
