from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .._remembering import Embed, remember
from ..types import Episode, EpisodeDraft
from .handle import Handle


class Remembering(Handle):
    """Stores what was said and done."""

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
