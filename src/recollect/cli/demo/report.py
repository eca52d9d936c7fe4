"""What the demo did, for people and for scripts."""

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ..._analysis import analyze
from ...types import Recollection
from ..display import SIGNALS, Card, Scale, day, show_cards
from ..excerpts import excerpt
from ..tables import show_timeline
from ..working import task_line
from . import Answer, Demonstration, Question
from .story import THEN, USER

SNIPPET = """\
async with open_memory(postgres="embedded:./data") as memory:
    alice = memory.user("alice")
    await alice.blocks.set("persona", "Prefers short answers.")
    await alice.remember("I moved to Lisbon", "How is it?", session_id="s1")
    hits = await alice.recall("where does she live?")
    await alice.facts.add("alice", "lives_in", "Lisbon")"""


def show_introduction(console: Console, done: Demonstration) -> None:
    """Say what is about to be seen."""
    first, last = (draft.occurred_at for draft in (done.chat.drafts[0], done.chat.drafts[-1]))
    span = f"{first:%B} to {last:%B %Y}" if first and last else ""
    console.print()
    console.print(Rule(Text(" recollect ", style="bold reverse"), style="dim"))
    console.print()
    console.print(
        f"Mara talked to her assistant from {span}: {len(done.chat.drafts)} exchanges in "
        f"{done.chat.sessions} sessions, remembered in a real PostgreSQL with pgvector. "
        "No LLM takes part: what follows is what your agent would be given, and why:"
    )
    console.print()
    meanings = (
        "its meaning is near the question's: cosine of two vectors",
        "it has words of the question, the rare ones count more: BM25",
        "the turns around it, and its session, are about this",
    )
    for (name, colour), meaning in zip(SIGNALS, meanings, strict=True):
        console.print(Text.assemble(("  ▰ ", colour), (f"{name:<9}", "bold"), meaning))
    console.print()


def show_answers(console: Console, done: Demonstration) -> None:
    """Print each question with its best hits, down to the one that answers it."""
    for number, answer in enumerate(done.answers, start=1):
        question = answer.question
        title = Text(f"{number}. {question.text}", style="bold cyan")
        console.print(Rule(title, align="left", style="dim"))
        facts = Table.grid(padding=(0, 2, 0, 0))
        facts.add_row(Text("    expected", style="dim"), Text(question.answer))
        facts.add_row(Text("    why hard", style="dim"), Text(question.why, style="dim"))
        console.print(facts)
        console.print()
        show_cards(console, question.text, _cards(answer), Scale.of(answer.hits))


def show_summary(console: Console, done: Demonstration) -> None:
    """Print how deep the answers were."""
    console.print(Rule(Text("How far down the answer was", style="bold"), align="left", style="dim"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column(Text(f"last needed one among {len(done.chat.drafts)}", style="dim"), ratio=1)
    table.add_column("cosine\nalone", justify="right")
    table.add_column("BM25\nalone", justify="right")
    table.add_column("\nrecollect", justify="right", style="bold green")
    for answer in done.answers:
        places = (answer.place("semantic"), answer.place("lexical"), answer.place())
        shown = ("never" if place is None else str(place) for place in places)
        table.add_row(Text(answer.question.text), *shown)
    console.print(table)
    console.print()


def show_facts(console: Console, done: Demonstration, *, drawn_in: Path | None) -> None:
    """Print what is true and when, and what was believed before."""
    beliefs = done.beliefs
    title = Text("True from when, and believed since when", style="bold")
    console.print(Rule(title, align="left", style="dim"))
    console.print(
        f"{beliefs.statements} statements, taken from the conversation by hand; your agent would do it. They "
        "were learned when they were said: the new job before it began, the move after it was done, and the "
        "wedding with a wrong date at first."
    )
    console.print()
    show_timeline(console, USER, beliefs.timelines, now=beliefs.at)
    console.print()
    (said,) = beliefs.why.episodes
    why = excerpt(said.input, frozenset(analyze(str(beliefs.now.object))), limit=console.width - 26)
    table = Table.grid(padding=(0, 2, 0, 0))
    rows = (
        (f"known_at={day(THEN)}", str(beliefs.then.object), "yellow"),
        (f"now, {day(beliefs.at)}", str(beliefs.now.object), "bold green"),
        (f"why, {day(said.occurred_at)}", why.text, ""),
    )
    for name, value, style in rows:
        table.add_row(Text(f"    {name}", style="dim"), Text(value, style=style))
    console.print(Text("On which day is Ines's wedding?", style="bold"))
    console.print(table)
    console.print()
    if drawn_in is None:
        console.print("Both times as a picture: recollect demo --svg facts.svg", markup=False)
    else:
        console.print(Text(f"Both times as a picture: {drawn_in}"), soft_wrap=True)
    console.print()


def show_at_hand(console: Console, done: Demonstration) -> None:
    """Print working memory: what stands in the prompt, and what else there is of the task."""
    at_hand = done.at_hand
    title = Text("What the agent has at hand", style="bold")
    console.print(Rule(title, align="left", style="dim"))
    where = "in this process; --redis URL for a Redis" if at_hand.health.source == "local" else "in Redis"
    console.print(f"Working memory, {where}. This stands in every prompt, whatever is asked:")
    console.print()
    console.print(Padding(Text(at_hand.prompt, style="green"), (0, 0, 0, 2), expand=False))
    console.print()
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row(Text("    dates", style="dim"), f"appended to, then put right: version {at_hand.version}")
    table.add_row(Text("    next_week", style="dim"), f"set for a week: {at_hand.errand[0]}; {_later(done)}")
    table.add_row(Text("    task", style="dim"), task_line(at_hand.task))
    console.print(table)
    console.print()


def show_closing(console: Console, done: Demonstration, *, kept_at: str | None) -> None:
    """Say what was shown, and what to try next."""
    both = [str(number) for number, answer in enumerate(done.answers, start=1) if _has_both(answer)]
    console.print(
        f"In {' and '.join(both)} the older statement came back beside the newer one, each with its date: "
        "nothing is overwritten, and your agent can tell which one holds."
    )
    console.print()
    console.print(Rule(Text("Next", style="bold"), align="left", style="dim"))
    if kept_at is not None:
        _show_command(
            console,
            f'recollect recall "Who repairs accordions?" --user mara --postgres {shlex.quote(kept_at)}',
        )
        _show_command(console, f"recollect facts timeline mara --user mara --postgres {shlex.quote(kept_at)}")
    _show_command(console, "recollect import chat.json --user alice")
    _show_command(console, 'recollect recall "Where does she live?" --user alice')
    console.print()
    console.print(Padding(Text(SNIPPET), (0, 0, 0, 2), expand=False))
    console.print()
    console.print(Rule(style="dim"))
    counts = f"{len(done.chat.drafts)} episodes, {done.chat.sessions} sessions"
    asked = f"{len(done.answers)} questions"
    console.print(
        f"{counts} remembered in {done.remembering:.2f} s, {asked} answered in {done.recalling:.2f} s;\n"
        f"PostgreSQL took {done.opening:.1f} s to start, {_fate(kept_at)}."
    )


def _show_command(console: Console, command: str) -> None:
    console.print(Text.assemble(("  $ ", "dim"), (command, "bold")), soft_wrap=True)


def document(done: Demonstration) -> dict[str, Any]:
    """Return the same as JSON."""
    return {
        "episodes": len(done.chat.drafts),
        "new": done.new,
        "sessions": done.chat.sessions,
        "seconds": {
            "opening": round(done.opening, 3),
            "remembering": round(done.remembering, 3),
            "recalling": round(done.recalling, 3),
        },
        "facts": {
            "statements": done.beliefs.statements,
            "timelines": {
                name: [span.model_dump(mode="json") for span in spans]
                for name, spans in done.beliefs.timelines.items()
            },
            "then": done.beliefs.then.model_dump(mode="json"),
            "now": done.beliefs.now.model_dump(mode="json"),
            "why": done.beliefs.why.model_dump(mode="json"),
        },
        "at_hand": {
            "source": done.at_hand.health.source,
            "prompt": done.at_hand.prompt,
            "version": done.at_hand.version,
            "task": done.at_hand.task.model_dump(mode="json"),
            "errand": list(done.at_hand.errand),
        },
        "questions": [
            {
                "question": answer.question.text,
                "why": answer.question.why,
                "answer": answer.question.answer,
                "evidence": list(answer.question.evidence),
                "superseded": list(answer.question.superseded),
                "places": {
                    "cosine": answer.place("semantic"),
                    "bm25": answer.place("lexical"),
                    "recollect": answer.place(),
                },
                "hits": [hit.model_dump(mode="json") for hit in answer.hits[:5]],
            }
            for answer in done.answers
        ],
    }


def _cards(answer: Answer) -> list[Card]:
    """Return the hits to show: at least two, and all down to the last one needed."""
    return [_card(rank, hit, answer.question) for rank, hit in enumerate(_shown(answer), start=1)]


def _shown(answer: Answer) -> tuple[Recollection, ...]:
    return answer.hits[: max(2, answer.place() or 0)]


def _has_both(answer: Answer) -> bool:
    """Whether what holds and what held before are both shown."""
    ids = {hit.episode.id for hit in _shown(answer)}
    return bool(ids.intersection(answer.question.superseded)) and ids.issuperset(answer.question.evidence)


def _card(rank: int, hit: Recollection, question: Question) -> Card:
    if hit.episode.id in question.superseded:
        return Card(rank, hit, "said before", style="yellow", lines=4)
    if hit.episode.id in question.evidence:
        return Card(rank, hit, "✓ answer, newer" if question.superseded else "✓ answer", lines=4)
    return Card(rank, hit, lines=1)


def _later(done: Demonstration) -> str:
    value = done.at_hand.errand[1]
    return f"on {day(done.beliefs.at)} it is gone" if value is None else f"still {value}"


def _fate(kept_at: str | None) -> str:
    return (
        "and is gone again" if kept_at is None else f"and its data is in {kept_at.removeprefix('embedded:')}"
    )
