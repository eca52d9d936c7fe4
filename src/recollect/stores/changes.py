from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from .._timeline import Assertion, Piece
from ..types import EmbeddingState, Tenant

if TYPE_CHECKING:
    from .vectors import Vectors

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
        opened: whether it has no end of its own any more.
    """

    id: str
    ref: str
    object: str | None
    correct: bool
    start: datetime | None = None
    end: datetime | None = None
    bounded: bool = False
    opened: bool = False


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


@dataclass(slots=True, eq=False)
class FactText:
    """What a fact is found by; the same for every assertion of it.

    Only its vectors and `embedding_state` change, until it is handed to a store.

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
        texts: of the objects that may be new.
        consolidates: the episode that this is all of; it lands only if no other change was that before.
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
    consolidates: str | None = None
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
        entries: for each operation, in order; none if it has not landed.
        landed: false if its episode was consolidated already: then nothing was stored.
    """

    tx: int
    entries: tuple[tuple[Entry, ...], ...]
    landed: bool = True
