from .._checks import check_id, check_text
from .._ids import uuid7
from .._workspace import CreateCheckpoint, DeleteCheckpoint, ListCheckpoints, RestoreCheckpoint
from ..types import Checkpoint
from .reach import Reach


class Checkpoints(Reach):
    """Copies of the scope's blocks, variables, task and scratchpad. They do not contain each other.

    They are made and kept by the store: while it is away, there are none to be had.
    """

    async def create(self, description: str = "") -> Checkpoint:
        """Copy the scope. Atomic; of more than `Limits.max_checkpoints` the oldest go."""
        limits = self._composition.limits
        check_text("description", description, limit=limits.max_text_bytes)
        return await self._edit(CreateCheckpoint(uuid7(), description, limits.max_checkpoints))

    async def restore(self, id: str) -> Checkpoint:
        """Make the scope what it was, as a whole or not at all.

        Variables live on for the time that they had left then; blocks get new versions; all
        checkpoints stay, those that were made later too.

        Raises:
            NotFound: there is no such checkpoint.
        """
        return await self._edit(RestoreCheckpoint(check_id("id", id)))

    async def list(self) -> tuple[Checkpoint, ...]:
        """Return the checkpoints, oldest first."""
        return await self._look(ListCheckpoints())

    async def delete(self, id: str) -> bool:
        """Delete a checkpoint; return whether there was one."""
        return await self._edit(DeleteCheckpoint(check_id("id", id)))
