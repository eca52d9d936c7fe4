from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .._timeline import Assertion, Piece
from ..errors import RecollectError
from ..types import EmbeddingState, Tenant

if TYPE_CHECKING:
    from .vectors import Floats, Vectors

Cardinality = Literal["one", "many"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds of a predicate in every process.

    Attributes:
        cardinality: how many values a subject has at a time.
        key: the field of the object that is the subject; None if it has none.
        immutable: whether a slot keeps the first object that it is given.
    """

    cardinality: Cardinality = "many"
    key: str | None = None
    immutable: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """When something is said to hold.

    Attributes:
        start: None for the earliest `occurred_at` of the sources, or else the instant of the transaction.
        end: exclusive; None for no end.
        onset: whether it lasts only until something else is known; then `end` is None.
    """

    start: datetime | None
    end: datetime | None
    onset: bool


@dataclass(frozen=True, slots=True)
class Assert:
    """Hold `object`, canonical JSON, to be true."""

    id: str
    subject: str
    predicate: str
    object: str
    claim: Claim
    confidence: float = 1.0
    sources: tuple[str, ...] = ()
    staged: bool = False
    chosen: bool = False  # the id is the caller's


@dataclass(frozen=True, slots=True)
class Void:
    """Hold nothing to be true: of one object, or of all that are true where the claim begins."""

    id: str
    subject: str
    predicate: str
    object: str | None
    claim: Claim
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retract:
    """Hide an assertion."""

    id: str
    ref: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Put another assertion in the place of one that is still held.

    Attributes:
        object: None for the same.
        correct: it was never true, so it is hidden; else it was true until now.
        start, end: None for those of the assertion that is replaced.
        bounded: whether `end` is given, None being no end then.
    """

    id: str
    ref: str
    object: str | None
    correct: bool
    start: datetime | None = None
    end: datetime | None = None
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class Promote:
    """Copy what a session has staged to the main branch, and take it out of its own."""

    id: str
    session_id: str
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Hide what a session has staged."""

    id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """Undo the newest transactions of a session that are not undone yet."""

    id: str
    session_id: str | None
    steps: int


Operation = Assert | Void | Retract | Replace | Promote | Discard | Rollback


@dataclass(frozen=True, slots=True)
class FactText:
    """What a fact is found by; the same for every assertion of it.

    Attributes:
        digest: of subject, predicate and object: `_ledger.text_digest`.
        text: what is embedded.
        terms: analysed, with repetitions.
        vectors: shape (1, dimensions), float32, L2-normalised; None unless ready.
    """

    digest: bytes
    text: str
    terms: tuple[str, ...]
    embedding_state: EmbeddingState
    vectors: "Vectors | None" = None


@dataclass(slots=True, eq=False)
class Change:
    """Operations of one transaction, all or none of which take effect.

    Attributes:
        key: idempotency key; the same key with the same digest is the same change.
        digest: of what the caller passed.
        name: of the operation, for the journal.
        texts: of the objects that are new; only they change until the change is handed over.
        handed_over: set before a store is asked; until then the change has surely not landed.
    """

    tenant: Tenant
    key: str
    digest: bytes
    name: str
    operations: tuple[Operation, ...]
    session_id: str | None = None
    actor: str | None = None
    reason: str | None = None
    texts: tuple[FactText, ...] = ()
    handed_over: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of an operation, or of a part of it.

    Attributes:
        piece: the first piece of the assertion after its transaction; None if it has no ground.
        changed: false if all of it was known already, and nothing was stored.
        support: visible assertions of the same object that cover the beginning of the claim.
        sources: of all of these.
        confidence: the highest of these.
    """

    assertion: Assertion
    piece: Piece | None
    changed: bool
    support: int = 1
    sources: tuple[str, ...] = ()
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Committed:
    """A change that has taken effect.

    Attributes:
        tx: its transaction; that of the newest one before it, if there was nothing to store.
        entries: for each operation, in order.
    """

    tx: int
    entries: tuple[tuple[Entry, ...], ...]


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
    """A piece, and how well it is supported where it was looked at."""

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

        Returns:
            For each what it became, or one of
            NotFound: an id, a source, or what should end is not there.
            VersionConflict: what should be replaced is not held any more; `current` is the `Entry` that is.
            FactConflict, RollbackConflict, IdempotencyConflict, Conflict: as `Facts` describes them.
            OutcomeUnknown: the connection broke after it was sent; nobody knows whether it has landed.
            StoreUnavailable, Overloaded: nothing of it was stored.
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

    async def differing(
        self,
        tenant: Tenant,
        known: tuple[int, int],
        *,
        subject: str | None,
        during: tuple[datetime | None, datetime | None],
    ) -> tuple[Sequence[Piece], Sequence[Piece]]:
        """Return the main branch's pieces that are current after the first transaction only, and the second."""
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
        """Return the newest transaction at or before an instant, 0 if none, and whether it stays the newest."""
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
