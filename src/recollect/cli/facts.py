"""`recollect facts`: what is true of whom, when, and since when it is believed."""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ..facts import Facts
from ..predicates import Predicate
from ..types import Fact
from .instants import instant, known
from .options import AsJson, Namespace, Schema, Server, User
from .picture import draw
from .running import fail, opened, output, run
from .tables import show_diff, show_history, show_journal, show_timeline, show_written

T = TypeVar("T")

Subject = Annotated[str, typer.Argument(help="Whom or what it is about.")]
PredicateName = Annotated[str, typer.Argument(metavar="PREDICATE", help="Such as lives_in.")]
Picture = Annotated[
    Path | None, typer.Option("--svg", metavar="FILE", help="Draw both times into this file.", dir_okay=False)
]
Actor = Annotated[str | None, typer.Option(help="Who says so, for the journal.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the journal.")]
InSession = Annotated[str | None, typer.Option(help="Session it is part of.")]
FromJson = Annotated[bool, typer.Option("--parse", help="Read OBJECT as JSON instead of as a text.")]

INSTANT = "INSTANT"
KNOWN = "INSTANT|TX"
PAGE = 1_000

app = typer.Typer(no_args_is_help=True, help="What is true of whom, when, and since when it is believed.")


@app.command()
def timeline(
    subject: Subject,
    predicate: Annotated[str | None, typer.Argument(help="Only this one. [default: all]")] = None,
    *,
    user: User,
    known_at: Annotated[
        str | None, typer.Option(metavar=KNOWN, help="As it was believed then. [default: now]")
    ] = None,
    svg: Picture = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Show what is true of a subject, from the first thing that is known to the end of time.

    INSTANT is ISO 8601 with a time zone, such as 2024-05-01T08:15:00Z; TX the number of a transaction.
    """
    point = None if known_at is None else _read(known, known_at, "--known-at")

    async def ask(facts: Facts) -> tuple[dict[str, Any], list[Fact]]:
        # The picture has to be cut at the same transaction as the timelines.
        tx = None if point is None else (await facts.find(subject, known_at=point, limit=1)).basis
        names = [predicate] if predicate is not None else await _predicates(facts, subject, tx)
        spans = {name: await facts.timeline(subject, name, known_at=tx) for name in names}
        pieces = [each for name in names for each in await facts.history(subject, name)]
        return spans, [_as_known(fact, tx) for fact in pieces if tx is None or fact.tx_from <= tx]

    spans, pieces = _ask(ask, user, postgres, namespace, schema)
    if as_json:
        found = {name: [span.model_dump(mode="json") for span in line] for name, line in spans.items()}
        _print_json({"user": user, "subject": subject, "timelines": found})
    else:
        show_timeline(output(), subject, spans, now=datetime.now(UTC))
    _draw(svg, pieces, " · ".join(each for each in (subject, predicate) if each), quiet=as_json)


@app.command()
def history(
    subject: Subject,
    predicate: PredicateName,
    *,
    user: User,
    svg: Picture = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Show all that was ever believed of a subject and a predicate, with both of its times."""
    pieces = _ask(lambda facts: facts.history(subject, predicate), user, postgres, namespace, schema)
    if as_json:
        found = [fact.model_dump(mode="json") for fact in pieces]
        _print_json({"user": user, "subject": subject, "predicate": predicate, "facts": found})
    else:
        show_history(output(), subject, predicate, pieces)
    _draw(svg, pieces, f"{subject} · {predicate}", quiet=as_json)


@app.command()
def diff(
    known_a: Annotated[str, typer.Argument(metavar=KNOWN, help="A point of known time.")],
    known_b: Annotated[str, typer.Argument(metavar=KNOWN, help="Another one.")],
    *,
    user: User,
    subject: Annotated[str | None, typer.Option(help="Only of this one.")] = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Show what is believed at one time and not at another.

    INSTANT is ISO 8601 with a time zone, such as 2024-05-01T08:15:00Z; TX the number of a transaction.
    """
    a, b = _read(known, known_a, "KNOWN_A"), _read(known, known_b, "KNOWN_B")
    found = _ask(lambda facts: facts.diff(a, b, subject=subject), user, postgres, namespace, schema)
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        show_diff(output(), found)


@app.command()
def journal(
    *,
    user: User,
    session: Annotated[str | None, typer.Option(help="Only of this session.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Transactions at most.")] = 20,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Show who changed what, and why, newest first."""
    found = _ask(
        lambda facts: facts.journal(session_id=session, limit=limit), user, postgres, namespace, schema
    )
    if as_json:
        _print_json({"user": user, "transactions": [each.model_dump(mode="json") for each in found]})
    else:
        show_journal(output(), found.items, more=found.cursor is not None)


@app.command()
def add(
    subject: Subject,
    predicate: PredicateName,
    object: Annotated[str, typer.Argument(help="The value, a text.")],
    *,
    user: User,
    valid_from: Annotated[
        str | None,
        typer.Option(
            metavar=INSTANT, help="Since when it is true. [default: the first source's time, or now]"
        ),
    ] = None,
    valid_to: Annotated[
        str | None, typer.Option(metavar=INSTANT, help="Until when. [default: until something else is known]")
    ] = None,
    parse: FromJson = False,
    one: Annotated[
        bool, typer.Option("--one", help="Declare that this predicate has one value at a time, for good.")
    ] = False,
    source: Annotated[
        list[str] | None, typer.Option(help="Id of an episode that says so; repeatable.")
    ] = None,
    session: InSession = None,
    actor: Actor = None,
    reason: Reason = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Hold something to be true.

    INSTANT is ISO 8601 with a time zone, such as 2024-05-01T08:15:00Z.
    """
    value = _value(object, parse=parse)
    start = None if valid_from is None else _read(instant, valid_from, "--valid-from")
    end = None if valid_to is None else _read(instant, valid_to, "--valid-to")
    written = _ask(
        lambda facts: facts.add(
            subject, predicate, value, valid_from=start, valid_to=end, sources=source or (),
            actor=actor, reason=reason,
        ),
        user, postgres, namespace, schema,
        session=session, declare=(Predicate(predicate, cardinality="one"),) if one else (),
    )  # fmt: skip
    _show_written(written, as_json=as_json)


@app.command()
def end(
    subject: Subject,
    predicate: PredicateName,
    object: Annotated[
        str | None, typer.Argument(help="Which value. [default: all that are true then]")
    ] = None,
    *,
    user: User,
    at: Annotated[str | None, typer.Option(metavar=INSTANT, help="When. [default: now]")] = None,
    parse: FromJson = False,
    session: InSession = None,
    actor: Actor = None,
    reason: Reason = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Say that something stopped being true. It stays true until then.

    INSTANT is ISO 8601 with a time zone, such as 2024-05-01T08:15:00Z.
    """
    value = ... if object is None else _value(object, parse=parse)
    moment = None if at is None else _read(instant, at, "--at")
    written = _ask(
        lambda facts: facts.end(subject, predicate, value, at=moment, actor=actor, reason=reason),
        user, postgres, namespace, schema, session=session,
    )  # fmt: skip
    _show_written(written, as_json=as_json)


def _ask(
    work: Callable[[Facts], Awaitable[T]],
    user: str,
    postgres: str | None,
    namespace: str,
    schema: str,
    *,
    session: str | None = None,
    declare: tuple[Predicate, ...] = (),
) -> T:
    """Do something with the facts of a user."""

    async def ask() -> T:
        async with opened(postgres, namespace, schema, predicates=declare) as memory:
            return await work(memory.user(user, session_id=session).facts)
        raise AssertionError

    return run(ask)


async def _predicates(facts: Facts, subject: str, tx: int | None) -> list[str]:
    """Return the predicates of which anything is believed of a subject, in the order of their names."""
    names: set[str] = set()
    cursor: str | None = None
    while True:
        page = await facts.find(subject, valid_during=(None, None), known_at=tx, cursor=cursor, limit=PAGE)
        names.update(fact.predicate for fact in page)
        cursor = page.cursor
        if cursor is None:
            return sorted(names)


def _as_known(fact: Fact, tx: int | None) -> Fact:
    """Return a piece without what became of it after a transaction."""
    if tx is None or fact.tx_to is None or fact.tx_to <= tx:
        return fact
    return fact.model_copy(update={"tx_to": None, "superseded_at": None, "superseded_by": None})


def _read(reader: Callable[[str], T], text: str, name: str) -> T:
    try:
        return reader(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=name) from None


def _value(text: str, *, parse: bool) -> Any:
    if not parse:
        return text
    try:
        return json.loads(text)
    except ValueError:
        msg = "is not JSON; without --parse it is taken as a text"
        raise typer.BadParameter(msg, param_hint="OBJECT") from None


def write_picture(file: Path, pieces: Sequence[Fact], *, now: datetime, title: str) -> None:
    """Draw pieces into a file."""
    try:
        file.write_text(draw(pieces, now=now, title=title), encoding="utf-8")
    except OSError as exc:
        fail(f"{file} cannot be written: {exc.strerror}")


def _draw(file: Path | None, pieces: Sequence[Fact], title: str, *, quiet: bool) -> None:
    if file is None:
        return
    write_picture(file, pieces, now=datetime.now(UTC), title=title)
    if not quiet:
        output().print(f"drawn in {file}", markup=False, soft_wrap=True)


def _show_written(fact: Fact, *, as_json: bool) -> None:
    if as_json:
        _print_json(fact.model_dump(mode="json"))
    else:
        show_written(output(), fact)


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
