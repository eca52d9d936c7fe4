"""How much of the evidence for a question is among the first k episodes, on the LoCoMo conversations?

    python benchmarks/locomo.py [--data ../shared/data/locomo] [--postgres DSN]

Every turn of a conversation is one episode of its user: "Speaker: text", its session, and when that took
place. Every question is recalled with `limit=50`. Evidence recall at k is the share of the annotated evidence
turns among the first k, averaged over the questions; there is no language model anywhere. All of it goes
through the public interface, in process and on PostgreSQL, with the vectors of the data (all-MiniLM-L6-v2):

    ours                the defaults
    without embedder    words and context only
    cosine only         the same memory with every other weight at 0: what most memory systems do
    cosine, by numpy    the same, computed from the vectors without this package: the floor

What the ranking consists of was chosen while looking at these conversations (its weights are round values on
a plateau): expect a little less of others. LoCoMo: Maharana et al. 2024, CC BY-NC 4.0. The data is read from
where it is and never copied.
"""

import argparse
import json
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from _made_up import Lookup
from _measure import SCHEMA, save, server, show, significant, versions

from recollect import EpisodeDraft, Memory, RecallWeights, open_memory

KS = (5, 10, 20, 50)
COSINE_ONLY = replace(RecallWeights(), semantic=1.0, neighbour=0.0, session=0.0, length=0.0)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One of the file, with the vectors of its turns and questions as rows."""

    id: str
    drafts: Sequence[EpisodeDraft]
    questions: Sequence[dict[str, Any]]
    turn_vectors: np.ndarray
    question_vectors: np.ndarray


class Vectors(Lookup):
    """Queries and documents looked up in tables of their own."""

    def __init__(self, conversations: Sequence[Conversation]) -> None:
        turns = np.concatenate([c.turn_vectors for c in conversations])
        super().__init__(
            [draft.input.strip() for c in conversations for draft in c.drafts], turns, model="minilm"
        )
        questions = np.concatenate([c.question_vectors for c in conversations])
        asked = [question["question"].strip() for c in conversations for question in c.questions]
        self._queries = Lookup(asked, questions)

    async def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        if kind == "query":
            return await self._queries.embed(texts, kind=kind)
        return await super().embed(texts, kind=kind)


def read(path: Path) -> list[Conversation]:
    vectors = np.load(path / "minilm.npz")
    conversations = []
    for raw in json.loads((path / "conversations.json").read_text()):
        drafts = [
            EpisodeDraft(
                id=turn["id"],
                input=f"{turn['speaker']}: {turn['text']}",
                session_id=session["session_id"],
                occurred_at=datetime.fromisoformat(session["occurred_at"]),
            )
            for session in raw["sessions"]
            for turn in session["turns"]
        ]
        turns, questions = (
            (found := vectors[f"{raw['id']}/{kind}"].astype(np.float32))
            / np.linalg.norm(found, axis=1, keepdims=True)
            for kind in ("turns", "questions")
        )
        conversations.append(Conversation(raw["id"], drafts, raw["questions"], turns, questions))
    return conversations


def hits(question: dict[str, Any], order: Sequence[str]) -> list[float]:
    wanted = set(question["evidence"])
    return [len(wanted.intersection(order[:k])) / len(wanted) for k in KS]


def by_numpy(conversations: Sequence[Conversation]) -> np.ndarray:
    found = []
    for c in conversations:
        ids = [draft.id for draft in c.drafts]
        best = np.argsort(-(c.question_vectors @ c.turn_vectors.T), axis=1, kind="stable")[:, : KS[-1]]
        found += [hits(q, [ids[i] for i in row]) for q, row in zip(c.questions, best, strict=True)]
    return np.array(found)


async def store(memory: Memory, conversations: Sequence[Conversation]) -> None:
    for c in conversations:
        user = memory.user(c.id)
        for start in range(0, len(c.drafts), 500):
            stored = await user.remember_many(c.drafts[start : start + 500])
            assert all(episode.embedding_state == "ready" for episode in stored)
        assert await user.episodes.count() == len(c.drafts)


async def measure(memory: Memory, conversations: Sequence[Conversation], mode: str) -> np.ndarray:
    found = []
    for c in conversations:
        user = memory.user(c.id)
        for question in c.questions:
            recalled = await user.recall(question["question"], limit=KS[-1], mode=mode)
            order = [each.episode.id for each in recalled]
            assert len(set(order)) == len(order)
            found.append(hits(question, order))
    return np.array(found)


async def rankings(opened, conversations: Sequence[Conversation]) -> dict[str, np.ndarray]:
    """Measure a store; `opened(weights)` gives a memory in which everything is stored."""
    async with opened(RecallWeights()) as memory:
        ours = await measure(memory, conversations, "hybrid")
        words = await measure(memory, conversations, "lexical")
    async with opened(COSINE_ONLY) as memory:
        cosine = await measure(memory, conversations, "semantic")
    return {"ours": ours, "without embedder": words, "cosine only": cosine}


def by_category(values: np.ndarray, categories: np.ndarray) -> dict[str, dict[str, float]]:
    groups = {"all": np.ones(len(categories), dtype=bool)}
    groups |= {name: categories == name for name in sorted(set(categories))}
    return {
        name: {f"R@{k}": significant(x) for k, x in zip(KS, values[chosen].mean(0), strict=True)}
        for name, chosen in groups.items()
    }


def report(results: dict[str, Any]) -> None:
    stores = ("in process", "PostgreSQL")
    floor = "cosine, by numpy"
    lines = [("", floor, results[floor])]
    lines += [(name, ranking, found) for name in stores for ranking, found in results[name].items()]
    show(
        f"evidence recall, {results['questions']} questions",
        ["store", "ranking", *(f"R@{k}" for k in KS)],
        [(name, ranking, *(f"{v:.3f}" for v in found["all"].values())) for name, ranking, found in lines],
    )
    names = [name for name in results[floor] if name != "all"]
    show(
        "evidence recall at 10, by category",
        ["store", "ranking", *names],
        [(name, ranking, *(f"{found[c]['R@10']:.3f}" for c in names)) for name, ranking, found in lines],
    )


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "../shared/data/locomo")
    parser.add_argument("--postgres", help="DSN, or embedded:PATH; else a temporary embedded server")
    options = parser.parse_args()
    conversations = read(options.data)
    embedder = Vectors(conversations)

    @asynccontextmanager
    async def in_process(weights: RecallWeights):
        async with open_memory(embedder=embedder, weights=weights) as memory:
            await store(memory, conversations)
            yield memory

    async with server(options.postgres) as dsn:

        @asynccontextmanager
        async def on_postgres(weights: RecallWeights):
            async with open_memory(
                postgres=dsn, schema=SCHEMA, migrate="auto", embedder=embedder, weights=weights
            ) as memory:
                await store(memory, conversations)  # the second time every id is there already
                yield memory

        measured = {
            "in process": await rankings(in_process, conversations),
            "PostgreSQL": await rankings(on_postgres, conversations),
        }
        servers = await versions(dsn)
    floor = by_numpy(conversations)
    for store_name, rows in measured.items():
        assert abs(rows["cosine only"].mean(0) - floor.mean(0)).max() < 0.005, store_name
    agreement = abs(measured["in process"]["ours"].mean(0) - measured["PostgreSQL"]["ours"].mean(0))
    assert agreement.max() < 0.01, agreement

    categories = np.array([q["category"] for c in conversations for q in c.questions])
    results = {
        "questions": len(categories),
        "episodes": sum(len(c.drafts) for c in conversations),
        "cosine, by numpy": by_category(floor, categories),
        **{
            name: {ranking: by_category(values, categories) for ranking, values in rows.items()}
            for name, rows in measured.items()
        },
    }
    report(results)
    save("locomo", results, servers=servers)


if __name__ == "__main__":
    anyio.run(main)
