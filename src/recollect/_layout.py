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
_PASSAGE: Final = np.ones(2 * _GAP + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Who is where among the n episodes that pass the filters, whatever the query; build it with `of`.

    Attributes:
        lengths: number of terms of each episode, shape (n,).
        passage_lengths: number of terms of each passage, on the line, 0 in its gaps.
        places: where on the line each episode is, shape (n,).
        members: which episode is at each place of the line, n in a gap, shape (m,).
        gaps: the places where nobody is.
        end: how long the part of the line is that has the sessions.
        starts: the place of the first episode of each session.
        sizes: how many episodes each session has.
        widths: how far it is from each session to the next; the last one ends with its last episode.
        verbosity: on the line, 0 in its gaps.
        shares: per distance 1 / number of neighbours, 0 without one, of all places that may have some.
    """

    lengths: FloatArray
    passage_lengths: FloatArray
    places: IntArray
    members: IntArray
    gaps: IntArray
    end: int
    starts: IntArray
    sizes: IntArray
    widths: IntArray
    verbosity: FloatArray
    shares: tuple[FloatArray, ...]

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
        starts = _GAP + np.cumsum(widths) - widths
        end = _GAP + int(widths.sum())
        moves = np.empty_like(begins)
        moves[turns] = starts - begins[turns]
        places = np.empty(n, dtype=np.int64)
        places[order] = np.arange(len(order)) + np.repeat(moves, sizes)
        places[loners] = np.arange(end, end + alone)
        members = np.full(end + alone, n)
        members[places] = np.arange(n)
        there = members < n
        size = lengths.astype(np.float64)
        layout = cls(
            lengths=size,
            passage_lengths=np.zeros(len(members)),
            places=places,
            members=members,
            gaps=np.flatnonzero(~there),
            end=end,
            starts=starts,
            sizes=sizes[turns],
            widths=np.diff(starts, append=end - _GAP),
            verbosity=np.zeros(len(members)),
            shares=tuple(_shares(there[:end], distance) for distance in REACH),
        )
        layout.verbosity[places] = np.clip(standard(np.log1p(size), 1.0), -FAR, FAR) * (n / (n + FEW))
        layout.passage_lengths[places] = layout.passages(layout.line(size))[places]
        return layout

    @property
    def inner(self) -> slice:
        """The part of the line from the first session to the last."""
        return slice(_GAP, self.end - _GAP)

    def line(self, values: Line) -> Line:
        """Return what each episode has on the line, 0 in its gaps."""
        line = np.zeros(len(self.members), dtype=values.dtype)
        line[self.places] = values
        return line

    def passages(self, line: FloatArray) -> FloatArray:
        """Return for each episode on the line the sum over it and its neighbours; the gaps have to be 0."""
        if not len(self.starts):
            return line.copy()
        sums = np.convolve(line[: self.end], _PASSAGE, "same")
        return sums if self.end == len(line) else np.concatenate([sums, line[self.end :]])


def beside(line: Line, distance: int) -> Line:
    """Return for each place of the inner part the sum of the two at a distance; of booleans whether one is."""
    end = len(line) - _GAP
    return line[_GAP - distance : end - distance] + line[_GAP + distance : end + distance]


def _shares(there: npt.NDArray[np.bool_], distance: int) -> FloatArray:
    counts = beside(there.astype(np.float64), distance) * there[_GAP : len(there) - _GAP]
    return np.divide(1.0, counts, out=counts, where=counts > 0)
