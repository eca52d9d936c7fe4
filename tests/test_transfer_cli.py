"""`recollect export` and `recollect restore`: a memory as a file."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import Result

from .test_cli import chat, recollect

__all__ = ("chat", "recollect")

pytestmark = pytest.mark.usefixtures("postgres_dsn")

Command = Callable[..., Result]


@pytest.fixture
def exported(recollect: Command, chat: Path, tmp_path: Path) -> Path:
    """A memory of two episodes and two facts."""
    recollect("import", str(chat))
    path = tmp_path / "alice.jsonl"
    recollect("export", "--user", "alice", str(path))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_export_is_a_file_of_json_lines(exported: Path) -> None:
    assert [each["kind"] for each in lines(exported)] == ["header", "episode", "episode", "end"]
    assert list(exported.parent.glob(".*")) == []


def test_it_is_restored_and_exported_alike(recollect: Command, exported: Path, tmp_path: Path) -> None:
    result = recollect("restore", "--user", "copy", str(exported))
    assert "restored 2 episodes" in result.stdout
    recollect("export", "--user", "copy", str(tmp_path / "copy.jsonl"))
    assert lines(tmp_path / "copy.jsonl")[1:] == lines(exported)[1:]


def test_standard_input_and_output_do_as_well(recollect: Command, exported: Path) -> None:
    result = recollect("export", "--user", "alice", "-")
    assert result.stdout == exported.read_text(encoding="utf-8")
    recollect("restore", "--user", "copy", "-", input=result.stdout)
    assert (
        recollect("export", "--user", "copy", "-").stdout.splitlines()[1:] == result.stdout.splitlines()[1:]
    )


def test_counts_come_as_json(recollect: Command, exported: Path) -> None:
    result = recollect("restore", "--user", "copy", "--json", str(exported))
    assert json.loads(result.stdout) == {
        "file": str(exported), "user": "copy", "episodes": 2, "transactions": 0, "assertions": 0, "scopes": 0,
    }  # fmt: skip


def test_whoever_has_a_memory_is_left_alone(recollect: Command, exported: Path) -> None:
    result = recollect("restore", "--user", "alice", str(exported), exit_code=1)
    assert "has a memory already" in result.stderr


def test_what_is_wrong_with_a_file_is_told_in_a_line(recollect: Command, exported: Path) -> None:
    tampered = exported.read_text(encoding="utf-8").replace("Lisbon", "\\u0000")
    exported.write_text(tampered, encoding="utf-8")
    result = recollect("restore", "--user", "copy", str(exported), exit_code=1)
    assert result.stderr.strip().endswith("records[0].input: contains a NUL character")
    assert recollect("export", "--user", "copy", "-").stdout.count("\n") == 2


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"hello", b"[]", b"{}"])
def test_what_is_no_export_is_refused(recollect: Command, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = recollect("restore", "--user", "copy", str(path), exit_code=1)
    assert "recollect: " in result.stderr
    recollect("restore", "--declare", "--user", "copy", str(path), exit_code=1)


def test_a_file_that_is_not_there_is_told(recollect: Command, tmp_path: Path) -> None:
    result = recollect("restore", "--user", "copy", str(tmp_path / "none"), exit_code=2)
    assert "cannot be read" in result.stderr


def test_a_file_that_cannot_be_written_leaves_nothing(recollect: Command, tmp_path: Path) -> None:
    result = recollect("export", "--user", "alice", str(tmp_path / "none" / "file"), exit_code=1)
    assert "cannot be written" in result.stderr


def test_predicates_are_declared_on_demand(recollect: Command, exported: Path) -> None:
    header, *episodes, end = lines(exported)
    name, at = f"cli-{uuid4()}", "2026-03-05T00:00:00+00:00"
    said = [
        {
            "kind": "transaction", "tx": 3, "recorded_at": header["at"], "operation": "add",
            "session_id": None, "actor": None, "reason": None, "key": "00" * 16, "digest": "00" * 16,
            "undone_by": None,
        },
        {
            "kind": "assertion", "id": "f", "tx": 3, "seq": 0, "op": "assert", "staged_in": None,
            "subject": "alice", "predicate": name, "object": "Lisbon", "valid_from": at, "valid_to": None,
            "onset": True, "retracts": None, "confidence": 1.0, "sources": [], "replaces": None,
        },
    ]  # fmt: skip
    last = datetime.fromisoformat(episodes[-1]["recorded_at"]) + timedelta(microseconds=1)
    said[0]["recorded_at"] = last.isoformat()
    rule = {"cardinality": "one", "key": None, "immutable": False}
    header |= {
        "tx": 3,
        "at": last.isoformat(),
        "transactions": 1,
        "assertions": 1,
        "predicates": {name: rule},
    }
    whole = [header, *episodes, *said, end | {"records": 4}]
    exported.write_text("".join(json.dumps(each) + "\n" for each in whole), encoding="utf-8")
    result = recollect("restore", "--user", "copy", str(exported), exit_code=1)
    assert "declare it as it was" in result.stderr
    recollect("restore", "--declare", "--user", "copy", str(exported))
