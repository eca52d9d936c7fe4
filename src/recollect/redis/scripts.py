"""The scripts: files in `lua/`, each put together from what it shares with others and a body of its own."""

from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and what the server knows it by once it has seen it."""

    source: bytes = field(repr=False)
    sha: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", sha1(self.source, usedforsecurity=False).hexdigest().encode())


def look(*names: str) -> Script:
    """Return the script of a question: the last name is that of its body."""
    return _script("common", "look", *names)


def edit(*names: str) -> Script:
    """Return the script of an edit: the last name is that of its body."""
    return _script("common", "edit", *names)


def plain(name: str) -> Script:
    """Return a script that is neither."""
    return _script("common", name)


def _script(*names: str) -> Script:
    folder = files("recollect.redis") / "lua"
    return Script("\n".join((folder / f"{name}.lua").read_text("utf-8") for name in names).encode())
