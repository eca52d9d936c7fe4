from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any

from anyio.lowlevel import checkpoint

from .._capabilities import capabilities
from .._composition import Composition
from .._operations import Op
from ..errors import ConfigurationError, UnsupportedOperation
from .handle import Handle
from .operations import NEEDS, OPERATIONS
from .results import KINDS, Done, Failure, Result


class Dispatching(Handle):
    """Does operations that come as data."""

    async def dispatch(
        self, op: Op | Mapping[str, Any] | str | bytes, *, only: Collection[str] | None = None
    ) -> Result:
        """Do an operation that is given as data: what the method of its name does.

        Args:
            op: an `Op` of `recollect.ops`, a mapping of its fields, or either as JSON.
            only: names of the operations that this caller may ask for, such as those that a model was told
                of; None for all.

        Returns:
            `Done` with what the method returns; `Failure` for InvalidInput, also if it is no operation at
            all, NotFound, Conflict, TryLater and HookError.

        Raises:
            UnsupportedOperation: `memory.supported_ops()` does not have it, or `only` does not; or `only`
                names an operation that does not exist.
            ConfigurationError: as the method says.
        """
        await checkpoint()
        self._composition.ensure_open()
        _check_only(only)
        name: str | None = None
        try:
            name, arguments = OPERATIONS.read(op)
            _ensure_allowed(name, only)
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


def _check_only(only: Collection[str] | None) -> None:
    if isinstance(only, str):
        # `in` would find a name within another one.
        msg = "only is a collection of names of operations"
        raise ConfigurationError(msg)
    for name in only or ():
        OPERATIONS.ensure_known(name)


def _ensure_allowed(name: str, only: Collection[str] | None) -> None:
    OPERATIONS.ensure_known(name)
    if only is not None and name not in only:
        msg = f"{name!r} is none of the operations that this call may do; `only` names them"
        raise UnsupportedOperation(msg)
