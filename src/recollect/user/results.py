from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from .. import errors
from ..errors import (
    Conflict,
    HookError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    RecollectError,
    TryLater,
)
from ..types import Value
from .operations import OPERATIONS

Kind = Literal["InvalidInput", "NotFound", "Conflict", "TryLater", "HookError"]

KINDS: dict[Kind, type[RecollectError]] = {
    "InvalidInput": InvalidInput,
    "NotFound": NotFound,
    "Conflict": Conflict,
    "TryLater": TryLater,
    "HookError": HookError,
}
"""What comes back as a `Failure`; everything else is raised."""

PUBLIC = frozenset(each for each in vars(errors).values() if isinstance(each, type))
"""Stores raise classes of their own; what is told is the class that users know."""


class Done(Value):
    """An operation was done. Read from JSON, its value is what the method returned, not only the like."""

    op: str = Field(description="name of the operation")
    value: Any = Field(description="what the method returns")

    @field_validator("value", mode="after")
    @classmethod
    def _as_the_method_returns_it(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.data.get("op")
        return value if name not in OPERATIONS.names else OPERATIONS.value(name).validate_python(value)


class Failure(Value):
    """An operation was not done, and this says what to do about it."""

    op: str | None = Field(default=None, description="name of the operation; None if that could not be read")
    kind: Kind = Field(description="fix the input, read again, try later, or a hook refused")
    message: str = Field(description="in words, without what the user said")
    error: str = Field(description='class of the error, such as "VersionConflict"')
    field: str | None = Field(default=None, description="of InvalidInput: the argument, as a path")
    key: str | None = Field(default=None, description="of OutcomeUnknown: repeat the operation with this key")

    @classmethod
    def of(cls, error: RecollectError, *, op: str | None = None) -> Self:
        """Return what an error says.

        Args:
            error: one of the `KINDS`.
        """
        return cls(
            op=op,
            kind=next(kind for kind, each in KINDS.items() if isinstance(error, each)),
            message=str(error),
            error=next(each.__name__ for each in type(error).__mro__ if each in PUBLIC),
            field=error.field if isinstance(error, InvalidInput) else None,
            key=error.key if isinstance(error, OutcomeUnknown) else None,
        )


Result = Done | Failure
