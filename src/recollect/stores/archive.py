from collections.abc import Mapping, Sequence
from typing import Protocol

from ..types import Tenant
from .changes import Rule
from .episodes import EpisodeStore
from .erasure import Erased, Erasure
from .facts import FactStore
from .garbage import Leftovers
from .transfer import Transfers


class Directory(Protocol):
    """Knows which tenants exist: those that hold episodes or facts. The only view across tenants."""

    async def tenants(self, *, after: Tenant | None, limit: int) -> Sequence[Tenant]:
        """Return up to `limit` tenants of all namespaces, in an order of the store's that stays the same.

        Those of which everything was forgotten are among them: something may be left of it.

        Args:
            after: the last one of the page before; None starts at the first.
        """
        ...

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
    def transfers(self) -> Transfers: ...

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

    async def erase(self, tenant: Tenant, erasure: Erasure) -> Erased:
        """Make a tenant what it would be if the episodes and the assertions that pass had never been.

        Atomic; repeating it finishes what is left. Gone are the episodes with their vectors, terms and
        transcripts; what was asserted with no other source than them; the assertions of their own that pass,
        together with what made room for them (the retraction of what they corrected, the end of what
        they updated); retractions of any of these; and the actor, reason and session of transactions of
        which nothing is left. Every slot that loses an assertion is derived from its log again. The
        numbers and the instants of what stays are what they were.

        Afterwards an erased episode is refused, under its id, as an episode and as a source; so are ids of
        `episode_ids` that did not exist, if there is no other filter. A change of which nothing is left is
        refused under its key. Of `everything` only these hashes stay, and the tenant's clock.

        A write that is under way lands before the erasure, and is part of it, or after it, as if it were
        made then; it never lands in between. What was read before must not be written afterwards without
        a look at the generation, unless its source is an episode.

        Raises:
            InvalidInput: `fact_ids` names an assertion with sources of its own; nothing was erased.
        """
        ...

    async def generation(self, tenant: Tenant) -> int:
        """Return how often something of the tenant was erased."""
        ...

    async def left(self, tenant: Tenant, erasure: Erasure) -> int:
        """Return how much that should be gone is there: 0 after an erasure, unless it was written since."""
        ...

    async def sweep(self, tenant: Tenant, *, dry_run: bool) -> Leftovers:
        """Drop what is left of what was erased, and cannot be asked for; return how much that was.

        In small parts, each of which goes as a whole: cancelled in between, it has dropped some of them. It
        may run while others write, erase or sweep; whatever is there stays, and so do tombstones and keys.

        Args:
            dry_run: only count.
        """
        ...
