"""`recollect status`: what it says of working memory on Redis, without one, and while it is away."""

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest
from typer.testing import CliRunner

from recollect import Block, BlockConflict, Memory, TaskState, WorkingStats, WorkingStatus, open_memory
from recollect._workspace import SaveBlock
from recollect.cli.app import app
from recollect.cli.running import output
from recollect.cli.working import Contents, Report, show_report, task_line
from recollect.stores import Place, Stamp
from recollect.testing import Clock
from recollect.types import Health

from .redis_servers import RedisServer
from .test_cli import subprocess_of

NOW = Clock().now
AWAY = 3


def status(*args: str, exit_code: int = 0, **env: str) -> str:
    """Run the command, expect this exit code, and return what it prints."""
    result = CliRunner().invoke(app, ["status", *args], env={"COLUMNS": "90", **env})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == exit_code, result.output
    assert result.stderr == ("" if exit_code in (0, AWAY) else result.stderr)
    return result.stdout


@pytest.fixture
def prepared(redis_url: str) -> tuple[str, ...]:
    """Options for a namespace on Redis in which alice has something at hand."""
    namespace = f"test-{uuid4()}"

    async def main() -> None:
        async with open_memory(redis=redis_url, namespace=namespace) as memory:
            await prepare(memory)

    anyio.run(main)
    return "--redis", redis_url, "--namespace", namespace


async def prepare(memory: Memory) -> None:
    """Give alice and a session of hers something at hand, and a conflict."""
    alice = memory.user("alice")
    await alice.blocks.set("persona", "Prefers short answers: précis.")
    await alice.blocks.set("people", "Ines")
    await alice.blocks.append("people", ", Pepper")
    await alice.variables.set("cart", ["tea"])
    await alice.scratchpad.append("one")
    await alice.scratchpad.append("two")
    await alice.checkpoints.create("before")
    await alice.task.set(
        TaskState(task_id="t", description="Order a lamp", status="comparing", current_step=3,
                  total_steps=5, progress_percent=60)
    )  # fmt: skip
    await memory.user("alice", session_id="s1").blocks.set("mood", "in a hurry")
    # What an outage would leave: somebody else has changed the block that ours was made from.
    composition = alice._composition
    async with alice:
        await composition.working.apply(
            composition.tenants.held(alice._scope.tenant),
            Place(alice._scope.tenant),
            SaveBlock("conflict-1", "people", "Ines, Pepino", 1, 2),
            Stamp("conflict-1"),
        )


# Without a Redis


def test_without_redis_it_says_that_working_memory_ends_with_the_process():
    printed = status("--user", "alice")
    assert re.search(r"^user +alice", printed, re.MULTILINE)
    assert "this process, and ends with it; name a Redis by --redis or RECOLLECT_REDIS" in one_line(printed)
    assert re.search(r"^holds +nothing", printed, re.MULTILINE)


def test_the_scope_that_is_looked_at_is_named():
    printed = status("--user", "alice", "--agent", "a1", "--session", "s[red]1", "--namespace", "shop")
    rows = dict(line.split(maxsplit=1) for line in printed.splitlines()[:4])
    assert {name: value.strip() for name, value in rows.items()} == {
        "namespace": "shop", "user": "alice", "agent": "a1", "session": "s[red]1",
    }  # fmt: skip


def test_a_bad_name_is_refused_in_one_line():
    result = CliRunner().invoke(app, ["status", "--user", " "])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "user_id" in result.stderr


@pytest.mark.usefixtures("postgres_dsn")
def test_what_is_remembered_is_counted_if_a_database_is_named(postgres_dsn: str, shared_schema: str):
    where = ("--postgres", postgres_dsn, "--schema", shared_schema, "--namespace", "test-status")

    async def remember() -> None:
        async with open_memory(
            postgres=postgres_dsn, schema=shared_schema, namespace="test-status"
        ) as memory:
            await memory.user("alice").remember("I moved", id="e1")

    anyio.run(remember)
    assert "1 episode, 0 facts" in status("--user", "alice", *where)
    document = json.loads(status("--user", "alice", "--json", *where))
    assert document["remembered"] == {"episodes": 1, "facts": 0}
    assert "remembered" not in json.loads(status("--user", "alice", "--json"))


# On Redis


def test_all_that_is_at_hand_is_shown(prepared: tuple[str, ...]):
    printed = status("--user", "alice", *prepared)
    assert re.search(r"^lives in +Redis, which answers in \d+\.\d ms", printed, re.MULTILINE)
    assert re.search(r"^unsaved +nothing", printed, re.MULTILINE)
    assert "2 blocks, 1 variable, 2 notes, 1 checkpoint, a task, since " in one_line(printed)
    assert re.search(r"^task +Order a lamp  ▰▰▰▰▰▰▱▱▱▱ 60 %, step 3 of 5, comparing", printed, re.MULTILINE)
    assert re.search(r"^persona +31 +1 ", printed, re.MULTILINE)
    assert re.search(r"^people +12 +2 ", printed, re.MULTILINE)
    assert re.search(r"^people +12 +12 +conflict-1", printed, re.MULTILINE)
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 90


def test_scripts_get_the_same_as_json_without_any_text_of_a_block(prepared: tuple[str, ...]):
    printed = status("--user", "alice", "--json", *prepared[2:], RECOLLECT_REDIS=prepared[1])
    document = json.loads(printed)
    assert document["status"] == {"source": "redis", "degraded": False, "since": None, "unsaved": 0}
    assert document["health"]["ok"]
    assert document["health"]["latency"] > 0
    stats = {name: value for name, value in document["stats"].items() if name != "created_at"}
    assert stats == {"variables": 1, "blocks": 2, "notes": 2, "checkpoints": 1, "has_task": True}
    sizes = {each["name"]: (each["bytes"], each["version"], each["order"]) for each in document["blocks"]}
    assert sizes == {"persona": (31, 1, 0), "people": (12, 2, 1)}
    assert document["task"]["progress_percent"] == 60
    (conflict,) = document["conflicts"]
    assert (conflict["id"], conflict["name"]) == ("conflict-1", "people")
    assert (conflict["ours_bytes"], conflict["theirs_bytes"]) == (12, 12)
    assert "Pepper" not in printed
    assert "Pepino" not in printed


def test_a_session_and_another_user_have_their_own(prepared: tuple[str, ...]):
    in_session = json.loads(status("--user", "alice", "--session", "s1", *prepared, "--json"))
    assert [block["name"] for block in in_session["blocks"]] == ["mood"]
    assert in_session["task"] is None
    of_bob = json.loads(status("--user", "bob", *prepared, "--json"))
    assert (of_bob["blocks"], of_bob["conflicts"], of_bob["stats"]["variables"]) == ([], [], 0)


def test_what_the_demo_has_put_on_redis_is_found_there_however_often_it_ran(
    redis_server: Callable[..., RedisServer],
):
    url = redis_server().url
    for _ in range(2):
        done = subprocess_of("demo", "--json", "--redis", url)
        assert done.stderr == ""
        at_hand = json.loads(done.stdout)["at_hand"]
        assert (at_hand["source"], at_hand["errand"]) == ("redis", ["audition with a choir", None])
        assert at_hand["prompt"].count("<block ") == 2
        assert at_hand["prompt"].count("Ines") == 1
    found = json.loads(status("--user", "mara", "--namespace", "recollect-demo", "--redis", url, "--json"))
    assert [block["name"] for block in found["blocks"]] == ["persona", "dates"]
    assert found["task"]["status"] == "done"


# While Redis is away


@pytest.fixture
def dead(redis_server: Callable[..., RedisServer]) -> str:
    """The address of a server that was there."""
    server = redis_server()
    server.kill()
    return server.url


def test_a_redis_that_is_not_there_is_said_in_words(dead: str):
    printed = one_line(status("--user", "alice", "--redis", dead, exit_code=AWAY))
    assert "lives in Redis did not answer" in printed
    assert "degraded since" in printed
    assert "What it holds is not known to this process" in printed
    assert "holds nothing" not in printed


def test_scripts_are_told_of_an_outage_too(dead: str):
    document = json.loads(status("--user", "alice", "--redis", dead, "--json", exit_code=AWAY))
    assert document["status"]["degraded"]
    assert document["status"]["since"] is not None
    assert (document["health"]["ok"], document["health"]["source"]) == (False, "redis")
    assert document["health"]["error"]
    assert document["stats"] is document["blocks"] is document["task"] is document["conflicts"] is None


def test_nothing_but_the_report_is_printed_during_an_outage(dead: str):
    result = subprocess_of("status", "--user", "alice", "--redis", dead)
    assert (result.returncode, result.stderr) == (AWAY, "")
    assert "Redis did not answer" in result.stdout


def test_a_redis_that_hangs_is_an_outage(redis_server: Callable[..., RedisServer]):
    server = redis_server()
    server.stop()
    try:
        assert "Redis did not answer" in status("--user", "alice", "--redis", server.url, exit_code=AWAY)
    finally:
        server.resume()


def test_a_wrong_password_is_no_outage_and_is_not_printed(redis_server: Callable[..., RedisServer]):
    server = redis_server(requirepass="right")
    url = server.url.replace("right", "hunter2")
    result = subprocess_of("status", "--user", "alice", "--redis", url)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "hunter2" not in result.stderr
    assert re.search("password|credential|authenticat", result.stderr, re.IGNORECASE)


def test_a_url_that_cannot_be_read_is_one_line():
    result: subprocess.CompletedProcess[str] = subprocess_of("status", "--user", "a", "--redis", "nonsense")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)


# What it looks like


def one_line(printed: str) -> str:
    return " ".join(printed.split())


def shown(capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    """Print a report that differs from an ordinary one in what is given."""
    stats = WorkingStats(variables=0, blocks=0, notes=0, checkpoints=0, has_task=False, created_at=None)
    parts: dict[str, Any] = {
        "scope": {"namespace": "default", "user": "alice", "agent": None, "session": None},
        "status": WorkingStatus(source="redis"),
        "health": Health(ok=True, source="redis", latency=0.0004, error=None),
        "contents": Contents(stats, (), None, ()),
        "remembered": None,
    }
    show_report(output(), Report(**{**parts, **given}))
    return capsys.readouterr().out


def test_what_is_unsaved_is_counted(capsys: pytest.CaptureFixture[str]):
    degraded = WorkingStatus(source="local", degraded=True, since=NOW, unsaved=3)
    away = Health(ok=False, source="redis", latency=None, error="refused\x1b[31m")
    printed = one_line(shown(capsys, status=degraded, health=away, contents=None))
    assert "lives in refused [31m degraded since" in printed
    assert f"{NOW:%H:%M:%S} UTC" in printed
    assert "unsaved 3" in printed


def test_a_redis_that_answers_and_takes_no_writes_is_not_called_away(capsys: pytest.CaptureFixture[str]):
    degraded = WorkingStatus(source="redis", degraded=True, since=NOW, unsaved=1)
    printed = one_line(shown(capsys, status=degraded))
    assert "Redis, which takes no writes degraded since" in printed
    assert "unsaved 1" in printed


def test_a_redis_that_has_just_come_back_is_told_from_one_that_is_used(capsys: pytest.CaptureFixture[str]):
    degraded = WorkingStatus(source="local", degraded=True, since=NOW, unsaved=1)
    assert "Redis, which answers again; the next call will use it" in one_line(shown(capsys, status=degraded))


def test_a_deleted_block_of_a_conflict_is_called_deleted(capsys: pytest.CaptureFixture[str]):
    ours = BlockConflict(id="c1", name="a\x07[b]", ours=None, base_version=2, at=NOW)
    theirs = BlockConflict(id="c2", name="gone", ours="text", base_version=None, at=NOW)
    block = Block(name=ours.name, text="x" * 1_234, order=0, version=3, updated_at=NOW)
    stats = WorkingStats(variables=0, blocks=1, notes=0, checkpoints=0, has_task=False, created_at=NOW)
    contents = Contents(stats, (block,), None, ((ours, block), (theirs, None)))
    printed = shown(capsys, contents=contents)
    assert re.search(r"^a \[b\] +deleted +1,234 +c1", printed, re.MULTILINE)
    assert re.search(r"^gone +4 +deleted +c2", printed, re.MULTILINE)
    assert "1 block, since" in printed


@pytest.mark.parametrize(
    ("percent", "bar"),
    [(0, "▱" * 10), (9.9, "▱" * 10), (99.9, "▰" * 9 + "▱"), (55, "▰" * 5 + "▱" * 5), (100, "▰" * 10)],
)
def test_the_bar_of_a_task_is_full_only_when_it_is_done(percent: float, bar: str):
    line = task_line(TaskState(task_id="t", progress_percent=percent, status=""))
    assert line.plain == f"t  {bar} {int(percent)} %"
