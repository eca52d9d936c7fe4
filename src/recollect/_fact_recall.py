"""From a query to facts: the two legs of a recall, over what is true and believed at one point."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from ._composition import Composition, Scope
from ._facts_shown import shown
from ._ranking import Corpus, Layout, bm25, rank
from ._recall import query_terms, query_vector
from .stores.facts import FactCandidates, FactFilter
from .types import FactHit, FactSignals

if TYPE_CHECKING:
    from .stores import Integers


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
    return _hits(composition, terms, candidates, limit, known)


def _hits(
    composition: Composition, terms: Sequence[str], candidates: FactCandidates, limit: int, known: int | None
) -> tuple[FactHit, ...]:
    counts = [Counter(term for term in of_one if term in terms) for of_one in candidates.terms]
    lengths = np.array([len(of_one) for of_one in candidates.terms], dtype=np.float64)
    postings = {term: _posting(term, counts) for term in terms}
    postings = {term: found for term, found in postings.items() if len(found[0])}
    corpus = Corpus(
        documents=len(counts),
        mean_length=float(lengths.mean()),
        frequencies={term: len(at) for term, (at, _) in postings.items()},
    )
    # A fact stands for itself: it has no neighbours, and saying more does not make it better.
    weights = replace(composition.weights, length=0.0, recency=0.0, passage=0.0)
    layout = Layout.of(np.full(len(counts), -1, dtype=np.int64), lengths)
    lexical = bm25(terms, postings, layout, corpus, weights) if terms else None
    cosine = candidates.cosine
    ranking = rank(layout, cosine=cosine, lexical=lexical, weights=weights, limit=limit)
    hits: list[FactHit] = []
    for place, index in enumerate(ranking.order.tolist()):
        near = math.nan if cosine is None else float(cosine[index])
        hits.append(
            FactHit(
                fact=shown(candidates.facts[index], known=known),
                score=float(ranking.total[place]),
                signals=FactSignals(
                    semantic=None if math.isnan(near) else near,
                    lexical=None if lexical is None else float(lexical[index]),
                ),
            )
        )
    return tuple(hits)


def _posting(term: str, counts: Sequence[Counter[str]]) -> "tuple[Integers, Integers]":
    """Return the facts that a term occurs in, and how often."""
    found = [(i, count[term]) for i, count in enumerate(counts) if term in count]
    at, often = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return at, often
