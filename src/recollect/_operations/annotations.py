"""What a method takes, as what JSON can say: annotations that pydantic reads."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from types import EllipsisType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, create_model
from pydantic_core import PydanticCustomError

from .._checks import check_instant
from ..errors import InvalidInput
from ..types import Value
from .docstrings import described

LISTS = (Collection, Iterable, Sequence)

# What is put together here is known at run time only, and no type to a type checker.
_dict, _tuple, _union_of, _annotated = cast("Any", (dict, tuple, Union, Annotated))


def is_callable(annotation: Any) -> bool:
    """Whether an annotation has a place for code, which is no data."""
    parts = _alternatives(annotation) if _is_union(annotation) else (annotation,)
    return any(get_origin(part) is Callable for part in parts)


def as_data(annotation: Any) -> Any:
    """Return an annotation for the JSON that stands for a value of this one.

    Scalars are taken as they are: no number is read out of a string, and no bool is a number. Where a method
    takes a value or its id, data has the id.
    """
    if _is_union(annotation):
        return _union(_alternatives(annotation))
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in LISTS:
        return _list_of(_tuple[as_data(args[0]), ...])
    if origin is tuple:
        return _list_of(_tuple[tuple(part if part is ... else as_data(part) for part in args)])
    if origin is Mapping or origin is dict:
        return _dict[as_data(args[0]), as_data(args[1])]
    if annotation is datetime:
        return Annotated[datetime, BeforeValidator(_instant)]
    if annotation in (str, int, float, bool):
        return _annotated[annotation, pydantic.Field(strict=True)]
    if isinstance(annotation, type) and is_dataclass(cast("Any", annotation)):
        return _record(annotation)
    return annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return what a union allows, without what cannot be data."""
    parts = [part for part in get_args(annotation) if part is not EllipsisType]
    if str in parts:
        parts = [part for part in parts if not (isinstance(part, type) and issubclass(part, Value))]
    return tuple(parts)


def _union(parts: Sequence[Any]) -> Any:
    return _union_of[tuple(as_data(part) for part in parts)]


def _list_of(annotation: Any) -> Any:
    return _annotated[annotation, BeforeValidator(_list)]


def _list(value: object) -> object:
    # A set has no order, and would be other data each time.
    if not isinstance(value, list | tuple):
        kind = "list"
        raise PydanticCustomError(kind, "expected a list")
    return cast("object", value)


def _instant(value: object) -> object:
    kind = "instant"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError(kind, "expected an instant such as 2026-05-01T12:00:00Z") from None
    try:
        check_instant("", value)
    except InvalidInput as exc:
        # The reasons have no braces, which a template would fill.
        raise PydanticCustomError(kind, cast("Any", exc.reason)) from None
    return value


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def _record(cls: type) -> Any:
    """Return an annotation for a dataclass whose data are its fields."""
    hints, said = get_type_hints(cls), described(cls).arguments
    model = create_model(
        cls.__name__,
        __base__=_Record,
        __doc__="",
        **{each.name: _field(each, hints[each.name], said) for each in fields(cls)},
    )

    def taken_apart(value: object) -> object:
        if not isinstance(value, cls):
            return value
        return {each.name: getattr(value, each.name) for each in fields(cls)}

    def put_together(value: BaseModel) -> Any:
        return cls(**dict(value))

    return _annotated[
        model, AfterValidator(put_together), BeforeValidator(taken_apart), PlainSerializer(taken_apart)
    ]


def _field(each: "Field[Any]", hint: Any, said: Mapping[str, str]) -> Any:
    default = {} if each.default is MISSING else {"default": each.default}
    return as_data(hint), pydantic.Field(description=said.get(each.name), **default)
