"""What a store holds that nothing can ask for any more."""

from dataclasses import astuple, dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is left in an archive of what was erased.

    Attributes:
        episode_vectors: of episodes that are not there.
        fact_vectors: of facts that are not there.
        marks: saying that episodes are to be consolidated which are not there.
    """

    episode_vectors: int = 0
    fact_vectors: int = 0
    marks: int = 0

    def __add__(self, other: "Leftovers") -> "Leftovers":
        return Leftovers(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Expired:
    """What is left in working memory of what has ended.

    Attributes:
        scopes: of sessions that were idle for too long.
        variables: of the scopes that are there.
    """

    scopes: int = 0
    variables: int = 0

    def __add__(self, other: "Expired") -> "Expired":
        return Expired(self.scopes + other.scopes, self.variables + other.variables)


@runtime_checkable
class Expiring(Protocol):
    """A store of working memory that keeps what has ended until somebody comes across it."""

    def expire(self, local: Any, *, dry_run: bool) -> Expired:
        """Drop what has ended of a tenant; return how much.

        Args:
            local: what the store keeps of the tenant in this process.
            dry_run: only count.
        """
        ...
