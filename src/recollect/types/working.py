from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from .memory import Value

Source = Literal["redis", "local"]


class Block(Value):
    """Named text that is pinned in the prompt."""

    name: str = Field(description="unique within its scope")
    text: str
    order: int = Field(description="blocks are listed by it, >= 0; no two of a scope share one")
    version: int = Field(description=">= 1, grows with every change of the text, also after a deletion")
    updated_at: datetime = Field(description="when the text was set, UTC")


class TaskState(Value):
    """The task at hand."""

    task_id: str
    description: str = ""
    status: str = Field(default="pending", description="the caller's word")
    current_step: int = Field(default=0, ge=0)
    total_steps: int = Field(default=0, ge=0)
    progress_percent: float = Field(default=0.0, description="0..100; what is beyond is clamped")
    context: dict[str, Any] = Field(default_factory=dict[str, Any], description="the caller's, opaque JSON")
    started_at: datetime | None = Field(default=None, description="the caller's, aware")
    updated_at: datetime | None = Field(default=None, description="stamped by the store, UTC")


class Note(Value):
    """An entry of the scratchpad."""

    text: str
    at: datetime = Field(description="when it was written, UTC")


class Checkpoint(Value):
    """A copy of a scope's blocks, variables, task and scratchpad that can be restored."""

    id: str
    description: str
    created_at: datetime = Field(description="UTC")


class BlockConflict(Value):
    """A block that was changed here while the server was away, and there as well. Theirs is in place."""

    id: str = Field(description="what `working.resolve` takes")
    name: str
    ours: str | None = Field(description="the text that did not get its place; None: we deleted the block")
    base_version: int | None = Field(description="the version that ours was made from; None if never seen")
    at: datetime = Field(description="when ours was written, UTC")


class WorkingStats(Value):
    """What a scope holds."""

    variables: int
    blocks: int
    notes: int
    checkpoints: int
    has_task: bool
    created_at: datetime | None = Field(description="of its first write, UTC; None if there was none")


class WorkingStatus(Value):
    """Where the working memory of a tenant lives right now."""

    source: Source = Field(description="who answers: the server, or this process")
    degraded: bool = Field(default=False, description="this process answers because the server is away")
    since: datetime | None = Field(default=None, description="since when it is degraded, UTC")
    unsaved: int = Field(default=0, description="changes that the server has yet to get")


class Health(Value):
    """Whether a server answers."""

    ok: bool
    source: str = Field(description='who was asked: "postgres", "redis", or "local" for this process')
    latency: float | None = Field(description="seconds that the answer took; None without one")
    error: str | None = Field(default=None, description="why it does not answer")
