"""Async memory for agents: working memory, episodes and bi-temporal facts, per tenant."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._period import day
    from ._tenants import TenantMap
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
    from .memory import Memory
    from .predicates import Predicate
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

# What is imported when it is asked for: `import recollect` alone costs next to nothing.
_HOMES = {
    "_period": "day",
    "_tenants": "TenantMap",
    "connect": "open_memory",
    "errors": (
        "ConfigurationError Conflict DeadlineExceeded EmbeddingMismatch EpisodeConflict FactConflict "
        "HookError IdempotencyConflict InvalidInput IsolationWarning LeaseError MemoryClosed MissingExtra "
        "NotFound OutcomeUnknown Overloaded RecollectError RollbackConflict SchemaError StoreUnavailable "
        "TryLater UnsupportedOperation VersionConflict"
    ),
    "hooks": "Commit Proposal",
    "memory": "Memory",
    "predicates": "Predicate",
    "settings": "Settings",
    "stores": "Archive Embedder Extractor Reranker",
    "types": (
        "Block BlockConflict Capabilities Change Checkpoint ConsolidationReport Context Diff Episode "
        "EpisodeDraft Export FOREVER Fact FactDraft FactHit FactPath Limits Message Note Page Profile "
        "Provenance RecallWeights Receipt Recollection Session Span TaskState Tenant Transaction "
        "WorkingStats WorkingStatus"
    ),
    "user": "UserMemory",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
