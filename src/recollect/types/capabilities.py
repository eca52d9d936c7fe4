from pydantic import Field

from .memory import Value
from .working import Health


class Capabilities(Value):
    """What a memory can do, by what it is made of."""

    archive: str = Field(description="the back end of episodes and facts, by name")
    working: str = Field(description="the back end of working memory, by name")
    durable_episodes: bool = Field(description="whether they outlive this process")
    durable_facts: bool = Field(description="whether they outlive this process")
    durable_working: bool = Field(description="whether working memory outlives this process")
    local_fallback: bool = Field(
        description="whether working memory is served from this process while its server is away"
    )
    read_replica: bool = Field(default=False, description="whether a replica answers what is searched")
    semantic_recall: bool = Field(description="whether there is an embedder: recall by meaning")
    reranked_recall: bool = Field(description="whether there is a reranker")
    extraction: bool = Field(description="whether there is an extractor: `consolidate`")
    staged_facts: bool = Field(default=True, description="whether a session can have facts of its own")


class MemoryHealth(Value):
    """Whether all that a memory is made of answers."""

    ok: bool = Field(description="whether both stores do; a replica is not needed")
    archive: Health
    working: Health
    replica: Health | None = Field(default=None, description="of the archive; None if there is none")
