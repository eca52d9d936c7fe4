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


class Indexed(Value):
    """What became of the indexes of vectors: one for each user who has too many to compare them all."""

    built: int = Field(description="made now")
    kept: int = Field(description="there already, and still needed")
    dropped: int = Field(
        description="of users who have few by now, of an embedder that was replaced, or cut off half-way"
    )


class Garbage(Value):
    """What nothing could ask for any more, of all users of all namespaces, by kind."""

    dry_run: bool = Field(description="whether it was only counted, and is still there")
    users: int = Field(
        description="what this process held of users that were idle for longer than `Limits.user_idle_ttl`"
    )
    scopes: int = Field(
        description="of working memory in process: sessions that were idle for longer than "
        "`Limits.session_ttl`, with all that is in them"
    )
    variables: int = Field(description="of working memory in process, whose time to live is over")
    episode_vectors: int = Field(description="of episodes that are not there")
    fact_vectors: int = Field(description="of facts that are not there")
    marks: int = Field(description="that an episode is to be consolidated which is not there; in process")
