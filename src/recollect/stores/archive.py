from collections.abc import Mapping, Sequence
from typing import Protocol

from .changes import Rule
from .episodes import EpisodeStore
from .facts import FactStore


class Directory(Protocol):
    """Knows which tenants exist: those that have stored something. The only view across tenants."""

    async def users(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        """Return up to `limit` users of a namespace, in byte order, the anonymous one first.

        Args:
            after: the last user of the page before; "" starts at the named ones, None at the very first.
        """
        ...

    async def unconsolidated(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        """Like `users`, of those only who have an episode that is not consolidated."""
        ...

    async def has_named_users(self, namespace: str) -> bool:
        """Return whether any tenant of the namespace is not the anonymous one."""
        ...


class Archive(Protocol):
    """The durable half of a memory. Its parts share a unit of work and the tenant's clock."""

    @property
    def episodes(self) -> EpisodeStore: ...

    @property
    def facts(self) -> FactStore: ...

    @property
    def directory(self) -> Directory: ...

    async def adopt_embedder(self, model: str, dimensions: int, *, reembed: bool) -> None:
        """Bind the archive to an embedder: the first one is recorded, the same one accepted.

        Args:
            reembed: take another one too, dropping every vector and making every episode pending.

        Raises:
            EmbeddingMismatch: vectors of another model are stored, and `reembed` is false.
        """
        ...

    async def adopt_predicates(self, rules: Mapping[str, Rule], *, replace: bool) -> Mapping[str, Rule]:
        """Record what holds of predicates, and return that of all that were ever recorded.

        Args:
            replace: take other rules too, and fold the facts of these predicates again.

        Raises:
            ConfigurationError: one is recorded with another rule, and `replace` is false.
        """
        ...
