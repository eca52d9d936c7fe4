"""The site: what is public has its place in the reference, and the pictures show what is."""

import re
from importlib import import_module
from inspect import getmembers
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import parse

import pytest

import recollect
from recollect import Tenant, UserMemory, errors
from recollect.facts import Facts
from recollect.redis.keys import Keys
from recollect.stores import Place

from .pages import DOCS, pages
from .test_architecture import FLOORS

PAGES = pages()
REFERENCE = {name: text for name, text in PAGES.items() if name.startswith("api/")}
DIRECTIVE = re.compile(r"^::: (?P<name>\S+)\n(?P<options>(?:    .*\n|\n(?=    ))*)", re.MULTILINE)
PARTS = ("Episodes", "Blocks", "Variables", "Task", "Scratchpad", "Checkpoints", "Working")
"""Of a handle: shown whole, with whatever methods they have."""

MODULES = (
    "recollect", "recollect.types", "recollect.stores", "recollect.testing", "recollect.embedders",
    "recollect.extractors", "recollect.ops", "recollect.backends", "recollect.hooks", "recollect.errors",
)  # fmt: skip


def public(module: Any) -> set[str]:
    return set(getattr(module, "__all__", ())) or {
        name
        for name, value in getmembers(module)
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


def shown(text: str) -> set[str]:
    """Return what the directives of a page show, by its last name."""
    found: set[str] = set()
    for directive in DIRECTIVE.finditer(text):
        members = re.search(r"members: \[(.*?)\]", directive["options"])
        if members is not None:
            found.update(members[1].split(", "))
            continue
        found.add(directive["name"].rpartition(".")[2])
        if directive["name"] in MODULES:
            found |= public(import_module(directive["name"]))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_in_the_reference(module: str):
    # The kinds of hooks, and what the package itself uses of them.
    private = {"Hooks"} if module == "recollect.hooks" else set()
    missing = public(import_module(module)) - set.union(*map(shown, REFERENCE.values())) - private
    assert missing - {"EmbeddingState", "Forever", "Mode", "Role", "Source", "Value", "text_of"} == set()


def test_every_method_of_a_handle_is_in_the_reference():
    methods = {name for name in dir(UserMemory) if not name.startswith("_")} - {"scope_in"}
    assert methods <= shown(REFERENCE["api/user.md"])
    facts = {name for name in dir(Facts) if not name.startswith("_")}
    bases = {base.__name__ for base in Facts.__mro__[1:-1]}
    assert bases <= shown(REFERENCE["api/facts.md"])
    assert facts - {name for base in Facts.__mro__[1:-1] for name in vars(base)} == {"transaction"}
    assert set(PARTS) <= shown(REFERENCE["api/working.md"]) | shown(REFERENCE["api/episodes.md"])


def test_the_tree_of_errors_is_that_of_the_code():
    _, tree, _ = (errors.__doc__ or "").split("\n\n", 2)
    assert f"```text\n{tree}\n```" in REFERENCE["api/errors.md"]


def test_the_floors_of_the_design_are_those_of_the_code():
    table = PAGES["design.md"].partition("| floor, from the top")[2]
    rows = [
        re.findall(r"`(\w+?)(?:\.py|/)`", row.split("|")[1]) for row in table.splitlines() if row[:3] == "| `"
    ]
    floors = [[n for name in row for n, floor in enumerate(FLOORS) if name in floor] for row in rows]
    assert [len(row) for row in floors] == [len(row) for row in rows]
    assert len(rows) == 10
    for above, below in pairwise(floors):
        assert min(above) > max(below)


def texts(picture: str) -> list[str]:
    path = DOCS / "concepts" / picture
    return [text.text or "" for text in parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("user_id", ["alice", "eve/alice"])
def test_the_picture_of_tenants_has_the_keys_that_are_used(user_id: str):
    words, tenant = texts("tenants.svg"), Tenant("shop", user_id)
    key = Keys("recollect").tenant(tenant).decode()
    assert f'memory.user("{user_id}")' in words
    assert tenant.key in words
    assert f"'{tenant.key}'" in words
    assert f"{key.removeprefix('recollect:')}:…" in words
    assert Keys("recollect").root(Place(tenant)).decode().startswith(f"{key}:")


def test_the_picture_of_cancellation_names_errors_that_there_are():
    words = texts("cancellation.svg")
    named = {name for text in words for name in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", text)}
    assert named == {"DeadlineExceeded", "HookError", "InvalidInput", "OutcomeUnknown"}
    assert all(hasattr(recollect, name) for name in named)
    assert words.count("cancelled here") == words.count("out of time here") == 5


def test_every_picture_is_on_a_page():
    pictures = {path.name for path in DOCS.rglob("*.svg")}
    drawn = {
        name for text in PAGES.values() for name in re.findall(r"!\[[^\]]+\]\(\S*?([\w-]+\.svg)\)", text)
    }
    assert pictures == drawn
