"""What the conversation says to be true, taken out by hand: your agent would, or an extractor of yours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..._committing import text_of_fact
from ..._json import canonical
from ...memory import Memory
from ...predicates import Predicate
from ...types import Fact, Provenance, Span

USER = "mara"
WEDDING = ("Ines's wedding", "is_on")
MET = datetime(2026, 3, 2, tzinfo=UTC)
FIRST_TOLD = datetime(2026, 3, 15, 16, 40, tzinfo=UTC)
REMOVAL = datetime(2026, 6, 20, tzinfo=UTC)
FIRST_DAY = datetime(2026, 7, 1, tzinfo=UTC)
THEN = datetime(2026, 6, 1, tzinfo=UTC)
"""A day between the mistake and its correction."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A change of what is believed.

    Attributes:
        key: makes it idempotent, and names it.
        session, exchange: of the episode that says so.
        value: None if what was true has ended.
        since: when that is, or begins; None for when it was said.
        corrects: key of the statement that was never true.
        reason: for the journal.
    """

    key: str
    session: str
    exchange: int
    subject: str
    predicate: str
    value: str | int | None
    since: datetime | None = None
    corrects: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What the facts are asked.

    Attributes:
        timelines: by predicate.
        then, now: the day of the wedding, as it was believed then, and as it is in the end.
        why: the second is believed.
        pieces: all there ever were.
        statements: how many there are.
        at: the end of the conversation.
    """

    timelines: Mapping[str, Sequence[Span]]
    then: Fact
    now: Fact
    why: Provenance
    pieces: Sequence[Fact]
    statements: int
    at: datetime


@dataclass(slots=True)
class StoryClock:
    """Gives the time of the conversation, for it was then that things were learned."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


PREDICATES = tuple(
    Predicate(name, cardinality="one") for name in ("works_at", "lives_in", "is_on", "coffees_a_day")
)

STORY = (
    Statement("studio", "2026-03-02-introductions", 0, USER, "works_at", "Estúdio Vento", since=MET),
    Statement("porto", "2026-03-02-introductions", 4, USER, "lives_in", "Porto", since=MET),
    Statement("four", "2026-03-02-introductions", 7, USER, "coffees_a_day", 4, since=MET),
    Statement("wedding", "2026-03-15-sister", 0, *WEDDING, "12 September"),
    Statement("two", "2026-04-24-repairs", 2, USER, "coffees_a_day", 2),
    Statement("museum", "2026-05-13-trieste", 9, USER, "works_at", "Museu da Maré", since=FIRST_DAY),
    Statement(
        "farewell", "2026-06-05-boxes", 2, USER, "works_at", None,
        since=REMOVAL, reason="19 June is the last day",
    ),
    Statement(
        "wedding-again", "2026-06-05-boxes", 3, *WEDDING, "19 September",
        since=FIRST_TOLD, corrects="wedding", reason="told wrong before",
    ),
    Statement("lisbon", "2026-06-24-kitchen-floor", 0, USER, "lives_in", "Lisbon", since=REMOVAL),
    Statement("one", "2026-07-26-new-desk", 4, USER, "coffees_a_day", 1),
)  # fmt: skip


def fact_texts() -> list[str]:
    """Return what is embedded of the facts, in their order."""
    return [
        text_of_fact(each.subject, each.predicate, canonical(each.value))
        for each in STORY
        if each.value is not None
    ]


async def believe(memory: Memory, statement: Statement, source: str, known: dict[str, str]) -> None:
    """Store a statement. Safe to repeat.

    Args:
        source: id of the episode that says so.
        known: ids of facts by key; gets another one.
    """
    facts = memory.user(USER, session_id=statement.session).facts
    about = statement.subject, statement.predicate
    async with facts.transaction(key=f"demo-{statement.key}", reason=statement.reason) as transaction:
        if statement.corrects is not None:
            transaction.retract(known[statement.corrects])
        if statement.value is None:
            transaction.end(*about, at=statement.since)
        else:
            transaction.add(*about, statement.value, valid_from=statement.since, source=source)
    known[statement.key] = transaction.results[-1].fact_id


async def ask(memory: Memory, *, at: datetime) -> Beliefs:
    """Ask what is believed, what was, and why."""
    facts = memory.user(USER).facts
    (then,) = await facts.find(*WEDDING, known_at=THEN, valid_at=THEN)
    (now,) = await facts.find(*WEDDING)
    why = await facts.why(now)
    assert why is not None  # noqa: S101 - it was found just now
    subjects = dict.fromkeys((each.subject, each.predicate) for each in STORY)
    return Beliefs(
        timelines={name: await facts.timeline(USER, name) for name in ("works_at", "lives_in")},
        then=then,
        now=now,
        why=why,
        pieces=[piece for pair in subjects for piece in await facts.history(*pair)],
        statements=len(STORY),
        at=at,
    )
