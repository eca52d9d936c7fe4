import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn, cast

from anyio.lowlevel import checkpoint_if_cancelled

from ._analysis import languages
from ._capabilities import capabilities, examined
from ._checks import check_count, check_id, check_optional_id
from ._clock import Clock, aware, utc_now
from ._composition import Composition, Scope, group_commit_of_facts
from ._context import CountTokens, estimated_tokens
from ._cursor import opened, sealed
from ._deadline import bounded
from ._embedding import Embedding
from ._garbage import collect
from ._rounds import consolidate_in_rounds
from ._tenants import TenantMap
from ._writing import EpisodeWrites
from .errors import ConfigurationError, InvalidInput
from .hooks import After, Before, Event, Stage
from .predicates import Predicate, Predicates
from .stores import Archive, Embedder, Extractor, Reranker, WorkingStore
from .stores.indexing import Indexing
from .types import Limits, MemoryStatistics, Page, RecallWeights, Tenant
from .types.capabilities import Capabilities, MemoryHealth
from .types.governing import Garbage, Indexed
from .user import UserMemory
from .user.dispatching import supported_ops


def open_tenants(
    limits: Limits, working: WorkingStore, *, on_evict: Callable[[Tenant, Any], None] | None = None
) -> TenantMap[Tenant, Any]:
    """Return a tenant map with these limits, to be shared by several memories on this store."""
    return TenantMap(
        lambda tenant: working.local(),
        capacity=limits.max_users,
        ttl=limits.user_idle_ttl,
        patience=limits.patience,
        pinned=lambda local: working.unsaved(local) > 0,
        on_evict=on_evict,
    )


class Memory:
    """Composes stores that somebody else opened; `open_memory` opens them as well.

    Args:
        archive: episodes and facts. Its embedder must be the one given here: `archive.adopt_embedder`.
        working: working memory.
        tenants: shared with other memories of the process on the same stores; None for one of its own.
        on_evict: called with a tenant and its state before that is dropped; of a map of its own.
        namespace: default of `user`.
        embedder: without one, recall goes by words and context.
        reranker: scores the best hits of a recall anew.
        extractor: finds facts in episodes, for `consolidate`.
        predicates: of facts. Their rules must be those of the archive: `archive.adopt_predicates`.
        limits: bounds of what is held and accepted.
        weights: what counts how much in a recall.
        language: of the texts; decides on stemming and stop words.
        deadline: seconds a call may take, None for no bound.
        clock: gives "now": aware, UTC.
        count_tokens: of a text, as `UserMemory.context` counts them: a function that is called in a worker
            thread, such as one of a tokenizer. By default an estimate, rather too high than too low.

    Raises:
        ConfigurationError: the language is unknown, or the embedder is none.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        working: WorkingStore,
        tenants: TenantMap[Tenant, Any] | None = None,
        namespace: str = "default",
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        extractor: Extractor | None = None,
        predicates: Iterable[Predicate] = (),
        limits: Limits = Limits(),
        weights: RecallWeights = RecallWeights(),
        language: str = "english",
        deadline: float | None = 5.0,
        clock: Clock = utc_now,
        count_tokens: CountTokens = estimated_tokens,
        on_evict: Callable[[Tenant, Any], None] | None = None,
    ) -> None:
        if language not in languages():
            msg = f"unknown language {language!r}; known are {', '.join(sorted(languages()))}"
            raise ConfigurationError(msg)
        _check_parts(limits, weights, deadline, clock, reranker=reranker, count_tokens=count_tokens)
        self._namespace = check_id("namespace", namespace)
        embedding = None
        if embedder is not None:
            embedding = Embedding(embedder, cached=limits.cached_embeddings, chunk_chars=limits.chunk_chars)
        writes = EpisodeWrites(archive)
        self._composition = Composition(
            archive=archive,
            working=working,
            tenants=open_tenants(limits, working, on_evict=on_evict) if tenants is None else tenants,
            embedding=embedding,
            reranker=reranker,
            extractor=_checked_extractor(extractor),
            limits=limits,
            weights=weights,
            language=language,
            clock=clock if clock is utc_now else aware(clock),
            deadline=deadline,
            writes=writes,
            embedded_writes=writes if embedding is None else EpisodeWrites(archive, embedding, writes),
            fact_batches=group_commit_of_facts(archive),
            predicates=Predicates(predicates),
            count_tokens=count_tokens,
        )

    @property
    def closed(self) -> bool:
        """Whether the owner has closed it."""
        return self._composition.closed

    def close(self) -> None:
        """Make every further call raise `MemoryClosed`. The stores are their owner's to close."""
        self._composition.closed = True

    def user(
        self,
        user_id: str | None,
        *,
        agent_id: str | None = None,
        session_id: str | None = None,
        namespace: str | None = None,
        parents: Iterable["UserMemory"] = (),
    ) -> "UserMemory":
        """Return a handle on one tenant. Costs nothing, and needs no closing.

        Args:
            user_id: None for the anonymous tenant of the namespace.
            agent_id, session_id: defaults of what is written through the handle.
            namespace: None for that of the memory.
            parents: handles of this memory, such as of a project or a team, whose blocks and variables can
                be read with `inherit=True`; the nearest first.
        """
        self._composition.ensure_open()
        tenant = Tenant(
            self._namespace if namespace is None else check_id("namespace", namespace),
            check_optional_id("user_id", user_id),
        )
        scope = Scope(
            tenant,
            check_optional_id("agent_id", agent_id),
            check_optional_id("session_id", session_id),
            tuple(parent.scope_in(self._composition) for parent in parents),
        )
        return UserMemory(self._composition, scope)

    async def users(
        self, *, namespace: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[str | None]:
        """Return the users that have stored something, in byte order, the anonymous one first.

        Args:
            namespace: None for that of the memory.
            cursor: of the page before.
            limit: 1..1000.
        """
        namespace = self._namespace if namespace is None else check_id("namespace", namespace)
        after = opened(cursor, str, "users", namespace)
        check_count("limit", limit)
        self._composition.ensure_open()
        with bounded(self._composition.deadline):
            found = await self._composition.archive.directory.users(namespace, after=after, limit=limit + 1)
        more = len(found) > limit
        position = sealed(found[limit - 1] or "", "users", namespace) if more else None
        return Page(items=tuple(found[:limit]), cursor=position, basis=0)

    async def register_predicate(self, predicate: Predicate) -> None:
        """Declare a predicate, as `open_memory(predicates=...)` does.

        Raises:
            ConfigurationError: it is declared already, or stored, with another rule.
        """
        composition = self._composition
        composition.ensure_open()
        await checkpoint_if_cancelled()
        declared = Predicates([*composition.predicates.values(), predicate])
        with bounded(composition.deadline):
            await composition.archive.adopt_predicates({predicate.name: predicate.rule}, replace=False)
        # Others may have been declared meanwhile.
        composition.predicates = Predicates([*composition.predicates.values(), declared[predicate.name]])

    def add_hook(
        self, hook: Before | After, *, events: Collection[Event] | None = None, stage: Stage = "before"
    ) -> None:
        """Have `hook`, sync or async, called with every change of facts, after those added before it.

        A "before" hook gets the `Proposal`, and vetoes it by raising: `HookError`, nothing is stored. An
        "after" hook gets the `Commit`; if it fails that is logged, and the change stays. Both run outside
        of every lock and transaction, and may use the memory; the deadline does not count their time.

        A call that is repeated with its key asks and tells them again: whoever was cut off after the commit
        did not get to tell them. `Facts.changes` has every change exactly once.

        Args:
            events: a collection of names of methods of `Facts`: "add" (for the others that add, too),
                "update", "correct", "end", "deny", "retract", "transaction", "promote", "discard",
                "rollback"; None for all.
        """
        self._composition.ensure_open()
        self._composition.hooks.add(hook, events, stage)

    async def consolidate(self, *, interval: float, namespace: str | None = None) -> NoReturn:
        """Consolidate all users of a namespace, round after round, until it is cancelled.

        A coroutine for a task group of yours: `tasks.start_soon(partial(memory.consolidate, interval=60))`.
        One user after the other, in an order by chance; nobody waits for who has nothing new. What goes wrong
        is logged, with ids and counts only, and tried again: an episode that keeps failing in ever fewer
        rounds, in every 32nd at last. While the store does not answer, it waits.

        Args:
            interval: seconds between two rounds, > 0.
            namespace: None for that of the memory.

        Raises:
            UnsupportedOperation: there is no extractor.
            MemoryClosed: the owner has closed it.
        """
        namespace = self._namespace if namespace is None else check_id("namespace", namespace)
        if not _is_positive(interval):
            raise InvalidInput("interval", "must be a positive number of seconds")
        await consolidate_in_rounds(self._composition, namespace, interval)

    async def gc(self, *, dry_run: bool = True) -> Garbage:
        """Remove what nothing can ask for any more, of all users of all namespaces; by default only count it.

        In process that is working memory whose time is over, which otherwise goes when somebody comes across
        it; in an archive it is what an erasure has left: vectors that arrived at the same moment. Redis
        drops by itself what has ended, so that nothing is counted there. Nothing that can be read goes: an
        export is the same afterwards. Nor does what keeps a promise: keys of fact transactions are part
        of the journal, and honoured for as long as that is; hashes of what was forgotten keep it from
        coming back.

        It goes from user to user, in small steps each of which is atomic: cancelled in between, it has done a
        part of the work. Others may read and write meanwhile, and several processes may do it at once: each
        counts what it removed itself. Not bounded by the deadline.

        Raises:
            StoreUnavailable, Overloaded: not everything was looked at; do it again.
        """
        self._composition.ensure_open()
        await checkpoint_if_cancelled()
        if not isinstance(cast("object", dry_run), bool):
            raise InvalidInput("dry_run", f"expected a bool, got {type(dry_run).__name__}")
        return await collect(self._composition, dry_run=dry_run)

    async def index_vectors(self) -> Indexed:
        """Make an index of the vectors of each user with more than `Limits.exact_vectors`; drop others.

        Of all users of all namespaces. To be called now and then, by somebody who owns the tables: no other
        call makes one. Without it every recall compares all vectors of its user, which takes the longer the
        more there are. With it recalls of that user compare the nearest, those with words of the query, and
        those beside them; all others just as before. An index that is there is dropped when its user
        has less than half of that, was forgotten, or has vectors of another embedder.

        Others may read and write meanwhile. Cut off, it has done a part of the work, and the next call does
        the rest. Not bounded by the deadline. In process there is nothing to do.

        Raises:
            Overloaded: another process is at it.
            ConfigurationError: the database user does not own the tables, pgvector is older than 0.8, or the
                pool has a single connection.
        """
        composition = self._composition
        composition.ensure_open()
        await checkpoint_if_cancelled()
        if not isinstance(composition.archive, Indexing):
            return Indexed(built=0, kept=0, dropped=0)
        done = await composition.archive.index_vectors(above=composition.limits.exact_vectors)
        return Indexed(built=done.built, kept=done.kept, dropped=done.dropped)

    def supported_ops(self) -> frozenset[str]:
        """Return the names of what `UserMemory.dispatch` can do: all but what this composition cannot."""
        return supported_ops(self._composition)

    def capabilities(self) -> Capabilities:
        """Return what this composition can do."""
        return capabilities(self._composition)

    async def health(self) -> MemoryHealth:
        """Ask the stores whether they answer. An outage is an answer, not an error."""
        self._composition.ensure_open()
        await checkpoint_if_cancelled()
        return await examined(self._composition, self._namespace)

    def statistics(self) -> MemoryStatistics:
        """Return what the memory holds in process right now."""
        composition = self._composition
        writes = [each.statistics() for each in {composition.writes, composition.embedded_writes}]
        facts = [each.statistics() for each in composition.fact_writes.values()]
        batches = composition.fact_batches.statistics()
        return MemoryStatistics(
            users=len(composition.tenants),
            leased=composition.tenants.leased,
            waiting=sum(each.waiting for each in (*writes, *facts)),
            transactions=sum(each.flushes for each in (*writes, batches)) + composition.fact_transactions,
            writes=sum(each.items for each in writes) + composition.fact_changes,
        )


def _check_parts(
    limits: object,
    weights: object,
    deadline: object,
    clock: object,
    *,
    reranker: object,
    count_tokens: object,
) -> None:
    """Refuse at once what would fail with the first call."""
    if not isinstance(limits, Limits) or not isinstance(weights, RecallWeights):
        msg = "limits must be a Limits, weights a RecallWeights"
        raise ConfigurationError(msg)
    if deadline is not None and not _is_positive(deadline):
        msg = f"deadline must be a positive number of seconds, or None for no bound, got {deadline!r}"
        raise ConfigurationError(msg)
    if not callable(clock) or not (reranker is None or callable(reranker)):
        msg = "clock must be a function of nothing, reranker an async one of a query and texts"
        raise ConfigurationError(msg)
    if not callable(count_tokens):
        msg = "count_tokens must be a function of a text that returns a number"
        raise ConfigurationError(msg)


def _is_positive(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < math.inf


def _checked_extractor(extractor: Extractor | None) -> Extractor | None:
    if extractor is not None and not callable(getattr(extractor, "extract", None)):
        msg = "an extractor has an async method `extract`; recollect.extractors wraps a chat function"
        raise ConfigurationError(msg)
    return extractor
