"""Async memory for agents: working memory, episodes and bi-temporal facts, per tenant."""

from typing import TYPE_CHECKING, Any

from ._period import day
from .connect import open_memory
from .errors import (
    ConfigurationError,
    Conflict,
    DeadlineExceeded,
    EmbeddingMismatch,
    EpisodeConflict,
    FactConflict,
    HookError,
    IdempotencyConflict,
    InvalidInput,
    IsolationWarning,
    LeaseError,
    MemoryClosed,
    MissingExtra,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    RecollectError,
    RollbackConflict,
    SchemaError,
    StoreUnavailable,
    TryLater,
    UnsupportedOperation,
    VersionConflict,
)
from .hooks import Commit, Proposal, Proposed
from .settings import Settings
from .stores import Archive, Directory, Embedder, EpisodeStore, FactStore, Reranker, WorkingStore
from .types import (
    FOREVER,
    Block,
    BlockConflict,
    Change,
    Checkpoint,
    Diff,
    Episode,
    EpisodeDraft,
    Fact,
    FactDraft,
    FactHit,
    FactPath,
    FactSignals,
    Health,
    Limits,
    MemoryStatistics,
    Message,
    Note,
    Page,
    Provenance,
    RecallWeights,
    Recollection,
    Session,
    Signals,
    Span,
    TaskState,
    Tenant,
    Transaction,
    WorkingStats,
    WorkingStatus,
)

if TYPE_CHECKING:
    from ._tenants import TenantMap
    from .memory import Memory
    from .predicates import Predicate
    from .user import UserMemory

__all__ = (
    "FOREVER",
    "Archive",
    "Block",
    "BlockConflict",
    "Change",
    "Checkpoint",
    "Commit",
    "ConfigurationError",
    "Conflict",
    "DeadlineExceeded",
    "Diff",
    "Directory",
    "Embedder",
    "EmbeddingMismatch",
    "Episode",
    "EpisodeConflict",
    "EpisodeDraft",
    "EpisodeStore",
    "Fact",
    "FactConflict",
    "FactDraft",
    "FactHit",
    "FactPath",
    "FactSignals",
    "FactStore",
    "Health",
    "HookError",
    "IdempotencyConflict",
    "InvalidInput",
    "IsolationWarning",
    "LeaseError",
    "Limits",
    "Memory",
    "MemoryClosed",
    "MemoryStatistics",
    "Message",
    "MissingExtra",
    "NotFound",
    "Note",
    "OutcomeUnknown",
    "Overloaded",
    "Page",
    "Predicate",
    "Proposal",
    "Proposed",
    "Provenance",
    "RecallWeights",
    "RecollectError",
    "Recollection",
    "Reranker",
    "RollbackConflict",
    "SchemaError",
    "Session",
    "Settings",
    "Signals",
    "Span",
    "StoreUnavailable",
    "TaskState",
    "Tenant",
    "TenantMap",
    "Transaction",
    "TryLater",
    "UnsupportedOperation",
    "UserMemory",
    "VersionConflict",
    "WorkingStats",
    "WorkingStatus",
    "WorkingStore",
    "day",
    "open_memory",
)

_LAZY = {"Memory": "memory", "UserMemory": "user", "TenantMap": "_tenants", "Predicate": "predicates"}
"""Names whose modules import numpy, or are rarely needed: imported when they are asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
