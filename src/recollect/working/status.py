from .._checks import check_id, check_text
from .._deadline import bounded
from .._workspace import CountAll, Keep, ListConflicts, ResolveConflict
from ..errors import InvalidInput
from ..types import Block, BlockConflict, Health, WorkingStats, WorkingStatus
from .reach import Reach


class Working(Reach):
    """Where the working memory of a handle lives, and how it is."""

    @property
    def status(self) -> WorkingStatus:
        """Where it lives right now, and what is unsaved; as far as this process knows, without asking."""
        self._composition.ensure_open()
        local = self._composition.tenants.peek(self._scope.tenant)
        working = self._composition.working
        return working.status(working.local() if local is None else local)

    async def stats(self) -> WorkingStats:
        """Return how much of each kind the scope holds."""
        return await self._look(CountAll())

    async def health(self) -> Health:
        """Ask the server whether it answers. An outage is an answer, not an error."""
        self._composition.ensure_open()
        with bounded(self._composition.deadline):
            return await self._composition.working.health()

    async def conflicts(self) -> tuple[BlockConflict, ...]:
        """Return the blocks that were changed here and elsewhere while the server was away, oldest first."""
        return await self._look(ListConflicts())

    async def resolve(self, id: str, *, keep: Keep = "theirs", text: str | None = None) -> Block | None:
        """End a conflict.

        Args:
            id: of the conflict.
            keep: "theirs" leaves the block as it is, "ours" gives it our text, or deletes it if we had.
            text: give the block this text instead: what somebody made of both.

        Returns:
            The block as it is then; None if there is none.

        Raises:
            NotFound: there is no such conflict, or it is resolved already.
        """
        if keep not in ("ours", "theirs"):
            raise InvalidInput("keep", 'must be "ours" or "theirs"')
        if text is not None:
            check_text("text", text, limit=self._composition.limits.max_text_bytes)
        return await self._edit(ResolveConflict(check_id("id", id), keep, text))
