"""What a store of working memory must provide."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol, TypeVar

from .._workspace import Edit, Look
from ..errors import OutcomeUnknown, StoreUnavailable
from ..types import Health, Tenant, WorkingStatus

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A scope: of a tenant, of an agent of it, or of a session, with or without an agent."""

    tenant: Tenant
    agent_id: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wiped:
    """How much of each kind was in the scopes that were erased."""

    blocks: int = 0
    variables: int = 0
    notes: int = 0
    checkpoints: int = 0
    tasks: int = 0
    conflicts: int = 0

    def __add__(self, other: "Wiped") -> "Wiped":
        return Wiped(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return any(astuple(self))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one edit from another.

    Attributes:
        id: of the operation: made twice with the same id, an edit applies once, and the second time returns
            what it returned the first time; an appended block, and one that was set, as it is by then.
        digest: of its content, hexadecimal, if the id is a key that users give, for this scope; "" otherwise.
        age: seconds since it was made; above 0 only for what was made while the store was away. Of two edits
            of the same variable or task the later one stays, whenever they arrive; notes are cleared up to
            that instant.
    """

    id: str
    digest: str = ""
    age: float = 0.0


class Away(StoreUnavailable):
    """The server cannot be used, whatever is asked of it. Nothing was changed.

    Attributes:
        writes_only: it still answers questions.
    """

    def __init__(self, message: str, *, writes_only: bool = False) -> None:
        super().__init__(message)
        self.writes_only = writes_only

    def __reduce__(self) -> tuple[type, tuple[object, ...], dict[str, object]]:
        return type(self), self.args, {"writes_only": self.writes_only}


class ReplyLost(OutcomeUnknown):
    """The server went away after an edit was sent to it."""


class Emptied(StoreUnavailable):
    """The server has lost what it held of this tenant, and begins anew: said once, to the first who asks."""


class Forgotten(StoreUnavailable):
    """Somebody has forgotten what this process may know: it was not asked, and has to drop that.

    Said once of what is to be dropped. Whoever was under way at the same time is told of nothing.

    Attributes:
        covers: whether what is known of a scope is to be dropped.
    """

    def __init__(self, message: str, covers: Callable[[Place], bool] | None = None) -> None:
        super().__init__(message)
        self.covers = covers or _covers_nothing

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), self.args


def _covers_nothing(_: Place) -> bool:
    return False


class WorkingStore(Protocol):
    """Holds the working memory of many tenants. Every call is one round trip at most, and atomic.

    What `_workspace` says of a look or an edit is what happens. Values are opaque: text goes in and out
    byte for byte. An edit that raises has changed nothing, but for `OutcomeUnknown`.

    What a store keeps of a tenant in this process is made by `local`, held by the tenant map, and given to
    every call: the store itself keeps nothing per tenant, so that nothing outgrows the bound of the map.
    """

    def local(self) -> Any:
        """Return what the store keeps of a tenant in this process, in the beginning. Must be cheap."""
        ...

    def unsaved(self, local: Any) -> int:
        """Return how many edits would be lost if `local` were."""
        ...

    def status(self, local: Any) -> WorkingStatus:
        """Return where the tenant's working memory lives right now."""
        ...

    async def look(self, local: Any, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        """Answer a question in each of one or several scopes of one tenant.

        Raises:
            StoreUnavailable: the store is away, and this process does not know.
        """
        ...

    async def apply(self, local: Any, place: Place, edit: Edit[T], stamp: Stamp) -> T:
        """Make an edit.

        Raises:
            InvalidInput: a bound of the edit is reached.
            VersionConflict, NotFound: as the edit says.
            IdempotencyConflict: the key belongs to another edit.
            StoreUnavailable, Overloaded: nothing was changed; try later.
            OutcomeUnknown: it may have been made; make it again with the same id.
        """
        ...

    async def erase(self, local: Any, tenant: Tenant, session_id: str | None) -> Wiped:
        """Drop all scopes of a tenant, or all of one session, whatever their agent; return what was there.

        Atomic, and repeating it finishes what is left. What this process knows of them goes as well, with
        what is unsaved. What another process knows, or has not saved, it drops when it next reaches the
        store: none of it comes back.

        Raises:
            StoreUnavailable: the store is away. What it holds is still there: forget it again.
        """
        ...

    async def left(self, local: Any, tenant: Tenant, session_id: str | None) -> Wiped:
        """Return what there is that `erase` would drop. Nothing is kept alive by that."""
        ...

    async def health(self) -> Health:
        """Ask whether the server answers. Never raises for what may pass."""
        ...


class RemoteWorking(WorkingStore, Protocol):
    """A store on a server that may be away: then, and only then, it raises `Away`, `ReplyLost`, `Emptied`.

    `Forgotten` it raises for what others have erased. It may take several calls to one server, of which
    the one that changes anything is atomic.
    """

    def server(self, tenant: Tenant) -> Hashable:
        """Return the server that a tenant is on: those of another one can be used while this one is away."""
        ...
