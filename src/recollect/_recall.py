"""From a query to recollections: analyse, ask both legs, rank, fetch. The same for every store."""

import math
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from ._analysis import LONG_TEXT, analyze
from ._composition import Composition, Scope
from ._dates import named_dates
from ._deadline import half_of_the_rest
from ._layout import Layout
from ._ranking import Corpus, Ranking, bm25, passage_bm25, rank
from ._reranking import reranked
from ._values import made
from .errors import StoreUnavailable, UnsupportedOperation
from .stores import Candidates, Filters, Query
from .types import Episode, Mode, Recollection, Signals

if TYPE_CHECKING:
    from .stores import Floats, Vectors


MAX_TERMS = 64
"""Terms of a query that are looked up, the first ones: each costs a pass over the tenant's words."""

MANY = 10_000
"""Candidates from which on they are ranked in a worker thread: about 5 ms."""


async def recall(
    composition: Composition,
    scope: Scope,
    text: str,
    *,
    mode: Mode,
    filters: Filters,
    limit: int,
    neighbours: int,
) -> tuple[Recollection, ...]:
    """Answer a checked query; see `UserMemory.recall`."""
    store, tenant = composition.archive.episodes, scope.tenant
    if mode == "recent" or not text.strip():
        found = await store.newest(tenant, filters, limit=limit)
        hits = [Recollection(episode=episode, score=0.0, signals=Signals()) for episode in found]
    else:
        terms = await query_terms(text, mode, composition.language)
        wanted = limit if composition.reranker is None else max(limit, composition.limits.reranked)
        vector = await query_vector(composition, text, mode)
        query = Query(terms, vector, filters, limit=wanted, exact=composition.limits.exact_vectors)
        if not query.terms and query.vector is None:
            return ()
        candidates = await store.candidates(tenant, query)
        if len(candidates.seqs) > MANY:
            ranking, lexical = await to_thread.run_sync(_ranked, composition, query, candidates, wanted)
        else:
            ranking, lexical = _ranked(composition, query, candidates, wanted)
        episodes = await store.by_seq(tenant, candidates.seqs[ranking.order].tolist())
        hits = _recollections(candidates, ranking, lexical, episodes)
        if composition.reranker is not None and hits:
            hits = (await reranked(composition.reranker, text, hits))[:limit]
    if not neighbours or not hits:
        return tuple(hits)
    beside = await store.around(tenant, [hit.episode for hit in hits], distance=neighbours)
    return tuple(hit.model_copy(update={"neighbours": beside.get(hit.episode.seq, ())}) for hit in hits)


async def query_terms(text: str, mode: Mode, language: str) -> tuple[str, ...]:
    """Return what is looked up in the words, in order."""
    if mode == "semantic":
        return ()
    if len(text) > LONG_TEXT:
        found = await to_thread.run_sync(_analysed, text, language)
    else:
        found = _analysed(text, language)
    return tuple(islice(dict.fromkeys(found), MAX_TERMS))


def _analysed(text: str, language: str) -> list[str]:
    return [*named_dates(text), *analyze(text, language)]


async def query_vector(composition: Composition, text: str, mode: Mode) -> "Vectors | None":
    """Return the query's vector. In hybrid mode a failing embedder costs its leg, not the answer."""
    if mode == "lexical":
        return None
    embedding = composition.embedding
    vector = None
    if embedding is not None:
        with anyio.move_on_after(half_of_the_rest()):
            vector = await embedding.query(text)
    if vector is None and mode == "semantic":
        if embedding is None:
            msg = 'semantic recall needs an embedder; give one to open_memory, or use mode="lexical"'
            raise UnsupportedOperation(msg)
        msg = 'the embedder failed; try later, or use mode="hybrid", which then goes by words'
        raise StoreUnavailable(msg)
    return vector


def _ranked(
    composition: Composition, query: Query, candidates: Candidates, limit: int
) -> "tuple[Ranking, Floats | None]":
    """Return the ranking, and the BM25 of every candidate."""
    weights = composition.weights
    layout: Layout | None = candidates.memo.get("layout")
    if layout is None:
        layout = candidates.memo["layout"] = Layout.of(candidates.sessions, candidates.lengths)
    corpus = Corpus(
        documents=candidates.documents,
        mean_length=candidates.terms / max(candidates.documents, 1),
        frequencies=candidates.frequencies,
    )
    words = (query.terms, candidates.postings, layout, corpus, weights)
    lexical = bm25(*words) if query.terms else None
    ranking = rank(
        layout,
        cosine=candidates.cosine,
        lexical=lexical,
        passage=passage_bm25(*words) if query.terms and weights.passage else None,
        spread=candidates.spread,
        ages=composition.clock().timestamp() - candidates.occurred if weights.recency else None,
        weights=weights,
        limit=limit,
    )
    return ranking, lexical


def _recollections(
    candidates: Candidates,
    ranking: Ranking,
    lexical: "Floats | None",
    episodes: Mapping[int, Episode],
) -> list[Recollection]:
    hits: list[Recollection] = []
    for place, index in enumerate(ranking.order.tolist()):
        episode = episodes.get(int(candidates.seqs[index]))
        if episode is None:  # erased between the two reads
            continue
        cosine = None if candidates.cosine is None else float(candidates.cosine[index])
        signals = made(
            Signals,
            semantic=None if cosine is None or math.isnan(cosine) else cosine,
            lexical=None if lexical is None else float(lexical[index]),
            context=float(ranking.context[place]),
            length=float(ranking.length[place]),
            recency=float(ranking.recency[place]),
            rerank=None,
        )
        score = float(ranking.total[place])
        hits.append(made(Recollection, episode=episode, score=score, signals=signals, neighbours=()))
    return hits
