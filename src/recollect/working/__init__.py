"""Working memory as a handle offers it: that of its tenant, its agent or its session."""

from .blocks import Blocks
from .checkpoints import Checkpoints
from .scratchpad import Scratchpad
from .status import Working
from .task import Task
from .variables import Variables

__all__ = ("Blocks", "Checkpoints", "Scratchpad", "Task", "Variables", "Working")
