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
from .hooks import Commit, Proposal
from .settings import Settings
from .stores import Archive, Embedder, Extractor, Reranker
from .types import (
    FOREVER,
    Block,
    BlockConflict,
    Capabilities,
    Change,
    Checkpoint,
    ConsolidationReport,
    Context,
    Diff,
    Episode,
    EpisodeDraft,
    Export,
    Fact,
    FactDraft,
    FactHit,
    FactPath,
    Limits,
    Message,
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
    "Capabilities",
    "Change",
    "Checkpoint",
    "Commit",
    "ConfigurationError",
    "Conflict",
    "ConsolidationReport",
    "Context",
    "DeadlineExceeded",
    "Diff",
    "Embedder",
    "EmbeddingMismatch",
    "Episode",
    "EpisodeConflict",
    "EpisodeDraft",
    "Export",
    "Extractor",
    "Fact",
    "FactConflict",
    "FactDraft",
    "FactHit",
    "FactPath",
    "HookError",
    "IdempotencyConflict",
    "InvalidInput",
    "IsolationWarning",
    "LeaseError",
    "Limits",
    "Memory",
    "MemoryClosed",
    "Message",
    "MissingExtra",
    "NotFound",
    "Note",
    "OutcomeUnknown",
    "Overloaded",
    "Page",
    "Predicate",
    "Profile",
    "Proposal",
    "Provenance",
    "RecallWeights",
    "Receipt",
    "RecollectError",
    "Recollection",
    "Reranker",
    "RollbackConflict",
    "SchemaError",
    "Session",
    "Settings",
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
