from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal

from pydantic import Field

from .memory import Episode, Value


class Forever(Enum):
    """The type of `FOREVER`."""

    FOREVER = "forever"

    def __repr__(self) -> str:
        return self.name


FOREVER: Final = Forever.FOREVER
"""An end of valid time that is claimed: what is said to last for ever, whatever is known to start later."""


class Fact(Value):
    """What is, or was, believed: a piece of one assertion, with when it holds and when it was held true.

    All intervals are half-open and in UTC; None is no end.
    """

    fact_id: str = Field(description="of its assertion: stable, unique within the tenant")
    version_id: str = Field(description="of this piece")
    subject: str
    predicate: str
    object: Any = Field(description="any JSON value")
    valid_from: datetime = Field(description="from when on it holds in the world")
    valid_to: datetime | None = Field(description="until when, as far as other facts leave it its ground")
    claimed_from: datetime = Field(description="from when on it was said to hold")
    claimed_to: datetime | None = Field(description="until when it was said to hold")
    tx_from: int = Field(description="transaction from which on this piece was believed")
    tx_to: int | None = Field(description="transaction from which on it was not; None: it still is")
    asserted_at: datetime = Field(description="when the assertion was learned")
    recorded_at: datetime = Field(description="when this piece of it was, by the tenant's clock")
    superseded_at: datetime | None = Field(description="when it ceased to be believed")
    superseded_by: str | None = Field(description="id of what took its place")
    confidence: float = Field(description="0..1, the highest of those that support it")
    support: int = Field(description="how many assertions say so, where it was looked at")
    sources: tuple[str, ...] = Field(description="ids of the episodes that say so")
    session_id: str | None = Field(description="in which it was asserted")
    actor: str | None
    reason: str | None
    staged: bool = Field(default=False, description="seen by its session only, until it is promoted")
    void: bool = Field(default=False, description="says that nothing is true: what `end` and `deny` make")
    retracts: str | None = Field(default=None, description="the assertion that this one hides, if it does")
    replaces: str | None = Field(default=None, description="the fact that it took the place of")
    changed: bool = Field(default=True, description="of a write: whether there was anything to store")


class Span(Value):
    """A part of a timeline. No facts: it is known, or nothing is known of it, that none holds."""

    valid_from: datetime
    valid_to: datetime | None
    facts: tuple[Fact, ...] = Field(description="all that hold; of a predicate with one value, at most one")


class Diff(Value):
    """What is believed at one point of known time and not at another."""

    known_a: int = Field(description="transaction counter of the first")
    known_b: int = Field(description="transaction counter of the second")
    removed: tuple[Fact, ...]
    added: tuple[Fact, ...]

    def apply(self, facts: Iterable[Fact]) -> tuple[Fact, ...]:
        """Turn what was believed at the first point into what is at the second: as a set, in no order."""
        gone = {fact.version_id for fact in self.removed}
        return (*(fact for fact in facts if fact.version_id not in gone), *self.added)


class Change(Value):
    """An entry of the log: what was said, as it was said."""

    tx: int = Field(description="transaction")
    seq: int = Field(description="position in it")
    op: Literal["assert", "void", "retract"]
    fact_id: str
    subject: str
    predicate: str
    object: Any = Field(description="None for a void that names none, and for a retraction")
    claimed_from: datetime
    claimed_to: datetime | None
    onset: bool = Field(description="whether it lasts only until something else is known")
    confidence: float
    sources: tuple[str, ...]
    recorded_at: datetime
    session_id: str | None
    actor: str | None
    reason: str | None
    staged: bool
    retracts: str | None
    replaces: str | None


class Transaction(Value):
    """An entry of the journal: who did what, why, and what it did to what was believed."""

    tx: int
    recorded_at: datetime
    operation: str
    actor: str | None
    reason: str | None
    session_id: str | None
    undone_by: int | None = Field(description="the transaction that rolled it back")
    before: tuple[Fact, ...] = Field(description="what was believed until then")
    after: tuple[Fact, ...] = Field(description="what was believed from then on instead, voids included")


class Provenance(Value):
    """Why a fact is believed."""

    fact: Fact
    assertions: tuple[Change, ...] = Field(description="all that say so, in order")
    episodes: tuple[Episode, ...] = Field(description="their sources, in order of seq")


class FactPath(Value):
    """How a subject is linked to another one: each fact shares a node with the one before."""

    nodes: tuple[str, ...] = Field(description="from the subject that was asked for, one more than facts")
    facts: tuple[Fact, ...]


class FactSignals(Value):
    """Why a fact was recalled. None: that leg had nothing to say, or did not take part."""

    semantic: float | None = Field(default=None, description="cosine of query and fact, -1..1")
    lexical: float | None = Field(default=None, description="BM25 within the tenant, >= 0")


class FactHit(Value):
    """A fact that answers a query."""

    fact: Fact
    score: float = Field(description="comparable within one recall only")
    signals: FactSignals


@dataclass(frozen=True, slots=True)
class FactDraft:
    """A fact to be added, with the fields of `Facts.add`.

    Attributes:
        object: any JSON value, or a pydantic model.
        valid_from: aware; None for the earliest source's `occurred_at`, or else for now.
        valid_to: aware, exclusive. None: until something else is known. `FOREVER`: without end.
        confidence: 0..1.
        sources: ids of the episodes that say so, in order.
        id: None for a new one. The same id with the same content is stored once.
        staged: only for the session of the handle, until it is promoted.
    """

    subject: str
    predicate: str
    object: Any
    valid_from: datetime | None = None
    valid_to: datetime | Forever | None = None
    confidence: float = 1.0
    sources: tuple[str, ...] = ()
    id: str | None = None
    staged: bool = False
