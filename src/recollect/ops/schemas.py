"""JSON Schemas without what some readers of them do not know."""

from collections.abc import Mapping
from typing import Any, cast

Schema = dict[str, Any]

_NULL = {"type": "null"}


def plain(schema: Mapping[str, Any]) -> Schema:
    """Return a schema that pydantic has made, without references, titles and tuples.

    What may be None, and is None if it is not given, can just as well not be given: of such a property only
    the other alternatives are left.
    """
    definitions = cast("dict[str, Schema]", schema.get("$defs", {}))
    return _plain({name: part for name, part in schema.items() if name != "$defs"}, definitions)


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" in schema:
        target = dict(definitions[schema["$ref"].rpartition("/")[2]])
        if "enum" in target:
            target.pop("description", None)  # of the class, not of what it is here
        beside = {name: part for name, part in schema.items() if name != "$ref"}
        return _plain({**target, **beside}, definitions)
    made = {name: part for name, part in schema.items() if name not in ("title", "default")}
    if schema.get("default") is not None:
        made["default"] = schema["default"]
    if "properties" in made:
        made["properties"] = {name: _plain(part, definitions) for name, part in made["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(made.get(name), dict):
            made[name] = _plain(made[name], definitions)
    if "prefixItems" in made:
        made["items"] = _one_of([_plain(part, definitions) for part in made.pop("prefixItems")])
    if "anyOf" in made:
        silent = "default" in schema and schema["default"] is None
        parts = [_plain(part, definitions) for part in made.pop("anyOf")]
        made = {**_one_of([part for part in parts if not (silent and part == _NULL)]), **made}
    return made


def _one_of(parts: list[Schema]) -> Schema:
    """Return the alternatives, each once, as one schema."""
    distinct = [part for i, part in enumerate(parts) if part not in parts[:i]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
