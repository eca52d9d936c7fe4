"""`recollect export` and `recollect restore`: all of a user's memory, as a file of JSON lines."""

import json
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer
from anyio import to_thread

from .._transfer.reading import parsed, read_header
from ..connect import open_memory
from ..errors import InvalidInput
from ..memory import Memory
from ..predicates import Predicate
from .excerpts import printable
from .options import AsJson, Namespace, Redis, Schema, Server, User
from .running import DEADLINE, Bar, fail, output, progress, run, stored_at

STEP = 100
"""Lines between two signs of life."""

CHUNK = 1_048_576
"""Bytes that are read at once, on to the end of a line."""


def export(
    file: Annotated[Path, typer.Argument(help="File to write; - for standard output.", dir_okay=False)],
    *,
    user: User,
    redis: Redis = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Write everything that a user's memory holds to a file: a JSON object a line, both times of each fact.

    Working memory is part of it if its Redis is named. A file is written as a whole, or not at all.
    """
    counted: dict[str, int] = {}

    async def take(out: IO[str], bar: Bar) -> None:
        async with _opened(postgres, redis, namespace, schema) as memory:
            lines = memory.user(user).export_lines()
            async with aclosing(_counted(lines, counted, bar, "Exporting")) as given:
                async for line in given:
                    print(line, file=out)

    try:
        with _written(file) as out, progress("Opening") as bar:
            run(partial(take, out, bar))
    except OSError as exc:
        fail(f"{file} cannot be written: {exc.strerror}")
    if str(file) != "-":
        _show("exported", file, user, counted, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="What `recollect export` wrote; - for standard input.")],
    *,
    user: User,
    declare: Annotated[
        bool, typer.Option("--declare", help="Declare the predicates as they were, for all users here.")
    ] = False,
    redis: Redis = None,
    postgres: Server = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Make what was exported the memory of a user who has none: all of it, or nothing.

    Whose memory it was does not matter. What is wrong with the file is told, and nothing is stored.
    """
    counted: dict[str, int] = {}

    async def put(source: IO[bytes], bar: Bar) -> None:
        first = await to_thread.run_sync(source.readline)
        predicates = _declared(_text(first)) if declare else ()
        async with _opened(postgres, redis, namespace, schema, predicates) as memory:
            await memory.user(user).restore_lines(_counted(_read(first, source), counted, bar, "Restoring"))

    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source, progress("Opening") as bar:
            run(partial(put, source, bar))
    except OSError as exc:
        msg = f"{file} cannot be read: {exc.strerror}"
        raise typer.BadParameter(msg) from None
    _show("restored", file, user, counted, as_json=as_json)


def _opened(
    postgres: str | None, redis: str | None, namespace: str, schema: str, predicates: Sequence[Predicate] = ()
) -> AbstractAsyncContextManager[Memory]:
    return open_memory(
        postgres=stored_at(postgres),
        redis=redis,
        namespace=namespace,
        schema=schema,
        predicates=predicates,
        deadline=DEADLINE,
    )


@contextmanager
def _written(file: Path) -> Generator[IO[str]]:
    """Yield what to write to; it takes its place once all is written."""
    if str(file) == "-":
        yield sys.stdout
        return
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as out:
            yield out
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


async def _read(first: bytes, source: IO[bytes]) -> AsyncGenerator[str]:
    lines = [first]
    while lines:
        for line in lines:
            yield _text(line)
        lines = await to_thread.run_sync(source.readlines, CHUNK)


def _text(line: bytes) -> str:
    return line.decode(errors="surrogateescape")  # what is no UTF-8 is refused where it belongs


async def _counted(
    lines: AsyncGenerator[str], counted: dict[str, int], bar: Bar, doing: str
) -> AsyncGenerator[str]:
    """Pass lines on, and count them by their kind."""
    async with aclosing(lines) as given:
        waiting = 0
        async for line in given:
            kind = _kind(line)
            if not counted:
                bar.begin(doing, of="records", total=_total(line))
            counted[kind] = counted.get(kind, 0) + 1
            waiting += 1
            if waiting == STEP:
                bar.advance(waiting)
                waiting = 0
            yield line


def _kind(line: str) -> str:
    # Our own lines begin with it; what does not is looked at elsewhere.
    return line.split('"', 4)[3] if line.startswith('{"kind":"') else ""


def _total(line: str) -> int:
    """Return how many records a header promises; whether it is one is found out elsewhere."""
    try:
        header = read_header(_fields(line))
    except InvalidInput:
        return 0
    return header.episodes + header.transactions + header.assertions


def _declared(line: str) -> Sequence[Predicate]:
    return [
        Predicate(name, cardinality=rule.cardinality, key=rule.key, immutable=rule.immutable)
        for name, rule in read_header(_fields(line)).predicates.items()
    ]


def _fields(line: str) -> dict[str, Any]:
    header = parsed(line, "header")
    if not isinstance(header, dict):
        raise InvalidInput("header", "is no object")
    return {name: value for name, value in cast("dict[str, Any]", header).items() if name != "kind"}


def _show(done: str, file: Path, user: str, counted: dict[str, int], *, as_json: bool) -> None:
    kinds = {
        "episodes": counted.get("episode", 0),
        "transactions": counted.get("transaction", 0),
        "assertions": counted.get("assertion", 0),
        "scopes": counted.get("scope", 0),
    }
    if as_json:
        typer.echo(json.dumps({"file": str(file), "user": user, **kinds}, ensure_ascii=False, indent=2))
        return
    output().print(
        f"{done} {kinds['episodes']} episodes, {kinds['assertions']} entries of the log of facts in "
        f"{kinds['transactions']} transactions, and {kinds['scopes']} scopes of working memory of "
        f"{printable(user)}",
        markup=False,
    )
