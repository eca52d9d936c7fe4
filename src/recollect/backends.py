"""Back ends by name: those that come with the package, those that others install, and your own.

    backend = backends.preferred(["postgres", "inprocess"])
    async with backend.open("postgresql://...") as stores:
        memory = Memory(archive=stores.archive, working=stores.working or InProcessWorking())

A distribution offers one by an entry point in the group `recollect.backends`, whose name is that of the back
end, and whose value is a function or class that makes a `Backend`. Nothing of it is imported before somebody
gets it. `open_memory` is the short way to ours; what it is given says which.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeVar

from ._clock import Clock
from .errors import ConfigurationError
from .stores import Archive, WorkingStore
from .types import Limits

__all__ = ("GROUP", "Backend", "BackendCapabilities", "Stores", "get", "names", "preferred", "register")

GROUP = "recollect.backends"
"""Group of the entry points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendCapabilities:
    """What a back end can do.

    Attributes:
        archive: keeps episodes and facts.
        working: keeps working memory.
        durable: whether what it holds outlives the process.
        event_loops: on which it runs.
    """

    archive: bool = False
    working: bool = False
    durable: bool = False
    event_loops: tuple[str, ...] = ("asyncio", "trio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What a back end has opened: the parts of a `Memory`, as far as it has them."""

    archive: Archive | None = None
    working: WorkingStore | None = None


class Backend(Protocol):
    """A kind of place where memories are kept."""

    @property
    def name(self) -> str: ...

    def is_available(self) -> bool:
        """Return whether what it needs is installed. Connects to nothing, and imports nothing."""
        ...

    def capabilities(self) -> BackendCapabilities:
        """Return what it can do."""
        ...

    def open(
        self,
        where: str | None = None,
        *,
        limits: Limits = Limits(),
        deadline: float | None = 5.0,
        clock: Clock | None = None,
    ) -> AbstractAsyncContextManager[Stores]:
        """Open what is kept there for the length of a block; afterwards nothing of it remains.

        Args:
            where: in the back end's own words, such as a URL.
            limits, deadline, clock: as `open_memory` takes them.

        Raises:
            ConfigurationError: it cannot be opened like that.
            StoreUnavailable, DeadlineExceeded: the server did not answer.
        """
        ...


Factory = Callable[[], Backend]
F = TypeVar("F", bound=Factory)

_registered: dict[str, Factory] = {}


def register(name: str) -> Callable[[F], F]:
    """Return a decorator for what makes a back end: a class, or a function, without arguments.

    Raises:
        ConfigurationError: the name is taken.
    """
    if name in _registered:
        msg = f"there is a back end {name!r} already; give yours another name"
        raise ConfigurationError(msg)

    def take(factory: F) -> F:
        _registered[name] = factory
        return factory

    return take


def names() -> tuple[str, ...]:
    """Return the names of all back ends, available or not: those that are registered come first."""
    return tuple(dict.fromkeys([*_registered, *sorted(each.name for each in entry_points(group=GROUP))]))


def get(name: str) -> Backend:
    """Return the back end of this name; what is registered goes before what is installed.

    Raises:
        ConfigurationError: there is none, several distributions bring one, or it cannot be loaded.
    """
    if name in _registered:
        return _registered[name]()
    found = list(dict.fromkeys(entry_points(group=GROUP, name=name)))
    if not found:
        msg = f"there is no back end {name!r}; there are {', '.join(names())}"
        raise ConfigurationError(msg)
    if len(found) > 1:
        values = " and ".join(repr(each.value) for each in found)
        msg = f"several distributions bring a back end {name!r}: {values}; uninstall one of them"
        raise ConfigurationError(msg)
    return _loaded(found[0])


def preferred(wanted: Sequence[str]) -> Backend:
    """Return the first of these that is available.

    Raises:
        ConfigurationError: none is, or there is none of a name that was come to.
    """
    for name in wanted:
        backend = get(name)
        if backend.is_available():
            return backend
    msg = f"none of the back ends {', '.join(wanted)} is available; install what one of them needs"
    raise ConfigurationError(msg)


def _loaded(entry: EntryPoint) -> Backend:
    try:
        factory: Any = entry.load()
        backend: Backend = factory()
    except Exception as exc:  # boundary to other code, which may be broken in any way
        msg = f"the back end {entry.name!r} cannot be loaded from {entry.value!r} ({type(exc).__name__})"
        raise ConfigurationError(msg) from exc
    return backend
