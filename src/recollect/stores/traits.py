"""What a store may say of itself. It need not: these are asked for where there are any."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..types import Health


@dataclass(frozen=True, slots=True)
class Traits:
    """What a store is like.

    Attributes:
        name: of its back end, as in `recollect.backends`.
        durable: whether what it holds outlives this process. What its server outlives is up to the server.
        falls_back: whether this process goes on while its server is away.
        replicated: whether a replica of its server answers some reads.
    """

    name: str
    durable: bool
    falls_back: bool = False
    replicated: bool = False


@runtime_checkable
class Described(Protocol):
    """A store that says what it is like."""

    @property
    def traits(self) -> Traits: ...


@runtime_checkable
class Examined(Protocol):
    """A store that can be asked whether it answers."""

    async def health(self) -> Health:
        """Ask whether the server answers. Never raises for what may pass."""
        ...


@runtime_checkable
class Replicating(Protocol):
    """A store that may have a replica."""

    async def replica_health(self) -> Health | None:
        """Ask whether the replica answers; None if there is none. Never raises for what may pass."""
        ...


def traits_of(store: object) -> Traits:
    """Return what a store is like; one that does not say is taken to be of this process."""
    if isinstance(store, Described):
        return store.traits
    return Traits(type(store).__name__, durable=False)
