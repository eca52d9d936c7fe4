"""Shows the fields of a value, which pydantic has described, as attributes of its docstring."""

import ast
from typing import Any

from griffe import Attribute, Class, ExprCall, ExprKeyword, Extension


class Fields(Extension):
    """Adds a section of attributes to the docstrings of pydantic models."""

    def on_class_members(self, *, cls: Class, **_: Any) -> None:
        """Called for each class when its members are there."""
        fields = [each for each in cls.members.values() if isinstance(each, Attribute) and _is_field(each)]
        if cls.docstring is None or not any(map(_description, fields)):
            return
        lines = [f"    {each.name}: {_description(each)}" for each in fields]
        cls.docstring.value += "\n".join(["\n\nAttributes:", *lines])


def _is_field(attribute: Attribute) -> bool:
    return attribute.is_public and attribute.annotation is not None and "property" not in attribute.labels


def _description(attribute: Attribute) -> str:
    call = attribute.value
    if not isinstance(call, ExprCall) or str(call.function) != "Field":
        return ""
    for given in call.arguments:
        if isinstance(given, ExprKeyword) and given.name == "description":
            return ast.literal_eval(f"({given.value})")
    return ""
