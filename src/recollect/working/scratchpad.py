from .._checks import check_count, check_text
from .._workspace import AppendNote, ClearNotes, ListNotes
from ..types import Note
from .reach import Reach


class Scratchpad(Reach):
    """Notes, each with its instant; of more than `Limits.max_notes` the oldest go."""

    async def append(self, text: str, *, key: str | None = None) -> Note:
        """Add a note. Atomic: of concurrent calls, none is lost. With a `key` idempotent.

        Raises:
            IdempotencyConflict: the key belongs to another edit.
            OutcomeUnknown: it may have been added; call again with `key=error.key`.
        """
        limits = self._composition.limits
        check_text("text", text, limit=limits.max_text_bytes)
        return await self._edit(AppendNote(text, limits.max_notes), key=key, content=[text])

    async def entries(self, limit: int | None = None) -> tuple[Note, ...]:
        """Return the newest `limit` notes, oldest first; all for None."""
        if limit is not None:
            check_count("limit", limit, low=0, high=max(1_000, self._composition.limits.max_notes))
        return await self._look(ListNotes(limit))

    async def clear(self) -> int:
        """Drop all notes; return how many there were."""
        return await self._edit(ClearNotes())
