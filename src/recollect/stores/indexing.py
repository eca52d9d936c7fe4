"""An archive that compares all vectors of a user, unless there is an index for them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many indexes of vectors were made, are left as they were, and were dropped."""

    built: int = 0
    kept: int = 0
    dropped: int = 0


@runtime_checkable
class Indexing(Protocol):
    """An archive that can make indexes of vectors."""

    async def index_vectors(self, *, above: int) -> Outcome:
        """Make an index of the vectors of each tenant that has more than `above`; drop those without use.

        Changes no answer but its time. May take long; others may read and write meanwhile. Cut off, it has
        done a part of the work, and the next call does the rest.

        Raises:
            Overloaded: another process is at it.
        """
        ...
