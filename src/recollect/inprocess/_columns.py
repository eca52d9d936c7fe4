"""Columns that grow, so that a recall is arithmetic on arrays."""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..stores import Booleans, Floats, Integers, Vectors


class Column:
    """Numbers appended one by one, and read without a copy."""

    def __init__(self, dtype: "type[np.int64 | np.float64]") -> None:
        self._room: NDArray[Any] = np.empty(16, dtype=dtype)
        self._used = 0

    def only(self, keep: "Booleans") -> "Column":
        """Return another column, with a part of the numbers."""
        column = Column(self._room.dtype.type)
        column._room = self.view()[keep]
        column._used = len(column._room)
        return column

    def append(self, value: float) -> None:
        if self._used == len(self._room):
            self._room = np.concatenate([self._room, np.empty(max(self._used, 16), self._room.dtype)])
        self._room[self._used] = value
        self._used += 1

    def view(self) -> "NDArray[Any]":
        """Return the numbers so far. Whoever holds the view never sees it change: what is there stays."""
        view = self._room[: self._used]
        view.flags.writeable = False
        return view


class VectorTable:
    """Unit vectors of one tenant in one contiguous matrix that grows by doubling."""

    def __init__(self) -> None:
        self._matrix: Vectors = np.empty((0, 0), dtype=np.float32)
        self._owners = array("q")
        # Whether vector i is that of episode i, as it is unless a text is long or embedded later.
        self._one_each = True

    def add(self, owner: int, vectors: "Vectors") -> None:
        """Append the vectors, shape (chunks, dimensions), of the episode at index `owner`."""
        used, wanted = len(self._owners), len(self._owners) + len(vectors)
        if wanted > len(self._matrix):
            grown = np.empty((max(wanted, 2 * len(self._matrix), 16), vectors.shape[1]), dtype=np.float32)
            if used:  # before the first vector the matrix has no width
                grown[:used] = self._matrix[:used]
            self._matrix = grown
        self._matrix[used:wanted] = vectors
        self._one_each = self._one_each and owner == used and len(vectors) == 1
        self._owners.extend([owner] * len(vectors))

    def only(self, keep: "Booleans") -> "VectorTable":
        """Return another table, with the vectors of some owners, who are counted anew."""
        table = VectorTable()
        owners = np.array(self._owners, dtype=np.int64)
        chosen = keep[owners]
        table._matrix = self._matrix[: len(owners)][chosen]
        table._owners = array("q", (keep.cumsum() - 1)[owners[chosen]].tolist())
        table._one_each = list(table._owners) == list(range(len(table._owners)))
        return table

    def __len__(self) -> int:
        return len(self._owners)

    def empty(self) -> "VectorTable":
        """Return another table, with room for as many vectors as there are here."""
        table = VectorTable()
        table._matrix = np.empty_like(self._matrix[: len(self)])
        return table

    def copy(self, into: "VectorTable", keep: "Booleans", *, start: int, stop: int) -> None:
        """Append some of the vectors to another table, but for those whose owners go, and are not counted.

        Args:
            keep: which of the first owners stay; those beyond them do.
        """
        owners = np.array(self._owners[start:stop], dtype=np.int64)
        gone = np.concatenate([[0], (~keep).cumsum()])[np.minimum(owners, len(keep))]
        stays = np.ones(len(owners), dtype=np.bool_)
        known = owners < len(keep)
        stays[known] = keep[owners[known]]
        for owner, vector in zip(
            (owners - gone)[stays].tolist(), self._matrix[start:stop][stays], strict=True
        ):
            into.add(owner, vector[np.newaxis])

    def of(self, owners: Sequence[int]) -> "dict[int, Vectors]":
        """Return the vectors of those owners that have some."""
        places = np.flatnonzero(np.isin(np.array(self._owners, dtype=np.int64), owners)).tolist()
        found: dict[int, list[int]] = {}
        for place in places:
            found.setdefault(self._owners[place], []).append(place)
        return {owner: self._matrix[at] for owner, at in found.items()}

    def blank(self, owners: Sequence[int]) -> None:
        """Forget the vectors of some owners, whose indices are not used again."""
        theirs = np.isin(np.array(self._owners, dtype=np.int64), np.array(owners, dtype=np.int64))
        self._matrix[: len(theirs)][theirs] = 0.0

    def owned(self, owners: Sequence[int]) -> int:
        """Return how many vectors these owners have."""
        return int(np.isin(np.array(self._owners, dtype=np.int64), owners).sum())

    def fits(self, vectors: "Vectors") -> bool:
        """Whether they are as long as those before them: else they are of another embedder."""
        return not self._owners or vectors.shape[1] == self._matrix.shape[1]

    def view(self) -> "tuple[Vectors, Integers | None]":
        """Return the vectors so far, and whose they are; None if vector i is that of episode i.

        Whoever holds the view never sees it change, unless they are blanked.
        """
        used = len(self._owners)
        return self._matrix[:used], None if self._one_each else np.array(self._owners, dtype=np.int64)


def best_cosines(matrix: "Vectors", owners: "Integers | None", query: "Vectors", n: int) -> "Floats":
    """Return for each of n owners the best cosine of its vectors, shape (n,), NaN where it has none."""
    cosines: Floats = (matrix @ query).astype(np.float64) if len(matrix) else np.empty(0)
    if owners is None and len(cosines) == n:
        return cosines
    best: Floats = np.full(n, np.nan)
    if owners is None:
        best[: len(cosines)] = cosines
    else:
        np.fmax.at(best, owners, cosines)
    return best
