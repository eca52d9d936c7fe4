"""What `recollect` itself offers: names, errors, and the price of an import."""

import inspect
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

import recollect
from recollect import Limits, Page, RecallWeights, Tenant, errors

HEAVY = {"numpy", "asyncpg", "pgvector", "redis", "Stemmer", "typer", "rich", "trio", "uvloop"}

TREE: dict[str, Any] = {
    "ConfigurationError": (
        "SchemaError", "EmbeddingMismatch", "MissingExtra", "UnsupportedOperation", "MemoryClosed",
        "LeaseError",
    ),
    "InvalidInput": (),
    "NotFound": (),
    "Conflict": (
        "VersionConflict", "EpisodeConflict", "FactConflict", "RollbackConflict", "IdempotencyConflict",
    ),
    "TryLater": ("StoreUnavailable", "Overloaded", "DeadlineExceeded", "OutcomeUnknown"),
    "HookError": (),
}  # fmt: skip

EXAMPLES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "RecollectError": (("what to do",), {}),
    "ConfigurationError": (("fix the code",), {}),
    "SchemaError": (("run it",), {}),
    "EmbeddingMismatch": ((("m", 2), ("n", 3)), {"stored": ("m", 2), "given": ("n", 3)}),
    "MissingExtra": (("an embedded PostgreSQL", "embedded"), {"extra": "embedded"}),
    "UnsupportedOperation": (("cannot",), {}),
    "MemoryClosed": ((), {}),
    "LeaseError": ((), {}),
    "InvalidInput": (("drafts[3].id", "is blank"), {"field": "drafts[3].id", "reason": "is blank"}),
    "NotFound": (("episode", "e"), {"kind": "episode", "key": "e"}),
    "Conflict": (("read again",), {}),
    "VersionConflict": (("block", 3), {"current": 3}),
    "EpisodeConflict": (("e",), {"id": "e"}),
    "FactConflict": (("taken",), {}),
    "RollbackConflict": (("changed",), {}),
    "IdempotencyConflict": (("k",), {"key": "k"}),
    "TryLater": (("later",), {}),
    "StoreUnavailable": (("later",), {}),
    "Overloaded": (("later",), {}),
    "DeadlineExceeded": ((2.5,), {"seconds": 2.5}),
    "OutcomeUnknown": (("e",), {"key": "e"}),
    "HookError": (("refused",), {}),
}


def test_names_are_few_sorted_and_there() -> None:
    assert isinstance(recollect.__all__, tuple)
    assert len(recollect.__all__) <= 70
    assert sorted(recollect.__all__) == sorted(set(recollect.__all__))
    for name in recollect.__all__:
        assert getattr(recollect, name) is not None


def test_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = recollect.no_such_name


@pytest.mark.parametrize(
    "statement",
    [
        "import recollect",
        "from recollect import open_memory",
        "from recollect import *; Memory",
        "import recollect.cli",
    ],
)
def test_import_brings_nothing_heavy_before_it_is_used(statement: str) -> None:
    heavy = HEAVY - ({"numpy", "Stemmer"} if "Memory" in statement else set())
    code = f"{statement}; import sys; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_errors_form_the_tree_that_is_documented() -> None:
    expected = {"RecollectError": Exception}
    for kind, names in TREE.items():
        expected[kind] = errors.RecollectError
        expected.update(dict.fromkeys(names, getattr(errors, kind)))
    found = {
        name: cls.__bases__[0]
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, errors.RecollectError)
    }
    assert found == expected
    assert issubclass(errors.InvalidInput, ValueError)
    assert issubclass(errors.IsolationWarning, UserWarning)
    assert all(name in errors.__doc__ for name in found)


@pytest.mark.parametrize("name", EXAMPLES)
def test_error_survives_pickling_with_what_it_says(name: str) -> None:
    args, attributes = EXAMPLES[name]
    error = getattr(recollect, name)(*args)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)
    assert str(error)
    for attribute, value in attributes.items():
        assert getattr(error, attribute) == getattr(again, attribute) == value


def test_every_public_error_has_an_example() -> None:
    public = {
        name
        for name in recollect.__all__
        if inspect.isclass(cls := getattr(recollect, name)) and issubclass(cls, errors.RecollectError)
    }
    assert public == set(EXAMPLES)


@pytest.mark.parametrize(
    "value",
    [
        Tenant("n", "u"),
        Limits(),
        RecallWeights(),
        recollect.EpisodeDraft("a"),
        Page(items=(1,), cursor=None, basis=0),
        recollect.Block(name="a", text="b", order=0, version=1, updated_at=datetime.now(UTC)),
        recollect.TaskState(task_id="t"),
        recollect.WorkingStatus(source="local"),
    ],
)
def test_values_cannot_be_changed(value: object) -> None:
    name = next(iter(getattr(type(value), "model_fields", None) or type(value).__dataclass_fields__))
    with pytest.raises(Exception, match=r"frozen|cannot assign"):
        setattr(value, name, None)


@pytest.mark.parametrize(
    "name",
    [
        "Block",
        "BlockConflict",
        "Capabilities",
        "Checkpoint",
        "Context",
        "Episode",
        "Note",
        "Profile",
        "WorkingStatus",
    ],
)
def test_every_field_of_a_value_says_what_it_is(name: str) -> None:
    for field in getattr(recollect, name).model_fields.values():
        assert field.description or field.annotation in (str, bool)
