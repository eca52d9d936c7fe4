from datetime import datetime

from pydantic import Field

from .facts import Fact
from .memory import Recollection, Session, Value
from .working import Block


class Omitted(Value):
    """What was found for a context, and is not in it for want of room."""

    facts: int = Field(default=0, description="of those that were looked at")
    recollections: int = Field(default=0, description="of those that were looked at")


class Context(Value):
    """Memory as a text for a prompt, and what is in it. `str(context)` is the text."""

    text: str = Field(description='from delimiter to delimiter, without white space around; "" if empty')
    tokens: int = Field(description="of the text, as estimated")
    blocks: tuple[Block, ...] = Field(description="in their order, the nearest scope first")
    facts: tuple[Fact, ...] = Field(description="best first; without a query, as they were learned")
    recollections: tuple[Recollection, ...] = Field(description="best first; without a query, newest first")
    omitted: Omitted = Field(description="what was found and had no room")

    def __str__(self) -> str:
        return self.text


class Profile(Value):
    """What a memory knows of a user, in short."""

    user_id: str | None = Field(description="None for the anonymous tenant")
    episode_count: int = Field(description="all episodes")
    fact_count: int = Field(description="facts that are true now, without what is staged")
    last_seen: datetime | None = Field(
        description="`occurred_at` of the newest episode, UTC: of the last one that was remembered"
    )
    recent_sessions: tuple[Session, ...] = Field(description="at most 10, that of the newest episode first")
    sample_facts: tuple[Fact, ...] = Field(description="at most 10 that are true now, as they were learned")
