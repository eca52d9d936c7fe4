"""From a command to the event loop and back: one entry, and one way to fail."""

import os
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

import anyio
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ..connect import open_memory
from ..errors import RecollectError
from ..memory import Memory
from ..predicates import Predicate
from ..types import Limits
from .excerpts import printable

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds that one call may take. A command has one user, who would rather wait than start again."""

WIDEST = 100
"""Columns. Longer lines of prose are hard to read."""


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` on an event loop."""
    with explained():
        return anyio.run(work)
    raise AssertionError  # the block returns, or has failed


@contextmanager
def explained() -> Generator[None]:
    """Turn a `RecollectError` into one line on stderr and exit code 1."""
    try:
        yield
    except RecollectError as exc:
        fail(str(exc))


def fail(message: str) -> NoReturn:
    typer.echo(f"recollect: {printable(message)}", err=True)
    raise typer.Exit(1)


def stored_at(postgres: str | None) -> str:
    """Return where to keep memories: what was asked for, else a server of the user's own."""
    return postgres or f"embedded:{_data_home() / 'recollect'}"


def _data_home() -> Path:
    if home := os.environ.get("XDG_DATA_HOME"):
        return Path(home)
    # An embedded server of root's runs as another user, for whom its package would open root's home to all.
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/var/lib")
    return Path.home() / ".local" / "share"


def opened(
    postgres: str | None,
    namespace: str,
    schema: str,
    *,
    predicates: Sequence[Predicate] = (),
    limits: Limits = Limits(),
) -> AbstractAsyncContextManager[Memory]:
    """Open the memory that the options of a command name."""
    return open_memory(
        postgres=stored_at(postgres),
        namespace=namespace,
        schema=schema,
        predicates=predicates,
        limits=limits,
        deadline=DEADLINE,
    )


def output() -> Console:
    """Return the console for results: colours on a terminal, plain text in a pipe."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    return console


class Bar:
    """A progress bar on stderr, if that is a terminal. Without a total it says that something goes on."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._of = ""

    def begin(self, doing: str, *, of: str, total: int) -> None:
        """Start a stage of `total` steps, each of which is one `of`."""
        self._of = of
        self._progress.reset(self._task, description=doing, total=total, note=f"0/{total} {of}")

    def advance(self, steps: int) -> None:
        """Have done `steps` more."""
        self._progress.advance(self._task, steps)
        (task,) = self._progress.tasks
        self._progress.update(self._task, note=f"{task.completed:.0f}/{task.total:.0f} {self._of}")


@contextmanager
def progress(doing: str) -> Generator[Bar]:
    """Show that `doing` goes on, until the bar is given something to count."""
    console = Console(stderr=True)
    console.width = min(console.width, WIDEST)
    columns = (TextColumn("{task.description}"), BarColumn(None), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        yield Bar(shown, shown.add_task(doing, total=None, note=""))
