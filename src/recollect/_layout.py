"""Episodes in a line, so that who is beside whom in a session is a matter of shifting an array.

Session after session, the one that began first in front, each in order of seq; then the episodes without a
session, who have nobody beside them:

    . . a a a . . b b b b . . c . . - - -

Around the sessions there are gaps, as wide as a neighbour is far: who looks beyond the end of a session sees
nobody. What a line has in its gaps means nothing, unless it is said to be 0.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ._scores import standard

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Line: TypeAlias = npt.NDArray[Any]

REACH: Final = (1, 2)
"""How far away in the session a neighbour may be."""

FEW: Final = 10
FAR: Final = 2.0
_GAP: Final = max(REACH)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What does not depend on the query about the n episodes that pass the filters; build it with `of`.

    Attributes:
        lengths: number of terms of each episode, shape (n,).
        places: where on the line each episode is, shape (n,).
        members: which episode is at each place of the line, n in a gap, shape (m,).
        gaps: the places where nobody is.
        end: how long the part of the line is that has the sessions.
        starts: the place of the first episode of each session.
        sizes: how many episodes each session has.
        widths: how far it is from each session to the next.
        shares: per distance 1 / number of neighbours, 0 without one, on the inner part of the line.
        passage_lengths: number of terms of each passage, on the line.
        mean_passage: of these numbers, without the gaps.
        verbosity: on the line, 0 in its gaps.
    """

    lengths: FloatArray
    places: IntArray
    members: IntArray
    gaps: IntArray
    end: int
    starts: IntArray
    sizes: IntArray
    widths: IntArray
    shares: tuple[FloatArray, ...]
    passage_lengths: FloatArray
    mean_passage: float
    verbosity: FloatArray

    @classmethod
    def of(cls, sessions: IntArray, lengths: npt.NDArray[Any]) -> "Layout":
        """Lay out episodes in order of seq; `sessions` has their session's code >= 0, or -1 for none."""
        n = len(sessions)
        order = np.argsort(sessions, kind="stable")
        alone = int(np.searchsorted(sessions, 0, sorter=order))
        loners, order = order[:alone], order[alone:]
        begins = np.flatnonzero(np.diff(sessions[order], prepend=-1))
        sizes = np.diff(begins, append=len(order))
        # The codes of two stores are not the same, but the sums of their lines have to be, to the last bit.
        turns = np.argsort(order[begins])
        widths = sizes[turns] + _GAP
        ends = _GAP + np.cumsum(widths)
        starts, end = ends - widths, int(ends[-1]) if len(ends) else _GAP
        moves = np.empty_like(begins)
        moves[turns] = starts - begins[turns]
        places = np.empty(n, dtype=np.int64)
        places[order] = np.arange(len(order)) + np.repeat(moves, sizes)
        places[loners] = np.arange(end, end + alone)
        members = np.full(end + alone, n)
        members[places] = np.arange(n)
        there = (members < n).astype(np.float64)
        size = lengths.astype(np.float64)
        verbosity, widened = np.zeros((2, len(members)))
        verbosity[places] = standard(np.log1p(size), 1.0).clip(-FAR, FAR) * (n / (n + FEW))
        widened[places] = size
        widened = passages(widened, end)
        return cls(
            lengths=size,
            places=places,
            members=members,
            gaps=np.flatnonzero(members == n),
            end=end,
            starts=starts,
            sizes=sizes[turns],
            widths=widths,
            shares=tuple(_shares(there[:end], distance) for distance in REACH),
            passage_lengths=widened,
            mean_passage=float(np.add.reduce(widened[places])) / max(n, 1),
            verbosity=verbosity,
        )

    @property
    def inner(self) -> slice:
        """The part of the line from the first session to the end of the last."""
        return slice(_GAP, self.end - _GAP)

    def line(self, values: Line) -> Line:
        """Return what each episode has on the line, 0 in its gaps."""
        line = np.zeros(len(self.members), dtype=values.dtype)
        line[self.places] = values
        return line


def beside(sessions: Line, distance: int) -> Line:
    """Return for the inner part of the line the sum of the two at a distance; of booleans whether one is.

    Args:
        sessions: the part of the line that has the sessions, 0 in its gaps.
    """
    end = len(sessions) - _GAP
    sums: Line = sessions[_GAP - distance : end - distance] + sessions[_GAP + distance : end + distance]
    return sums


def passages(line: Line, end: int) -> Line:
    """Return for each place of the line, 0 in its gaps, the sum over it and its neighbours."""
    sums = line.copy()
    inner, sessions = sums[_GAP : end - _GAP], line[:end]
    for distance in REACH:
        inner += sessions[_GAP - distance : end - _GAP - distance]
        inner += sessions[_GAP + distance : end - _GAP + distance]
    return sums


def _shares(there: FloatArray, distance: int) -> FloatArray:
    """Return 1 / number of neighbours, of each who is `there`."""
    number = beside(there, distance) * there[_GAP : len(there) - _GAP]
    return np.divide(1.0, number, out=number, where=number > 0)
