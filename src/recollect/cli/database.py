"""`recollect db`: the schema in PostgreSQL."""

import json
from functools import partial

import typer

from .options import AsJson, Schema, Server
from .running import explained, output, run, stored_at

app = typer.Typer(no_args_is_help=True, help="The tables in PostgreSQL: bring them up to date, look at them.")


@app.command()
def migrate(postgres: Server = None, schema: Schema = "recollect", as_json: AsJson = False) -> None:
    """Bring the tables up to date. Safe to repeat, and from several places at once."""
    from ..postgres import migrate_schema

    names = run(partial(migrate_schema, stored_at(postgres), schema=schema))
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
        typer.echo(json.dumps({"schema": schema, "applied": found.applied, "pending": found.pending}))
        return
    console = output()
    for name in found.applied:
        console.print(f"{name:<24} applied")
    for name in found.pending:
        console.print(f"{name:<24} missing")
    if found.pending:
        console.print("run `recollect db migrate`")


@app.command()
def sql(schema: Schema = "recollect") -> None:
    """Print the SQL of all migrations, for a database where you run SQL yourself. Connects to nothing."""
    from ..postgres import schema_sql

    with explained():
        typer.echo(schema_sql(schema), nl=False)
