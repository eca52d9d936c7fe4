"""`recollect db`: the schema in PostgreSQL."""

import json
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from ..types import Garbage, Indexed, Limits
from .options import AsJson, Partitions, Schema, Server
from .running import explained, opened, output, run, stored_at

app = typer.Typer(no_args_is_help=True, help="The tables in PostgreSQL: bring them up to date, look at them.")


@app.command()
def migrate(
    postgres: Server = None,
    schema: Schema = "recollect",
    partitions: Partitions = None,
    as_json: AsJson = False,
) -> None:
    """Bring the tables up to date. Safe to repeat, and from several places at once."""
    from ..postgres import migrate_schema

    names = run(partial(migrate_schema, stored_at(postgres), schema=schema, partitions=partitions))
    if as_json:
        typer.echo(json.dumps({"schema": schema, "applied": names}))
    else:
        typer.echo(f"applied {', '.join(names)}" if names else "nothing to do: the tables are up to date")


@app.command()
def status(postgres: Server = None, schema: Schema = "recollect", as_json: AsJson = False) -> None:
    """Show which migrations the database has, and which it needs."""
    from ..postgres import schema_status

    found = run(partial(schema_status, stored_at(postgres), schema=schema))
    if as_json:
        typer.echo(json.dumps({"schema": schema, **asdict(found)}))
        return
    console = output()
    for name in found.applied:
        console.print(f"{name:<24} applied")
    for name in found.pending:
        console.print(f"{name:<24} missing")
    if found.partitions:
        console.print(f"in {found.partitions} partitions")
    if found.pending:
        console.print("run `recollect db migrate`")


@app.command()
def gc(
    postgres: Server = None,
    schema: Schema = "recollect",
    apply: Annotated[bool, typer.Option("--apply", help="Remove it, rather than only count it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count what nothing can ask for any more, of all users of all namespaces, or remove it."""

    async def collect() -> Garbage:
        async with opened(postgres, "default", schema) as memory:
            return await memory.gc(dry_run=not apply)
        raise AssertionError  # the block returns, or has failed

    found = run(collect)
    counts = {"episode_vectors": found.episode_vectors, "fact_vectors": found.fact_vectors}
    if as_json:
        typer.echo(json.dumps({"schema": schema, "applied": apply, **counts}))
        return
    console = output()
    for name, count in counts.items():
        console.print(f"{name.replace('_', ' '):<16} {count:>8}")
    if not any(counts.values()):
        console.print("nothing to do")
    elif apply:
        console.print("removed")
    else:
        console.print("run it with --apply to remove them")


@app.command()
def index(
    postgres: Server = None,
    schema: Schema = "recollect",
    above: Annotated[
        int,
        typer.Option(min=1, help="Vectors of a user that need no index."),
    ] = Limits().exact_vectors,
    as_json: AsJson = False,
) -> None:
    """Make an index of the vectors of each user who has many, and drop those that are of no use any more."""

    async def make() -> Indexed:
        async with opened(postgres, "default", schema, limits=Limits(exact_vectors=above)) as memory:
            return await memory.index_vectors()
        raise AssertionError  # the block returns, or has failed

    found = run(make)
    if as_json:
        typer.echo(json.dumps({"schema": schema, "above": above, **found.model_dump()}))
    else:
        output().print(f"built {found.built}, kept {found.kept}, dropped {found.dropped}")


@app.command()
def sql(schema: Schema = "recollect", partitions: Partitions = None) -> None:
    """Print the SQL of all migrations, for a database where you run SQL yourself. Connects to nothing."""
    from ..postgres import schema_sql

    with explained():
        typer.echo(schema_sql(schema, partitions=partitions), nl=False)
