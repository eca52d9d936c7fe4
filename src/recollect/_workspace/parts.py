"""Which part of a scope a look or an edit is about, and what is left of one edit after another."""

from collections.abc import Sequence
from typing import Any

from .blocks import AppendBlock, DeleteBlock, MoveBlock, SetBlock
from .checkpoints import RestoreCheckpoint
from .conflicts import ResolveConflict, SaveBlock
from .notes import AppendNote, ClearNotes, ListNotes
from .space import BLOCKS, NOTES, STORE, TASK, VARIABLES, Edit, Look, Part
from .task import ClearTask, SetTask, UpdateTask
from .variables import ClearVariables, DeleteVariable, ListKeys, ListVariables, SetVariable


def whole(look: Look[Any]) -> Look[Any]:
    """Return the question whose answer tells all that is needed to answer this one."""
    if isinstance(look, ListNotes):
        return ListNotes(None)
    return ListVariables() if isinstance(look, ListKeys) else look


def block_of(edit: Edit[Any]) -> str | None:
    """Return the name of the block that an edit changes."""
    match edit:
        case SetBlock() | AppendBlock() | DeleteBlock() | SaveBlock() | MoveBlock():
            return edit.name
        case _:
            return None


def part_of(edit: Edit[Any]) -> Part:
    """Return what an edit changes; the empty part is all of it."""
    match edit:
        case RestoreCheckpoint():
            return ()
        case MoveBlock() | ResolveConflict():
            return BLOCKS
        case SetBlock() | AppendBlock() | DeleteBlock() | SaveBlock():
            return (*BLOCKS, edit.name)
        case SetVariable() | DeleteVariable():
            return (*VARIABLES, edit.key)
        case ClearVariables():
            return VARIABLES
        case AppendNote() | ClearNotes():
            return NOTES
        case SetTask() | UpdateTask() | ClearTask():
            return TASK
        case _:
            return STORE


def deletes(edit: Edit[Any]) -> bool:
    clears = isinstance(edit, DeleteVariable | ClearVariables | ClearTask | ClearNotes)
    return clears or (isinstance(edit, SaveBlock) and edit.text is None)


def is_about(edit: Edit[Any], parts: Sequence[Part]) -> bool:
    return overlap((part_of(edit),), parts)


def overlap(some: Sequence[Part], others: Sequence[Part]) -> bool:
    return any(one[: len(other)] == other[: len(one)] for one in some for other in others)


def replaces(late: Edit[Any], earlier: Edit[Any]) -> bool:
    """Whether nothing is left of an earlier edit once the late one is made."""
    match late:
        case SaveBlock():
            return isinstance(earlier, SaveBlock | AppendBlock) and earlier.name == late.name
        case MoveBlock():
            return isinstance(earlier, MoveBlock) and earlier.name == late.name
        case SetVariable() | DeleteVariable():
            return isinstance(earlier, SetVariable | DeleteVariable) and earlier.key == late.key
        case ClearVariables():
            return isinstance(earlier, SetVariable | DeleteVariable | ClearVariables)
        case SetTask() | ClearTask():
            return isinstance(earlier, SetTask | ClearTask | UpdateTask)
        case ClearNotes():
            return isinstance(earlier, AppendNote | ClearNotes)
        case _:
            return False
