"""Options that several commands share."""

from typing import Annotated

import typer

Server = Annotated[
    str | None,
    typer.Option(
        envvar="RECOLLECT_POSTGRES",
        metavar="DSN|embedded:PATH",
        help="PostgreSQL that keeps the memories. [default: one of your own, started for you]",
        show_default=False,
    ),
]
Redis = Annotated[
    str | None,
    typer.Option(
        envvar="RECOLLECT_REDIS",
        metavar="URL",
        help="Redis that keeps working memory, such as redis://localhost. [default: none]",
        show_default=False,
    ),
]
User = Annotated[str, typer.Option(help="Whose memory.")]
Namespace = Annotated[str, typer.Option(help="Application or environment that the user belongs to.")]
Schema = Annotated[str, typer.Option(help="Schema that holds the tables.")]
Partitions = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Cut the tables of a new schema by user, each into N partitions, from 2 to 64. [default: whole]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to standard output.")]
