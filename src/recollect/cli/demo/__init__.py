"""The demo: a conversation of five months, questions that are hard for one reason each, and their answers.

Its texts are fiction, written for this project. The vectors are those of all-MiniLM-L6-v2, shipped, so that
the demo needs no model: `benchmarks/demo_vectors.py` makes them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ...connect import open_memory
from ...embedders import FunctionEmbedder
from ...memory import Memory
from ...types import EpisodeDraft, Recollection
from ..chats import Chat, parse_chats
from ..ingesting import ingest
from ..running import DEADLINE, Bar
from .desk import AtHand, Desk
from .story import PREDICATES, STORY, Beliefs, StoryClock, ask, believe, fact_texts

if TYPE_CHECKING:
    from ...stores import Vectors

MODEL = "all-MiniLM-L6-v2"
NAMESPACE = "recollect-demo"
"""Of working memory: a Redis may hold that of others."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the conversation.

    Attributes:
        text: as it is asked.
        why: it is hard.
        answer: in words, for the reader; nothing here looks at it.
        evidence: ids of the episodes that hold the answer, all of them needed.
        superseded: ids of episodes that said otherwise before.
    """

    text: str
    why: str
    answer: str
    evidence: tuple[str, ...]
    superseded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Demo:
    """What the package brings.

    Attributes:
        embedder: knows the texts of the conversation, of the questions and of the facts, and no others.
    """

    chat: Chat
    questions: tuple[Question, ...]
    embedder: FunctionEmbedder


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that was found for a question, best first."""

    question: Question
    hits: tuple[Recollection, ...]

    def place(self, signal: str | None = None) -> int | None:
        """Return how far down its last evidence is, from 1; None if it is not found at all.

        Args:
            signal: rank by this one alone; None for the rank it was given.
        """
        if signal is None:
            return max(self.needed(), default=None)
        scores = [_score(hit, signal) for hit in self.hits]
        worst = min((scores[place - 1] for place in self.needed()), default=0.0)
        return sum(score >= worst for score in scores) if worst > 0 else None

    def needed(self) -> list[int]:
        """Return the places of its evidence, from 1; empty if some of it is not found."""
        places = [i for i, hit in enumerate(self.hits, 1) if hit.episode.id in self.question.evidence]
        return places if len(places) == len(self.question.evidence) else []


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demo did.

    Attributes:
        opening, remembering, recalling: seconds each of them took.
    """

    chat: Chat
    answers: tuple[Answer, ...]
    beliefs: Beliefs
    at_hand: AtHand
    new: int
    opening: float
    remembering: float
    recalling: float


def load_demo() -> Demo:
    """Read what the package brings."""
    (chat,) = parse_chats(_text("conversation.json"), name="conversation.json")
    questions = _questions(chat)
    return Demo(chat, questions, _embedder(chat, questions))


async def perform(postgres: str, redis: str | None, demo: Demo, bar: Bar) -> Demonstration:
    """Remember the conversation, and what it says to be true; then ask.

    Args:
        postgres: where to keep it; a conversation that is there already is not stored twice.
        redis: where to keep what is at hand; None for in process.
        demo: from `load_demo`.
        bar: shows how far it got.
    """
    chat, clock = demo.chat, StoryClock(_said_at(demo.chat.drafts[0]))
    begun = perf_counter()
    async with open_memory(
        postgres=postgres,
        redis=redis,
        embedder=demo.embedder,
        predicates=PREDICATES,
        migrate="auto",
        deadline=DEADLINE,
        clock=clock,
    ) as memory:
        opened = perf_counter()
        bar.begin("Remembering", of="exchanges", total=len(chat.drafts))
        desk = Desk(memory.user(chat.user, namespace=NAMESPACE), sessions=chat.sessions)
        new = await _remember(memory, chat, clock, desk, bar)
        remembered = perf_counter()
        user = memory.user(chat.user)
        answers = [
            Answer(question, await user.recall(question.text, limit=1_000)) for question in demo.questions
        ]
        recalled = perf_counter()
        beliefs = await ask(memory, at=clock.now)
        at_hand = await desk.look()
    return Demonstration(
        chat=chat,
        answers=tuple(answers),
        beliefs=beliefs,
        at_hand=at_hand,
        new=new,
        opening=opened - begun,
        remembering=remembered - opened,
        recalling=recalled - remembered,
    )


async def _remember(memory: Memory, chat: Chat, clock: StoryClock, desk: Desk, bar: Bar) -> int:
    """Remember one session after the other, each at its own time; return how many exchanges are new."""
    user, new, known = memory.user(chat.user), 0, dict[str, str]()
    await desk.begin()
    for session, drafts in _sessions(chat).items():
        clock.now = _said_at(drafts[-1])
        new += (await ingest(user, drafts, advance=bar.advance, batch=10)).new
        for statement in STORY:
            if statement.session == session:
                await believe(memory, statement, drafts[statement.exchange].id or "", known)
        await desk.after(session, now=clock.now)
    return new


def _sessions(chat: Chat) -> dict[str | None, list[EpisodeDraft]]:
    sessions: dict[str | None, list[EpisodeDraft]] = {}
    for draft in chat.drafts:
        sessions.setdefault(draft.session_id, []).append(draft)
    return sessions


def _said_at(draft: EpisodeDraft) -> datetime:
    assert draft.occurred_at is not None  # noqa: S101 - all of this conversation say when
    return draft.occurred_at


def _score(hit: Recollection, signal: str) -> float:
    value: float | None = getattr(hit.signals, signal)
    return 0.0 if value is None else value


def _text(name: str) -> str:
    return (files("recollect.cli.demo") / name).read_text(encoding="utf-8")


def _questions(chat: Chat) -> tuple[Question, ...]:
    """Return the questions with the ids that the conversation's episodes get."""
    sessions = _sessions(chat)

    def ids(places: list[tuple[str, int]]) -> tuple[str, ...]:
        return tuple(sessions[session][exchange].id or "" for session, exchange in places)

    found: list[dict[str, Any]] = json.loads(_text("questions.json"))
    return tuple(
        Question(
            each["question"], each["why"], each["answer"], ids(each["evidence"]), ids(each["superseded"])
        )
        for each in found
    )


def _embedder(chat: Chat, questions: Sequence[Question]) -> FunctionEmbedder:
    import numpy as np

    with (files("recollect.cli.demo") / "vectors.npz").open("rb") as stream, np.load(stream) as arrays:
        exchanges, asked, facts = (
            arrays[name].astype(np.float32) for name in ("exchanges", "questions", "facts")
        )
    vectors: dict[str, Vectors] = {}
    texts = (f"{draft.input}\n{draft.output}" for draft in chat.drafts)
    vectors.update(zip(texts, exchanges, strict=True))
    vectors.update(zip((question.text for question in questions), asked, strict=True))
    vectors.update(zip(fact_texts(), facts, strict=True))
    return FunctionEmbedder(
        lambda wanted: np.stack([vectors[text] for text in wanted]),
        model=MODEL,
        dimensions=exchanges.shape[1],
    )
