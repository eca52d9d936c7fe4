"""`recollect facts`, on a real PostgreSQL: what it prints, stores and draws, and how it fails."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import anyio
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from recollect import Fact, Predicate, Span, open_memory
from recollect.cli.app import app
from recollect.cli.tables import show_history, show_timeline

Command = Callable[..., Result]
SINCE_2020, SINCE_2023, IN_2024 = ("2020-01-01T00:00:00Z", "2023-01-01T00:00:00Z", "2024-06-01T00:00:00Z")


@pytest.fixture
def facts(postgres_dsn: str, shared_schema: str) -> Command:
    """Run a command on the facts of a user of the test's own, and expect this exit code of it."""
    namespace = f"test-{uuid4()}"

    def run(*args: str, user: str = "alice", exit_code: int = 0) -> Result:
        where = ["--user", user, "--schema", shared_schema, "--namespace", namespace]
        env = {"RECOLLECT_POSTGRES": postgres_dsn, "COLUMNS": "80"}
        result = CliRunner().invoke(app, ["facts", *args, *where], env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def home() -> str:
    """A predicate with one value at a time. Rules are shared by all tenants of a schema."""
    return f"lives_in_{uuid4().hex[:8]}"


@pytest.fixture
def moved(facts: Command, home: str) -> tuple[int, int]:
    """Say Paris, then Rome; return both transactions."""
    paris = shown(facts("add", "alice", home, "Paris", "--one", "--valid-from", SINCE_2020, "--json"))
    rome = shown(facts("add", "alice", home, "Rome", "--valid-from", SINCE_2023, "--json"))
    return paris["tx_from"], rome["tx_from"]


def shown(result: Result) -> dict[str, Any]:
    """Return the one JSON document on stdout."""
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def rows(result: Result) -> list[list[str]]:
    """Return the cells of a printed table."""
    return [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines() if line.strip()]


def drawn_values(file: Path) -> list[tuple[str, str]]:
    """Return what is written on the pieces of a picture, and how opaque they are."""
    root = ET.parse(file).getroot()
    groups = [list(node) for node in root.iter() if node.attrib.get("class") == "piece"]
    return sorted((text.text or "", rect.attrib["fill-opacity"]) for _, rect, text in groups)


def test_a_timeline_says_what_is_true_from_when_to_when(facts, home, moved):
    head, paris, rome = rows(facts("timeline", "alice", home))
    assert head == ["true from", "until", f"alice {home}", "learned"]
    assert paris[:3] == ["1 Jan 2020", "1 Jan 2023", "Paris"]
    assert rome[:3] == ["1 Jan 2023", "…", "Rome"]


def test_a_timeline_can_be_asked_as_it_was_believed(facts, home, moved):
    first, second = moved
    for point in (str(first), shown(facts("history", "alice", home, "--json"))["facts"][0]["recorded_at"]):
        (_, paris) = rows(facts("timeline", "alice", home, "--known-at", point))
        assert paris[:3] == ["1 Jan 2020", "…", "Paris"]
    assert len(rows(facts("timeline", "alice", home, "--known-at", str(second)))) == 3
    assert "nothing is known of alice" in facts("timeline", "alice", home, "--known-at", "0").stdout


def test_without_a_predicate_every_one_that_is_believed_is_shown(facts, home, moved):
    facts("add", "alice", "likes", "pizza", "--valid-from", SINCE_2020)
    facts("add", "alice", "likes", "sushi", "--valid-from", SINCE_2023)
    facts("add", "bob", "likes", "snails")
    found = shown(facts("timeline", "alice", "--json"))
    assert list(found["timelines"]) == ["likes", home]
    assert [[each["object"] for each in span["facts"]] for span in found["timelines"]["likes"]] == [
        ["pizza"],
        ["pizza", "sushi"],
    ]
    printed = facts("timeline", "alice").stdout
    assert "alice likes" in printed
    assert f"alice {home}" in printed
    assert "snails" not in printed


def test_predicates_beyond_the_first_page_are_shown(facts, home, moved, monkeypatch):
    monkeypatch.setattr("recollect.cli.facts.PAGE", 2)
    facts("add", "alice", "likes", "pizza")
    assert list(shown(facts("timeline", "alice", "--json"))["timelines"]) == ["likes", home]


def test_where_nothing_is_true_a_timeline_and_a_history_say_so(facts, home, moved):
    facts("end", "alice", home, "--at", IN_2024)
    assert rows(facts("history", "alice", home))[-1][-3:] == ["1 Jun 2024", "…", "nothing"]
    assert rows(facts("timeline", "alice", home))[-1] == ["1 Jun 2024", "…", "nothing"]


def test_a_history_shows_what_was_believed_with_both_times(facts, home, moved):
    head, was, paris, rome = rows(facts("history", "alice", home))
    assert head == ["tx", "believed from", "true from", "until", f"alice {home}"]
    assert [each[0] for each in (was, paris, rome)] == [
        "{}–{}".format(*moved),
        f"{moved[1]}–…",
        f"{moved[1]}–…",
    ]
    assert was[-3:] == ["1 Jan 2020", "…", "Paris"]
    assert paris[-3:] == ["1 Jan 2020", "1 Jan 2023", "Paris"]
    assert rome[-3:] == ["1 Jan 2023", "…", "Rome"]
    first, *others = shown(facts("history", "alice", home, "--json"))["facts"]
    assert (first["tx_from"], first["tx_to"]) == moved
    assert [each["tx_to"] for each in others] == [None, None]


def test_a_difference_shows_what_is_believed_otherwise(facts, home, moved):
    first, second = map(str, moved)
    printed = facts("diff", first, second).stdout.splitlines()
    assert printed[1:] == [
        f"- alice {home} Paris, 1 Jan 2020 – …",
        f"+ alice {home} Paris, 1 Jan 2020 – 1 Jan 2023",
        f"+ alice {home} Rome, 1 Jan 2023 – …",
    ]
    found = shown(facts("diff", first, second, "--json"))
    assert ([each["object"] for each in found["removed"]], [each["object"] for each in found["added"]]) == (
        ["Paris"],
        ["Paris", "Rome"],
    )
    assert "nothing is believed otherwise" in facts("diff", first, second, "--subject", "bob").stdout
    assert "nothing is believed otherwise" in facts("diff", second, second).stdout


def test_the_journal_says_who_did_what_and_why_newest_first(facts, home, moved):
    facts("add", "alice", home, "Oslo", "--session", "s1", "--actor", "ann", "--reason", "she said so")
    head, newest, *_ = rows(facts("journal"))
    assert head == ["tx", "recorded", "operation", "what it did"]
    assert (newest[0], newest[2]) == (str(moved[1] + 1), "add")
    printed = facts("journal", "--session", "s1").stdout
    assert f"+ alice {home} Oslo" in printed
    assert "ann, session s1, she said so" in printed
    assert "+ alice " + home + " Paris" not in printed.replace("1 Jan 2023", "")
    document = shown(facts("journal", "--json"))
    assert [each["tx"] for each in document["transactions"]] == [moved[1] + 1, moved[1], moved[0]]
    assert "there are older ones" in facts("journal", "--limit", "1").stdout
    assert "nothing was written" in facts("journal", user="bob").stdout


def test_what_is_said_twice_is_stored_once(facts, home, moved):
    again = facts("add", "alice", home, "Rome", "--valid-from", SINCE_2023)
    assert again.stdout.startswith("known already:")
    assert len(shown(facts("history", "alice", home, "--json"))["facts"]) == 3


def test_a_value_can_be_json(facts):
    facts("add", "alice", "age", '{"years": 36}', "--parse")
    facts("add", "alice", "motto", "42")
    found = shown(facts("timeline", "alice", "--json"))["timelines"]
    assert [span["facts"][0]["object"] for span in found["age"]] == [{"years": 36}]
    assert [span["facts"][0]["object"] for span in found["motto"]] == ["42"]
    assert '{"years":36}' in facts("timeline", "alice", "age").stdout
    facts("end", "alice", "age", '{"years": 36}', "--parse")
    assert shown(facts("timeline", "alice", "age", "--json"))["timelines"]["age"][-1]["facts"] == []


def test_what_is_true_now_is_bold_and_what_is_not_believed_any_more_is_dim():
    async def told() -> tuple[tuple[Span, ...], tuple[Fact, ...]]:
        declared = Predicate("lives_in", cardinality="one")
        async with open_memory(predicates=[declared]) as memory:
            facts = memory.user("ann").facts
            for city, year in (("Paris", 2020), ("Rome", 2023)):
                await facts.add("ann", "lives_in", city, valid_from=datetime(year, 1, 1, tzinfo=UTC))
            return await facts.timeline("ann", "lives_in"), await facts.history("ann", "lives_in")
        raise AssertionError

    timeline, history = anyio.run(told)
    written = StringIO()
    console = Console(file=written, force_terminal=True, color_system="standard", width=80)
    show_timeline(console, "ann", {"lives_in": timeline}, now=datetime(2022, 1, 1, tzinfo=UTC))
    show_history(console, "ann", "lives_in", history)
    _, paris, rome, _, was, *held = written.getvalue().splitlines()
    assert ["\x1b[1m" in line for line in (paris, rome)] == [True, False]
    assert ["\x1b[2m" in line for line in (was, *held)] == [True, False, False]


def test_both_times_can_be_drawn(facts, home, moved, tmp_path):
    file = tmp_path / "both.svg"
    everything = [("Paris", "0.4"), ("Paris", "1"), ("Rome", "1")]
    assert f"drawn in {file}" in facts("history", "alice", home, "--svg", str(file)).stdout.replace("\n", "")
    assert drawn_values(file) == everything
    facts("timeline", "alice", "--svg", str(file), "--known-at", str(moved[0]))
    assert drawn_values(file) == [("Paris", "1")]
    shown(facts("timeline", "alice", "--svg", str(file), "--json"))
    assert drawn_values(file) == everything


def test_a_picture_that_cannot_be_written_is_one_line(facts, home, moved, tmp_path):
    result = facts("history", "alice", home, "--svg", str(tmp_path / "no" / "file.svg"), exit_code=1)
    assert result.stderr.count("\n") == 1
    assert "cannot be written" in result.stderr


def test_what_is_stored_cannot_steer_the_terminal(facts):
    text = "red \x1b[31mcat\x1b[0m\x07 [bold]bold[/bold] [/] \u202eover\r\nnext"
    facts("add", text, "is[/]", text, "--reason", text, "--actor", text)
    for args in (("timeline", text), ("history", text, "is[/]"), ("diff", "0", "99"), ("journal",)):
        printed = facts(*args).stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", printed)
        assert "[bold]bold[/bold]" in printed


def test_tables_fit_80_columns(facts):
    facts("add", "alice", "works_at", "the Institute for the Study of Very Long Names of Institutes" * 3)
    for args in (("timeline", "alice"), ("history", "alice", "works_at"), ("journal",)):
        assert max(map(len, facts(*args).stdout.splitlines())) <= 80


def test_other_users_have_other_facts(facts, home, moved):
    assert "nothing is known of alice" in facts("timeline", "alice", user="bob").stdout
    assert "nothing was ever said of alice" in facts("history", "alice", home, user="bob").stdout


def test_what_cannot_be_stored_is_one_line(facts, home, moved):
    result = facts("add", "alice", home, "Oslo", "--source", "nowhere", exit_code=1)
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert facts("end", "alice", "likes", exit_code=1).stderr.startswith("recollect: ")


@pytest.mark.parametrize(
    "args",
    [
        ["timeline"],
        ["timeline", "alice", "--known-at", "2024-05-01"],
        ["history", "alice"],
        ["diff", "1", "yesterday"],
        ["add", "alice", "likes", "{", "--parse"],
        ["add", "alice", "likes", "x", "--valid-from", "2024-05-01T00:00:00"],
        ["end", "alice", "likes", "--at", "now"],
        ["journal", "--limit", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_connects_to_nothing(args):
    result = CliRunner().invoke(
        app, ["facts", *args, "--user", "alice"], env={"RECOLLECT_POSTGRES": "postgresql://127.0.0.1:1/no"}
    )
    assert result.exit_code == 2, result.output
