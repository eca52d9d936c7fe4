"""What can be done with a scope of working memory: each question and each edit, pure, in one place.

In process they are carried out as they stand here. Another store carries them out in its own words; this
is what they mean there, too.
"""

from .blocks import AppendBlock, DeleteBlock, GetBlock, ListBlocks, MoveBlock, SetBlock, put
from .checkpoints import CountAll, CreateCheckpoint, DeleteCheckpoint, ListCheckpoints, RestoreCheckpoint
from .conflicts import Keep, ListConflicts, ResolveConflict, SaveBlock
from .notes import AppendNote, ClearNotes, ListNotes
from .scopes import (
    Contents,
    DumpCheckpoint,
    DumpScope,
    ListScopes,
    PublishScopes,
    ScopeName,
    StageCheckpoint,
    StageScope,
    Taking,
    Transfer,
    WithdrawScopes,
)
from .space import BLOCKS, NOTES, STORE, TASK, VARIABLES, Edit, Look, Part, Saved, Variable, Workspace
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
    "Contents",
    "CountAll",
    "CreateCheckpoint",
    "DeleteBlock",
    "DeleteCheckpoint",
    "DeleteVariable",
    "DumpCheckpoint",
    "DumpScope",
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
    "ListScopes",
    "ListVariables",
    "Look",
    "MoveBlock",
    "Part",
    "PublishScopes",
    "ResolveConflict",
    "RestoreCheckpoint",
    "SaveBlock",
    "Saved",
    "ScopeName",
    "SetBlock",
    "SetTask",
    "SetVariable",
    "StageCheckpoint",
    "StageScope",
    "Taking",
    "Transfer",
    "UpdateTask",
    "Variable",
    "WithdrawScopes",
    "Workspace",
    "put",
)
