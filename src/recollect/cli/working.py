"""Working memory, on a terminal. Texts of users are never read as markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..types import Block, BlockConflict, Health, TaskState, WorkingStats, WorkingStatus
from .excerpts import printable
from .instants import labels

CELLS = 10
"""Of the bar of a task."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a scope holds.

    Attributes:
        conflicts: each with the block that is in place, if there is one.
    """

    stats: WorkingStats
    blocks: Sequence[Block]
    task: TaskState | None
    conflicts: Sequence[tuple[BlockConflict, Block | None]]


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of the working memory of a handle.

    Attributes:
        scope: ids by what they name, from the namespace down; None where the handle is not narrowed.
        contents: None if Redis is away: this process has never seen them.
        remembered: episodes and facts of the user; None if nobody asked.
    """

    scope: dict[str, str | None]
    status: WorkingStatus
    health: Health
    contents: Contents | None
    remembered: tuple[int, int] | None


def show_report(console: Console, report: Report) -> None:
    """Print where working memory lives, how that is, and what it holds."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in report.scope.items():
        if value is not None:
            table.add_row(name, Text(printable(value), style="bold" if name == "user" else ""))
    table.add_row("lives in", _home(report))
    if report.status.since is not None:
        table.add_row("degraded", f"since {report.status.since.astimezone(UTC):%d %b %Y %H:%M:%S} UTC")
    if report.health.source == "redis":
        table.add_row("unsaved", str(report.status.unsaved) if report.status.unsaved else "nothing")
    if report.contents is not None:
        table.add_row("holds", counted(report.contents.stats))
    if report.remembered is not None:
        episodes, facts = report.remembered
        table.add_row("remembered", f"{_some(episodes, 'episode')}, {_some(facts, 'fact')}")
    if report.contents is not None and report.contents.task is not None:
        table.add_row("task", task_line(report.contents.task))
    console.print(table)
    if report.contents is None:
        console.print("What it holds is not known to this process: ask again when Redis is back.")
    else:
        _show_blocks(console, report.contents.blocks)
        _show_conflicts(console, report.contents.conflicts)


def task_line(task: TaskState) -> Text:
    """Return a task with its progress, on a line."""
    percent = min(max(task.progress_percent, 0.0), 100.0)
    filled = int(CELLS * percent / 100)
    line = Text(printable(task.description) or printable(task.task_id))
    line.append("  ")
    line.append("▰" * filled, style="green")
    line.append("▱" * (CELLS - filled), style="dim")
    line.append(f" {int(percent)} %", style="bold")
    steps = f"step {task.current_step} of {task.total_steps}" if task.total_steps else ""
    line.append("".join(f", {each}" for each in (steps, printable(task.status)) if each))
    return line


def counted(stats: WorkingStats) -> str:
    """Word what a scope holds; "nothing" if that is so."""
    counts = (
        (stats.blocks, "block"), (stats.variables, "variable"), (stats.notes, "note"),
        (stats.checkpoints, "checkpoint"),
    )  # fmt: skip
    words = [_some(count, name) for count, name in counts if count]
    if stats.has_task:
        words.append("a task")
    since = ""
    if stats.created_at is not None:
        since = f", since {labels([stats.created_at])[stats.created_at]}"
    return (", ".join(words) or "nothing") + since


def _home(report: Report) -> Text:
    health, status = report.health, report.status
    if health.source == "local":
        return Text("this process, and ends with it; name a Redis by --redis or RECOLLECT_REDIS")
    if not health.ok:
        return Text(printable(health.error or "Redis does not answer"), style="red")
    if not status.degraded:
        return Text(f"Redis, which answers in {(health.latency or 0.0) * 1e3:.1f} ms", style="green")
    if status.source == "redis":
        return Text("Redis, which takes no writes", style="yellow")
    return Text("Redis, which answers again; the next call will use it", style="yellow")


def _show_blocks(console: Console, blocks: Sequence[Block]) -> None:
    if not blocks:
        return
    changed = labels((block.updated_at for block in blocks), to_second=True)
    table = _table("block", "bytes", "version", "changed")
    for block in blocks:
        size = f"{len(block.text.encode()):,}"
        table.add_row(Text(printable(block.name)), size, str(block.version), changed[block.updated_at])
    console.print()
    console.print(table)


def _show_conflicts(console: Console, conflicts: Sequence[tuple[BlockConflict, Block | None]]) -> None:
    if not conflicts:
        return
    table = _table("conflict", "ours", "theirs", "id")
    for conflict, theirs in conflicts:
        sizes = [_size(conflict.ours), _size(None if theirs is None else theirs.text)]
        table.add_row(Text(printable(conflict.name), style="yellow"), *sizes, printable(conflict.id))
    console.print()
    console.print(table)
    console.print("to end one: `working.resolve(id, keep=...)`, or with a text made of both", style="dim")


def _size(text: str | None) -> str:
    return "deleted" if text is None else f"{len(text.encode()):,}"


def _some(count: int, name: str) -> str:
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="left" if heading in ("changed", "id") else "right")
    return table
