"""Which methods of a handle are operations. What is to be one gets a line here, and nothing else."""

from typing import Any

from .._operations import Catalogue
from ..episodes import Episodes
from ..facts import Facts
from ..working import Blocks, Checkpoints, Scratchpad, Task, Variables, Working
from .consolidating import Consolidating
from .describing import Describing
from .governing import Governing
from .recalling import Recalling
from .remembering import Remembering
from .transferring import Transferring

METHODS: dict[str, Any] = {
    "remember": Remembering.remember,
    "remember_many": Remembering.remember_many,
    "recall": Recalling.recall,
    "recall_facts": Recalling.recall_facts,
    "messages": Recalling.messages,
    "context": Describing.context,
    "profile": Describing.profile,
    "forget": Governing.forget,
    "export": Transferring.export,
    "restore": Transferring.restore,
    "consolidate": Consolidating.consolidate,
    "blocks.list": Blocks.list,
    "blocks.get": Blocks.get,
    "blocks.set": Blocks.set,
    "blocks.append": Blocks.append,
    "blocks.delete": Blocks.delete,
    "blocks.move": Blocks.move,
    "blocks.render": Blocks.render,
    "variables.set": Variables.set,
    "variables.get": Variables.get,
    "variables.get_many": Variables.get_many,
    "variables.delete": Variables.delete,
    "variables.exists": Variables.exists,
    "variables.keys": Variables.keys,
    "variables.items": Variables.items,
    "variables.clear": Variables.clear,
    "task.set": Task.set,
    "task.get": Task.get,
    "task.update": Task.update,
    "task.clear": Task.clear,
    "scratchpad.append": Scratchpad.append,
    "scratchpad.entries": Scratchpad.entries,
    "scratchpad.clear": Scratchpad.clear,
    "checkpoints.create": Checkpoints.create,
    "checkpoints.restore": Checkpoints.restore,
    "checkpoints.list": Checkpoints.list,
    "checkpoints.delete": Checkpoints.delete,
    "working.stats": Working.stats,
    "working.health": Working.health,
    "working.conflicts": Working.conflicts,
    "working.resolve": Working.resolve,
    "episodes.get": Episodes.get,
    "episodes.list": Episodes.list,
    "episodes.sessions": Episodes.sessions,
    "episodes.count": Episodes.count,
    "episodes.embed_pending": Episodes.embed_pending,
    "facts.add": Facts.add,
    "facts.add_many": Facts.add_many,
    "facts.update": Facts.update,
    "facts.correct": Facts.correct,
    "facts.end": Facts.end,
    "facts.deny": Facts.deny,
    "facts.retract": Facts.retract,
    "facts.get": Facts.get,
    "facts.count": Facts.count,
    "facts.find": Facts.find,
    "facts.related": Facts.related,
    "facts.timeline": Facts.timeline,
    "facts.history": Facts.history,
    "facts.diff": Facts.diff,
    "facts.changes": Facts.changes,
    "facts.journal": Facts.journal,
    "facts.why": Facts.why,
    "facts.promote_session": Facts.promote_session,
    "facts.discard_session": Facts.discard_session,
    "facts.rollback": Facts.rollback,
    "facts.embed_pending": Facts.embed_pending,
}

OPERATIONS = Catalogue(METHODS)

NEEDS = {
    "consolidate": "extraction",
    "episodes.embed_pending": "semantic_recall",
    "facts.embed_pending": "semantic_recall",
}
"""What a composition must be capable of for an operation: a field of `Capabilities`."""
