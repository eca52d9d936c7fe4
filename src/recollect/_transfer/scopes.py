"""Scopes of working memory as records, and back."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from .. import _json
from .._workspace import Contents, Saved, ScopeName
from ..errors import InvalidInput
from ..types import Block, BlockConflict, Checkpoint, Limits, Note, TaskState
from .fields import Fields

MAX_STEP = 2**53 - 1
MAX_STATUS = 1024
LONGEST = timedelta.max.total_seconds() - 1
PARTS = ("block", "variable", "task", "note", "conflict", "checkpoint")


def told_scope(name: ScopeName, contents: Contents) -> Iterator[dict[str, Any]]:
    """Yield a scope as records, without what its checkpoints keep."""
    yield {
        "kind": "scope",
        "agent_id": name[0],
        "session_id": name[1],
        "created_at": None if contents.created_at is None else contents.created_at.isoformat(),
        "newest_version": contents.newest,
    }
    yield from _told(contents)
    for conflict in contents.conflicts:
        yield {
            "kind": "conflict",
            "id": conflict.id,
            "name": conflict.name,
            "ours": conflict.ours,
            "base_version": conflict.base_version,
            "at": conflict.at.isoformat(),
        }


def told_checkpoint(saved: Saved) -> Iterator[dict[str, Any]]:
    """Yield a checkpoint as records: itself, and what it keeps."""
    made = saved.checkpoint
    yield {
        "kind": "checkpoint",
        "id": made.id,
        "description": made.description,
        "created_at": made.created_at.isoformat(),
    }
    yield from _told(saved)


def _told(of: Contents | Saved) -> Iterator[dict[str, Any]]:
    for block in of.blocks:
        yield {
            "kind": "block",
            "name": block.name,
            "text": block.text,
            "order": block.order,
            "version": block.version,
            "updated_at": block.updated_at.isoformat(),
        }
    for key, (value, left) in sorted(of.variables.items()):
        ttl = None if left is None else left.total_seconds()
        yield {"kind": "variable", "key": key, "value": _json.loads(value), "ttl": ttl}
    if of.task is not None:
        yield {"kind": "task", **of.task.model_dump(mode="python"), **_instants_of(of.task)}
    for note in of.notes:
        yield {"kind": "note", "text": note.text, "at": note.at.isoformat()}


def _instants_of(task: TaskState) -> dict[str, str | None]:
    given = {"started_at": task.started_at, "updated_at": task.updated_at}
    return {name: None if at is None else at.isoformat() for name, at in given.items()}


@dataclass(slots=True)
class _Held:
    """What a scope, or a checkpoint, holds so far."""

    blocks: dict[str, Block] = field(default_factory=dict[str, Block])
    orders: set[int] = field(default_factory=set[int])
    variables: dict[str, tuple[str, timedelta | None]] = field(
        default_factory=dict[str, tuple[str, timedelta | None]]
    )
    task: TaskState | None = None
    notes: list[Note] = field(default_factory=list[Note])


@dataclass(slots=True)
class Scope:
    """A scope as it is read, record by record.

    Attributes:
        saved: the checkpoint that is complete, until it is taken.
    """

    name: ScopeName
    limits: Limits
    created_at: datetime | None
    newest: int
    held: _Held = field(default_factory=_Held)
    conflicts: dict[str, BlockConflict] = field(default_factory=dict[str, BlockConflict])
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict[str, Checkpoint])

    @classmethod
    def begun(cls, given: Fields, limits: Limits) -> "Scope":
        return cls(
            name=(given.optional("agent_id", given.id), given.optional("session_id", given.id)),
            limits=limits,
            created_at=given.optional("created_at", given.instant),
            newest=given.count("newest_version"),
        )

    def contents(self) -> Contents:
        """Return what was read, up to the first checkpoint."""
        held = self.held
        return Contents(
            created_at=self.created_at,
            newest=self.newest,
            blocks=tuple(held.blocks.values()),
            variables=held.variables,
            task=held.task,
            notes=tuple(held.notes),
            conflicts=tuple(self.conflicts.values()),
            checkpoints=(),
        )

    def saved(self) -> Saved:
        """Return the newest checkpoint."""
        held = self.held
        checkpoint = next(reversed(self.checkpoints.values()))
        return Saved(checkpoint, tuple(held.blocks.values()), held.variables, held.task, tuple(held.notes))

    def checkpoint(self, given: Fields) -> None:
        """Begin a checkpoint: what comes belongs to it, until the next one."""
        limits = self.limits
        made = Checkpoint.model_construct(
            id=given.id("id"),
            description=given.text("description", limits.max_text_bytes),
            created_at=given.instant("created_at"),
        )
        if made.id in self.checkpoints:
            raise InvalidInput(given.at("id"), "is that of an earlier checkpoint")
        if len(self.checkpoints) >= limits.max_checkpoints:
            raise InvalidInput(given.path, f"more than {limits.max_checkpoints} checkpoints in a scope")
        self.checkpoints[made.id] = made
        self.held = _Held()

    def part(self, kind: str, given: Fields) -> None:
        """Take in what is of one of the other kinds."""
        match kind:
            case "block":
                self._block(given)
            case "variable":
                self._variable(given)
            case "task":
                self._task(given)
            case "note":
                self._note(given)
            case _:
                self._conflict(given)

    def _block(self, given: Fields) -> None:
        held, limits = self.held, self.limits
        block = Block.model_construct(
            name=given.id("name"),
            text=given.text("text", limits.max_text_bytes),
            order=given.count("order"),
            version=given.count("version", low=1),
            updated_at=given.instant("updated_at"),
        )
        if block.name in held.blocks:
            raise InvalidInput(given.at("name"), "is that of an earlier block")
        if block.order in held.orders:
            raise InvalidInput(given.at("order"), "is that of an earlier block")
        if len(held.blocks) >= limits.max_blocks:
            raise InvalidInput(given.path, f"more than {limits.max_blocks} blocks in a scope")
        held.blocks[block.name] = block
        held.orders.add(block.order)

    def _variable(self, given: Fields) -> None:
        held, limits = self.held, self.limits
        key = given.id("key")
        if key in held.variables:
            raise InvalidInput(given.at("key"), "is that of an earlier variable")
        if len(held.variables) >= limits.max_variables:
            raise InvalidInput(given.path, f"more than {limits.max_variables} variables in a scope")
        _, value = given.json("value", limits.max_variable_bytes)
        left = given.optional("ttl", lambda name: given.number(name, low=1e-6, high=LONGEST))
        held.variables[key] = value, None if left is None else timedelta(seconds=left)

    def _task(self, given: Fields) -> None:
        limits = self.limits
        if self.held.task is not None:
            raise InvalidInput(given.path, "is the second task of its scope")
        context, _ = given.json("context", limits.max_variable_bytes)
        if not isinstance(context, dict):
            raise InvalidInput(given.at("context"), "expected an object")
        self.held.task = TaskState.model_construct(
            task_id=given.id("task_id"),
            description=given.text("description", limits.max_text_bytes),
            status=given.text("status", MAX_STATUS),
            current_step=given.count("current_step", high=MAX_STEP),
            total_steps=given.count("total_steps", high=MAX_STEP),
            progress_percent=given.number("progress_percent", low=0, high=100),
            context=cast("dict[str, Any]", context),
            started_at=given.optional("started_at", given.instant),
            updated_at=given.instant("updated_at"),
        )

    def _note(self, given: Fields) -> None:
        if len(self.held.notes) >= self.limits.max_notes:
            raise InvalidInput(given.path, f"more than {self.limits.max_notes} notes in a scope")
        note = Note.model_construct(
            text=given.text("text", self.limits.max_text_bytes), at=given.instant("at")
        )
        self.held.notes.append(note)

    def _conflict(self, given: Fields) -> None:
        if self.checkpoints:
            raise InvalidInput(given.path, "belongs before the checkpoints of its scope")
        limit = self.limits.max_text_bytes
        conflict = BlockConflict.model_construct(
            id=given.id("id"),
            name=given.id("name"),
            ours=given.optional("ours", lambda name: given.text(name, limit)),
            base_version=given.optional("base_version", lambda name: given.count(name, low=-1)),
            at=given.instant("at"),
        )
        if conflict.id in self.conflicts:
            raise InvalidInput(given.at("id"), "is that of an earlier conflict")
        self.conflicts[conflict.id] = conflict
