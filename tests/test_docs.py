"""The documents: their snippets run and print what they say, and their picture is of what they did.

`python -m tests.test_docs` draws the picture again.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
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

from .beside import execute
from .pages import DOCS, ROOT, Outputs, Snippet, evening, pages, run, run_script, snippets, told

PAGES = pages()
PAGE, WORKING, COMING = (PAGES[f"{name}.md"] for name in ("facts", "working-memory", "coming-from"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets_of(name: str) -> list[Snippet]:
    try:
        return snippets(PAGES[name])
    except ValueError as exc:
        exc.add_note(f"on the page {name}")
        raise


SNIPPETS = {name: snippets_of(name) for name in PAGES}
SCRIPTS = {
    f"{name} {i}": snippet
    for name, found in SNIPPETS.items()
    for i, snippet in enumerate(each for each in found if each.script)
}


def programs(*, servers: bool) -> list[str]:
    """Return the pages, and the scripts on them, that need servers, or do not."""
    pages = {name: [each for each in found if each.told] for name, found in SNIPPETS.items()}
    found = {**pages, **{name: [script] for name, script in SCRIPTS.items()}}
    return [name for name, parts in found.items() if parts and any(e.servers for e in parts) == servers]


def outputs_of(program: str, servers: Callable[[str], str] = str) -> Outputs:
    if program in SCRIPTS:
        script = SCRIPTS[program]
        return [(run_script(servers(script.code)), script.expected)]
    return anyio.run(partial(told, PAGES[program], servers=servers))


OUTAGE = DOCS / "degradation.svg"
PICTURE = DOCS / "two-times.svg"
LAST_DRAWN = "2024-07-01"
LIVES_IN = Predicate("lives_in", cardinality="one")


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """A working directory of its own. Not under pytest's: when root, a server runs as another user."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="recollect-tests-", ignore_cleanup_errors=True) as directory:
        os.chdir(directory)
        try:
            yield
        finally:
            os.chdir(before)


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Puts servers of ours into code that names others; they are started when some code does."""
    schemas: dict[str, str] = {}
    namespace = f"docs-{uuid4()}"

    def postgres(_: object) -> str:
        dsn: str = request.getfixturevalue("postgres_dsn")
        schema = schemas.setdefault(dsn, f"test_{uuid4().hex[:16]}")
        return f'postgres="{dsn}", schema="{schema}", migrate="auto"'

    def redis(_: object) -> str:
        return f'redis="{request.getfixturevalue("redis_url")}", namespace="{namespace}"'

    def put(code: str) -> str:
        code = re.sub(r'postgres="postgresql://[^"]*"', postgres, code)
        return re.sub(r'redis="rediss?://[^"]*"', redis, code)

    yield put
    for dsn, schema in schemas.items():
        anyio.run(execute, dsn, f"drop schema if exists {schema} cascade")


@pytest.mark.parametrize("program", programs(servers=False))
def test_the_snippets_print_what_the_page_says(program: str):
    outputs = outputs_of(program)
    for printed, expected in outputs:
        assert printed == expected
    assert any(expected for _, expected in outputs)


@pytest.mark.parametrize("program", programs(servers=True))
@pytest.mark.usefixtures("elsewhere", "postgres_dsn")
def test_the_snippets_print_on_servers_what_the_page_says(program: str, servers: Callable[[str], str]):
    outputs = outputs_of(program, servers)
    for printed, expected in outputs:
        assert printed == expected
    assert any(expected for _, expected in outputs)


def test_every_snippet_of_every_page_is_run_or_says_why_not():
    texts = [README, *PAGES.values()]
    ran = [each for text in texts for each in snippets(text) if each.told or each.script]
    written, left = (sum(text.count(words) for text in texts) for words in ("```python", "<!-- not run: "))
    assert len(ran) + left == written >= 60
    assert left <= written // 20


@pytest.mark.parametrize(
    "page",
    [
        "<!-- on a whim -->\n```python\n1\n```\n",
        "<!-- not run: -->\n```python\n1\n```\n",
        "```py\n1\n```\n",
        "* an item\n\n  ```python\n  1\n  ```\n",
    ],
    ids=["another mark", "no reason", "another name", "within an item"],
)
def test_a_snippet_that_nobody_would_run_is_found(page: str):
    with pytest.raises(ValueError, match="snippet"):
        snippets(page)


def test_a_reason_keeps_a_snippet_from_being_run():
    assert snippets("<!-- not run: the model is yours -->\n```python\n1\n```\n") == [Snippet("1\n")]


def test_working_memory_is_on_redis_what_the_page_says(redis_url: str):
    opened = f'open_memory(redis="{redis_url}", namespace="docs-{uuid4()}")'
    outputs = anyio.run(told, WORKING.replace("open_memory() as", f"{opened} as"))
    assert len(outputs) == WORKING.count("```python")
    for printed, expected in outputs:
        assert printed == [line.replace("local False", "redis False") for line in expected]


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
    outputs = await told(page)
    assert len(outputs) == sum(snippet.told for snippet in snippets(COMING)) >= 15
    for printed, expected in outputs:
        assert printed == expected


ROWS = [line.split(" | ") for line in COMING.splitlines() if line.startswith("| ") and " here " not in line]


def test_there_are_rows_of_four_memories():
    assert COMING.count("| there | here | better |") == 4
    assert len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip("| ") for row in ROWS])
def test_what_a_row_names_is_done_by_a_snippet(row: list[str]):
    code = "\n".join(each.code for each in snippets(COMING))
    named: set[str] = set()
    for expression in re.findall(r"`([^`]+)`", row[1]):
        call, _, arguments = expression.partition("(")
        named |= {*re.findall(r"\w+$", call), *re.findall(r"(\w+)=", arguments)}
    assert named
    assert [name for name in named if not re.search(rf"\b{name}\b", code)] == []


def picture() -> str:
    pieces: tuple[Fact, ...] = ()

    async def look(day: str, names: dict[str, Any]) -> None:
        nonlocal pieces
        if day <= LAST_DRAWN:
            pieces = await names["alice"].facts.history("alice", "lives_in")

    anyio.run(partial(told, PAGE, after=look))
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


def test_the_first_program_of_the_readme_prints_what_was_said_and_what_stands_in_the_prompt():
    printed = "\n".join(run_script(snippets(README)[0].code))
    assert "I moved to Lisbon last week" in printed
    assert '<block name="persona">Prefers short answers.</block>' in printed


@pytest.mark.usefixtures("elsewhere", "postgres_dsn")
def test_the_other_snippets_of_the_readme_run():
    names: dict[str, Any] = {"TaskState": recollect.TaskState}
    printed = [anyio.run(run, each.code, names) for each in snippets(README) if each.told]
    facts, working = printed
    assert [line.partition("[")[2] for line in facts] == ["'Paris']", "'Roma']"]
    assert '<block name="people">Ines is her sister.</block>' in "\n".join(working)
    assert "degraded=False" in working[-1]


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
