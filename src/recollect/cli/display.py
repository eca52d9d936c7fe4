"""What was recalled, on a terminal. Texts of users are never read as markup."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .._analysis import analyze
from ..types import Episode, Recollection, Signals
from .excerpts import Excerpt, excerpt, printable

BAR = 5
"""Cells of a bar."""

INDENT = 4
SIGNALS = (("semantic", "green"), ("lexical", "yellow"), ("context", "blue"))
MATCH = "bold yellow"


@dataclass(frozen=True, slots=True)
class Scale:
    """The best of each signal among the hits of a query: what a full bar stands for."""

    best: dict[str, float]

    @classmethod
    def of(cls, hits: Iterable[Recollection]) -> "Scale":
        """Measure these hits."""
        signals = [hit.signals for hit in hits]
        return cls(
            {name: max((_value(each, name) or 0.0 for each in signals), default=0.0) for name, _ in SIGNALS}
        )


@dataclass(frozen=True, slots=True)
class Card:
    """One hit as it is shown.

    Attributes:
        rank: place in the answer, from 1.
        remark: stands at the right, such as "answer".
        style: of the remark.
        lines: how many to give to its text, >= 1.
    """

    rank: int
    hit: Recollection
    remark: str = ""
    style: str = "bold green"
    lines: int = 2


def show_cards(console: Console, query: str, cards: Sequence[Card], scale: Scale) -> None:
    """Print hits one below the other."""
    terms = frozenset(analyze(query))
    for card in cards:
        console.print(_rendered(card, terms, scale, console.width))


def day(instant: datetime) -> str:
    return f"{instant.day} {instant:%b %Y}"


def _rendered(card: Card, terms: Collection[str], scale: Scale, width: int) -> RenderableType:
    episode = card.hit.episode
    room = width - INDENT
    body: list[RenderableType] = [*_texts(episode, terms, room, card.lines)]
    before = [other for other in card.hit.neighbours if other.seq < episode.seq]
    after = [other for other in card.hit.neighbours if other.seq > episode.seq]
    return Group(
        _heading(card, width),
        *(Padding(_aside(other, terms, room), (0, 0, 0, INDENT), expand=False) for other in before),
        *(Padding(part, (0, 0, 0, INDENT), expand=False) for part in body),
        *(Padding(_aside(other, terms, room), (0, 0, 0, INDENT), expand=False) for other in after),
        Padding(_signals(card.hit, scale), (0, 0, 1, INDENT), expand=False),
    )


def _heading(card: Card, width: int) -> RenderableType:
    episode = card.hit.episode
    left = Text(f"{card.rank:>2}  ", style="bold")
    left.append(day(episode.occurred_at), style="bold")
    if episode.session_id is not None:
        left.append(f"  {printable(episode.session_id)}", style="dim")
    left.truncate(max(width - len(card.remark) - 2, 20), overflow="ellipsis")
    row = Table.grid(expand=True)
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True, justify="right")
    row.add_row(left, Text(card.remark, style=card.style))
    return row


def _texts(episode: Episode, terms: Collection[str], room: int, lines: int) -> Iterable[Text]:
    """Yield what the user said, and the answer if the user said nothing or it has words of its own."""
    said = excerpt(episode.input, terms, limit=room * lines - lines * 4)
    if said.text:
        yield _highlighted(said)
    answered = excerpt(episode.output, terms, limit=room - 2 if said.text else room * lines - lines * 4)
    if answered.text and (not said.text or answered.terms - said.terms):
        yield _highlighted(answered, lead="> ", style="italic")


def _highlighted(part: Excerpt, *, lead: str = "", style: str = "") -> Text:
    text = Text(lead + part.text, style=style)
    for start, end in part.matches:
        text.stylize(MATCH, start + len(lead), end + len(lead))
    return text


def _aside(episode: Episode, terms: Collection[str], room: int) -> Text:
    part = excerpt(episode.input or episode.output, terms, limit=room - 2)
    return Text(f"| {part.text}", style="dim")


def _signals(hit: Recollection, scale: Scale) -> Text:
    line = Text()
    for name, colour in SIGNALS:
        value = _value(hit.signals, name)
        if value is None:
            continue
        if line:
            line.append("   ")
        line.append(f"{name} ", style="dim")
        filled = _cells(value, scale.best[name])
        line.append("▰" * filled, style=colour)
        line.append("▱" * (BAR - filled), style="dim")
        line.append(f" {value:.2f}")
    return line


def _value(signals: Signals, name: str) -> float | None:
    value: float | None = getattr(signals, name)
    return value


def _cells(value: float, best: float) -> int:
    """Return how much of a bar to fill: nothing only for nothing, all only for the best."""
    if value <= 0 or best <= 0:
        return 0
    return max(1, min(BAR, int(BAR * value / best)))
