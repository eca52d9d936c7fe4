from pydantic import Field

from .memory import Value


class Receipt(Value):
    """What was forgotten, by kind. Of what an erasure that failed half-way had erased it says nothing."""

    episodes: int = Field(description="with their vectors and transcripts")
    facts: int = Field(
        description="entries of the log: facts, staged ones too, and what ended, denied or retracted them"
    )
    blocks: int
    variables: int
    notes: int
    checkpoints: int
    tasks: int
    generation: int = Field(description="of the tenant; each erasure begins another one")
    verified: bool | None = Field(
        description="whether a second look found nothing left; None if it was not asked for"
    )
