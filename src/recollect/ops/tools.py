"""Operations as the tools of language models, in the shape that each provider wants."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, cast, get_args

from .._operations import Op
from ..errors import ConfigurationError, UnsupportedOperation
from ..user.operations import OPERATIONS
from .schemas import plain

Provider = Literal["openai", "anthropic", "mcp"]


def tool_schemas(provider: Provider, *, include: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the definitions of operations as tools, in the order of `names()`.

    The schemas are JSON Schema 2020-12, without references, and take nothing that they do not name. Making
    them takes a while the first time: do it once, before the event loop is busy.

    Args:
        provider: "openai" (chat completions), "anthropic" (messages), or "mcp" (`tools/list`).
        include: names of operations, such as `memory.supported_ops()`; None for all.

    Raises:
        ConfigurationError: the provider is unknown.
        UnsupportedOperation: `include` names an operation that does not exist.
    """
    if provider not in get_args(Provider):
        msg = f"tools have the shape of one of {', '.join(get_args(Provider))}"
        raise ConfigurationError(msg)
    if isinstance(include, str):
        msg = "include is a collection of names of operations"
        raise ConfigurationError(msg)
    for name in include or ():
        OPERATIONS.model(name)
    chosen = [name for name in OPERATIONS.names if include is None or name in include]
    return [_tool(provider, name) for name in chosen]


def from_tool_call(name: str, arguments: Mapping[str, Any] | str | bytes | None) -> Op:
    """Return the operation that a model has called.

    Args:
        name: of the tool.
        arguments: as the provider hands them over: a mapping or JSON; nothing for none.

    Raises:
        InvalidInput: names the argument that is missing, unknown, or of another type.
        UnsupportedOperation: there is no such tool.
    """
    operation = next((each for each in OPERATIONS.names if tool_name(each) == name), None)
    if operation is None:
        msg = "the model has called a tool that is none of ours; tool_schemas() has them"
        raise UnsupportedOperation(msg)
    return OPERATIONS.made(operation, {} if arguments in (None, "", b"") else arguments)


def tool_name(operation: str) -> str:
    """Return an operation's name in the characters that all providers allow."""
    return operation.replace(".", "_")


def _tool(provider: Provider, name: str) -> dict[str, Any]:
    model = OPERATIONS.model(name)
    schema = plain(model.model_json_schema())
    description = cast("str", schema.pop("description", ""))
    del schema["properties"]["op"]  # the name of the tool says it
    match provider:
        case "openai":
            # Not strict: that would make every argument required, and free JSON impossible.
            function = {
                "name": tool_name(name),
                "description": description,
                "parameters": schema,
                "strict": False,
            }
            return {"type": "function", "function": function}
        case "anthropic":
            return {"name": tool_name(name), "description": description, "input_schema": schema}
        case "mcp":
            return {"name": tool_name(name), "description": description, "inputSchema": schema}
