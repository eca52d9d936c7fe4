from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import EpisodeConflict
from ..types import Episode, EpisodeDraft
from ..user import UserMemory

BATCH = 50


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of the drafts of one user.

    Attributes:
        new: stored now.
        present: stored before, with the same content.
        changed: ids of those stored before with other content, which were left as they are.
    """

    new: int
    present: int
    changed: tuple[str, ...]


async def ingest(
    user: UserMemory,
    drafts: Sequence[EpisodeDraft],
    *,
    advance: Callable[[int], None],
    batch: int = BATCH,
) -> Ingested:
    """Store drafts in their order. Safe to repeat: each has an id, and is stored once.

    Args:
        user: whose memory it becomes.
        drafts: all with ids.
        advance: told how many more are done.
        batch: drafts in one transaction.
    """
    basis = (await user.episodes.list(limit=1)).basis
    new = present = 0
    changed: list[str] = []
    for start in range(0, len(drafts), batch):
        part = drafts[start : start + batch]
        try:
            stored: Sequence[Episode] = await user.remember_many(part)
        except EpisodeConflict:
            stored = await _one_by_one(user, part, changed)
        fresh = sum(episode.seq > basis for episode in stored)
        new, present = new + fresh, present + len(stored) - fresh
        advance(len(part))
    return Ingested(new, present, tuple(changed))


async def _one_by_one(
    user: UserMemory, drafts: Sequence[EpisodeDraft], changed: list[str]
) -> Sequence[Episode]:
    """Store what can be stored; put the ids of the others into `changed`."""
    stored: list[Episode] = []
    for draft in drafts:
        try:
            stored.extend(await user.remember_many((draft,)))
        except EpisodeConflict as exc:
            changed.append(exc.id)
    return stored
