"""What a tenant owns in an archive, as it goes from one archive to another."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from .._timeline import Assertion
from ..types import Tenant
from .changes import FactText, Rule
from .episodes import NewEpisode

OCCUPIED = "this user has a memory already; restore into an empty one, or forget everything first"
GONE = "another restoration of this user came in between; restore again"
FORGOTTEN = "what was forgotten of this user does not come back; restore it as another user's"

Position = tuple[int, int]
"""Where a record stands in a tenant's history: its transaction, and its place in there."""

BEGINNING: Position = (0, 0)


@dataclass(frozen=True, slots=True)
class KeptEpisode:
    """An episode as it is stored.

    Attributes:
        new: its content. A dump leaves out the terms, which depend on the language of a memory, and the
            vectors unless they are asked for.
    """

    new: NewEpisode
    seq: int
    recorded_at: datetime

    @property
    def position(self) -> Position:
        return self.seq, 0


@dataclass(frozen=True, slots=True)
class KeptTransaction:
    """The header of a transaction of facts.

    Attributes:
        key: hash of its idempotency key.
        digest: of what the caller passed; b"" if erasure has left nothing of it.
        undone_by: the transaction that rolled it back.
    """

    tx: int
    recorded_at: datetime
    name: str
    session_id: str | None
    actor: str | None
    reason: str | None
    key: bytes
    digest: bytes
    undone_by: int | None

    @property
    def position(self) -> Position:
        return self.tx, 0


@dataclass(frozen=True, slots=True)
class KeptAssertion:
    """An entry of the log of facts.

    Attributes:
        text: what it is found by, if it asserts something. A dump has it only with vectors, and nothing else
            of it.
    """

    said: Assertion
    text: FactText | None = None

    @property
    def position(self) -> Position:
        return self.said.tx, self.said.seq + 1


Kept = KeptEpisode | KeptTransaction | KeptAssertion


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a tenant owns in an archive at one moment.

    Attributes:
        tx, at: its clock; 0 and None if it has none.
        generation: how often something of it was erased.
        episodes, transactions, assertions: how many there are up to `tx`.
        rules: of the predicates in its log that are declared.
        consolidated: every episode up to this number is consolidated, but for those that are passed over.
        secret: what its tombstones are keyed with; None if there are none.
        tombstones: in order.
    """

    tx: int = 0
    at: datetime | None = None
    generation: int = 0
    episodes: int = 0
    transactions: int = 0
    assertions: int = 0
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    consolidated: int = 0
    passed_over: frozenset[int] = frozenset()
    secret: bytes | None = None
    tombstones: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Loading:
    """What a tenant is to own in an archive.

    Attributes:
        tx, at: its clock is to be at least this.
        rules: of all predicates in the log; those that are not declared have the default.
        secret, tombstones, consolidated, passed_over: as in `Holdings`.
        pages: yields what is to be stored, in order of position, anew each time that it is called. What it
            raises ends the transaction; what it does after the last page is done before the commit.
    """

    tx: int
    at: datetime | None
    rules: Mapping[str, Rule]
    consolidated: int
    passed_over: frozenset[int]
    secret: bytes | None
    tombstones: Sequence[bytes]
    pages: Callable[[], AsyncGenerator[Sequence[Kept]]]


class Transfers(Protocol):
    """Takes all that a tenant owns out of an archive, and puts it into another one."""

    async def survey(self, tenant: Tenant) -> Holdings:
        """Return what there is, all of it read at one moment."""
        ...

    async def dump(
        self, tenant: Tenant, *, basis: int, after: Position, limit: int, vectors: bool
    ) -> Sequence[Kept]:
        """Return up to `limit` records beyond `after`, in order of position; none at the end.

        They are what they were after the transaction `basis`, but for what was erased since; only
        `embedding_state` and the vectors are those of now. There may be fewer than `limit`, so that a page
        holds a few megabytes of text at most, or one record.
        """
        ...

    async def load(self, tenant: Tenant, loading: Loading) -> None:
        """Give a tenant that owns nothing what another one did, in one transaction.

        What an archive derives from the log is derived again. Of a tenant that was forgotten the tombstones
        and the generation stay, and join those that come.

        Raises:
            Conflict: the tenant owns something, or what was forgotten here under another key came along.
            EpisodeConflict: an episode was erased here; so it does not come back.
            ConfigurationError: a predicate has another rule here.
            FactConflict: two objects are held of an immutable predicate.
            OutcomeUnknown: the connection broke after the commit was sent.
            StoreUnavailable, Overloaded: nothing was stored.
        """
        ...


def other_rules(name: str, given: Rule, recorded: Rule) -> str:
    """Say that a predicate has another rule here than in what is restored."""
    return (
        f"predicate {name!r} is {given} in the export, and {recorded} here; declare it as it was: Predicate("
        f"{name!r}, cardinality={given.cardinality!r}, key={given.key!r}, immutable={given.immutable})"
    )
