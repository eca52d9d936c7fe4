"""The ranking against its definition in plain loops."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect import RecallWeights
from recollect._layout import REACH, Layout, beside
from recollect._ranking import FEW_PLACES, RARE, Corpus, Ranking, bm25, passage_bm25, postings_of, rank
from recollect.stores import Candidates

TERMS = ("cat", "dog", "eel")
LARGEST = 16


@dataclass(frozen=True)
class Row:
    """An episode as the ranking sees it; a cosine of None is no vector."""

    session: int
    length: int
    counts: tuple[int, ...]
    cosine: float | None
    age: float


rows = st.builds(
    Row,
    session=st.integers(-1, 3),
    length=st.integers(0, 9),
    counts=st.tuples(*[st.sampled_from((0, 0, 0, 1, 2, 5)) for _ in TERMS]),
    # A coarse grid, so that there are equal scores, and standard deviations of 0.
    cosine=st.none() | st.integers(-4, 4).map(lambda quarters: quarters / 4),
    age=st.integers(-5, 100).map(lambda days: days * 86400.0),
)
tables = st.lists(rows, max_size=LARGEST)
parts = st.sampled_from((0.0, 0.25, 0.5, 1.0))
weights = st.builds(
    RecallWeights,
    semantic=parts,
    lexical=parts,
    passage=parts,
    neighbour=parts,
    session=parts,
    length=parts,
    recency=parts,
    bm25_k1=st.sampled_from((0.0, 0.9, 1.2)),
    bm25_b=parts,
)
queries = st.lists(st.sampled_from(TERMS), max_size=4)
elsewhere = st.integers(0, 5)
"""Episodes of the tenant that the filters leave out: the statistics of BM25 count them all the same."""


def layout_of(table: Sequence[Row]) -> Layout:
    sessions = np.array([row.session for row in table], dtype=np.int64)
    return Layout.of(sessions, np.array([row.length for row in table], dtype=np.int64))


def postings(table: Sequence[Row]) -> Any:
    counts = np.array([row.counts for row in table], dtype=np.int64).reshape(len(table), len(TERMS))
    return {term: posting for term, posting in postings_of(TERMS, counts.T).items() if len(posting[0])}


def corpus_of(table: Sequence[Row], others: int) -> Corpus:
    documents = len(table) + others
    terms = sum(row.length for row in table) + 3 * others
    frequencies = {term: others + sum(row.counts[i] > 0 for row in table) for i, term in enumerate(TERMS)}
    return Corpus(documents, terms / max(documents, 1), frequencies)


def cosines_of(table: Sequence[Row]) -> Any:
    return np.array([math.nan if row.cosine is None else row.cosine for row in table], dtype=np.float32)


def ranked(
    table: Sequence[Row], query: Sequence[str], weights: RecallWeights, others: int = 0, **options: Any
) -> Ranking:
    layout, corpus = layout_of(table), corpus_of(table, others)
    words = (query, postings(table), layout, corpus, weights)
    return rank(
        layout,
        cosine=cosines_of(table),
        lexical=bm25(*words) if query else None,
        passage=passage_bm25(*words) if query and weights.passage else None,
        ages=np.array([row.age for row in table]),
        weights=weights,
        **options,
    )


def mates(table: Sequence[Row], i: int) -> list[int]:
    """The episodes of the session, in order; one without a session is alone."""
    if table[i].session < 0:
        return [i]
    return [j for j, row in enumerate(table) if row.session == table[i].session]


def mates_beside(table: Sequence[Row], i: int, distance: int) -> list[int]:
    session = mates(table, i)
    at = session.index(i)
    return [session[at + side] for side in (-distance, distance) if 0 <= at + side < len(session)]


def textbook_bm25(
    query: Sequence[str],
    counts: Sequence[Sequence[int]],
    lengths: Sequence[float],
    mean_length: float,
    corpus: Corpus,
    weights: RecallWeights,
) -> list[float]:
    k1, b = weights.bm25_k1, weights.bm25_b
    scores = [0.0] * len(counts)
    for term in set(query):
        n = corpus.frequencies[term]
        idf = math.log(1 + (corpus.documents - n + 0.5) / (n + 0.5))
        for i, row in enumerate(counts):
            if tf := row[TERMS.index(term)]:
                scores[i] += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * lengths[i] / max(mean_length, 1)))
    return scores


def standard(values: Sequence[float | None]) -> list[float]:
    present = [value for value in values if value is not None]
    mean = sum(present) / max(len(present), 1)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in present) / max(len(present), 1))
    return [0.0 if value is None or deviation < 1e-6 else (value - mean) / deviation for value in values]


def textbook_words(
    table: Sequence[Row], query: Sequence[str], weights: RecallWeights, others: int, rest: Sequence[Row] = ()
) -> tuple[list[float], list[float]]:
    """BM25 of the episodes, and of their passages, beside a rest without terms, sessions and scores."""
    corpus = corpus_of([*table, *rest], others)
    n = len(table)
    lengths = [float(row.length) for row in table]
    own = textbook_bm25(query, [row.counts for row in table], lengths, corpus.mean_length, corpus, weights)
    passages = [sorted({i, *mates_beside(table, i, 1), *mates_beside(table, i, 2)}) for i in range(n)]
    counts = [[sum(table[j].counts[t] for j in at) for t in range(len(TERMS))] for at in passages]
    widths = [sum(lengths[j] for j in at) for at in passages]
    mean_width = (sum(widths) + sum(row.length for row in rest)) / max(n + len(rest), 1)
    return own, textbook_bm25(query, counts, widths, mean_width, corpus, weights)


def textbook_totals(
    table: Sequence[Row], query: Sequence[str], weights: RecallWeights, others: int
) -> tuple[list[float], set[int]]:
    """The total of each episode by the definition, and which of them are found."""
    n = len(table)
    own, passage = textbook_words(table, query, weights, others)
    semantic, lexical = standard([row.cosine for row in table]), standard(own)
    wide = standard(passage)
    activation = [
        weights.semantic * semantic[i]
        + weights.lexical * ((1 - weights.passage) * lexical[i] + weights.passage * wide[i])
        for i in range(n)
    ]
    few = len(table) / (len(table) + 10)
    lengths = standard([math.log(1 + row.length) for row in table])
    verbosity = [few * min(max(each, -2), 2) for each in lengths]
    direct = {i for i in range(n) if own[i] > 0 or (table[i].cosine or 0) > 0}
    totals: list[float] = []
    found: set[int] = set()
    for i in range(n):
        total = activation[i] + weights.length * verbosity[i]
        total += weights.recency * 2 ** (-max(table[i].age, 0) / weights.recency_half_life)
        for distance in (1, 2):
            if near := mates_beside(table, i, distance):
                total += weights.neighbour / distance * sum(activation[j] for j in near) / len(near)
        if table[i].session >= 0:
            best = sorted((activation[j] for j in mates(table, i)), reverse=True)[:3]
            total += weights.session * sum(best) / len(best)
        totals.append(total)
        if direct.intersection([i, *mates_beside(table, i, 1), *mates_beside(table, i, 2)]):
            found.add(i)
    return totals, found


@settings(max_examples=300)
@given(tables, queries, weights, elsewhere)
def test_ranking_is_its_definition(
    table: list[Row], query: list[str], weights: RecallWeights, others: int
) -> None:
    totals, found = textbook_totals(table, query, weights, others)
    ranking = ranked(table, query, weights, others)
    assert set(ranking.order.tolist()) == found
    assert ranking.total == pytest.approx([totals[i] for i in ranking.order], abs=2e-5)
    explained = ranking.semantic + ranking.lexical + ranking.context + ranking.length + ranking.recency
    assert ranking.total == pytest.approx(explained, abs=1e-5)


@settings(max_examples=200)
@given(tables, queries, weights)
def test_best_come_first_and_of_equal_ones_the_newer(
    table: list[Row], query: list[str], weights: RecallWeights
) -> None:
    ranking = ranked(table, query, weights)
    keys = [(-total, -i) for total, i in zip(ranking.total.tolist(), ranking.order.tolist(), strict=True)]
    assert keys == sorted(keys)


@settings(max_examples=200)
@given(tables, queries, weights, st.integers(0, LARGEST + 1))
def test_limit_cuts_a_prefix(table: list[Row], query: list[str], weights: RecallWeights, limit: int) -> None:
    full, part = ranked(table, query, weights), ranked(table, query, weights, limit=limit)
    for name in ("order", "semantic", "lexical", "context", "length", "recency", "total"):
        assert getattr(part, name).tolist() == getattr(full, name)[:limit].tolist()


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_limit_breaks_a_tie_of_rounding_like_the_full_ranking(limit: int) -> None:
    # They differ by less than two stores agree on, and the newer ones have less.
    cosine = np.array([0.5, 0.500_000_3, 0.500_000_2, 0.500_000_1, 0.1, -0.5, 0.5])
    layout = Layout.of(np.full(7, -1), np.ones(7))
    full = rank(layout, cosine=cosine, lexical=None)
    assert full.order.tolist() == [6, 3, 2, 1, 0, 4]
    part = rank(layout, cosine=cosine, lexical=None, limit=limit)
    assert part.order.tolist() == full.order.tolist()[:limit]


@settings(max_examples=200)
@given(tables, queries, weights, elsewhere)
def test_bm25_is_the_textbooks(
    table: list[Row], query: list[str], weights: RecallWeights, others: int
) -> None:
    words = (query, postings(table), layout_of(table), corpus_of(table, others), weights)
    own, passage = textbook_words(table, query, weights, others)
    assert bm25(*words) == pytest.approx(own)
    assert passage_bm25(*words) == pytest.approx(passage)


def seen_beside(table: Sequence[Row], distance: int) -> tuple[list[list[int]], list[float]]:
    """Who is beside each episode by the layout, and what share each of them has."""
    layout = layout_of(table)
    everybody = np.array([2.0**i for i in range(len(table))])
    line, shares = np.zeros((2, len(layout.members)))
    line[layout.inner] = beside(layout.line(everybody)[: layout.end], distance)
    shares[layout.inner] = layout.shares[REACH.index(distance)]
    near = [[i for i in range(len(table)) if int(bits) >> i & 1] for bits in line[layout.places]]
    return near, shares[layout.places].tolist()


@settings(max_examples=200)
@given(tables, st.sampled_from(REACH))
def test_neighbours_are_those_of_the_session(table: list[Row], distance: int) -> None:
    near, shares = seen_beside(table, distance)
    assert near == [mates_beside(table, i, distance) for i in range(len(table))]
    assert shares == [1 / len(each) if each else 0 for each in near]


@settings(max_examples=200)
@given(tables, rows, st.integers(0, LARGEST), st.sampled_from(REACH))
def test_episode_of_another_session_changes_no_neighbour(
    table: list[Row], row: Row, place: int, distance: int
) -> None:
    place = min(place, len(table))
    grown = [*table[:place], replace(row, session=9), *table[place:]]
    moved = [i + (i >= place) for i in range(len(table))]
    (before, _), (after, _) = seen_beside(table, distance), seen_beside(grown, distance)
    for i, was in enumerate(before):
        assert [moved[j] for j in was] == after[moved[i]]


@settings(max_examples=200)
@given(tables)
def test_line_has_every_episode_once_and_nobody_in_its_gaps(table: list[Row]) -> None:
    layout = layout_of(table)
    assert layout.members[layout.places].tolist() == list(range(len(table)))
    assert sorted([*layout.places.tolist(), *layout.gaps.tolist()]) == list(range(len(layout.members)))
    for gapless in (layout.verbosity, layout.line(np.ones(len(table)))):
        assert not gapless[layout.gaps].any()


@settings(max_examples=100)
@given(tables, queries, weights, elsewhere)
def test_passage_of_a_rare_term_is_the_textbooks(
    table: list[Row], query: list[str], weights: RecallWeights, others: int
) -> None:
    rest = [Row(session=-1, length=3, counts=(0, 0, 0), cosine=None, age=0.0)] * (RARE * FEW_PLACES)
    long = [*table, *rest]
    words = (query, postings(long), layout_of(long), corpus_of(long, others), weights)
    own, passage = textbook_words(table, query, weights, others, rest)
    assert bm25(*words) == pytest.approx([*own, *[0.0] * len(rest)])
    assert passage_bm25(*words) == pytest.approx([*passage, *[0.0] * len(rest)])


@settings(max_examples=200)
@given(tables, queries, weights)
def test_codes_of_sessions_mean_nothing(table: list[Row], query: list[str], weights: RecallWeights) -> None:
    renamed = [replace(row, session=-1 if row.session < 0 else 7**row.session) for row in table]
    shuffled = [replace(row, session=-1 if row.session < 0 else 5 - row.session) for row in table]
    expected = ranked(table, query, weights)
    for other in (renamed, shuffled):
        ranking = ranked(other, query, weights)
        assert ranking.order.tolist() == expected.order.tolist()
        assert ranking.total.tolist() == expected.total.tolist()


@settings(max_examples=200)
@given(tables, weights)
def test_leg_without_deviation_decides_nothing(table: list[Row], weights: RecallWeights) -> None:
    same = [replace(row, cosine=0.5, counts=(1, 0, 0), length=4, session=-1) for row in table]
    ranking = ranked(same, ["cat"], replace(weights, recency=0.0))
    assert not ranking.total.any()
    assert ranking.order.tolist() == list(reversed(range(len(table))))


def test_episode_without_a_vector_has_the_mean_of_the_leg_and_is_not_found_by_it() -> None:
    layout = Layout.of(np.full(4, -1), np.ones(4))
    ranking = rank(layout, cosine=np.array([0.9, math.nan, 0.1, -0.5]), lexical=None)
    assert ranking.order.tolist() == [0, 2]
    lexical = np.array([0.0, 1.0, 0.0, 0.0])
    by_words = rank(layout, cosine=np.array([0.9, math.nan, 0.1, -0.5]), lexical=lexical)
    assert by_words.semantic[by_words.order.tolist().index(1)] == 0
    nothing = rank(layout, cosine=np.full(4, math.nan), lexical=None)
    assert nothing.order.tolist() == []


def test_best_of_a_session_lift_it_but_do_not_make_it_found() -> None:
    layout = Layout.of(np.array([0, 0, 0, 0, 1]), np.ones(5))
    ranking = rank(layout, cosine=None, lexical=np.array([3.0, 0, 0, 0, 1.0]))
    # The fourth of the session is at distance 3 of the one that matches.
    assert sorted(ranking.order.tolist()) == [0, 1, 2, 4]


@settings(max_examples=200)
@given(tables, st.data())
def test_filtered_candidates_are_those_of_the_filtered_rows(table: list[Row], data: st.DataObject) -> None:
    keep = data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table)))
    seqs = range(3, 3 + 2 * len(table), 2)
    everything = candidates_of(list(zip(seqs, table, strict=True)))
    numbered = [pair for pair, kept in zip(zip(seqs, table, strict=True), keep, strict=True) if kept]
    expected = candidates_of(numbered)
    found = everything.only(np.array(keep, dtype=np.bool_))
    for name in ("seqs", "sessions", "lengths", "occurred"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    np.testing.assert_array_equal(found.cosine, expected.cosine)
    for term in TERMS:
        at, counts = found.postings.get(term, (np.array([]), np.array([])))
        wanted_at, wanted_counts = expected.postings.get(term, (np.array([]), np.array([])))
        assert (at.tolist(), counts.tolist()) == (wanted_at.tolist(), wanted_counts.tolist())
    assert (found.documents, found.terms) == (everything.documents, everything.terms)
    assert found.frequencies == everything.frequencies


def candidates_of(numbered: Sequence[tuple[int, Row]]) -> Candidates:
    table = [row for _, row in numbered]
    found = postings(table)
    return Candidates(
        seqs=np.array([seq for seq, _ in numbered], dtype=np.int64),
        sessions=np.array([row.session for row in table], dtype=np.int64),
        lengths=np.array([row.length for row in table], dtype=np.float64),
        occurred=np.array([row.age for row in table]),
        cosine=cosines_of(table).astype(np.float64),
        postings=found,
        documents=len(table),
        terms=sum(row.length for row in table),
        frequencies={term: len(at) for term, (at, _) in found.items()},
    )
