"""From a query to facts: the two legs of a recall, over what is true and believed at one point."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from anyio import to_thread

from ._composition import Composition, Scope
from ._facts_shown import shown
from ._layout import Layout
from ._ranking import Corpus, bm25, rank
from ._recall import query_terms, query_vector
from .stores.facts import FactCandidates, FactFilter
from .types import FactHit, FactSignals

if TYPE_CHECKING:
    from .stores import Integers


MANY = 1_000
"""Facts from which on they are ranked in a worker thread: some milliseconds."""


async def recall_facts(
    composition: Composition,
    scope: Scope,
    text: str,
    *,
    limit: int,
    valid_at: datetime | None,
    known: int | None,
) -> tuple[FactHit, ...]:
    """Answer a checked query; see `UserMemory.recall_facts`."""
    terms = await query_terms(text, "hybrid", composition.language)
    vector = await query_vector(composition, text, "hybrid") if text.strip() else None
    if not terms and vector is None:
        return ()
    filter = FactFilter(now=composition.clock(), branch=scope.session_id, valid_at=valid_at, known=known)
    candidates = await composition.archive.facts.candidates(scope.tenant, filter, vector)
    if not candidates.facts:
        return ()
    # What is searched is the words of every fact that is true at the point.
    work = partial(_hits, composition, terms, candidates, limit, known)
    return work() if len(candidates.facts) < MANY else await to_thread.run_sync(work)


def _hits(
    composition: Composition, terms: Sequence[str], candidates: FactCandidates, limit: int, known: int | None
) -> tuple[FactHit, ...]:
    documents = len(candidates.facts)
    lengths = np.array([len(of_one) for of_one in candidates.terms], dtype=np.float64)
    postings = _postings(terms, candidates.terms)
    corpus = Corpus(
        documents=documents,
        mean_length=float(lengths.mean()),
        frequencies={term: len(at) for term, (at, _) in postings.items()},
    )
    # A fact stands for itself: it has no neighbours, and saying more does not make it better.
    weights = replace(composition.weights, length=0.0, recency=0.0, passage=0.0)
    layout = Layout.of(np.full(documents, -1, dtype=np.int64), lengths)
    lexical = bm25(terms, postings, layout, corpus, weights) if terms else None
    cosine = candidates.cosine
    ranking = rank(layout, cosine=cosine, lexical=lexical, weights=weights, limit=limit)
    hits: list[FactHit] = []
    for place, index in enumerate(ranking.order.tolist()):
        near = math.nan if cosine is None else float(cosine[index])
        hits.append(
            FactHit(
                fact=shown(candidates.facts[int(index)], known=known),
                score=float(ranking.total[place]),
                signals=FactSignals(
                    semantic=None if math.isnan(near) else near,
                    lexical=None if lexical is None else float(lexical[index]),
                ),
            )
        )
    return tuple(hits)


def _postings(
    terms: Sequence[str], documents: Sequence[Sequence[str]]
) -> "dict[str, tuple[Integers, Integers]]":
    """Return for each term that occurs the facts it occurs in, ascending, and how often."""
    counts: dict[str, dict[int, int]] = {term: {} for term in terms}
    for i, of_one in enumerate(documents):
        for term in of_one:
            count = counts.get(term)
            if count is not None:
                count[i] = count.get(i, 0) + 1
    return {
        term: (np.array(list(count), dtype=np.int64), np.array(list(count.values()), dtype=np.int64))
        for term, count in counts.items()
        if count
    }
