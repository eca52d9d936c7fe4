"""What can be done with a scope of working memory: each question and each edit, pure, in one place.

In process they are carried out as they stand here. Another store carries them out in its own words; this
is what they mean there, too.
"""

from .blocks import AppendBlock, DeleteBlock, GetBlock, ListBlocks, MoveBlock, SetBlock, put
from .checkpoints import CountAll, CreateCheckpoint, DeleteCheckpoint, ListCheckpoints, RestoreCheckpoint
from .conflicts import Keep, ListConflicts, ResolveConflict, SaveBlock
from .notes import AppendNote, ClearNotes, ListNotes
from .space import BLOCKS, NOTES, STORE, TASK, VARIABLES, Edit, Look, Part, Variable, Workspace
from .task import ClearTask, GetTask, SetTask, UpdateTask
from .variables import ClearVariables, DeleteVariable, GetVariables, ListKeys, ListVariables, SetVariable

__all__ = (
    "BLOCKS",
    "NOTES",
    "STORE",
    "TASK",
    "VARIABLES",
    "AppendBlock",
    "AppendNote",
    "ClearNotes",
    "ClearTask",
    "ClearVariables",
    "CountAll",
    "CreateCheckpoint",
    "DeleteBlock",
    "DeleteCheckpoint",
    "DeleteVariable",
    "Edit",
    "GetBlock",
    "GetTask",
    "GetVariables",
    "Keep",
    "ListBlocks",
    "ListCheckpoints",
    "ListConflicts",
    "ListKeys",
    "ListNotes",
    "ListVariables",
    "Look",
    "MoveBlock",
    "Part",
    "ResolveConflict",
    "RestoreCheckpoint",
    "SaveBlock",
    "SetBlock",
    "SetTask",
    "SetVariable",
    "UpdateTask",
    "Variable",
    "Workspace",
    "put",
)
