import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, cast, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from ..errors import InvalidInput, UnsupportedOperation
from .models import Op, derived

_NAME = re.compile(r"[a-z_][a-z0-9_.]{0,63}")
"""What may be quoted of an unknown name: it looks like one of ours, and not like what a user said."""


_WORDS = {"missing": "is missing", "extra_forbidden": "is not known here, or holds a field that is not"}


class Catalogue:
    """The operations by name. Their models are made when they are asked for: all of them take a while.

    Args:
        methods: what each operation stands for.
    """

    def __init__(self, methods: Mapping[str, Callable[..., Any]]) -> None:
        self._methods = dict(methods)
        self._models: dict[str, type[Op]] = {}
        self._values: dict[str, TypeAdapter[Any]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._methods)

    def model(self, name: str) -> type[Op]:
        """Return the model of an operation.

        Raises:
            UnsupportedOperation: there is none of this name.
        """
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = derived(name, self._method(name))
        return model

    def value(self, name: str) -> TypeAdapter[Any]:
        """Return what reads and writes the result of an operation."""
        adapter = self._values.get(name)
        if adapter is None:
            adapter = self._values[name] = TypeAdapter(get_type_hints(self._method(name))["return"])
        return adapter

    def union(self) -> TypeAdapter[Op]:
        """Return what reads and writes any operation."""
        models = cast("Any", Union)[tuple(map(self.model, self._methods))]
        return TypeAdapter(cast("Any", Annotated)[models, Field(discriminator="op")])

    def parse(self, given: object) -> Op:
        """Return an operation that was given as an `Op`, as a mapping, or as JSON.

        Raises:
            InvalidInput: names the argument that is missing, unknown, or of another type.
            UnsupportedOperation: there is no such operation.
        """
        return self.made(*self.read(given))

    def read(self, given: object) -> tuple[str, Mapping[str, Any]]:
        """Return the name of an operation and its arguments, which are not looked at yet.

        Raises:
            InvalidInput: it is none.
        """
        if isinstance(given, Op):
            return given.op, given.arguments
        fields = _read("op", given)
        name = fields.get("op")
        if not isinstance(name, str):
            raise InvalidInput("op", "expected the name of an operation")
        return name, {key: value for key, value in fields.items() if key != "op"}

    def made(self, name: str, arguments: object) -> Op:
        """Return the operation `name` with arguments that were given as a mapping, or as JSON.

        Raises:
            InvalidInput, UnsupportedOperation: as `parse`.
        """
        model = self.model(name)
        fields = _read("arguments", arguments)
        if "op" in fields:
            raise InvalidInput("op", "is no argument; the name says which operation it is")
        try:
            return model.model_validate({**fields, "op": name})
        except ValidationError as exc:
            # Not chained: what was given is in it.
            raise _refusal(model, exc) from None

    def ensure_known(self, name: str) -> None:
        """Raise `UnsupportedOperation` if there is no operation of this name."""
        self._method(name)

    def _method(self, name: str) -> Callable[..., Any]:
        method = self._methods.get(name)
        if method is None:
            quoted = repr(name) if _NAME.fullmatch(name) else "of this name"
            msg = f"there is no operation {quoted}; supported_ops() lists those there are"
            raise UnsupportedOperation(msg)
        return method


def _read(field: str, given: object) -> Mapping[str, Any]:
    if isinstance(given, str | bytes | bytearray):
        try:
            given = from_json(given, allow_inf_nan=False)
        except (ValueError, RecursionError):
            raise InvalidInput(field, "is not JSON") from None
    if not isinstance(given, Mapping):
        raise InvalidInput(field, f"expected an Op, a mapping or JSON, got {type(given).__name__}")
    return cast("Mapping[str, Any]", given)


def _refusal(model: type[Op], error: ValidationError) -> InvalidInput:
    """Return the first thing that is wrong, without what was given."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    parts = model.model_json_schema().get("$defs", {}).values()
    known = {*model.model_fields, *(name for each in parts for name in each.get("properties", ()))}
    places = [_place(each["loc"], known) for each in errors]
    # Each way to read a value that has several says what is wrong with it.
    words = (_WORDS.get(each["type"], each["msg"]) for each in errors)
    said = dict.fromkeys(word for word, at in zip(words, places, strict=True) if at == places[0])
    return InvalidInput(places[0], "; ".join(said))


def _place(loc: tuple[int | str, ...], known: set[str]) -> str:
    """Return the path to an argument: names of ours and positions, without the user's own keys."""
    place = ""
    if "[key]" in loc:
        loc = loc[: loc.index("[key]") - 1]
    for part in loc:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part in known or (not place and _NAME.fullmatch(part)):
            place += f".{part}" if place else part
    return place or "arguments"
