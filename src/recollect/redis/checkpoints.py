from typing import Any

from .._clock import instant
from .._workspace import CountAll, CreateCheckpoint, DeleteCheckpoint, ListCheckpoints, RestoreCheckpoint
from ..errors import NotFound
from ..types import Checkpoint, WorkingStats
from . import scripts
from .calls import Asking, Edits, Making, Questions
from .encoding import number


def _checkpoint(id: str, description: str, created: bytes) -> Checkpoint:
    return Checkpoint.model_construct(id=id, description=description, created_at=instant(created))


def _listed(_: ListCheckpoints, found: Any) -> tuple[Checkpoint, ...]:
    each = zip(found[::2], found[1::2], strict=True)
    split = ((*meta.split(b" ", 1), description) for meta, description in each)
    return tuple(_checkpoint(id.decode(), description.decode(), at) for at, id, description in split)


def _create(edit: CreateCheckpoint) -> tuple[bytes, ...]:
    return edit.id.encode(), edit.description.encode(), number(edit.at_most)


def _counted(_: CountAll, found: Any) -> WorkingStats:
    variables, blocks, notes, checkpoints, task = map(int, found[:5])
    created = found[5]
    return WorkingStats.model_construct(
        variables=variables,
        blocks=blocks,
        notes=notes,
        checkpoints=checkpoints,
        has_task=task == 1,
        created_at=instant(created) if created else None,
    )


QUESTIONS: Questions = {
    ListCheckpoints: Asking(scripts.look("list_checkpoints"), _listed),
    CountAll: Asking(scripts.look("count_all"), _counted),
}

EDITS: Edits = {
    CreateCheckpoint: Making(
        scripts.edit("checkpoints", "create_checkpoint"),
        lambda edit, found: _checkpoint(edit.id, edit.description, found[0]),
        _create,
    ),
    RestoreCheckpoint: Making(
        scripts.edit("blocks", "checkpoints", "restore_checkpoint"),
        lambda edit, found: _checkpoint(edit.id, found[1].decode(), found[0]),
        lambda edit: (edit.id.encode(),),
        lambda edit, _why, _detail: NotFound("checkpoint", edit.id),
    ),
    DeleteCheckpoint: Making(
        scripts.edit("checkpoints", "delete_checkpoint"),
        lambda _, found: found[0] == b"1",
        lambda edit: (edit.id.encode(),),
    ),
}
