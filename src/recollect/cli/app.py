import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any, Literal

import typer

from ..memory import Memory
from ..types import Recollection
from . import database, facts, transfers
from .chats import Chat, parse_chats
from .describing import context, profile
from .display import Card, Scale, show_cards
from .excerpts import printable
from .facts import write_picture
from .ingesting import Ingested, ingest
from .options import AsJson, Namespace, Schema, Server, User
from .running import Bar, explained, fail, opened, output, progress, run
from .status import status

# A line with a backspace keeps the lines of the paragraph below it as they are.
IMPORT_HELP = """Import chats. What was imported before is not stored again.

One message a line:

\b
  {"role": "user", "content": "...", "session_id": "s1",
   "at": "2026-03-02T08:15:00Z"}

Or one document, or a list of such:

\b
  {"user": "alice", "sessions": [{"session_id": "s1", "messages": [
    {"role": "user", "content": "...", "at": "2026-03-02T08:15:00Z"},
    {"role": "assistant", "content": "..."}]}]}
"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Memory for agents: remember conversations, and recall what matters.",
)
app.add_typer(facts.app, name="facts")
app.add_typer(database.app, name="db")


@app.command()
def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="Keep the demo's data in this directory, to ask it more.", file_okay=False),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw what was believed, and when. [default: beside the data, if that is kept]",
            dir_okay=False,
        ),
    ] = None,
    redis: Annotated[
        str | None, typer.Option(metavar="URL", help="Keep what is at hand in this Redis. [default: none]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remember a conversation of five months in a PostgreSQL of its own, and ask it hard questions."""
    from .demo import load_demo, perform
    from .demo.report import (
        document,
        show_answers,
        show_at_hand,
        show_closing,
        show_facts,
        show_introduction,
        show_summary,
    )

    brought = load_demo()
    with ExitStack() as stack:
        path = data or Path(stack.enter_context(TemporaryDirectory(prefix="recollect-"))) / "data"
        bar = stack.enter_context(progress("Starting PostgreSQL"))
        done = run(partial(perform, f"embedded:{path}", redis, brought, bar))
    drawn_in = svg or (None if data is None else data.with_name(f"{data.name}.svg"))
    if drawn_in is not None:
        beliefs = done.beliefs
        write_picture(drawn_in, beliefs.pieces, now=beliefs.at, title="What was believed of Mara, and when")
    if as_json:
        _print_json(document(done))
        return
    console = output()
    show_introduction(console, done)
    show_answers(console, done)
    show_summary(console, done)
    show_facts(console, done, drawn_in=drawn_in)
    show_at_hand(console, done)
    show_closing(console, done, kept_at=None if data is None else f"embedded:{data}")


@app.command("import", help=IMPORT_HELP)
def import_(
    file: Annotated[Path, typer.Argument(help="Chat file; - for standard input.")],
    *,
    user: Annotated[str | None, typer.Option(help="Whose chats these are, whatever the file says.")] = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    begun = perf_counter()
    chats = _read_chats(file, user)
    with progress("Opening") as bar:
        stored = run(partial(_store, opened(postgres, namespace, schema), chats, bar))
    if as_json:
        users = [_summary(chat, each) for chat, each in zip(chats, stored, strict=True)]
        _print_json({"file": str(file), "users": users, "seconds": round(perf_counter() - begun, 3)})
    else:
        _show_import(chats, stored, seconds=perf_counter() - begun)
    changed = [id for each in stored for id in each.changed]
    if changed:
        fail(
            f"{len(changed)} exchange(s) have changed since they were imported, and were left as they are "
            f"(episodes never change): {', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''}"
        )


@app.command()
def recall(
    query: Annotated[str, typer.Argument(help="What to look for, in plain words.")],
    *,
    user: User,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Hits at most.")] = 5,
    mode: Annotated[
        Literal["hybrid", "lexical", "recent"],
        typer.Option(help="What to go by: hybrid, words and context; recent, the newest."),
    ] = "hybrid",
    neighbours: Annotated[int, typer.Option(min=0, max=100, help="Turns to show around each hit.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Recall what was said, and why it was found: by words and context, for want of an embedder here."""

    async def ask() -> tuple[tuple[Recollection, ...], int]:
        async with opened(postgres, namespace, schema) as memory:
            handle = memory.user(user)
            hits = await handle.recall(query, limit=limit, mode=mode, neighbours=neighbours)
            return hits, len(hits) or await handle.episodes.count()

    hits, known = run(ask)
    if as_json:
        _print_json({"query": query, "user": user, "hits": [hit.model_dump(mode="json") for hit in hits]})
        return
    console = output()
    if not known:
        console.print(f"nothing is stored of this user in the namespace {printable(namespace)}", markup=False)
    elif not hits:
        console.print("nothing matches")
    cards = [Card(rank, hit, lines=4 if rank == 1 else 2) for rank, hit in enumerate(hits, start=1)]
    show_cards(console, query, cards, Scale.of(hits))


app.command()(context)
app.command()(profile)
app.command()(status)
app.command()(transfers.export)
app.command()(transfers.restore)


def _read_chats(file: Path, user: str | None) -> tuple[Chat, ...]:
    name = "stdin" if str(file) == "-" else str(file)
    try:
        text = (sys.stdin.buffer.read() if name == "stdin" else file.read_bytes()).decode()
    except UnicodeDecodeError:
        fail(f"{name}: is not UTF-8 text; save it as UTF-8")
    except OSError as exc:
        msg = f"{name} cannot be read: {exc.strerror}"
        raise typer.BadParameter(msg) from None
    with explained():
        return parse_chats(text, name=name, user=user)
    raise AssertionError  # the block returns, or has failed


async def _store(
    opening: AbstractAsyncContextManager[Memory], chats: Sequence[Chat], bar: Bar
) -> list[Ingested]:
    async with opening as memory:
        bar.begin("Importing", of="episodes", total=sum(len(chat.drafts) for chat in chats))
        return [await ingest(memory.user(chat.user), chat.drafts, advance=bar.advance) for chat in chats]
    raise AssertionError


def _summary(chat: Chat, stored: Ingested) -> dict[str, Any]:
    return {
        "user": chat.user,
        "sessions": chat.sessions,
        "new": stored.new,
        "present": stored.present,
        "changed": list(stored.changed),
        "skipped": chat.skipped,
    }


def _show_import(chats: Sequence[Chat], stored: Sequence[Ingested], *, seconds: float) -> None:
    console = output()
    for chat, each in zip(chats, stored, strict=True):
        skipped = f", {chat.skipped} without text skipped" if chat.skipped else ""
        console.print(
            f"{printable(chat.user)}: {each.new} new, {each.present} already there{skipped} "
            f"({chat.sessions} sessions)",
            markup=False,
        )
    console.print(f"{sum(each.new for each in stored)} new episodes in {seconds:.1f} s")
    if chats:
        console.print(
            f'try: recollect recall "..." --user {shlex.quote(printable(chats[0].user))}', markup=False
        )


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
