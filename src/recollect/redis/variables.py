from typing import Any

from .._clock import instant
from .._workspace import (
    ClearVariables,
    DeleteVariable,
    GetVariables,
    ListKeys,
    ListVariables,
    SetVariable,
    Variable,
)
from .._workspace.variables import too_many
from . import scripts
from .calls import Asking, Edits, Making, Questions
from .encoding import lifetime, number


def _variable(value: bytes, expires: bytes) -> Variable:
    return Variable(value.decode(), None if expires == b"-" else instant(expires))


def _got(look: GetVariables, found: Any) -> dict[str, Variable]:
    each = zip(look.keys, found[::2], found[1::2], strict=True)
    return {key: _variable(value, expires) for key, value, expires in each if value is not None}


def _listed(_: ListVariables, found: Any) -> dict[str, Variable]:
    each = zip(found[::3], found[1::3], found[2::3], strict=True)
    return {key.decode(): _variable(value, expires) for key, value, expires in each}


def _set(edit: SetVariable) -> tuple[bytes, ...]:
    return edit.key.encode(), edit.value.encode(), lifetime(edit.ttl), number(edit.at_most)


QUESTIONS: Questions = {
    GetVariables: Asking(
        scripts.look("get_variables"), _got, lambda look: tuple(key.encode() for key in look.keys)
    ),
    ListVariables: Asking(scripts.look("list_variables"), _listed),
    ListKeys: Asking(scripts.look("list_keys"), lambda _, found: tuple(key.decode() for key in found)),
}

EDITS: Edits = {
    SetVariable: Making(
        scripts.edit("variables", "set_variable"),
        lambda _edit, _found: None,
        _set,
        lambda edit, _why, _detail: too_many(edit.at_most),
    ),
    DeleteVariable: Making(
        scripts.edit("variables", "delete_variable"),
        lambda _, found: found[0] == b"1",
        lambda edit: (edit.key.encode(),),
    ),
    ClearVariables: Making(scripts.edit("variables", "clear_variables"), lambda _, found: int(found[0])),
}
