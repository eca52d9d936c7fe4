"""Ranking of episodes for a query: BM25, cosine, and the conversation around an episode.

For the episodes that pass the filters, in order of seq, with z(x) the standard score of x over all of them:

    activation = semantic * z(cosine) + lexical * ((1 - passage) * z(bm25) + passage * z(bm25 of the passage))
    context    = neighbour * mean(activation of the neighbours at distance 1 in the session)
               + neighbour / 2 * mean(activation of the neighbours at distance 2)
               + session * mean(the session's best min(3, n) activations)
    verbosity  = n / (n + 10) * z(log(1 + length)), z within -2..2
    total      = activation + context + length * verbosity + recency * 2 ** (-age / half-life)

A passage is an episode with its neighbours up to distance 2: it finds what a question says in two turns.
Scores are added and not ranks, because a rank forgets by how much the first one wins. z is taken over all
episodes and not over the best of each leg, because a cut changes mean and deviation. A leg that is absent or
has no deviation gives 0 to everybody; an episode without a vector gets the mean of the semantic leg, 0.
Of few episodes the length says little, and how far one is from all others nothing more than that it is: a
short one that has the only word of a query must not lose it to that.

An episode is found if its bm25 or its cosine is above 0, or that of a neighbour at distance 1 or 2. The best
of the session move an episode up or down but do not make it found: one match would return a whole session.
Neighbours are counted among the episodes given: the two sides of one that was filtered out are neighbours.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from .types import RecallWeights

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
RealArray: TypeAlias = npt.NDArray[np.floating[Any]]
Postings: TypeAlias = Mapping[str, tuple[IntArray, IntArray]]

REACH: Final = (1, 2)
BEST_OF_SESSION: Final = 3
FEW: Final = 10
FAR: Final = 2.0
# The same cosine leaves numpy and pgvector with different last bits of a float32. Whatever is smaller than
# this is such noise: it must neither be blown up to a standard score nor decide between equal episodes.
_NOISE: Final = 1e-6
_DECIMALS: Final = 5


DEFAULT_WEIGHTS: Final = RecallWeights()


@dataclass(frozen=True, slots=True)
class Corpus:
    """What BM25 knows about all episodes of the tenant, whatever the filters of the query.

    Attributes:
        documents: how many episodes there are.
        mean_length: their mean number of terms.
        frequencies: in how many episodes a term occurs; the terms of the query suffice.
    """

    documents: int
    mean_length: float
    frequencies: Mapping[str, int]

    def idf(self, term: str) -> float:
        """Return the inverse document frequency, > 0."""
        frequency = self.frequencies.get(term, 0)
        return math.log1p((self.documents - frequency + 0.5) / (frequency + 0.5))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What does not depend on the query about the n episodes that pass the filters; build it with `of`.

    Attributes:
        lengths: number of terms of each episode, shape (n,).
        passage_lengths: number of terms of each passage, shape (n,).
        verbosity: of each episode, shape (n,).
        neighbours: per distance the one before and the one after in the session, shape (2, n); n for nobody.
        shares: per distance 1 / number of neighbours, 0 if there is none, shape (n,).
        order: the episodes that have a session, by session and then by seq; sessions may be interleaved.
        groups: for each position in `order` the number of its session.
        starts: the position in `order` at which each session begins.
    """

    lengths: FloatArray
    passage_lengths: FloatArray
    verbosity: FloatArray
    neighbours: tuple[IntArray, ...]
    shares: tuple[FloatArray, ...]
    order: IntArray
    groups: IntArray
    starts: IntArray

    @classmethod
    def of(cls, sessions: IntArray, lengths: npt.NDArray[Any]) -> "Layout":
        """Lay out episodes in order of seq; `sessions` has their session's code >= 0, or -1 for none."""
        size = lengths.astype(np.float64)
        n = len(size)
        order = np.argsort(sessions, kind="stable")
        order = order[np.searchsorted(sessions[order], 0) :]
        begins = np.diff(sessions[order], prepend=-1) != 0
        groups = np.cumsum(begins) - 1
        neighbours: list[IntArray] = []
        shares: list[FloatArray] = []
        passage_lengths, padded = size.copy(), np.append(size, 0.0)
        for distance in REACH:
            beside = np.full((2, n), n, dtype=np.int64)
            together = groups[distance:] == groups[:-distance]
            earlier, later = order[:-distance][together], order[distance:][together]
            beside[0, later], beside[1, earlier] = earlier, later
            count = (beside < n).sum(axis=0)
            neighbours.append(beside)
            shares.append(np.divide(1.0, count, out=np.zeros(n), where=count > 0))
            passage_lengths += _sum_beside(padded, beside)
        verbosity = np.clip(_standard(np.log1p(size), 1.0), -FAR, FAR) * (n / (n + FEW))
        starts = np.flatnonzero(begins)
        return cls(size, passage_lengths, verbosity, tuple(neighbours), tuple(shares), order, groups, starts)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The episodes found, best first, of equal ones the newer first; all arrays have the shape of `order`.

    Attributes:
        order: indices of episodes.
        semantic, lexical, context, length, recency: what each part adds to the total.
        total: their sum, rounded to what two stores agree on.
    """

    order: IntArray
    semantic: FloatArray
    lexical: FloatArray
    context: FloatArray
    length: FloatArray
    recency: FloatArray
    total: FloatArray


def postings_of(terms: Sequence[str], counts: npt.NDArray[Any]) -> Postings:
    """Turn counts of shape (terms, n) into postings: per term the episodes it occurs in, and how often."""
    rows = zip(terms, counts, strict=True)
    return {term: (at := np.flatnonzero(row), row[at].astype(np.int64)) for term, row in rows}


def bm25(
    terms: Sequence[str],
    postings: Postings,
    layout: Layout,
    corpus: Corpus,
    weights: RecallWeights = DEFAULT_WEIGHTS,
) -> FloatArray:
    """Return the BM25 score of each episode, shape (n,), 0 without a match.

    Robertson and Zaragoza 2009, with the idf of Lucene. Repeated terms of the query count once. Terms are
    added in the order of the query, so that the same postings give the same bits wherever they come from.

    Args:
        terms: of the query.
        postings: per term the episodes it occurs in, ascending, and how often it occurs there.
        layout: of the episodes that the postings refer to.
        corpus: of the tenant.
        weights: for `bm25_k1` and `bm25_b`.
    """
    scores = np.zeros(len(layout.lengths))
    damping = _damping(layout.lengths, corpus.mean_length, weights)
    for term in dict.fromkeys(terms):
        if (posting := postings.get(term)) is not None:
            at, counts = posting
            scores[at] += _saturated(counts, damping[at], corpus.idf(term), weights)
    return scores


def passage_bm25(
    terms: Sequence[str],
    postings: Postings,
    layout: Layout,
    corpus: Corpus,
    weights: RecallWeights = DEFAULT_WEIGHTS,
) -> FloatArray:
    """Return the BM25 score of each episode's passage; arguments as those of `bm25`.

    The document frequency stays that of episodes: a passage is a view of them, not a document of its own.
    """
    n = len(layout.lengths)
    scores, widened = np.zeros(n), np.zeros(n + 1)
    mean_length = float(layout.passage_lengths.mean()) if n else 0.0
    damping = _damping(layout.passage_lengths, mean_length, weights)
    for term in dict.fromkeys(terms):
        if (posting := postings.get(term)) is None:
            continue
        at, counts = posting
        widened[at] = counts
        for beside in layout.neighbours:
            for side in beside:
                # No two episodes have the same one before or after them, so no addition is lost; those at the
                # edge of a session meet at n, which is nobody.
                widened[side[at]] += counts
        near = np.flatnonzero(widened[:n])
        scores[near] += _saturated(widened[near], damping[near], corpus.idf(term), weights)
        widened[:] = 0.0
    return scores


def rank(
    layout: Layout,
    *,
    cosine: RealArray | None,
    lexical: FloatArray | None,
    passage: FloatArray | None = None,
    ages: FloatArray | None = None,
    weights: RecallWeights = DEFAULT_WEIGHTS,
    limit: int | None = None,
) -> Ranking:
    """Return the best `limit` episodes that are found, by the definition above; without a limit all of them.

    Linear in n apart from sorting what is returned.

    Args:
        layout: of the episodes, in order of seq.
        cosine: NaN for an episode without a vector, shape (n,); None without an embedder.
        lexical: the BM25 score; None if the query has no terms.
        passage: the BM25 score of the passage; without it `lexical` has the whole weight.
        ages: seconds since each episode occurred; one in the future counts as of now.
        weights: of the parts.
        limit: at most so many, >= 0.
    """
    n = len(layout.lengths)
    split = weights.passage if passage is not None else 0.0
    semantic = _leg(cosine, weights.semantic, n)
    words = _leg(lexical, weights.lexical * (1 - split), n)
    if passage is not None:
        words += _leg(passage, weights.lexical * split, n)
    activation = semantic + words
    context = _context(activation, layout, weights)
    length = weights.length * layout.verbosity
    recency = np.zeros(n)
    if ages is not None and weights.recency:
        recency = weights.recency * np.exp2(np.maximum(ages, 0.0) / -weights.recency_half_life)
    total = activation + context
    total += length
    total += recency
    order = _best(total, np.flatnonzero(_found(cosine, lexical, layout)), limit)
    return Ranking(
        order=order,
        semantic=semantic[order],
        lexical=words[order],
        context=context[order],
        length=length[order],
        recency=recency[order],
        total=total[order].round(_DECIMALS),
    )


def _standard(values: FloatArray, weight: float) -> FloatArray:
    """Return weighted standard scores; 0 where there is nothing but noise."""
    if len(values) == 0:
        return np.zeros(0)
    scores: FloatArray = values - values.mean()
    # Not a dot product: BLAS may split it over threads, whose number would then show in the last bits.
    deviation = math.sqrt(float(np.square(scores).mean()))
    scores *= weight / deviation if deviation > _NOISE else 0.0
    return scores


def _leg(values: RealArray | None, weight: float, n: int) -> FloatArray:
    """Return weighted standard scores over the values that are not NaN; 0 for NaN and for an absent leg."""
    scores = np.zeros(n)
    if values is not None:
        present = ~np.isnan(values)
        exact = values.astype(np.float64, copy=False)
        if present.all():
            return _standard(exact, weight)
        scores[present] = _standard(exact[present], weight)
    return scores


def _context(activation: FloatArray, layout: Layout, weights: RecallWeights) -> FloatArray:
    context = np.zeros(len(activation))
    if len(layout.order) == 0:
        return context
    best = _mean_of_best(activation[layout.order], layout)
    context[layout.order] = (weights.session * best)[layout.groups]
    padded = np.append(activation, 0.0)
    for distance, beside, share in zip(REACH, layout.neighbours, layout.shares, strict=True):
        received = _sum_beside(padded, beside)
        received *= share
        received *= weights.neighbour / distance
        context += received
    return context


def _mean_of_best(active: FloatArray, layout: Layout) -> FloatArray:
    """Return per session the mean of its best three, or of all it has."""
    left = active.copy()
    total = np.zeros(len(layout.starts))
    for _ in range(BEST_OF_SESSION):
        best = np.maximum.reduceat(left, layout.starts)
        total += np.where(np.isneginf(best), 0.0, best)
        # Of equal ones only the first is taken out; the others are the next best.
        candidates = np.flatnonzero(left == best[layout.groups])
        firsts = np.diff(layout.groups[candidates], prepend=-1) != 0
        left[candidates[firsts]] = -np.inf
    sizes = np.diff(layout.starts, append=len(active))
    means: FloatArray = total / np.minimum(sizes, BEST_OF_SESSION)
    return means


def _sum_beside(padded: FloatArray, beside: IntArray) -> FloatArray:
    """Return for each episode the sum of the two beside it; `padded` ends with the 0 of nobody."""
    sums: FloatArray = padded[beside[0]]
    sums += padded[beside[1]]
    return sums


def _damping(lengths: FloatArray, mean_length: float, weights: RecallWeights) -> FloatArray:
    k1, b = weights.bm25_k1, weights.bm25_b
    damping: FloatArray = lengths * (k1 * b / max(mean_length, 1.0)) + k1 * (1 - b)
    return damping


def _saturated(
    counts: npt.NDArray[Any], damping: FloatArray, idf: float, weights: RecallWeights
) -> FloatArray:
    scores: FloatArray = counts * (idf * (weights.bm25_k1 + 1)) / (counts + damping)
    return scores


def _found(cosine: RealArray | None, lexical: FloatArray | None, layout: Layout) -> BoolArray:
    n = len(layout.lengths)
    direct = np.zeros(n + 1, dtype=np.bool_)
    if cosine is not None:
        direct[:n] |= cosine > 0  # false for NaN
    if lexical is not None:
        direct[:n] |= lexical > 0
    found: BoolArray = direct[:n].copy()
    for beside in layout.neighbours:
        found |= direct[beside[0]]
        found |= direct[beside[1]]
    return found


def _best(total: FloatArray, found: IntArray, limit: int | None) -> IntArray:
    """Return the best of `found`; scores that agree after rounding are equal, and the newer one is first."""
    scores = total[found]
    if limit is not None and len(found) > limit:
        if limit == 0:
            return found[:0]
        last = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        # Whatever might round to the last score takes part in the sort, which knows how to break a tie.
        contenders = scores >= last - 2 * 10**-_DECIMALS
        found, scores = found[contenders], scores[contenders]
    order: IntArray = found[np.lexsort((-found, -scores.round(_DECIMALS)))][:limit]
    return order
