"""The documents: their snippets run and print what they say, and their picture is of what they did.

`python -m tests.test_docs` draws the picture again.
"""

import ast
import re
from collections.abc import Callable
from contextlib import AsyncExitStack, redirect_stdout
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args
from uuid import uuid4
from xml.etree.ElementTree import parse

import anyio
import pytest

import recollect
from recollect import FOREVER, Predicate
from recollect._circuit import State
from recollect.cli.picture import draw
from recollect.facts import Facts
from recollect.testing import Clock
from recollect.types import Fact

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8")
WORKING = (ROOT / "docs" / "working-memory.md").read_text(encoding="utf-8")
CONTEXT = (ROOT / "docs" / "context.md").read_text(encoding="utf-8")
BLOCKING = (ROOT / "docs" / "blocking.md").read_text(encoding="utf-8")
CONSOLIDATION = (ROOT / "docs" / "consolidation.md").read_text(encoding="utf-8")
EXPORT = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
COMING = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
OUTAGE = ROOT / "docs" / "degradation.svg"
PICTURE = ROOT / "docs" / "two-times.svg"
SNIPPET = re.compile(r"<!-- on (\S+) -->\n```python\n(.*?)```", re.DOTALL)
SCRIPTS = re.findall(r"<!-- a script -->\n```python\n(.*?)```", COMING, re.DOTALL)
LAST_DRAWN = "2024-07-01"
LIVES_IN = Predicate("lives_in", cardinality="one")


def evening(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T20:00:00Z")


async def run(code: str, names: dict[str, Any]) -> list[str]:
    """Run a snippet, which may await; return what it prints."""
    printed = StringIO()
    with redirect_stdout(printed):
        result = eval(compile(code, "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if result is not None:
            await result
    return printed.getvalue().splitlines()


def kept_open(code: str) -> str:
    """Return a snippet whose memory stays open for those that follow, on a clock of ours."""
    before, opening, block = code.partition("async with open_memory(")
    if not opening:
        return code
    arguments, _, body = block.partition(") as memory:\n")
    given = f"{arguments}, clock=clock" if arguments else "clock=clock"
    opened = f"memory = await stack.enter_async_context(open_memory({given}))\n"
    return before + opened + dedent(body)


Outputs = list[tuple[list[str], list[str]]]


async def told(page: str = PAGE) -> tuple[Outputs, tuple[Fact, ...]]:
    """Run a page; return what each snippet prints and should, and what was believed until the picture."""
    clock, outputs, pieces = Clock(), [], ()
    async with AsyncExitStack() as stack:
        names: dict[str, Any] = {"stack": stack, "clock": clock}
        for day, code in SNIPPET.findall(page):
            clock.now = evening(day)
            printed = await run(kept_open(code), names)
            outputs.append((printed, re.findall(r"^ *# -> (.*)$", code, re.MULTILINE)))
            if day <= LAST_DRAWN:
                pieces = await names["alice"].facts.history("alice", "lives_in")
    return outputs, pieces


@pytest.mark.parametrize(
    "page",
    [PAGE, WORKING, CONTEXT, CONSOLIDATION],
    ids=["facts", "working memory", "context", "consolidation"],
)
def test_the_snippets_print_what_the_page_says(page: str):
    outputs, _ = anyio.run(told, page)
    assert len(outputs) == page.count("```python") >= 5
    for printed, expected in outputs:
        assert printed == expected
    assert sum(bool(expected) for _, expected in outputs) >= 5


def test_the_page_on_exports_prints_what_it_says():
    outputs, _ = anyio.run(told, EXPORT)
    assert len(outputs) == EXPORT.count("```python") == 3
    for printed, expected in outputs:
        assert printed == expected != []


def test_working_memory_is_on_redis_what_the_page_says(redis_url: str):
    opened = f'open_memory(redis="{redis_url}", namespace="docs-{uuid4()}")'
    outputs, _ = anyio.run(told, WORKING.replace("open_memory() as", f"{opened} as"))
    assert len(outputs) == WORKING.count("```python")
    for printed, expected in outputs:
        assert printed == [line.replace("local False", "redis False") for line in expected]


def test_who_comes_from_another_memory_is_told_the_truth():
    outputs, _ = anyio.run(told, COMING)
    assert len(outputs) + len(SCRIPTS) == COMING.count("```python") >= 15
    for printed, expected in outputs:
        assert printed == expected
    assert sum(bool(expected) for _, expected in outputs) >= 15


async def test_who_comes_from_another_memory_finds_it_so_on_servers(
    schema: str, postgres_dsn: str, redis_url: str
):
    servers = f'postgres="{postgres_dsn}", schema="{schema}", migrate="auto", redis="{redis_url}"'
    page, opened = COMING.replace("shop", f"shop-{uuid4()}"), "\nasync with open_memory("
    for options in re.findall(rf"{re.escape(opened)}(\w+)=", page):
        namespace = "" if options == "settings" else f'namespace="docs-{uuid4()}", '
        given = f"{opened}{servers}, deadline=60.0, {namespace}{options}="
        page = page.replace(f"{opened}{options}=", given)
    assert page.count(opened) == page.count(f"{opened}{servers}") >= 4
    outputs, _ = await told(page)
    assert len(outputs) + len(SCRIPTS) == COMING.count("```python")
    for printed, expected in outputs:
        assert printed == expected


@pytest.mark.parametrize("code", [*re.findall(r"```python\n(.*?)```", BLOCKING, re.DOTALL), *SCRIPTS])
def test_the_scripts_without_await_print_what_the_page_says(code: str):
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "script", "exec"), {})
    expected = re.findall(r"^ *# -> (.*)$", code, re.MULTILINE)
    assert printed.getvalue().splitlines() == expected != []


def picture() -> str:
    _, pieces = anyio.run(told)
    return draw(pieces, now=evening(LAST_DRAWN), title="Where Alice lives")


def test_the_picture_is_of_what_the_page_did():
    assert PICTURE.read_text(encoding="utf-8") == picture(), "python -m tests.test_docs draws it again"


def test_the_picture_of_an_outage_has_every_state_and_what_is_done_in_it():
    texts = [text.text for text in parse(OUTAGE).iter("{http://www.w3.org/2000/svg}text")]
    states = [*get_args(State), "reconciling"]
    assert [text for text in texts if text in states] == states
    assert texts.count("a read") == texts.count("a write") == len(states)
    assert f"({OUTAGE.name})" in WORKING


# The table of cases


def month(text: str) -> datetime:
    year, _, number = text.partition("-")
    return datetime(int(year), int(number or 1), 1, tzinfo=UTC)


def written(instant: datetime | None) -> str:
    if instant is None:
        return ""
    return f"{instant.year}" if instant.month == 1 else f"{instant:%Y-%m}"


async def retract(facts: Facts, city: str) -> None:
    (fact,) = await facts.find("ann", "lives_in", city, valid_during=(None, None))
    await facts.retract(fact.fact_id)


CASES = re.findall(r"^\| (\w+ (?:since|from) .*?) \| (.*?) \|$", PAGE, re.MULTILINE)
STATEMENTS: tuple[tuple[str, Callable[..., Any]], ...] = (
    (
        r"(?P<city>\w+) since (?P<start>\S+)",
        lambda facts, city, start: facts.add("ann", "lives_in", city, valid_from=month(start)),
    ),
    (
        r"(?P<city>\w+) from (?P<start>\S+) to (?P<end>\S+)",
        lambda facts, city, start, end: facts.add(
            "ann", "lives_in", city, valid_from=month(start), valid_to=month(end)
        ),
    ),
    (
        r"(?P<city>\w+) from (?P<start>\S+) for ever",
        lambda facts, city, start: facts.add(
            "ann", "lives_in", city, valid_from=month(start), valid_to=FOREVER
        ),
    ),
    (r"ended in (?P<at>\S+)", lambda facts, at: facts.end("ann", "lives_in", at=month(at))),
    (r"(?P<city>\w+) was wrong", retract),
)


async def timeline_after(said: str) -> str:
    async with recollect.open_memory(predicates=[LIVES_IN], clock=Clock()) as memory:
        facts = memory.user("ann").facts
        for statement in said.split("; "):
            (found,) = (
                partial(work, facts, **match.groupdict())
                for pattern, work in STATEMENTS
                if (match := re.fullmatch(pattern, statement))
            )
            await found()
        return ", ".join(
            f"{span.facts[0].object if span.facts else 'nothing'} "
            f"{written(span.valid_from)}–{written(span.valid_to)}"
            for span in await facts.timeline("ann", "lives_in")
        )
    raise AssertionError


def test_there_are_cases():
    assert len(CASES) == 10


@pytest.mark.parametrize(("said", "expected"), CASES, ids=[said for said, _ in CASES])
def test_each_case_of_the_table_is_as_the_page_says(said: str, expected: str):
    assert anyio.run(timeline_after, said) == expected


# The front page


def test_the_first_program_of_the_readme_runs():
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    printed = StringIO()
    with redirect_stdout(printed):
        exec(code.group(1), {})
    assert "I moved to Lisbon last week" in printed.getvalue()
    assert '<block name="persona">Prefers short answers.</block>' in printed.getvalue()


def test_the_snippet_of_the_readme_on_working_memory_runs():
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Working memory\n")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    names = {"open_memory": recollect.open_memory, "TaskState": recollect.TaskState}
    printed = anyio.run(run, code.group(1), names)
    assert '<block name="people">Ines is her sister.</block>' in "\n".join(printed)
    assert "degraded=False" in printed[-1]


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
