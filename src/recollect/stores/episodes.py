from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import RecollectError
from ..types import EmbeddingState, Episode, Session, Tenant

if TYPE_CHECKING:
    from .vectors import Booleans, Floats, Integers, Vectors


@dataclass(slots=True, eq=False)
class NewEpisode:
    """An episode as it is stored, checked and complete but for what the tenant's clock gives it.

    Only its vectors and `embedding_state` change, until it is handed to a store.

    Attributes:
        digest: of what the caller passed; equal digests are the same episode.
        metadata, transcript: JSON text; None for no transcript.
        terms: its analysed text, with repetitions.
        vectors: shape (chunks, dimensions), float32, L2-normalised; None unless ready.
    """

    id: str
    digest: bytes
    session_id: str | None
    agent_id: str | None
    input: str
    output: str
    occurred_at: datetime
    metadata: str
    transcript: str | None
    terms: tuple[str, ...]
    embedding_state: EmbeddingState
    vectors: "Vectors | None"


@dataclass(slots=True)
class Write:
    """Episodes of one tenant that land together or not at all.

    Attributes:
        guarded: an id was chosen by the caller, so it may be taken.
        handed_over: set before a store is asked; until then the write has surely not landed.
    """

    tenant: Tenant
    episodes: tuple[NewEpisode, ...]
    guarded: bool
    handed_over: bool = False


@dataclass(frozen=True, slots=True)
class Filters:
    """Which episodes of a tenant take part; everything given must hold.

    Attributes:
        start, end: half-open range of `occurred_at`, UTC.
        where: path into the metadata to the JSON value expected there.
    """

    session_id: str | None = None
    agent_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    where: Mapping[tuple[str, ...], Any] = field(default_factory=dict[tuple[str, ...], Any])

    def __bool__(self) -> bool:
        return self != _EVERYTHING


_EVERYTHING = Filters()


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        terms: analysed, distinct, in order of first appearance.
        vector: shape (dimensions,), float32, L2-normalised; None without an embedder.
        limit: how many of the best are wanted, of those that pass the filters.
        exact: up to so many episodes that pass the filters, every vector is compared.
    """

    terms: tuple[str, ...]
    vector: "Vectors | None"
    filters: Filters
    limit: int = 1_000
    exact: int = 20_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a store knows of a query: the n episodes that pass the filters, in order of `seq`.

    Attributes:
        seqs: shape (n,).
        sessions: shape (n,), equal codes >= 0 for one session, -1 for none.
        lengths: shape (n,), terms of each episode.
        occurred: shape (n,), Unix seconds of `occurred_at`.
        cosine: shape (n,), the best of an episode's chunks, NaN where there is no vector, or where it was
            not compared; None without a query vector.
        spread: mean and standard deviation of the cosines of all n, if not all were compared.
        postings: per query term that occurs, the indices of the episodes it occurs in, ascending,
            and how often it occurs there.
        documents: episodes of the whole tenant, whatever the filters; so are the next two.
        terms: terms of all of them together.
        frequencies: per query term, in how many of them it occurs.
        memo: what was worked out of the episodes alone, whatever the query. A store that finds the same
            episodes as before may hand it out again; by default it is new.
    """

    seqs: "Integers"
    sessions: "Integers"
    lengths: "Floats"
    occurred: "Floats"
    cosine: "Floats | None"
    postings: "Mapping[str, tuple[Integers, Integers]]"
    documents: int
    terms: int
    frequencies: Mapping[str, int]
    spread: tuple[float, float] | None = None
    memo: dict[str, Any] = field(default_factory=dict[str, Any])

    def only(self, keep: "Booleans") -> "Candidates":
        """Return those that pass a filter, shape (n,); the statistics stay the tenant's."""
        renumbered = keep.cumsum() - 1
        return Candidates(
            seqs=self.seqs[keep],
            sessions=self.sessions[keep],
            lengths=self.lengths[keep],
            occurred=self.occurred[keep],
            cosine=None if self.cosine is None else self.cosine[keep],
            postings={
                term: (renumbered[at[keep[at]]], counts[keep[at]])
                for term, (at, counts) in self.postings.items()
            },
            documents=self.documents,
            terms=self.terms,
            frequencies=self.frequencies,
        )


class EpisodeStore(Protocol):
    """Keeps episodes, partitioned by tenant, in the order of the tenant's clock."""

    async def append(self, writes: Sequence[Write]) -> Sequence[tuple[Episode, ...] | RecollectError]:
        """Store several writes; return for each the stored episodes, or why it was refused.

        Each write is atomic and has its own outcome. In a write, an episode whose id is stored
        with the same digest is left alone and returned as it is stored. Vectors of another embedder
        than the archive's are not stored, their episode is left pending.

        Each new episode gets the tenant's next `seq` and a `recorded_at` later than any before,
        in the order of its write. Writes of one call are concurrent: none of them is first.

        Outcomes:
            EpisodeConflict: an id is stored with another digest; nothing of this write was stored.
            OutcomeUnknown: the connection broke after the write was sent.
            StoreUnavailable, Overloaded: nothing of this write was stored.
        """
        ...

    async def get(self, tenant: Tenant, id: str) -> Episode | None:
        """Return the episode, or None."""
        ...

    async def page(
        self, tenant: Tenant, filters: Filters, *, after: int, limit: int
    ) -> tuple[Sequence[Episode], int]:
        """Return up to `limit` episodes with `seq > after` in order, and the basis of the read."""
        ...

    async def newest(self, tenant: Tenant, filters: Filters, *, limit: int) -> Sequence[Episode]:
        """Return the newest `limit` episodes, newest first."""
        ...

    async def by_seq(self, tenant: Tenant, seqs: Sequence[int]) -> Mapping[int, Episode]:
        """Return those of the episodes that still exist, by `seq`."""
        ...

    async def around(
        self, tenant: Tenant, episodes: Sequence[Episode], *, distance: int
    ) -> Mapping[int, tuple[Episode, ...]]:
        """Return, by `seq`, up to `distance` episodes of its session on either side of each, in order."""
        ...

    async def sessions(self, tenant: Tenant, *, after: int, limit: int) -> tuple[Sequence[Session], int]:
        """Return up to `limit` sessions with `first_seq > after` in that order, and the basis."""
        ...

    async def recent_sessions(self, tenant: Tenant, *, limit: int) -> Sequence[Session]:
        """Return the `limit` sessions with the newest episodes, by `last_seq`, newest first.

        Reads no episode of any other session.
        """
        ...

    async def count(self, tenant: Tenant) -> int:
        """Return how many episodes the tenant has."""
        ...

    async def candidates(self, tenant: Tenant, query: Query) -> Candidates:
        """Look at every episode that passes the filters. Never truncated.

        Of more than `query.exact` of them, a store may leave out cosines, if it has compared at least
        `query.limit`, among them nearly all of the nearest; all that it tells are exact.
        """
        ...

    async def unembedded(self, tenant: Tenant, *, after: int = 0, limit: int) -> Sequence[Episode]:
        """Return the oldest `limit` episodes with `seq > after` whose `embedding_state` is not ready."""
        ...

    async def unconsolidated(self, tenant: Tenant, *, after: int, limit: int) -> Sequence[Episode]:
        """Return the oldest `limit` episodes with `seq > after` that no change of facts has consolidated."""
        ...

    async def count_unconsolidated(self, tenant: Tenant) -> int:
        """Return how many these are."""
        ...

    async def set_vectors(self, tenant: Tenant, vectors: "Mapping[str, Vectors]") -> int:
        """Make episodes ready, by id; return how many were not ready before. Idempotent.

        By id: that of an episode that was erased never comes back, while its `seq` may be of one restored.
        """
        ...
