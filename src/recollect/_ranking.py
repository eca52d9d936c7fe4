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

from ._layout import REACH, FloatArray, IntArray, Layout, beside, passages
from ._scores import DECIMALS, NOISE, standard
from .types import RecallWeights

BoolArray: TypeAlias = npt.NDArray[np.bool_]
RealArray: TypeAlias = npt.NDArray[np.floating[Any]]
Postings: TypeAlias = Mapping[str, tuple[IntArray, IntArray]]

BEST_OF_SESSION: Final = 3

RARE: Final = 40
FEW_PLACES: Final = 100
"""A term in fewer than one of so many places, on a long line, is followed from one to the next of them."""

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
    m = len(layout.members)
    scores = np.zeros(m)
    line = np.zeros(m, dtype=np.float32)  # exact for counts, and half as much to move
    damping = _damping(layout.passage_lengths, layout.mean_passage, weights)
    for term in dict.fromkeys(terms):
        if (posting := postings.get(term)) is None:
            continue
        at, counts = layout.places[posting[0]], posting[1]
        if RARE * max(len(at), FEW_PLACES) < m:
            near = _widen(line, at, counts, layout.end)
            # A place that is near to two of them occurs twice, and gets the same score twice, not the sum.
            scores[near] += _saturated(line[near], damping[near], corpus.idf(term), weights)
            line[near] = 0.0
        else:
            line[at] = counts
            scores += _saturated(passages(line, layout.end), damping, corpus.idf(term), weights)
            line.fill(0.0)
    return scores[layout.places]


def rank(
    layout: Layout,
    *,
    cosine: RealArray | None,
    lexical: FloatArray | None,
    passage: FloatArray | None = None,
    spread: tuple[float, float] | None = None,
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
        spread: mean and standard deviation of all cosines, if those of many are not told, and NaN.
        ages: seconds since each episode occurred; one in the future counts as of now.
        weights: of the parts.
        limit: at most so many, >= 0.
    """
    n = len(layout.lengths)
    split = weights.passage if passage is not None else 0.0
    semantic = _leg(cosine, weights.semantic, n, spread)
    words = _leg(lexical, weights.lexical * (1 - split), n)
    if passage is not None:
        words += _leg(passage, weights.lexical * split, n)
    activation = layout.line(semantic + words)
    context = _context(activation, layout, weights)
    length = weights.length * layout.verbosity
    total = activation + context
    total += length
    recency = np.zeros(n)
    if ages is not None and weights.recency:
        recency = weights.recency * np.exp2(np.maximum(ages, 0.0) / -weights.recency_half_life)
        total += layout.line(recency)
    np.copyto(total, -np.inf, where=~_found(cosine, lexical, layout))
    at = _best(total, layout.members, limit)
    order = layout.members[at]
    return Ranking(
        order=order,
        semantic=semantic[order],
        lexical=words[order],
        context=context[at],
        length=length[at],
        recency=recency[order],
        total=total[at].round(DECIMALS),
    )


def _leg(
    values: RealArray | None, weight: float, n: int, spread: tuple[float, float] | None = None
) -> FloatArray:
    """Return weighted standard scores over the values that are not NaN; 0 for NaN and for an absent leg."""
    if values is None:
        return np.zeros(n)
    exact = values.astype(np.float64, copy=False)
    if spread is None and not math.isnan(exact.sum()):
        return standard(exact, weight)
    present = ~np.isnan(exact)
    scores = np.zeros(n)
    if spread is None:
        scores[present] = standard(exact[present], weight)
    else:
        mean, deviation = spread
        scores[present] = (exact[present] - mean) * (weight / deviation if deviation > NOISE else 0.0)
    return scores


def _context(activation: FloatArray, layout: Layout, weights: RecallWeights) -> FloatArray:
    """Return what each episode has from its session; both on the line."""
    context = np.zeros(len(activation))
    if not len(layout.starts):
        return context
    sessions, inner = activation[: layout.end], context[layout.inner]
    for distance, share in zip(REACH, layout.shares, strict=True):
        received = beside(sessions, distance)
        received *= share
        received *= weights.neighbour / distance
        inner += received
    best = weights.session * _mean_of_best(sessions, layout)
    context[layout.starts[0] : layout.end] += np.repeat(best, layout.widths)
    return context


def _mean_of_best(sessions: FloatArray, layout: Layout) -> FloatArray:
    """Return per session the mean of its best three, or of all it has."""
    left = sessions.copy()
    left[layout.gaps] = -np.inf
    left = left[layout.starts[0] :]
    starts = layout.starts - layout.starts[0]
    best = np.maximum.reduceat(left, starts)
    total = best.copy()
    for taken in range(1, BEST_OF_SESSION):
        # Of equal ones only the first is taken out; the others are the next best.
        equal = np.flatnonzero(left == np.repeat(best, layout.widths))
        left[equal[np.searchsorted(equal, starts)]] = -np.inf
        best = np.maximum.reduceat(left, starts)
        total += np.where(layout.sizes > taken, best, 0.0)
    return total / np.minimum(layout.sizes, BEST_OF_SESSION)


def _damping(lengths: FloatArray, mean_length: float, weights: RecallWeights) -> FloatArray:
    """Return what a count is set against, > 0: 0 would make no count at all 0 / 0."""
    k1, b = weights.bm25_k1, weights.bm25_b
    damping: FloatArray = lengths * (k1 * b / max(mean_length, 1.0))
    damping += max(k1 * (1 - b), np.finfo(np.float64).tiny)
    return damping


def _saturated(
    counts: npt.NDArray[Any], damping: FloatArray, idf: float, weights: RecallWeights
) -> FloatArray:
    scores: FloatArray = counts + damping
    np.divide(counts, scores, out=scores)
    scores *= idf * (weights.bm25_k1 + 1)
    return scores


def _widen(line: npt.NDArray[np.float32], at: IntArray, counts: IntArray, end: int) -> IntArray:
    """Add counts to all passages that the places `at` are part of; return the places of these."""
    line[at] = counts
    near = [at]
    social = at < end
    at, counts = at[social], counts[social]
    for distance in REACH:
        for step in (-distance, distance):
            line[at + step] += counts
            near.append(at + step)
    return np.concatenate(near)


def _found(cosine: RealArray | None, lexical: FloatArray | None, layout: Layout) -> BoolArray:
    """Return who on the line is found, by itself or by a neighbour."""
    direct = np.zeros(len(layout.lengths), dtype=np.bool_)
    if cosine is not None:
        direct |= cosine > 0  # false for NaN
    if lexical is not None:
        direct |= lexical > 0
    found: BoolArray = passages(layout.line(direct), layout.end)
    found[layout.gaps] = False
    return found


def _best(total: FloatArray, members: IntArray, limit: int | None) -> IntArray:
    """Return the places of the best, but for those of -inf.

    Scores that agree after rounding are equal, and of equal ones the newer is first.
    """
    if limit == 0:
        return np.zeros(0, dtype=np.int64)
    # Whatever might round to the last score takes part in the sort, which knows how to break a tie.
    least = -math.inf if limit is None else _bound(total, limit) - 2 * 10**-DECIMALS
    at = np.flatnonzero(total >= max(least, np.finfo(np.float64).min))
    order: IntArray = at[np.lexsort((-members[at], -total[at].round(DECIMALS)))][:limit]
    return order


def _bound(total: FloatArray, limit: int) -> float:
    """Return what the best `limit` have at least: the last of the best `limit` of the best of pieces.

    Of many more pieces than `limit`, that is nearly the last of all; and they are quickly sorted.
    """
    if len(total) <= limit:
        return -math.inf
    best = np.maximum.reduceat(total, np.arange(0, len(total), max(len(total) // (8 * limit), 1)))
    return float(np.partition(best, len(best) - limit)[len(best) - limit])
