# Made of the async classes: python -m tests.blocking_stub
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import EllipsisType, TracebackType
from typing import Any, Literal, NoReturn, Self

from pydantic import BaseModel

from recollect._clock import Clock
from recollect._context import CountTokens
from recollect._fact_transaction import Reference
from recollect._operations import Op
from recollect._remembering import Embed
from recollect._workspace import Keep
from recollect.connect import OnConflict
from recollect.hooks import After, Before, Event, Stage
from recollect.postgres import Pool
from recollect.predicates import Predicate
from recollect.redis import Client
from recollect.settings import Settings
from recollect.stores import Embedder, Extractor, Reranker
from recollect.types import (
    Block,
    BlockConflict,
    Change,
    Checkpoint,
    Context,
    Diff,
    Episode,
    EpisodeDraft,
    Export,
    Fact,
    FactDraft,
    FactHit,
    FactPath,
    Forever,
    Health,
    Limits,
    MemoryStatistics,
    Message,
    Mode,
    Note,
    Page,
    Profile,
    Provenance,
    RecallWeights,
    Receipt,
    Recollection,
    Session,
    Span,
    TaskState,
    Tenant,
    Transaction,
    WorkingStats,
    WorkingStatus,
)
from recollect.types.capabilities import Capabilities, MemoryHealth
from recollect.types.consolidation import ConsolidationReport
from recollect.types.governing import Garbage, Indexed
from recollect.user.results import Result

__all__ = (
    "Blocks",
    "Checkpoints",
    "Episodes",
    "FactTransaction",
    "Facts",
    "Memory",
    "Scratchpad",
    "Task",
    "UserMemory",
    "Variables",
    "Working",
    "open_memory",
)

class Blocks:
    def list(self, *, inherit: bool = False) -> tuple[Block, ...]: ...
    def get(self, name: str, *, inherit: bool = False) -> Block | None: ...
    def set(
        self, name: str, text: str, *, if_version: int | None = None, key: str | None = None
    ) -> Block: ...
    def append(self, name: str, text: str, *, key: str | None = None) -> Block: ...
    def delete(self, name: str) -> bool: ...
    def move(self, name: str, index: int) -> Block: ...
    def render(self, format: Literal["xml", "markdown"] = "xml", *, inherit: bool = False) -> str: ...

class Checkpoints:
    def create(self, description: str = "") -> Checkpoint: ...
    def restore(self, id: str) -> Checkpoint: ...
    def list(self) -> tuple[Checkpoint, ...]: ...
    def delete(self, id: str) -> bool: ...

class Episodes:
    def get(self, id: str) -> Episode | None: ...
    def list(
        self,
        *,
        session_id: str | None = None,
        before: datetime | None = None,
        after: datetime | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Episode]: ...
    def sessions(self, *, cursor: str | None = None, limit: int = 100) -> Page[Session]: ...
    def count(self) -> int: ...
    def embed_pending(self, *, limit: int = 100) -> int: ...

class FactTransaction:
    @property
    def results(self) -> tuple[Fact, ...]: ...
    def add(
        self,
        subject: str,
        predicate: str,
        object: Any,
        *,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = ...,
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
    ) -> Reference: ...
    def add_model(
        self,
        model: BaseModel,
        *,
        predicate: str | None = None,
        subject: str | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = ...,
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
    ) -> Reference: ...
    def update(self, fact: Reference | str, patch: dict[str, Any]) -> Reference: ...
    def correct(
        self,
        fact: Reference | str,
        *,
        object: Any = ...,
        valid_from: datetime | EllipsisType = ...,
        valid_to: datetime | Forever | EllipsisType | None = ...,
    ) -> Reference: ...
    def end(
        self, subject: str, predicate: str, object: Any = ..., *, at: datetime | None = None
    ) -> Reference: ...
    def deny(
        self,
        subject: str,
        predicate: str,
        object: Any = ...,
        *,
        valid_from: datetime,
        valid_to: datetime | Forever | None,
    ) -> Reference: ...
    def retract(self, fact: Reference | str) -> Reference: ...
    def commit(self) -> None: ...
    def abandon(self) -> None: ...

class Facts:
    def add(
        self,
        subject: str,
        predicate: str,
        object: Any,
        *,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = ...,
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact: ...
    def add_many(
        self,
        drafts: Sequence[FactDraft],
        *,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> tuple[Fact, ...]: ...
    def add_model(
        self,
        model: BaseModel,
        *,
        predicate: str | None = None,
        subject: str | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = ...,
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact: ...
    def update(
        self,
        fact_id: str,
        patch: dict[str, Any],
        *,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact: ...
    def correct(
        self,
        fact_id: str,
        *,
        object: Any = ...,
        valid_from: datetime | EllipsisType = ...,
        valid_to: datetime | Forever | EllipsisType | None = ...,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact: ...
    def end(
        self,
        subject: str,
        predicate: str,
        object: Any = ...,
        *,
        at: datetime | None = None,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact: ...
    def deny(
        self,
        subject: str,
        predicate: str,
        object: Any = ...,
        *,
        valid_from: datetime,
        valid_to: datetime | Forever | None,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact: ...
    def retract(
        self, fact_id: str, *, actor: str | None = None, reason: str | None = None, key: str | None = None
    ) -> Fact: ...
    def promote_session(
        self,
        session_id: str | None = None,
        *,
        select: Callable[[Fact], bool] | None = None,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> int: ...
    def discard_session(
        self,
        session_id: str | None = None,
        *,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> int: ...
    def rollback(
        self,
        session_id: str | None = None,
        *,
        steps: int = 1,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> int: ...
    def get(self, fact_id: str) -> Fact | None: ...
    def count(self) -> int: ...
    def find(
        self,
        subject: str | None = None,
        predicate: str | None = None,
        object: Any = ...,
        *,
        where: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        valid_at: datetime | None = None,
        valid_during: tuple[datetime | None, datetime | None] | None = None,
        known_at: datetime | int | None = None,
        as_of: datetime | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Fact]: ...
    def related(
        self, subject: str, *, hops: int = 2, valid_at: datetime | None = None, limit: int = 20
    ) -> tuple[FactPath, ...]: ...
    def embed_pending(self, *, limit: int = 100) -> int: ...
    def timeline(
        self, subject: str, predicate: str, *, known_at: datetime | int | None = None
    ) -> tuple[Span, ...]: ...
    def history(self, subject: str, predicate: str) -> tuple[Fact, ...]: ...
    def diff(
        self,
        known_a: datetime | int,
        known_b: datetime | int,
        *,
        subject: str | None = None,
        valid_during: tuple[datetime | None, datetime | None] | None = None,
    ) -> Diff: ...
    def changes(self, since: int = 0, *, cursor: str | None = None, limit: int = 100) -> Page[Change]: ...
    def journal(
        self, *, session_id: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[Transaction]: ...
    def why(self, fact: Fact | str) -> Provenance | None: ...
    @contextmanager
    def transaction(
        self, *, actor: str | None = None, reason: str | None = None, key: str | None = None
    ) -> Generator[FactTransaction]: ...

class Memory:
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def user(
        self,
        user_id: str | None,
        *,
        agent_id: str | None = None,
        session_id: str | None = None,
        namespace: str | None = None,
        parents: Iterable[UserMemory] = ...,
    ) -> UserMemory: ...
    def users(
        self, *, namespace: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[str | None]: ...
    def register_predicate(self, predicate: Predicate) -> None: ...
    def add_hook(
        self, hook: Before | After, *, events: Collection[Event] | None = None, stage: Stage = "before"
    ) -> None: ...
    def consolidate(self, *, interval: float, namespace: str | None = None) -> NoReturn: ...
    def gc(self, *, dry_run: bool = True) -> Garbage: ...
    def index_vectors(self) -> Indexed: ...
    def supported_ops(self) -> frozenset[str]: ...
    def capabilities(self) -> Capabilities: ...
    def health(self) -> MemoryHealth: ...
    def statistics(self) -> MemoryStatistics: ...

class Scratchpad:
    def append(self, text: str, *, key: str | None = None) -> Note: ...
    def entries(self, limit: int | None = None) -> tuple[Note, ...]: ...
    def clear(self) -> int: ...

class Task:
    def set(self, state: TaskState) -> TaskState: ...
    def get(self) -> TaskState | None: ...
    def update(
        self,
        *,
        current_step: int | None = None,
        progress_percent: float | None = None,
        status: str | None = None,
    ) -> TaskState | None: ...
    def clear(self) -> bool: ...

class UserMemory:
    episodes: Episodes
    facts: Facts
    blocks: Blocks
    variables: Variables
    task: Task
    scratchpad: Scratchpad
    checkpoints: Checkpoints
    working: Working

    @property
    def user_id(self) -> str | None: ...
    @property
    def namespace(self) -> str: ...
    @property
    def agent_id(self) -> str | None: ...
    @property
    def session_id(self) -> str | None: ...
    @property
    def leases(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def at(self, *, agent_id: str | None = None, session_id: str | None = None) -> Self: ...
    def acquire(self) -> Self: ...
    def release(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def export(self, *, vectors: bool = False) -> Export: ...
    def export_lines(self, *, vectors: bool = False) -> Generator[str]: ...
    def restore(self, export: Export) -> None: ...
    def restore_lines(self, lines: Iterable[str]) -> None: ...
    def dispatch(
        self, op: Op | Mapping[str, Any] | str | bytes, *, only: Collection[str] | None = None
    ) -> Result: ...
    def forget(
        self,
        *,
        everything: bool = False,
        session_id: str | None = None,
        episode_ids: Sequence[str] | None = None,
        fact_ids: Sequence[str] | None = None,
        before: datetime | None = None,
        verify: bool = False,
    ) -> Receipt: ...
    def consolidate(self, *, limit: int | None = None) -> ConsolidationReport: ...
    def context(
        self,
        query: str | None = None,
        *,
        token_budget: int = 1500,
        format: Literal["xml", "markdown"] = "xml",
    ) -> Context: ...
    def profile(self) -> Profile: ...
    def recall(
        self,
        query: str,
        *,
        limit: int = 5,
        mode: Mode = "hybrid",
        time_range: tuple[datetime | None, datetime | None] | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        where: Mapping[str, Any] | None = None,
        neighbours: int = 0,
    ) -> tuple[Recollection, ...]: ...
    def recall_facts(
        self,
        query: str,
        *,
        limit: int = 5,
        valid_at: datetime | None = None,
        known_at: datetime | int | None = None,
    ) -> tuple[FactHit, ...]: ...
    def messages(self, session_id: str | None = None, *, limit: int = 20) -> tuple[Message, ...]: ...
    def remember(
        self,
        input: str,
        output: str = "",
        *,
        session_id: str | None = None,
        occurred_at: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        transcript: Any = None,
        id: str | None = None,
        embed: Embed = "now",
    ) -> Episode: ...
    def remember_many(
        self, drafts: Sequence[EpisodeDraft], *, embed: Embed = "now"
    ) -> tuple[Episode, ...]: ...

class Variables:
    def set(self, key: str, value: Any, *, ttl: float | None = None) -> None: ...
    def get(self, key: str, default: Any = None, *, inherit: bool = False) -> Any: ...
    def get_many(self, keys: Iterable[str]) -> dict[str, Any]: ...
    def delete(self, key: str) -> bool: ...
    def exists(self, key: str) -> bool: ...
    def keys(self, pattern: str = "*") -> list[str]: ...
    def items(self) -> dict[str, Any]: ...
    def clear(self) -> int: ...

class Working:
    @property
    def status(self) -> WorkingStatus: ...
    def stats(self) -> WorkingStats: ...
    def health(self) -> Health: ...
    def conflicts(self) -> tuple[BlockConflict, ...]: ...
    def resolve(self, id: str, *, keep: Keep = "theirs", text: str | None = None) -> Block | None: ...

@contextmanager
def open_memory(
    *,
    postgres: str | Pool | None = None,
    read_postgres: str | None = None,
    redis: str | Client | None = None,
    namespace: str = "default",
    embedder: Embedder | None = None,
    extractor: Extractor | None = None,
    reranker: Reranker | None = None,
    predicates: Iterable[Predicate] = ...,
    limits: Limits = ...,
    weights: RecallWeights = ...,
    language: str = "english",
    on_outage: Literal["local", "error"] = "local",
    on_conflict: OnConflict | None = None,
    on_evict: Callable[[Tenant, Any], None] | None = None,
    on_embedding_mismatch: Literal["error", "reembed"] = "error",
    on_predicate_mismatch: Literal["error", "replace"] = "error",
    deadline: float | None = 5.0,
    migrate: Literal["auto", "never"] | None = None,
    clock: Clock | None = None,
    count_tokens: CountTokens = ...,
    schema: str = "recollect",
    settings: Settings | None = None,
    backend: str = "asyncio",
    backend_options: Mapping[str, Any] | None = None,
) -> Generator[Memory]: ...
