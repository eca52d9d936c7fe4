"""The same data gives the same ranking, wherever it is kept."""

import random
from datetime import timedelta
from hashlib import blake2b
from uuid import uuid4

import numpy as np
import pytest

from recollect import Archive, EpisodeDraft, Memory, RecallWeights, Recollection
from recollect.embedders import FunctionEmbedder
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.postgres import PostgresArchive
from recollect.testing import Clock

WORDS = (
    *(
        "lisbon",
        "train",
        "ticket",
        "march",
        "coffee",
        "garden",
        "violin",
        "doctor",
        "sister",
        "budget",
        "report",
    ),
    *("paint", "river", "window", "yesterday", "running", "forgot", "never", "Müller", "東京", "42"),
)


def _vector(text: str) -> np.ndarray:
    """A direction that has nothing to do with the words: both legs speak for themselves."""
    seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
    return np.random.default_rng(seed).standard_normal(48)


async def _embed(texts):
    return np.array([_vector(text) for text in texts])


def _drafts(rng: random.Random, clock: Clock, n: int) -> list[EpisodeDraft]:
    return [
        EpisodeDraft(
            " ".join(rng.choices(WORDS, k=rng.randrange(1, 25))),
            " ".join(rng.choices(WORDS, k=rng.randrange(0, 25))),
            session_id=rng.choice(["s1", "s2", "s3", "s4", None]),
            occurred_at=clock.now - timedelta(minutes=rng.randrange(100_000)),
            metadata={"topic": rng.choice(["a", "b"])},
            id=f"e{i}",
        )
        for i in range(n)
    ]


@pytest.fixture
def memories(postgres_archive: PostgresArchive, clock: Clock) -> tuple[Memory, Memory]:
    embedder = FunctionEmbedder(_embed, model="random", dimensions=48)
    namespace = f"test-{uuid4()}"

    def over(archive: Archive) -> Memory:
        weights = RecallWeights(recency=0.3)
        return Memory(
            archive=archive,
            working=InProcessWorking(clock=clock),
            embedder=embedder,
            clock=clock,
            weights=weights,
            deadline=None,
            namespace=namespace,
        )

    return over(InProcessArchive(clock=clock)), over(postgres_archive)


@pytest.mark.parametrize("seed", range(3))
async def test_both_stores_rank_alike(memories: tuple[Memory, Memory], clock: Clock, seed: int) -> None:
    rng = random.Random(seed)
    users = [memory.user(f"seed {seed}") for memory in memories]
    drafts = _drafts(rng, clock, 250)
    for user in users:
        await user.remember_many(drafts[:200])
        await user.remember_many(drafts[200:], embed="later")
    filters = (
        {},
        {"session_id": "s2"},
        {"where": {"topic": "a"}},
        {"time_range": (clock.now - timedelta(minutes=50_000), None)},
    )
    for mode in ("hybrid", "semantic", "lexical", "recent"):
        for chosen in filters:
            query = " ".join(rng.choices(WORDS, k=rng.randrange(1, 6)))
            here, there = [
                await user.recall(query, limit=10, neighbours=2, mode=mode, **chosen) for user in users
            ]
            assert len(here) == 10
            assert _ids(here) == _ids(there), (mode, chosen, query)
            for one, other in zip(here, there, strict=True):
                assert one.score == pytest.approx(other.score, abs=1e-3)
                assert one.signals.model_dump() == pytest.approx(other.signals.model_dump(), abs=1e-3)
                assert [each.id for each in one.neighbours] == [each.id for each in other.neighbours]


def _ids(hits: tuple[Recollection, ...]) -> list[str]:
    return [hit.episode.id for hit in hits]
