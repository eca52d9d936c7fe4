from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from anyio.lowlevel import checkpoint

from .._capabilities import capabilities
from .._composition import Composition
from .._operations import Op
from ..errors import UnsupportedOperation
from .handle import Handle
from .operations import NEEDS, OPERATIONS
from .results import KINDS, Done, Failure, Result


class Dispatching(Handle):
    """Does operations that come as data."""

    async def dispatch(self, op: Op | Mapping[str, Any] | str | bytes) -> Result:
        """Do an operation that is given as data: what the method of its name does.

        Args:
            op: an `Op` of `recollect.ops`, a mapping of its fields, or either as JSON.

        Returns:
            `Done` with what the method returns; `Failure` for InvalidInput, also if it is no operation at
            all, NotFound, Conflict, TryLater and HookError.

        Raises:
            UnsupportedOperation: `memory.supported_ops()` does not have it.
            ConfigurationError: as the method says.
        """
        await checkpoint()
        self._composition.ensure_open()
        name: str | None = None
        try:
            name, arguments = OPERATIONS.read(op)
            asked = OPERATIONS.made(name, arguments)
            if name not in supported_ops(self._composition):
                msg = f"this memory cannot do {name!r}; capabilities() says what it lacks"
                raise UnsupportedOperation(msg)
            value = await attrgetter(name)(self)(**asked.arguments)
        except tuple(KINDS.values()) as exc:
            return Failure.of(exc, op=name)
        return Done.model_construct(op=name, value=value)


def supported_ops(composition: Composition) -> frozenset[str]:
    """Return the operations that a memory made of these parts can do."""
    able = capabilities(composition)
    return frozenset(name for name in OPERATIONS.names if name not in NEEDS or getattr(able, NEEDS[name]))
