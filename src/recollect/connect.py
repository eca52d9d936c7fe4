"""`open_memory`: the only module that knows every back end. It owns what it opens."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from anyio import to_thread

from ._clock import Clock, utc_now
from ._deadline import bounded
from .errors import ConfigurationError
from .types import Limits, RecallWeights

if TYPE_CHECKING:
    from .memory import Memory
    from .postgres import Pool
    from .predicates import Predicate
    from .stores import Archive, Embedder, Reranker


@asynccontextmanager
async def open_memory(
    *,
    postgres: "str | Pool | None" = None,
    namespace: str = "default",
    embedder: "Embedder | None" = None,
    reranker: "Reranker | None" = None,
    predicates: "Iterable[Predicate]" = (),
    limits: Limits = Limits(),
    weights: RecallWeights = RecallWeights(),
    language: str = "english",
    on_embedding_mismatch: Literal["error", "reembed"] = "error",
    on_predicate_mismatch: Literal["error", "replace"] = "error",
    deadline: float | None = 5.0,
    migrate: Literal["auto", "never"] | None = None,
    clock: Clock | None = None,
    schema: str = "recollect",
) -> AsyncGenerator["Memory"]:
    """Open a memory for the length of the block; afterwards nothing of it remains.

    Args:
        postgres: None for in process; "postgresql://..."; "embedded:PATH" for a PostgreSQL that is
            started for you; or an `asyncpg.Pool` of yours, which is not closed, and gets no codec: vectors
            go over it as hexadecimal text instead of in pgvector's binary format.
        namespace: default of `memory.user`.
        embedder: without one, recall goes by words and context.
        reranker: `async (query, texts) -> scores`, for the best hits of a recall; None keeps our order.
        predicates: schemas of facts, and how many values they have at a time.
        limits: bounds of what is held and accepted.
        weights: what counts how much in a recall.
        language: of the texts; decides on stemming and stop words.
        on_embedding_mismatch: what to do if the archive holds vectors of another model: "error", or
            "reembed" to drop them and leave every episode pending.
        on_predicate_mismatch: what to do if the archive knows a predicate by another rule: "error", or
            "replace" to take the new one and fold all facts of it again.
        deadline: seconds a call may take, None for no bound.
        migrate: "auto" brings the tables up to date, "never" refuses old ones; None is auto for an
            embedded server and never for any other.
        clock: gives "now", aware, UTC; None for the wall clock, and the server's own for what it stores.
        schema: of the tables in PostgreSQL.

    Raises:
        ConfigurationError: something cannot work as it is given; the message says what to do.
        StoreUnavailable, DeadlineExceeded: the server did not answer.
    """
    _check_choices(on_embedding_mismatch, on_predicate_mismatch, migrate)
    # Drivers and numpy take a while to import, which must not hold up the event loop.
    await to_thread.run_sync(_load, "inprocess" if postgres is None else "postgres")
    from .memory import Memory
    from .predicates import Predicates

    declared = Predicates(predicates)
    async with AsyncExitStack() as stack:
        archive = await stack.enter_async_context(
            _open_archive(postgres, schema=schema, migrate=migrate, deadline=deadline, clock=clock)
        )
        memory = Memory(
            archive=archive,
            namespace=namespace,
            embedder=embedder,
            reranker=reranker,
            predicates=declared.values(),
            limits=limits,
            weights=weights,
            language=language,
            deadline=deadline,
            clock=clock or utc_now,
        )
        if embedder is not None:
            reembed = on_embedding_mismatch == "reembed"
            with bounded(None if reembed else deadline):  # to drop all vectors may take long
                await archive.adopt_embedder(embedder.model, embedder.dimensions, reembed=reembed)
        if declared:
            replace = on_predicate_mismatch == "replace"
            with bounded(None if replace else deadline):  # to fold their facts again may take long
                await archive.adopt_predicates(declared.rules(), replace=replace)
        stack.callback(memory.close)
        yield memory


@asynccontextmanager
async def _open_archive(
    postgres: "str | Pool | None",
    *,
    schema: str,
    migrate: Literal["auto", "never"] | None,
    deadline: float | None,
    clock: Clock | None,
) -> AsyncGenerator["Archive"]:
    if postgres is None:
        from .inprocess import InProcessArchive

        yield InProcessArchive(clock=clock or utc_now)
    else:
        from .postgres import open_postgres

        async with open_postgres(
            postgres, schema=schema, migrations=migrate, deadline=deadline, clock=clock
        ) as archive:
            yield archive


def _load(backend: str) -> None:
    for module in ("memory", backend):
        import_module(f"recollect.{module}")


def _check_choices(on_embedding_mismatch: object, on_predicate_mismatch: object, migrate: object) -> None:
    if on_predicate_mismatch not in ("error", "replace"):
        msg = 'on_predicate_mismatch must be "error" or "replace"'
        raise ConfigurationError(msg)
    if on_embedding_mismatch not in ("error", "reembed"):
        msg = 'on_embedding_mismatch must be "error" or "reembed"'
        raise ConfigurationError(msg)
    if migrate not in (None, "auto", "never"):
        msg = 'migrate must be "auto", "never" or None'
        raise ConfigurationError(msg)
