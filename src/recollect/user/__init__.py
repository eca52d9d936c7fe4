"""What agents hold: a handle on one tenant."""

from .consolidating import Consolidating
from .describing import Describing
from .dispatching import Dispatching
from .governing import Governing
from .recalling import Recalling
from .remembering import Remembering
from .transferring import Transferring

__all__ = ("UserMemory",)


class UserMemory(Remembering, Recalling, Describing, Consolidating, Governing, Dispatching, Transferring):
    """A light handle on one tenant, what agents hold. Made by `Memory.user`.

    Every call leases the tenant for its own duration. `async with alice:` leases it for longer,
    which keeps its in-process state from being evicted.
    """
