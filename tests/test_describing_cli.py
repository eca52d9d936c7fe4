"""`recollect context` and `recollect profile`: what they print, on a real PostgreSQL and on Redis."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import anyio
import pytest
from typer.testing import CliRunner, Result

from recollect import FactDraft, open_memory
from recollect.cli.app import app

Command = Callable[..., Result]
WHEN = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)


@pytest.fixture
def recollect(postgres_dsn: str, shared_schema: str, redis_url: str) -> Command:
    """Run a command about somebody of whom something is remembered."""
    namespace = f"test-{uuid4()}"

    async def remember() -> None:
        async with open_memory(
            postgres=postgres_dsn, schema=shared_schema, namespace=namespace, redis=redis_url
        ) as memory:
            alice = memory.user("alice")
            await alice.blocks.set("persona", "Short [bold]answers[/bold].")
            await alice.at(session_id="s1").blocks.set("mood", "In a hurry.")
            await alice.remember("I moved to Lisbon\x1b[2J\u2028", session_id="s1", id="e1", occurred_at=WHEN)
            await alice.remember("The cat is called Pepper", session_id="s[red]2", id="e2", occurred_at=WHEN)
            await alice.facts.add_many(
                [
                    FactDraft("alice", "lives_in", "Lisbon", id="f1", valid_from=WHEN),
                    FactDraft("alice", "has", {"cat": "[b]Pepper"}, id="f2", valid_from=WHEN),
                ]
            )

    anyio.run(remember)

    def run(*args: str, exit_code: int = 0, **env: str) -> Result:
        result = CliRunner().invoke(
            app,
            [*args, "--schema", shared_schema, "--namespace", namespace],
            env={"RECOLLECT_POSTGRES": postgres_dsn, "COLUMNS": "80", **env},
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == exit_code, result.output
        return result

    return run


def shown(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_context_prints_the_text_and_nothing_else(recollect: Command) -> None:
    result = recollect("context", "where is Lisbon", "--user", "alice")
    root = ET.fromstring(result.stdout)
    assert root.findtext("facts/fact") == "Lisbon"
    assert root.findtext("recollections/episode/input") == "I moved to Lisbon\ufffd[2J\ufffd"
    assert root.find("blocks") is None
    assert result.stderr == ""


def test_context_begins_with_the_blocks_that_are_in_redis(recollect: Command, redis_url: str) -> None:
    result = recollect(
        "context", "--user", "alice", "--session", "s1", "--format", "markdown", RECOLLECT_REDIS=redis_url
    )
    assert result.stdout.index("In a hurry.") < result.stdout.index("Short [bold]answers[/bold].")
    assert "\x1b" not in result.stdout
    assert "\u2028" not in result.stdout
    assert "I moved to Lisbon" in result.stdout


def test_context_keeps_to_the_budget_and_says_so_when_it_has_no_room(recollect: Command) -> None:
    result = recollect("context", "--user", "alice", "--budget", "190", "--json")
    document = shown(result)
    assert 0 < document["tokens"] <= 190
    assert len(document["facts"]) + document["omitted"]["facts"] == 2
    assert len(document["recollections"]) + document["omitted"]["recollections"] == 2
    assert sum(document["omitted"].values()) >= 1
    result = recollect("context", "--user", "alice", "--budget", "10")
    assert (result.stdout, result.stderr) == ("", "no room for anything: --budget\n")


def test_context_as_json_is_the_whole_value(recollect: Command) -> None:
    document = shown(recollect("context", "cat", "--user", "alice", "--json"))
    assert (document["user"], document["query"]) == ("alice", "cat")
    assert document["text"].startswith("<recollect-context>")
    assert [fact["fact_id"] for fact in document["facts"]] == ["f2"]
    assert document["recollections"][0]["episode"]["id"] == "e2"


def test_context_of_nobody_is_empty(recollect: Command) -> None:
    result = recollect("context", "--user", "nobody")
    assert (result.stdout, result.stderr) == ("", "nothing is remembered\n")


def test_profile_says_what_there_is(recollect: Command) -> None:
    lines = recollect("profile", "--user", "alice").stdout.splitlines()
    assert [line.split(maxsplit=1)[1].strip() for line in lines[:3]] == ["alice", "2", "2"]
    assert lines[3].split() == ["last", "seen", "2", "Mar", "2026"]
    assert [line.split()[0] for line in lines if "Mar 2026" in line][1:] == [
        "s[red]2",
        "s1",
        "alice",
        "alice",
    ]
    assert '{"cat":"[b]Pepper"}' in "".join(lines)


def test_profile_as_json_is_the_whole_value(recollect: Command) -> None:
    document = shown(recollect("profile", "--user", "alice", "--json"))
    assert (document["episode_count"], document["fact_count"]) == (2, 2)
    assert [session["session_id"] for session in document["recent_sessions"]] == ["s[red]2", "s1"]
    assert [fact["fact_id"] for fact in document["sample_facts"]] == ["f1", "f2"]


def test_profile_of_nobody_is_short(recollect: Command) -> None:
    assert recollect("profile", "--user", "nobody").stdout.split() == [
        "user",
        "nobody",
        "episodes",
        "0",
        "facts",
        "0",
    ]


@pytest.mark.parametrize("command", ["context", "profile"])
def test_a_bad_name_is_refused_in_one_line(recollect: Command, command: str) -> None:
    result = recollect(command, "--user", " ", exit_code=1)
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert "user_id" in result.stderr
