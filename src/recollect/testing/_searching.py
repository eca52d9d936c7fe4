"""Recall sees every episode, with what a look at all of them by hand would give."""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from ..stores import Archive, Candidates, Filters, NewEpisode, Query
from ..types import Episode
from ._material import AT, Check, episode, fresh_tenant, store

if TYPE_CHECKING:
    from ..stores import Vectors

_DIMENSIONS = 8
_WORDS = ("red", "green", "blue", "Red", "日本", "%", "_", "e" * 64)
_TOLERANCE = 1e-5  # pgvector and numpy sum float32 in different orders


def _unit(generator: np.random.Generator, chunks: int = 1) -> "Vectors":
    raw = generator.standard_normal((chunks, _DIMENSIONS))
    unit: Vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _material(seed: int, n: int) -> list[NewEpisode]:
    rng, generator = random.Random(seed), np.random.default_rng(seed)  # noqa: S311  # not a secret
    return [
        episode(
            " ".join(rng.choices(_WORDS, k=rng.randrange(12))) or "?",
            session_id=rng.choice(["s", "t", "u", None]),
            occurred_at=AT + timedelta(hours=rng.randrange(100), microseconds=rng.randrange(10**6)),
            vectors=_unit(generator, rng.choice([1, 1, 3])) if rng.random() < 0.8 else None,
        )
        for _ in range(n)
    ]


@dataclass(frozen=True)
class _ByHand:
    """The definition of `Candidates`, read aloud."""

    pairs: list[tuple[Episode, NewEpisode]]
    query: Query

    def agrees_with(self, seen: Candidates) -> None:
        filters = self.query.filters
        passing = [
            (stored, new)
            for stored, new in self.pairs
            if filters.session_id in (None, new.session_id)
            and (filters.start is None or new.occurred_at >= filters.start)
        ]
        everything = Counter(term for _, new in self.pairs for term in set(new.terms))
        assert seen.seqs.tolist() == [stored.seq for stored, _ in passing]
        assert seen.lengths.tolist() == [len(new.terms) for _, new in passing]
        assert np.allclose(
            seen.occurred, [new.occurred_at.timestamp() for _, new in passing], rtol=0, atol=1e-3
        )
        assert seen.documents == len(self.pairs)
        assert seen.terms == sum(len(new.terms) for _, new in self.pairs)
        for term in self.query.terms:
            expected = {i: c for i, (_, new) in enumerate(passing) if (c := new.terms.count(term))}
            at, counts = seen.postings.get(term, (np.array([]), np.array([])))
            assert list(zip(at.tolist(), counts.tolist(), strict=True)) == list(expected.items())
            assert seen.frequencies.get(term, 0) == everything[term]
        self._agree_on_sessions([new for _, new in passing], seen.sessions.tolist())
        self._agree_on_cosines([new for _, new in passing], seen)

    @staticmethod
    def _agree_on_sessions(passing: list[NewEpisode], codes: list[int]) -> None:
        assert all((new.session_id is None) == (code == -1) for new, code in zip(passing, codes, strict=True))
        assert all(code >= -1 for code in codes)
        names = {(new.session_id, code) for new, code in zip(passing, codes, strict=True)}
        assert len(names) == len({name for name, _ in names}) == len({code for _, code in names})

    def _agree_on_cosines(self, passing: list[NewEpisode], seen: Candidates) -> None:
        vector = self.query.vector
        if vector is None:
            assert seen.cosine is None
            return
        best = [np.nan if new.vectors is None else float((new.vectors @ vector).max()) for new in passing]
        assert seen.cosine is not None
        assert np.allclose(seen.cosine, best, rtol=0, atol=_TOLERANCE, equal_nan=True)


async def candidates_are_what_a_look_at_every_episode_gives(archive: Archive) -> None:
    tenant, material = fresh_tenant(), _material(seed=1, n=60)
    pairs = [((await store(archive, tenant, new))[0], new) for new in material]
    (vector,) = _unit(np.random.default_rng(9))
    for terms in ((), ("red",), ("blue", "absent", "日本", "%"), ("_", "e" * 64, "Red")):
        for filters in (Filters(), Filters(session_id="s"), Filters(start=AT + timedelta(hours=50))):
            for given in (None, vector):
                query = Query(terms, given, filters)
                _ByHand(pairs, query).agrees_with(await archive.episodes.candidates(tenant, query))


async def what_no_filter_lets_through_still_counts_in_the_statistics(archive: Archive) -> None:
    tenant = fresh_tenant()
    await store(archive, tenant, episode("red red", session_id="s"), episode("red blue", session_id="t"))
    seen = await archive.episodes.candidates(
        tenant, Query(("red", "blue"), None, Filters(session_id="absent"))
    )
    assert (len(seen.seqs), seen.documents, seen.terms) == (0, 2, 4)
    assert dict(seen.frequencies) == {"red": 2, "blue": 1}


async def an_episode_scores_by_its_best_chunk(archive: Archive) -> None:
    tenant, identity = fresh_tenant(), np.eye(_DIMENSIONS, dtype=np.float32)
    await store(archive, tenant, episode(vectors=identity[:3]), episode(vectors=identity[4:5]))
    for axis, expected in ((0, [1, 0]), (2, [1, 0]), (4, [0, 1]), (6, [0, 0])):
        seen = await archive.episodes.candidates(tenant, Query((), identity[axis], Filters()))
        assert seen.cosine is not None
        assert np.allclose(seen.cosine, expected, atol=_TOLERANCE)


async def unembedded_are_all_that_are_not_ready_oldest_first(archive: Archive) -> None:
    tenant, (vector,) = fresh_tenant(), _unit(np.random.default_rng(1))
    stored = await store(
        archive,
        tenant,
        episode("a", embedding_state="pending"),
        episode("b", vectors=vector[None]),
        episode("c", embedding_state="none"),
        episode("d", embedding_state="pending"),
    )
    waiting = [stored[0], stored[2], stored[3]]
    for limit in (1, 2, 3, 10):
        assert list(await archive.episodes.unembedded(tenant, limit=limit)) == waiting[:limit]


async def vectors_that_come_later_make_an_episode_ready_once(archive: Archive) -> None:
    tenant, identity = fresh_tenant(), np.eye(_DIMENSIONS, dtype=np.float32)
    late, ready = await store(
        archive, tenant, episode("late", embedding_state="pending"), episode("ready", vectors=identity[1:2])
    )
    given = {late.id: identity[2:4], ready.id: identity[5:6], "nobody's": identity[6:7]}
    assert await archive.episodes.set_vectors(tenant, given) == 1
    assert await archive.episodes.set_vectors(tenant, {late.id: identity[7:8]}) == 0
    found = await archive.episodes.get(tenant, late.id)
    assert found == late.model_copy(update={"embedding_state": "ready"})
    assert not await archive.episodes.unembedded(tenant, limit=10)
    for axis, expected in ((1, [0, 1]), (3, [1, 0]), (5, [0, 0]), (7, [0, 0])):
        seen = await archive.episodes.candidates(tenant, Query((), identity[axis], Filters()))
        assert seen.cosine is not None
        assert np.allclose(seen.cosine, expected, atol=_TOLERANCE)


SEARCHING_CHECKS: tuple[Check, ...] = (
    candidates_are_what_a_look_at_every_episode_gives,
    what_no_filter_lets_through_still_counts_in_the_statistics,
    an_episode_scores_by_its_best_chunk,
    unembedded_are_all_that_are_not_ready_oldest_first,
    vectors_that_come_later_make_an_episode_ready_once,
)
