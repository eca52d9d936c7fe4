"""What a look or an edit is to the server: a script, its arguments, and how its reply is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._workspace import Edit, Look
from ..errors import RecollectError
from .scripts import Script

CHANGED, MISSING, FULL, TOO_LONG = 3, 4, 5, 6
"""Why a script refused an edit; 0 to 2 are `OK`, `EMPTIED` and `TAKEN` of every script."""


def nothing(_: Any) -> Sequence[bytes]:
    return ()


@dataclass(frozen=True, slots=True)
class Asking:
    """How a look is asked.

    Attributes:
        read: what the script returned for a scope, as the answer.
    """

    script: Script
    read: Callable[[Any, Any], Any]
    arguments: Callable[[Any], Sequence[bytes]] = nothing


@dataclass(frozen=True, slots=True)
class Making:
    """How an edit is made.

    Attributes:
        read: what the script returned, as the result.
        refusal: what it means that the script refused, for this reason and with this detail.
    """

    script: Script
    read: Callable[[Any, Any], Any]
    arguments: Callable[[Any], Sequence[bytes]] = nothing
    refusal: Callable[[Any, int, Any], RecollectError] | None = None


Questions = dict[type[Look[Any]], Asking]
Edits = dict[type[Edit[Any]], Making]
