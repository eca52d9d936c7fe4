"""The documents as programs: the snippets of a page, how each of them is run, and what it should print.

A snippet of a page begins with ```` ```python ````. The line before it may say how it is run:

    <!-- on 2026-05-04 -->      after those before it, in one namespace, at 20:00 of that day
    (nothing)                   the same, on the day of the one before
    <!-- on postgres -->        the same, and it needs servers: `postgres="embedded:..."` is taken as it is,
                                `postgres="postgresql://..."` and `redis="redis://..."` for the tests' own
    <!-- a script -->           by itself, as a program; <!-- a script on postgres --> if it needs servers
    <!-- not run: ... -->       not at all, and why

What it prints is what its comments `# -> ...` say, all of it, line by line.
"""

import ast
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from recollect.testing import Clock

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FIRST_DAY = "2026-05-04"

FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
ANY_FENCE = re.compile(r"^[ >]*(?:```+|~~~+) *\{? *\.?py", re.MULTILINE | re.IGNORECASE)
DAY = re.compile(r"on (\d{4}-\d\d-\d\d)")
TOLD, SCRIPTS = (None, "on postgres"), ("a script", "a script on postgres")
REASON = re.compile(r"not run: \S.*")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A snippet, and how it is run.

    Attributes:
        day: that it is run on; None for that of the one before.
        told: it is run after those before it.
        script: it is run by itself.
        servers: it needs them.
    """

    code: str
    day: str | None = None
    told: bool = False
    script: bool = False
    servers: bool = False

    @property
    def expected(self) -> list[str]:
        return re.findall(r"^ *# -> (.*)$", self.code, re.MULTILINE)


def snippets(text: str) -> list[Snippet]:
    """Return the snippets of a page, in order.

    Raises:
        ValueError: one of them does not say how it is run, or would not be found.
    """
    found = [_snippet(match["mark"], match["code"]) for match in FENCE.finditer(text)]
    fences = len(ANY_FENCE.findall(text))
    if len(found) != fences:
        raise ValueError(f"{fences} snippets begin, {len(found)} are ```python from their line's beginning")
    return found


def _snippet(mark: str | None, code: str) -> Snippet:
    servers = mark is not None and mark.endswith("on postgres")
    if mark in SCRIPTS:
        return Snippet(code, script=True, servers=servers)
    if mark in TOLD:
        return Snippet(code, told=True, servers=servers)
    if day := DAY.fullmatch(mark):
        return Snippet(code, told=True, day=day[1])
    if not REASON.fullmatch(mark):
        raise ValueError(f"<!-- {mark} --> does not say how a snippet is run")
    return Snippet(code)


def pages() -> dict[str, str]:
    """Return the pages, by their names below the folder of documents."""
    # How-to pages come with files, and are done on servers as well: `tests.test_how_to` sees to them.
    found = [path for path in sorted(DOCS.rglob("*.md")) if path.parent.name != "how-to"]
    return {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in found}


async def run(code: str | ast.Module, names: dict[str, Any]) -> list[str]:
    """Run a snippet, which may await; return what it prints."""
    printed = StringIO()
    with redirect_stdout(printed):
        result = eval(compile(code, "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if result is not None:
            await result
    return printed.getvalue().splitlines()


def run_script(code: str) -> list[str]:
    """Run a snippet by itself; return what it prints."""
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "script", "exec"), {"__name__": "__main__"})
    return printed.getvalue().splitlines()


def evening(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T20:00:00Z")


def kept_open(code: str) -> ast.Module:
    """Return a snippet whose last memory stays open for those that follow; each is on a clock of ours."""
    tree = ast.parse(code)
    opened = [each for each in tree.body if isinstance(each, ast.AsyncWith) and _opens(each.items[0])]
    for block in opened:
        call = block.items[0].context_expr
        if not any(given.arg == "clock" for given in call.keywords):
            call.keywords.append(ast.keyword("clock", ast.Name("clock", ast.Load())))
    for block in opened[-1:]:
        (item,) = block.items
        entering = ast.parse("await stack.enter_async_context(memory)", mode="eval").body
        entering.value.args = [item.context_expr]
        place = tree.body.index(block)
        tree.body[place : place + 1] = [ast.Assign([item.optional_vars], entering), *block.body]
    return ast.fix_missing_locations(tree)


def _opens(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "open_memory"


Outputs = list[tuple[list[str], list[str]]]
"""For each snippet what it printed and what it should."""


async def told(
    page: str,
    *,
    after: Callable[[str, dict[str, Any]], Awaitable[None]] | None = None,
    servers: Callable[[str], str] = str,
) -> Outputs:
    """Run what a page tells in one namespace; return what each snippet prints and should.

    Args:
        after: called after each of them, with its day and the namespace.
        servers: puts servers of the tests into code that names others.
    """
    clock, outputs, day = Clock(), Outputs(), FIRST_DAY
    async with AsyncExitStack() as stack:
        names: dict[str, Any] = {"stack": stack, "clock": clock}
        for snippet in snippets(page):
            if not snippet.told:
                continue
            day = snippet.day or day
            clock.now = evening(day)
            code = servers(snippet.code) if snippet.servers else snippet.code
            outputs.append((await run(kept_open(code), names), snippet.expected))
            if after is not None:
                await after(day, names)
    return outputs
