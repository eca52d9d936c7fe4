from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from .._timeline import Assertion, Piece
from ..errors import RecollectError
from ..types import Tenant
from .changes import Change, Committed, FactText

if TYPE_CHECKING:
    from .vectors import Floats, Vectors


@dataclass(frozen=True, slots=True)
class FactFilter:
    """Which facts are asked for; everything given must hold. Voids never pass.

    Attributes:
        object: canonical JSON.
        where: path into the object to the JSON value expected there.
        session_id: only what was asserted in this session.
        branch: the session whose staged facts are laid over the main branch.
        now: the application's clock, for what is true now: a tenant's own clock may be ahead of it.
        valid_at: true at this instant; None for now.
        during: true at any instant of this half-open range, sides None for unbounded; instead of `valid_at`.
        known: believed after this transaction; None for the newest.
    """

    now: datetime
    subject: str | None = None
    predicate: str | None = None
    object: str | None = None
    where: Mapping[tuple[str, ...], Any] = field(default_factory=dict[tuple[str, ...], Any])
    session_id: str | None = None
    branch: str | None = None
    valid_at: datetime | None = None
    during: tuple[datetime | None, datetime | None] | None = None
    known: int | None = None


FactPosition = tuple[int, int, datetime]
"""Where a fact stands in the order of a read: `tx` and `seq` of its assertion, `valid_from` of its piece."""


@dataclass(frozen=True, slots=True)
class FoundFact:
    """A piece, and how well it is supported where it was looked at; for a range, where it begins."""

    piece: Piece
    support: int
    sources: tuple[str, ...]
    confidence: float

    @property
    def position(self) -> FactPosition:
        return self.piece.assertion.tx, self.piece.assertion.seq, self.piece.valid_from


@dataclass(frozen=True, slots=True)
class Slots:
    """All that was ever said of a subject and a predicate, read at one moment.

    Attributes:
        log: in order of `(tx, seq)`.
        pieces: in order of `(tx_from, valid_from)`.
        basis: the tenant's transaction counter.
        at: the instant of its newest transaction; None if it has none.
    """

    log: Sequence[Assertion]
    pieces: Sequence[Piece]
    basis: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Header:
    """A transaction of facts.

    Attributes:
        undone_by: the transaction that rolled it back.
        before, after: the pieces that it closed, and those that it opened.
    """

    tx: int
    recorded_at: datetime
    name: str
    session_id: str | None
    actor: str | None
    reason: str | None
    undone_by: int | None
    before: tuple[Piece, ...]
    after: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class FactCandidates:
    """What a store knows of a query: n facts that are true and believed at one point.

    Attributes:
        facts: in order of position.
        terms: of each, with repetitions.
        cosine: shape (n,), NaN where there is no vector; None without a query vector.
    """

    facts: Sequence[FoundFact]
    terms: "Sequence[Sequence[str]]"
    cosine: "Floats | None"
    basis: int


class FactStore(Protocol):
    """A log of assertions per tenant, and its projection. Both change in the same transaction.

    What an operation does is decided by `_ledger`, under the tenant's clock, the same in every store.
    """

    async def commit(self, changes: Sequence[Change]) -> Sequence[Committed | RecollectError]:
        """Apply changes of one tenant in their order, each in a transaction of its own number.

        A change that is refused leaves nothing. The others are atomic together: all have landed, or none.
        One that consolidates an episode marks it as consolidated, also if it has no operations; of several,
        also in several processes, the first one does, and the others leave nothing.

        Returns:
            For each what it became, or one of
            NotFound: an id, a source, or what should end is not there; so is an episode to be consolidated
                that was erased.
            VersionConflict: what should be replaced is not held any more; `current` is the `Entry` that is.
            FactConflict, RollbackConflict, IdempotencyConflict, Conflict: as `Facts` describes them.
            OutcomeUnknown: the connection broke after it was sent; nobody knows whether it has landed.
            StoreUnavailable, Overloaded: nothing of it was stored.
        """
        ...

    async def try_commit(
        self, batches: Sequence[Sequence[Change]]
    ) -> Sequence[Sequence[Committed | RecollectError] | None]:
        """Commit the changes of several tenants at once, as far as nobody has to be waited for.

        Args:
            batches: each what `commit` takes, of another tenant, and not empty.

        Returns:
            For each what `commit` returns; None if it might have to wait, as somebody else writes for that
            tenant right now, or nobody ever did: then nothing of it was stored.
        """
        ...

    async def get(self, tenant: Tenant, ids: Sequence[str]) -> Mapping[str, Slots]:
        """Return, for each assertion that exists, what was ever said in its slot, and only there."""
        ...

    async def find(
        self, tenant: Tenant, filter: FactFilter, *, after: FactPosition | None, limit: int
    ) -> tuple[Sequence[FoundFact], int]:
        """Return up to `limit` facts beyond `after` in order of position, and the basis of the read."""
        ...

    async def count(self, tenant: Tenant, now: datetime) -> int:
        """Return how many facts of the main branch are true now."""
        ...

    async def slots(self, tenant: Tenant, subject: str, predicate: str, *, branch: str | None) -> Slots:
        """Return all that was ever said of a subject and a predicate in the main branch and in `branch`."""
        ...

    async def linked(self, tenant: Tenant, nodes: Sequence[str], filter: FactFilter) -> Sequence[FoundFact]:
        """Return the facts whose subject is one of the nodes, or whose object is one as a string."""
        ...

    async def changes(
        self, tenant: Tenant, *, after: tuple[int, int], limit: int
    ) -> tuple[Sequence[Assertion], int]:
        """Return up to `limit` assertions beyond `(tx, seq)` in that order, and the basis."""
        ...

    async def headers(
        self, tenant: Tenant, *, session_id: str | None, before: int | None, limit: int
    ) -> tuple[Sequence[Header], int]:
        """Return the newest `limit` transactions, newest first, and the basis.

        Args:
            session_id: only of this session; None for all.
            before: only those with a smaller `tx`.
        """
        ...

    async def known_at(self, tenant: Tenant, instant: datetime) -> tuple[int, bool]:
        """Return the newest transaction at or before an instant (0: none), and whether it stays that."""
        ...

    async def candidates(
        self, tenant: Tenant, filter: FactFilter, vector: "Vectors | None"
    ) -> FactCandidates:
        """Look at every fact that passes. `vector` is of shape (dimensions,)."""
        ...

    async def unembedded(self, tenant: Tenant, *, limit: int) -> Sequence[FactText]:
        """Return up to `limit` texts that are not ready, in order of their digest."""
        ...

    async def set_vectors(self, tenant: Tenant, vectors: "Mapping[bytes, Vectors]") -> int:
        """Make texts ready, by digest; return how many were not ready before. Idempotent."""
        ...

    async def erase(self, tenant: Tenant, episodes: Sequence[str]) -> int:
        """Make the facts what they were if these episodes had never been; return assertions that are gone.

        Afterwards these ids are refused as sources, whether they exist or not.
        """
        ...

    async def verify(self, tenant: Tenant) -> int:
        """Derive every projection of the tenant from the log again; return the slots that differ."""
        ...
