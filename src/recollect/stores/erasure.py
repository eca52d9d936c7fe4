"""What is to be forgotten, and what became of it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Erasure:
    """What must not exist any more: what passes every filter that is given.

    An episode passes unless `fact_ids` are given. An assertion of its own, which is one without sources
    or one that corrects, updates or promotes another, passes unless `episode_ids` are given; `before` looks
    at when it was recorded, `session_id` at the session of its transaction, and at what is staged there.

    Attributes:
        everything: all of the tenant; the filters are not looked at.
        episode_ids: may name some that do not exist.
        fact_ids: of assertions; may name some that do not exist.
        before: recorded earlier than this, UTC.
    """

    everything: bool = False
    session_id: str | None = None
    episode_ids: frozenset[str] | None = None
    fact_ids: frozenset[str] | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """What is gone.

    Attributes:
        facts: entries of the log: facts, and what ended, denied or retracted them.
        generation: of the tenant; each erasure begins another one.
    """

    episodes: int
    facts: int
    generation: int
