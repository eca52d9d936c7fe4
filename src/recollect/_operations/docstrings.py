"""What docstrings say of a callable and of each of its arguments."""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_HEADING = re.compile(r"(Args|Attributes|Returns|Yields|Raises):")
_ENTRY = re.compile(r"    (\w+(?:, \w+)*): (.*)")
_SHARED = re.compile(r"`(\w+)`: (.+?)(?=; `\w+`: |$)")


@dataclass(frozen=True, slots=True)
class Description:
    """A docstring, taken apart.

    Attributes:
        text: what it does, and what comes back; paragraphs, each on one line.
        arguments: what is said of each.
    """

    text: str
    arguments: Mapping[str, str]


def described(documented: Callable[..., Any]) -> Description:
    """Return what a docstring in Google's style says, without what may be raised.

    What a class says of all of its methods, as a list of "* `name`: meaning", holds where they are silent.
    """
    sections = _sections(inspect.getdoc(documented) or "")
    text = _paragraphs(sections[""])
    if "Returns" in sections:
        text += f"\n\nReturns: {_joined(sections['Returns'])}"
    owner = _owner(documented)
    shared = {} if owner is None else _shared(inspect.getdoc(owner) or "")
    return Description(text, {**shared, **_entries(sections.get("Args", sections.get("Attributes", [])))})


def _sections(docstring: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in docstring.splitlines():
        heading = _HEADING.fullmatch(line)
        if heading is not None:
            name = heading[1]
        sections.setdefault(name, []).append("" if heading else line)
    return sections


def _entries(lines: list[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        entry = _ENTRY.fullmatch(line)
        if entry is not None:
            names = entry[1].split(", ")
            entries.update(dict.fromkeys(names, entry[2].strip()))
        else:
            entries.update((name, f"{entries[name]} {line.strip()}".strip()) for name in names)
    return entries


def _shared(docstring: str) -> dict[str, str]:
    items = re.findall(r"^\* (.+(?:\n  .+)*)", docstring, re.MULTILINE)
    return {entry[1]: entry[2] for item in items for entry in _SHARED.finditer(_joined(item.splitlines()))}


def _owner(function: Callable[..., Any]) -> type | None:
    name, _, rest = function.__qualname__.partition(".")
    found = getattr(sys.modules[function.__module__], name, None) if rest else None
    return found if isinstance(found, type) else None


def _paragraphs(lines: list[str]) -> str:
    parts = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(_joined(part.splitlines()) for part in parts)


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines).strip()
