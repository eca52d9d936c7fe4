"""What is known of a tenant, packed while nobody uses it: nothing of it changes by that."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from recollect import Block, Note, TaskState, Tenant
from recollect._packing import packed, unpacked
from recollect._unsaved import Replica
from recollect._workspace import BLOCKS, NOTES, TASK, VARIABLES, Variable, Workspace
from recollect.stores import Place

ALICE = Tenant("n", "alice/ü")
AT = datetime(2026, 5, 1, 12, 30, 15, 123_457, tzinfo=UTC)
BLOCK = Block(name="persona", text="Likes tea. \N{TEACUP WITHOUT HANDLE}", order=3, version=7, updated_at=AT)
FULL = Workspace(
    blocks={"persona": BLOCK, "empty": BLOCK.model_copy(update={"name": "empty", "text": "", "order": 0})},
    newest=12,
    variables={
        "for ever": Variable("null"),
        "ends": Variable("1", AT + timedelta(days=1), AT),
        "year 1": Variable('"x"', datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    },
    task=TaskState(task_id="t", context={"a": [1, None, {"b": 2.5}]}, started_at=AT, updated_at=AT),
    task_at=AT,
    notes=[Note(text="first", at=AT), Note(text="", at=AT - timedelta(microseconds=1))],
    known={BLOCKS, NOTES, TASK, (*VARIABLES, "ends")},
)
OF_THE_SERVER = {"created_at", "checkpoints", "conflicts"}
"""What a replica never has."""


def _replicas() -> Iterator[Replica]:
    yield Replica(Place(ALICE))
    done: dict[str, tuple[str, Any, bool]] = {"key": ("digest", BLOCK, True), "other": ("d", None, False)}
    yield Replica(Place(ALICE, "agent", "s1"), FULL, bases={"persona": None}, done=done, touched_at=1.5)
    yield Replica(Place(ALICE, None, "s1"), Workspace(task_at=AT))


def test_all_that_was_packed_comes_back_in_its_order() -> None:
    before = list(_replicas())
    after = unpacked(packed(before), Tenant("n", "alice/ü"))
    assert list(after) == [replica.place for replica in before]
    for one, other in zip(before, after.values(), strict=True):
        for each in fields(Replica):
            if each.name != "space":
                assert getattr(one, each.name) == getattr(other, each.name)
        for each in fields(Workspace):
            assert getattr(one.space, each.name) == getattr(other.space, each.name)


def test_the_instant_at_which_a_variable_was_set_comes_back() -> None:
    (replica,) = unpacked(packed([Replica(Place(ALICE), FULL)]), ALICE).values()
    assert [each.written_at for each in replica.space.variables.values()] == [
        each.written_at for each in FULL.variables.values()  # no part of what makes two of them equal
    ]  # fmt: skip


def test_what_comes_back_is_like_what_went() -> None:
    (replica,) = unpacked(packed([Replica(Place(ALICE), FULL)]), ALICE).values()
    block, task = replica.space.blocks["persona"], replica.space.task
    assert block.updated_at.tzinfo is UTC
    assert block.model_dump() == BLOCK.model_dump()
    assert block.model_copy(update={"version": 8}).version == 8
    assert task is not None
    assert task.model_dump_json() == FULL.task.model_dump_json()  # type: ignore[union-attr]


def test_each_part_of_a_scope_is_tried_here() -> None:
    empty = Workspace()
    same = {each.name for each in fields(Workspace) if getattr(FULL, each.name) == getattr(empty, each.name)}
    assert same == OF_THE_SERVER
