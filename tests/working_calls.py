"""Every method of working memory, for the tests that are about all of them."""

from collections.abc import Callable, Coroutine
from typing import Any

from recollect import TaskState, UserMemory

CALLS: dict[str, Callable[[UserMemory], Coroutine[Any, Any, object]]] = {
    "blocks.list": lambda a: a.blocks.list(),
    "blocks.list inherited": lambda a: a.blocks.list(inherit=True),
    "blocks.get": lambda a: a.blocks.get("a"),
    "blocks.set": lambda a: a.blocks.set("a", "b"),
    "blocks.append": lambda a: a.blocks.append("a", "b"),
    "blocks.delete": lambda a: a.blocks.delete("a"),
    "blocks.move": lambda a: a.blocks.move("a", 0),
    "blocks.render": lambda a: a.blocks.render(),
    "variables.set": lambda a: a.variables.set("a", 1, ttl=1),
    "variables.get": lambda a: a.variables.get("a"),
    "variables.get inherited": lambda a: a.variables.get("b", inherit=True),
    "variables.get_many": lambda a: a.variables.get_many(["a"]),
    "variables.delete": lambda a: a.variables.delete("a"),
    "variables.exists": lambda a: a.variables.exists("a"),
    "variables.keys": lambda a: a.variables.keys(),
    "variables.items": lambda a: a.variables.items(),
    "variables.clear": lambda a: a.variables.clear(),
    "task.set": lambda a: a.task.set(TaskState(task_id="t")),
    "task.get": lambda a: a.task.get(),
    "task.update": lambda a: a.task.update(current_step=1),
    "task.clear": lambda a: a.task.clear(),
    "scratchpad.append": lambda a: a.scratchpad.append("n"),
    "scratchpad.entries": lambda a: a.scratchpad.entries(3),
    "scratchpad.clear": lambda a: a.scratchpad.clear(),
    "checkpoints.create": lambda a: a.checkpoints.create(),
    "checkpoints.restore": lambda a: a.checkpoints.restore("c"),
    "checkpoints.list": lambda a: a.checkpoints.list(),
    "checkpoints.delete": lambda a: a.checkpoints.delete("c"),
    "working.stats": lambda a: a.working.stats(),
    "working.health": lambda a: a.working.health(),
    "working.conflicts": lambda a: a.working.conflicts(),
    "working.resolve": lambda a: a.working.resolve("c"),
}
