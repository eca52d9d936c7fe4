"""The operations of a user memory as data: for agents, queues, and whatever speaks JSON.

Each operation is a frozen pydantic model that is derived from a method of `UserMemory`, and named for it:
`blocks.set` has the parameters of `alice.blocks.set`, and an `op` that says which it is.

    op = ops.make("blocks.set", name="persona", text="Prefers short answers.")
    result = await alice.dispatch(op)           # or a dict, or JSON
    if isinstance(result, ops.Done):
        print(result.value)                     # what the method returns

What code is given to (`facts.add_model`, `facts.transaction`, hooks) is no operation.
"""

from typing import Any

from pydantic import TypeAdapter

from .._operations import Op
from ..user.operations import OPERATIONS
from ..user.results import Done, Failure, Kind, Result
from .tools import Provider, from_tool_call, tool_schemas

__all__ = (
    "Done",
    "Failure",
    "Kind",
    "Op",
    "Provider",
    "Result",
    "adapter",
    "from_tool_call",
    "make",
    "model",
    "names",
    "parse",
    "tool_schemas",
)


def names() -> tuple[str, ...]:
    """Return the names of all operations; what one memory can do is `memory.supported_ops()`."""
    return OPERATIONS.names


def model(name: str) -> type[Op]:
    """Return the model of an operation.

    Raises:
        UnsupportedOperation: there is none of this name.
    """
    return OPERATIONS.model(name)


def make(name: str, /, **arguments: Any) -> Op:
    """Return an operation with these arguments.

    Raises:
        InvalidInput: names the argument that is missing, unknown, or of another type.
        UnsupportedOperation: there is no operation of this name.
    """
    return OPERATIONS.made(name, arguments)


def parse(op: object) -> Op:
    """Return an operation that is given as a mapping or as JSON.

    Raises:
        InvalidInput, UnsupportedOperation: as `make`.
    """
    return OPERATIONS.parse(op)


def adapter() -> TypeAdapter[Op]:
    """Return what reads and writes any operation, by its `op`: the union of all models. Takes a while."""
    return OPERATIONS.union()
