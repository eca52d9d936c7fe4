"""The how-to pages: each is done from top to bottom, in process and on servers, and prints what it says.

A comment before a snippet says what is special about it:

    <!-- on 2026-05-04 -->      it is that day from here on
    <!-- a script -->           it runs by itself, outside of an event loop
    <!-- file NAME -->          it is a file in the directory that the page is done in
    <!-- environment -->        its `export` lines are the environment
    <!-- not run: WHY -->       it cannot be run here
"""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
import typer
from anyio import to_thread

from recollect.cli.app import app
from recollect.testing import Clock

from .beside import made_schema

DOCS = Path(__file__).parents[1] / "docs"
SNIPPET = re.compile(r"^(?:<!-- ([^\n]+?) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
POSTGRES, REDIS = "postgresql://app@db/memory", "redis://cache"
REPLICA = "postgresql://app@replica/memory"
"""Where servers are on the pages."""

NOT_RUN = 3
"""Snippets of all pages that may be shown without being run."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A block of code, with the comment before it."""

    marker: str
    language: str
    code: str

    @property
    def file(self) -> str:
        return self.marker.removeprefix("file ") if self.marker.startswith("file ") else ""

    @property
    def shared(self) -> bool:
        """Whether it goes on where the one before has ended."""
        return self.marker != "a script"

    @property
    def printed(self) -> list[str]:
        """What it says that it prints."""
        return re.findall(r"^ *# -> (.*)$", self.code, re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    text: str

    @property
    def snippets(self) -> list[Snippet]:
        return [Snippet(*found) for found in SNIPPET.findall(self.text)]

    @property
    def steps(self) -> list[Snippet]:
        """What is run, in order."""
        return [
            each
            for each in self.snippets
            if each.language == "python" and not each.file and not each.marker.startswith("not run: ")
        ]

    @property
    def files(self) -> dict[str, str]:
        return {each.file: each.code for each in self.snippets if each.file}

    @property
    def names_servers(self) -> bool:
        return any(place in step.code for step in self.steps for place in (POSTGRES, REDIS))


PAGES = [Page(path.stem, path.read_text("utf-8")) for path in sorted((DOCS / "how-to").glob("*.md"))]
OF_SERVERS = [page for page in PAGES if page.names_servers]
ALONE = [page for page in PAGES if page.steps and not page.names_servers]
ANYWHERE = [page for page in ALONE if any("open_memory(" in step.code for step in page.steps if step.shared)]
OF_TESTS = [page for page in PAGES if any(name.startswith("test_") for name in page.files)]


def name_of(page: Page) -> str:
    return page.name


class Opening(ast.NodeTransformer):
    """Keeps a memory open for what follows on the page, and gives it what the page need not say.

    Args:
        given: arguments of `open_memory`, unless the page has them.
        places: what stands for what in the texts of the page.
    """

    def __init__(self, given: dict[str, Any], places: dict[str, str]) -> None:
        self.given = given
        self.places = places

    def visit_Module(self, module: ast.Module) -> ast.Module:
        body: list[ast.stmt] = []
        for each in module.body:
            if isinstance(each, ast.AsyncWith) and "open_memory(" in ast.unparse(each.items[0].context_expr):
                (item,) = each.items
                entered = ast.parse(f"await stack.enter_async_context({ast.unparse(item.context_expr)})")
                value = entered.body[0].value  # type: ignore[attr-defined]
                target = item.optional_vars or ast.Name("_", ast.Store())
                body += [ast.Assign([target], value), *each.body]
            else:
                body.append(each)
        module.body = body
        self.generic_visit(module)
        return ast.fix_missing_locations(module)

    def visit_Call(self, call: ast.Call) -> ast.Call:
        self.generic_visit(call)
        if isinstance(call.func, ast.Name) and call.func.id == "open_memory":
            said = {each.arg for each in call.keywords}
            call.keywords += [
                ast.keyword(name, ast.parse(f"given[{name!r}]()", mode="eval").body)
                for name in self.given
                if name not in said
            ]
        return call

    def visit_Constant(self, constant: ast.Constant) -> ast.Constant:
        if isinstance(constant.value, str):
            for place, there in self.places.items():
                constant.value = constant.value.replace(place, there)
        return constant


async def done(page: Page, given: dict[str, Any], places: dict[str, str]) -> None:
    """Do what a page says.

    Raises:
        AssertionError: something is printed that the page does not say, or not printed that it says.
    """
    clock = Clock()
    if any(step.marker.startswith("on ") for step in page.steps):
        given = {**given, "clock": lambda: clock}
    async with AsyncExitStack() as stack:
        names: dict[str, Any] = {"stack": stack, "given": given, "__name__": page.name}
        for step in page.steps:
            if step.marker.startswith("on "):
                clock.now = datetime.fromisoformat(f"{step.marker.removeprefix('on ')}T20:00:00Z")
            tree = Opening(given if step.shared else {}, places).visit(ast.parse(step.code))
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if step.shared else 0
            code = compile(tree, f"{page.name}.md", "exec", flags=flags)
            printed = StringIO()
            with redirect_stdout(printed):
                if not step.shared:
                    await to_thread.run_sync(exec, code, {"__name__": "__main__"})
                elif (running := eval(code, names)) is not None:
                    await running
            assert printed.getvalue().splitlines() == step.printed, step.code


@pytest.fixture
def workplace(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with the files of a page, and its environment."""
    for name in [name for name in os.environ if re.match("RECOLLECT_(?!TEST_)", name)]:
        monkeypatch.delenv(name)
    for name, text in page.files.items():
        (tmp_path / name).write_text(text, "utf-8")
    project = tomllib.loads(page.files.get("pyproject.toml", "")).get("project", {})
    for group, points in project.get("entry-points", {}).items():
        info = tmp_path / f"{project['name']}-{project['version']}.dist-info"
        info.mkdir()
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines), "utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\n", "utf-8")
    for each in page.snippets:
        if each.marker == "environment":
            for name, value in re.findall(r"^export (\w+)='?(.*?)'?$", each.code, re.MULTILINE):
                monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in page.files:
        if name.endswith(".py"):
            sys.modules.pop(Path(name).stem, None)


@pytest.mark.parametrize("page", ALONE, ids=name_of)
async def test_a_page_does_in_process_what_it_says(page: Page, workplace: Path) -> None:
    await done(page, {}, {})


@pytest.fixture
def given(postgres_dsn: str, redis_url: str) -> Iterator[dict[str, Any]]:
    """Arguments of `open_memory` for a memory on servers, each made when it is needed.

    A page has a schema of its own, for it may have an embedder of its own; a memory a namespace.
    """
    with made_schema(postgres_dsn) as schema:
        yield {
            "postgres": lambda: postgres_dsn,
            "schema": lambda: schema,
            "migrate": lambda: "auto",
            "redis": lambda: redis_url,
            "namespace": lambda: f"how-to-{uuid4()}",
            "deadline": lambda: 60.0,
        }


@pytest.mark.parametrize("page", ANYWHERE, ids=name_of)
async def test_a_page_does_on_servers_what_it_says(
    page: Page, workplace: Path, given: dict[str, Any]
) -> None:
    await done(page, given, {})


@pytest.mark.parametrize("page", OF_SERVERS, ids=name_of)
@pytest.mark.usefixtures("workplace")
def test_a_page_of_servers_does_what_it_says(
    page: Page, given: dict[str, Any], postgres_dsn: str, redis_url: str
) -> None:
    rest = {name: made for name, made in given.items() if name not in ("postgres", "redis")}
    # A pool and a client of the page's own are bound to this event loop.
    anyio.run(done, page, rest, {POSTGRES: postgres_dsn, REPLICA: postgres_dsn, REDIS: redis_url})


@pytest.mark.parametrize("page", OF_TESTS, ids=name_of)
def test_the_tests_of_a_page_pass(page: Page, workplace: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        check=False,
        cwd=workplace,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = re.findall(r"^(\d+) passed$", page.text, re.MULTILINE)
    (passed,) = re.findall(r"^(\d+) passed in [\d.:() ]+s", ran.stdout, re.MULTILINE)
    assert int(passed) > 0
    assert said in ([], [passed])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_begins_with_the_code_and_leads_nowhere_that_is_not(page: Page) -> None:
    assert 40 <= len(page.text.splitlines()) <= 120
    before, fence, _ = page.text.partition("```python\n")
    assert fence
    assert len(before.split()) <= 60
    for link in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", page.text):
        assert (DOCS / "how-to" / link).exists(), link


def test_hardly_anything_is_shown_that_is_not_run() -> None:
    excused = [each for page in PAGES for each in page.snippets if each.marker.startswith("not run: ")]
    assert len(excused) <= NOT_RUN
    assert all(len(each.marker.split()) > 4 for each in excused)
    snippets = [each for page in PAGES for each in page.snippets if each.language == "python"]
    assert len(snippets) == sum(page.text.count("```py") for page in PAGES) >= 30
    markers = {each.marker for each in snippets}
    known = re.compile(r"(on \d{4}-\d\d-\d\d|a script|file \w+\.py|not run: .+)?")
    assert [marker for marker in markers if not known.fullmatch(marker)] == []


COMMANDS = [
    pytest.param(line, id=f"{page.name}-{number}")
    for page in PAGES
    for number, line in enumerate(re.findall(r"^recollect (.*)$", page.text, re.MULTILINE))
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_page_can_be_given(line: str) -> None:
    words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    context = command.make_context("recollect", list(words), resilient_parsing=False)
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        context = command.make_context(name, list(words), parent=context)
