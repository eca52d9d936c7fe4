"""Async memory for agents: working memory, episodes and bi-temporal facts, per tenant."""

from typing import TYPE_CHECKING, Any

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
from .stores import Archive, Directory, Embedder, EpisodeStore, Reranker
from .types import (
    Episode,
    EpisodeDraft,
    Limits,
    MemoryStatistics,
    Message,
    Page,
    RecallWeights,
    Recollection,
    Session,
    Signals,
    Tenant,
)

if TYPE_CHECKING:
    from ._tenants import TenantMap
    from .memory import Memory
    from .user import UserMemory

__all__ = (
    "Archive",
    "ConfigurationError",
    "Conflict",
    "DeadlineExceeded",
    "Directory",
    "Embedder",
    "EmbeddingMismatch",
    "Episode",
    "EpisodeConflict",
    "EpisodeDraft",
    "EpisodeStore",
    "FactConflict",
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
    "OutcomeUnknown",
    "Overloaded",
    "Page",
    "RecallWeights",
    "RecollectError",
    "Recollection",
    "Reranker",
    "RollbackConflict",
    "SchemaError",
    "Session",
    "Signals",
    "StoreUnavailable",
    "Tenant",
    "TenantMap",
    "TryLater",
    "UnsupportedOperation",
    "UserMemory",
    "VersionConflict",
    "open_memory",
)

_LAZY = {"Memory": "memory", "UserMemory": "user", "TenantMap": "_tenants"}
"""Names whose modules import numpy, or are rarely needed: imported when they are asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
