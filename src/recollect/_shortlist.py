"""Which episodes are compared with a query where an index knows the nearest, and not all are compared.

What can be among the best is near, has words of the query, or stands beside such an episode; of these the
cosines decide, as exact ones. What is far moves the others only through mean and deviation of all cosines,
and a sample tells these as well.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._layout import Layout, passages
from ._ranking import Corpus, bm25
from .stores import Candidates

if TYPE_CHECKING:
    from .stores import Floats, Integers

NEAREST = 200
"""Vectors that an index is asked for, at least."""

TIMES = 4
"""The same for each episode that is wanted: others move up through the conversation around them."""

SAMPLE = 500
"""Episodes that mean and deviation are taken from: the same ones for every query."""

WORTH = 5
"""Episodes for each vector that an index is asked for; of fewer, to compare all is as fast."""

_NOISE = 1e-5


def count_nearest(limit: int) -> int:
    """Return how many vectors to ask an index for."""
    return max(NEAREST, TIMES * limit)


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Some of n candidates, as ascending indices.

    Attributes:
        compared: those whose cosines are needed.
        sample: those that stand for all.
    """

    compared: "Integers"
    sample: "Integers"

    @classmethod
    def of(cls, candidates: Candidates, terms: tuple[str, ...], nearest: "Integers") -> "Shortlist":
        """Choose among candidates whose cosines are not known, given the indices of the nearest."""
        n = len(candidates.seqs)
        layout = candidates.memo["layout"] = Layout.of(candidates.sessions, candidates.lengths)
        core = np.concatenate([nearest, _best_by_words(candidates, terms, layout, len(nearest) // 2)])
        line = np.zeros(n)
        line[core] = 1.0
        chosen = passages(layout.line(line), layout.end)[layout.places] > 0
        sample = _sampled(candidates.seqs)
        chosen[sample] = True
        return cls(np.flatnonzero(chosen), sample)

    def spread(self, cosine: "Floats") -> tuple[float, float]:
        """Return mean and standard deviation of all cosines, given those of the chosen ones."""
        seen = cosine[self.sample]
        seen = seen[~np.isnan(seen)]
        return (float(seen.mean()), float(seen.std())) if len(seen) else (0.0, 0.0)


def _sampled(seqs: "Integers") -> "Integers":
    """Return the indices of those whose mixed numbers are the lowest: by chance, but it stays the same.

    Not in equal distances, because conversations have rhythms. Mixed as by splitmix64.
    """
    mixed = seqs.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    count = min(SAMPLE, len(mixed))
    return np.argpartition(mixed, count - 1)[:count]


def is_complete(cosine: "Floats", nearest: "Integers", limit: int) -> bool:
    """Return whether the nearest are more than are wanted, and who is among these is not by chance.

    Args:
        cosine: of all candidates, NaN where it is not known.
        nearest: what an index gave.
        limit: how many are wanted.
    """
    values = cosine[np.unique(nearest)]
    values = np.sort(values[~np.isnan(values)])[::-1]
    if len(values) <= limit:
        return False
    # Of episodes as near as each other, such as copies, the newest are wanted: an index takes any.
    return bool(values[limit - 1] - values[-1] > _NOISE)


def _best_by_words(candidates: Candidates, terms: tuple[str, ...], layout: Layout, count: int) -> "Integers":
    corpus = Corpus(
        documents=candidates.documents,
        mean_length=candidates.terms / max(candidates.documents, 1),
        frequencies=candidates.frequencies,
    )
    scores = bm25(terms, candidates.postings, layout, corpus)
    best = np.argpartition(-scores, min(count, len(scores) - 1))[:count]
    return best[scores[best] > 0]
