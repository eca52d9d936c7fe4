"""`recollect context` and `recollect profile`: what is remembered of a user, for a prompt and in short."""

import json
import re
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..connect import open_memory
from ..types import Context, Profile
from .excerpts import printable
from .instants import labels
from .options import AsJson, Namespace, Redis, Schema, Server, User
from .running import DEADLINE, output, run, stored_at
from .tables import value_of

# As `printable`, but for line ends and tabs: a prompt has lines.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")


def context(
    query: Annotated[str | None, typer.Argument(help="What it is needed for, in plain words.")] = None,
    *,
    user: User,
    budget: Annotated[int, typer.Option(min=0, max=10_000_000, help="Tokens at most, as estimated.")] = 1500,
    format: Annotated[Literal["xml", "markdown"], typer.Option(help="Of the text.")] = "xml",
    agent: Annotated[str | None, typer.Option(help="Agent whose blocks to begin with.")] = None,
    session: Annotated[str | None, typer.Option(help="Session whose blocks to begin with.")] = None,
    postgres: Server = None,
    redis: Redis = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Pack what is remembered into a text for a prompt: blocks, facts, recollections."""

    async def ask() -> Context:
        async with open_memory(
            postgres=stored_at(postgres), redis=redis, namespace=namespace, schema=schema, deadline=DEADLINE
        ) as memory:
            handle = memory.user(user, agent_id=agent, session_id=session)
            return await handle.context(query, token_budget=budget, format=format)
        raise AssertionError  # the block returns, or has failed

    found = run(ask)
    if as_json:
        document = {"query": query, "user": user, **found.model_dump(mode="json")}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    elif found.text:
        typer.echo(_STEERING.sub("\ufffd", found.text))
    else:
        left = found.omitted.facts + found.omitted.recollections
        typer.echo("no room for anything: --budget" if left else "nothing is remembered", err=True)


def profile(
    *,
    user: User,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Show in short what is remembered of a user: how much, until when, and some of it."""

    async def ask() -> Profile:
        async with open_memory(
            postgres=stored_at(postgres), namespace=namespace, schema=schema, deadline=DEADLINE
        ) as memory:
            return await memory.user(user).profile()
        raise AssertionError  # the block returns, or has failed

    found = run(ask)
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=2))
    else:
        show_profile(output(), found)


def show_profile(console: Console, profile: Profile) -> None:
    """Print a profile. Texts of users are never read as markup."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("user", Text(printable(profile.user_id or "anonymous"), style="bold"))
    table.add_row("episodes", f"{profile.episode_count:,}")
    table.add_row("facts", f"{profile.fact_count:,}")
    if profile.last_seen is not None:
        table.add_row("last seen", labels([profile.last_seen])[profile.last_seen])
    console.print(table)
    if profile.recent_sessions:
        dates = labels(session.last_at for session in profile.recent_sessions)
        sessions = _columns("recent session", "episodes", "until")
        for session in profile.recent_sessions:
            name = Text(printable(session.session_id))
            sessions.add_row(name, f"{session.episode_count:,}", dates[session.last_at])
        console.print()
        console.print(sessions)
    if profile.sample_facts:
        since = labels(fact.valid_from for fact in profile.sample_facts)
        facts = _columns("fact", "", "since")
        for fact in profile.sample_facts:
            said = Text(f"{printable(fact.subject)} {printable(fact.predicate)}")
            facts.add_row(said, value_of(fact), since[fact.valid_from])
        console.print()
        console.print(facts)


def _columns(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading == "episodes" else "left")
    return table
