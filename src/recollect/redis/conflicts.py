from typing import Any

from .._clock import instant
from .._workspace import ListConflicts, ResolveConflict
from ..errors import NotFound
from ..types import Block, BlockConflict
from . import scripts
from .blocks import told
from .calls import Asking, Edits, Making, Questions


def _listed(_: ListConflicts, found: list[bytes]) -> tuple[BlockConflict, ...]:
    fields = dict(zip(found[::2], found[1::2], strict=True))
    conflicts: list[tuple[int, BlockConflict]] = []
    for field, meta in fields.items():
        if field.startswith(b"m"):
            id = field[1:]
            order, at, base = meta.split()
            ours = fields.get(b"t" + id)
            conflict = BlockConflict.model_construct(
                id=id.decode(),
                name=fields[b"b" + id].decode(),
                ours=None if ours is None else ours.decode(),
                base_version=None if base == b"-" else int(base),
                at=instant(at),
            )
            conflicts.append((int(order), conflict))
    conflicts.sort(key=lambda each: each[0])
    return tuple(conflict for _, conflict in conflicts)


def _resolve(edit: ResolveConflict) -> tuple[bytes, ...]:
    other = b"0" if edit.text is None else b"1"
    return edit.id.encode(), edit.keep.encode(), other, (edit.text or "").encode()


def _resolved(_: ResolveConflict, found: Any) -> Block | None:
    name, *block = found
    return told(name.decode(), block) if block else None


QUESTIONS: Questions = {ListConflicts: Asking(scripts.look("list_conflicts"), _listed)}

EDITS: Edits = {
    ResolveConflict: Making(
        scripts.edit("blocks", "resolve_conflict"),
        _resolved,
        _resolve,
        lambda edit, _why, _detail: NotFound("conflict", edit.id),
    )
}
