from typing import Any

from .._clock import instant
from .._values import made
from .._workspace import AppendBlock, DeleteBlock, GetBlock, ListBlocks, MoveBlock, SaveBlock, SetBlock
from .._workspace.blocks import too_long, too_many
from ..errors import NotFound, RecollectError, VersionConflict
from ..types import Block, BlockConflict
from . import scripts
from .calls import CHANGED, TOO_LONG, Asking, Edits, Making, Questions
from .encoding import number


def told(name: str, found: Any, text: str | None = None) -> Block:
    """Return a block as scripts tell of it: version, order, instant, and its text if that is not known."""
    return made(
        Block,
        name=name,
        text=found[3].decode() if len(found) > 3 else text,
        order=int(found[1]),
        version=int(found[0]),
        updated_at=instant(found[2]),
    )


def _stored(name: str, text: bytes, meta: bytes) -> Block:
    version, order, at = meta.split()
    return made(
        Block, name=name, text=text.decode(), order=int(order), version=int(version), updated_at=instant(at)
    )


def _listed(_: ListBlocks, found: list[bytes]) -> tuple[Block, ...]:
    fields = dict(zip(found[::2], found[1::2], strict=True))
    blocks = [
        _stored(field[1:].decode(), fields[b"t" + field[1:]], meta)
        for field, meta in fields.items()
        if field.startswith(b"m")
    ]
    blocks.sort(key=lambda block: block.order)
    return tuple(blocks)


def _found(look: GetBlock, found: Any) -> Block | None:
    return None if found[0] is None else _stored(look.name, *found)


def _set(edit: SetBlock) -> tuple[bytes, ...]:
    version = b"" if edit.if_version is None else number(edit.if_version)
    return edit.name.encode(), edit.text.encode(), version, number(edit.at_most)


def _append(edit: AppendBlock) -> tuple[bytes, ...]:
    return edit.name.encode(), edit.text.encode(), number(edit.max_bytes), number(edit.at_most)


def _save(edit: SaveBlock) -> tuple[bytes, ...]:
    return (
        edit.id.encode(),
        edit.name.encode(),
        b"0" if edit.text is None else b"1",
        (edit.text or "").encode(),
        b"" if edit.base is None else number(edit.base),
        number(edit.version),
    )


def _saved(edit: SaveBlock, found: Any) -> Block | BlockConflict | None:
    kind, *rest = found
    if kind == b"block":
        return told(edit.name, rest, edit.text)
    if kind == b"conflict":
        return made(
            BlockConflict,
            id=edit.id,
            name=edit.name,
            ours=edit.text,
            base_version=edit.base,
            at=instant(rest[0]),
        )
    # What was sent first, and had arrived, was a `SetBlock`, which tells version, order and instant, or a
    # deletion.
    return told(edit.name, found, edit.text) if len(found) == 3 else None


def _refused(edit: SetBlock | AppendBlock, why: int, current: Any) -> RecollectError:
    if why == CHANGED:
        found = told(edit.name, current) if current else None
        return VersionConflict(f"block {edit.name!r}", found)
    if why == TOO_LONG and isinstance(edit, AppendBlock):
        return too_long(edit.max_bytes)
    return too_many(edit.at_most)


QUESTIONS: Questions = {
    ListBlocks: Asking(scripts.look("list_blocks"), _listed),
    GetBlock: Asking(scripts.look("get_block"), _found, lambda look: (look.name.encode(),)),
}

EDITS: Edits = {
    SetBlock: Making(
        scripts.edit("blocks", "set_block"),
        lambda edit, found: told(edit.name, found, edit.text),
        _set,
        _refused,
    ),
    AppendBlock: Making(
        scripts.edit("blocks", "append_block"),
        lambda edit, found: told(edit.name, found, edit.text),
        _append,
        _refused,
    ),
    DeleteBlock: Making(
        scripts.edit("blocks", "delete_block"),
        lambda _, found: found[0] == b"1",
        lambda edit: (edit.name.encode(),),
    ),
    MoveBlock: Making(
        scripts.edit("blocks", "move_block"),
        lambda edit, found: told(edit.name, found),
        lambda edit: (edit.name.encode(), number(edit.index)),
        lambda edit, _why, _detail: NotFound("block", edit.name),
    ),
    SaveBlock: Making(scripts.edit("blocks", "save_block"), _saved, _save),
}
