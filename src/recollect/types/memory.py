import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from ..errors import ConfigurationError

T = TypeVar("T")

EmbeddingState = Literal["ready", "pending", "none"]
Mode = Literal["hybrid", "semantic", "lexical", "recent"]
Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """The hard partition: nothing crosses it.

    Attributes:
        namespace: an application or an environment.
        user_id: None is the anonymous tenant of the namespace.
        key: both as one string. Percent-encoded, so that no two tenants share a key.
    """

    namespace: str
    user_id: str | None
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A separator that quote() escapes; without it, the anonymous tenant.
        user = "" if self.user_id is None else f"/{quote(self.user_id, safe='')}"
        object.__setattr__(self, "key", quote(self.namespace, safe="") + user)

    def __hash__(self) -> int:
        return hash(self.key)  # a string keeps its hash


_LIVES = ("user_idle_ttl", "variable_ttl", "session_ttl")
_LONGEST = 1e11  # 3,000 years, which every store can count in its own way


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a memory. Impossible values are a `ConfigurationError`.

    Attributes:
        max_users: tenants whose in-process state is held at once; None for no bound.
        user_idle_ttl: seconds the state of an idle tenant is kept; None for ever.
        patience: seconds a call waits for room before `Overloaded`.
        max_text_bytes: UTF-8 bytes of one `input` or `output`.
        max_metadata_bytes: bytes of one `metadata` as JSON.
        max_transcript_bytes: bytes of one `transcript` as JSON.
        max_batch: drafts in one `remember_many`.
        chunk_chars: characters embedded as one vector; longer text is embedded in chunks.
        cached_embeddings: texts whose vectors are kept in process.
        exact_vectors: of one user, compared one by one in every recall; of whoever has more, `index_vectors`
            makes an index, which finds nearly all of the nearest.
        reranked: hits given to the reranker, or as many as are asked for if that is more.
        max_blocks, max_variables, max_notes, max_checkpoints: in one scope of working memory; of notes and
            checkpoints the oldest go.
        max_variable_bytes: bytes of one variable, or of the context of a task, as JSON.
        variable_ttl: seconds that a variable lives if nothing is said; None for ever.
        session_ttl: seconds that the working memory of a session lives while nobody uses it; None for ever.
        max_unsaved: edits of one tenant that are kept while Redis is away, before `StoreUnavailable`.
        max_extractions: episodes that one `consolidate` has the extractor look at at once.
        max_unsaved_bytes: text of all of them together, over all tenants.
    """

    max_users: int | None = 100_000
    user_idle_ttl: float | None = 86_400.0
    patience: float = 10.0
    max_text_bytes: int = 262_144
    max_metadata_bytes: int = 262_144
    max_transcript_bytes: int = 1_048_576
    max_batch: int = 1_000
    chunk_chars: int = 2_000
    cached_embeddings: int = 4_096
    exact_vectors: int = 20_000
    reranked: int = 50
    max_blocks: int = 100
    max_variables: int = 1_000
    max_notes: int = 1_000
    max_checkpoints: int = 32
    max_variable_bytes: int = 262_144
    variable_ttl: float | None = None
    session_ttl: float | None = 7 * 86_400.0
    max_unsaved: int = 1_000
    max_unsaved_bytes: int = 67_108_864
    max_extractions: int = 4

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None and f.name in ("max_users", *_LIVES):
                continue
            lowest = 0 if f.name in ("patience", "cached_embeddings") else 1
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= lowest:
                # A ttl below one second is legitimate, zero is not.
                if f.name in _LIVES and isinstance(value, float) and value > 0:
                    continue
                msg = f"Limits.{f.name} must be a number of at least {lowest}, got {value!r}"
                raise ConfigurationError(msg)
            if isinstance(value, float) and f.name not in (*_LIVES, "patience"):
                msg = f"Limits.{f.name} must be a whole number, got {value!r}"
                raise ConfigurationError(msg)
        if self.session_ttl is not None and self.session_ttl > _LONGEST:
            msg = f"Limits.session_ttl must be at most {_LONGEST:.0f} seconds, or None for ever"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallWeights:
    """What counts how much when episodes are ranked: standard deviations of each leg, all >= 0.

    The defaults are round values on a plateau, not fitted ones.

    Attributes:
        semantic: the cosine between query and episode.
        lexical: the words that they share.
        passage: the part of `lexical`, 0 to 1, that looks at an episode together with its neighbours.
        neighbour: the episodes beside this one in its session; half of it at distance 2.
        session: the best three episodes of the session.
        length: longer episodes say more; on the logarithm of the number of terms.
        recency: bonus of an episode of now; it halves every `recency_half_life`.
        recency_half_life: seconds, > 0.
        bm25_k1: how slowly repeating a word stops to count, >= 0.
        bm25_b: how much a long episode is discounted, 0 to 1.
    """

    semantic: float = 0.6
    lexical: float = 0.4
    passage: float = 0.5
    neighbour: float = 0.5
    session: float = 0.5
    length: float = 0.25
    recency: float = 0.0
    recency_half_life: float = 30 * 86400.0
    bm25_k1: float = 0.9
    bm25_b: float = 0.4

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if type(value) not in (int, float) or not (math.isfinite(value) and value >= 0):
                msg = f"RecallWeights.{f.name} must be a finite number >= 0, got {value!r}"
                raise ConfigurationError(msg)
        if self.recency_half_life == 0 or self.passage > 1 or self.bm25_b > 1:
            msg = "need recency_half_life > 0, passage <= 1 and bm25_b <= 1"
            raise ConfigurationError(msg)


class Value(BaseModel):
    """What crosses the border: frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Episode(Value):
    """One exchange, never changed after it is stored."""

    id: str = Field(description="unique within the tenant")
    user_id: str | None = Field(description="None for the anonymous tenant")
    session_id: str | None = Field(description="the conversation it belongs to")
    agent_id: str | None = Field(description="the agent that stored it")
    seq: int = Field(description="position in the tenant's order, strictly increasing, with gaps")
    input: str = Field(description="what the user said")
    output: str = Field(description="what the agent answered; may be empty")
    occurred_at: datetime = Field(description="when it happened, given by the caller, UTC")
    recorded_at: datetime = Field(description="when it was stored, by the tenant's strictly increasing clock")
    metadata: dict[str, Any] = Field(description="the caller's, opaque")
    transcript: Any = Field(description="the caller's, opaque JSON; None if not given")
    embedding_state: EmbeddingState = Field(
        description="ready: has vectors; pending: the embedder failed or was put off; none: there was none"
    )


def text_of(input: str, output: str) -> str:
    """Return what is analysed, embedded and reranked of an episode."""
    return f"{input}\n{output}" if output else input


@dataclass(frozen=True, slots=True)
class EpisodeDraft:
    """An episode to be stored, with the fields of `UserMemory.remember`.

    Attributes:
        input: what the user said.
        output: what the agent answered. Not both may be blank.
        session_id: None for the session of the handle.
        occurred_at: aware; None for now.
        metadata: JSON object.
        transcript: any JSON value.
        id: None for a new one. The same id with the same content is stored once.
    """

    input: str
    output: str = ""
    session_id: str | None = None
    occurred_at: datetime | None = None
    metadata: dict[str, Any] | None = None
    transcript: Any = None
    id: str | None = None


class Message(Value):
    """One side of an episode, as a chat message."""

    role: Role
    content: str
    episode_id: str
    at: datetime = Field(description="when the episode happened, UTC")


class Session(Value):
    """A conversation, as far as it was remembered."""

    session_id: str
    episode_count: int
    first_seq: int = Field(description="its first episode")
    last_seq: int = Field(description="its newest episode")
    first_at: datetime = Field(description="earliest occurred_at, UTC")
    last_at: datetime = Field(description="latest occurred_at, UTC")


class Page(Value, Generic[T]):
    """A part of a long result."""

    items: tuple[T, ...]
    cursor: str | None = Field(description="give it back for the next page; None at the end")
    basis: int = Field(description="the tenant's transaction counter that was read; 0 if of none")
    stable: bool = Field(
        default=True, description="whether the same read at this basis gives the same for ever, until erasure"
    )

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]  # a page is its items, not its fields
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Signals(Value):
    """Why an episode was recalled. None: that leg had nothing to say, or did not take part."""

    semantic: float | None = Field(default=None, description="cosine of query and episode, -1..1")
    lexical: float | None = Field(default=None, description="BM25 within the tenant, >= 0")
    context: float | None = Field(default=None, description="activation from its neighbours and its session")
    length: float | None = Field(default=None, description="a small prior for episodes that say more")
    recency: float | None = Field(default=None, description="bonus that halves with every half-life")
    rerank: float | None = Field(default=None, description="what the reranker says; then it is the score")


class Recollection(Value):
    """An episode that answers a query."""

    episode: Episode
    score: float = Field(description="comparable within one recall only")
    signals: Signals
    neighbours: tuple[Episode, ...] = Field(
        default=(), description="the turns around it in its session, in order, without itself"
    )


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """What a memory holds in process at one moment.

    Attributes:
        users: tenants in the map.
        leased: of these, in use.
        waiting: writes gathered for the next transaction.
        transactions: group commits so far.
        writes: writes that they carried.
    """

    users: int
    leased: int
    waiting: int
    transactions: int
    writes: int
