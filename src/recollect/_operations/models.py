import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, cast, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WrapSerializer,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from .annotations import as_data, is_callable
from .docstrings import described


class Op(BaseModel):
    """An operation of a user memory as data: what a call of the method of this name would be given.

    What is not given is not written either, so that the method's own default holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    op: str = Field(description='name of the operation, such as "blocks.set"')

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What was given."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "op"}

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_not_given(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {
            name: value
            for name, value in fields.items()  # pyright: ignore[reportUnknownVariableType]
            if not (value is ... and name in cls.model_fields and _may_be_silent(cls.model_fields[name]))
        }

    @model_serializer(mode="wrap")
    def _given(self, serialised: SerializerFunctionWrapHandler) -> dict[str, Any]:
        given = {"op", *self.model_fields_set}
        return {name: value for name, value in serialised(self).items() if name in given}


def derived(name: str, method: Callable[..., Any]) -> type[Op]:
    """Return the model of the operation `name`, as the signature and the docstring of its method have it.

    Parameters that take code are left out.
    """
    hints, said = get_type_hints(method), described(method)
    _, *parameters = inspect.signature(method).parameters.values()
    fields: dict[str, Any] = {"op": (Literal[name], Field(default=name))}
    for each in parameters:
        if not is_callable(hints[each.name]):
            fields[each.name] = _field(each, hints[each.name], said.arguments.get(each.name))
    title = "".join(part.capitalize() for part in name.replace(".", "_").split("_"))
    return create_model(title, __base__=Op, __module__=__name__, __doc__=said.text, **fields)


def _field(parameter: inspect.Parameter, hint: Any, description: str | None) -> Any:
    annotation = as_data(hint)
    if parameter.default is inspect.Parameter.empty:
        return annotation, Field(description=description)
    if parameter.default is ...:
        # To pydantic `...` means "required", but for a factory that makes it.
        silent = cast("Any", Annotated)[annotation, WrapSerializer(_or_nothing)]
        return silent, Field(default_factory=_not_given, description=description)
    return annotation, Field(default=parameter.default, description=description)


def _not_given() -> Any:
    return ...


def _may_be_silent(field: FieldInfo) -> bool:
    return field.default_factory is _not_given


def _or_nothing(value: Any, serialised: SerializerFunctionWrapHandler) -> Any:
    return None if value is ... else serialised(value)
