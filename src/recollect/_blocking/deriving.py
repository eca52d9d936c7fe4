"""Makes of a class with async methods one without: the same names, arguments, docstrings and errors."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial, wraps
from types import TracebackType
from typing import Any, Self, cast, get_args, get_origin

from .running import Loop

Method = Callable[..., Any]

_derived: dict[type[Any], "type[Derived]"] = {}

_CHANGED: dict[Any, Any] = {AsyncGenerator: Generator, AsyncIterable: Iterable}

INTERNAL = frozenset({"scope_in"})
"""Methods that are public for other modules of the package only."""


class Derived:
    """Stands for an object that lives in the loop.

    Args:
        original: that object. Its parts, such as `blocks`, are what this one has.
    """

    def __init__(self, original: Any, loop: Loop) -> None:
        self._original = original
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in INTERNAL:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg, name=name, obj=self)
        part = shown(getattr(self._original, name), self._loop)
        setattr(self, name, part)
        return part

    def __repr__(self) -> str:
        return repr(self._original)


class Leased(Derived):
    """Stands for one whose `async with` is a `with` now."""

    def __enter__(self) -> Self:
        self._loop.call(self._original.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call(partial(self._original.__aexit__, exc_type, exc, traceback))


def derive(original: type[Any], module: str) -> type[Derived]:
    """Return the class without `await`; from now on it is what stands for objects of this one.

    Args:
        module: where it can be imported from.
    """
    base = Leased if hasattr(original, "__aenter__") else Derived
    members = {
        name: _member(value)
        for each in reversed(original.__mro__[:-1])
        for name, value in vars(each).items()
        if not name.startswith("_") and name not in INTERNAL
    }
    for name, member in members.items():
        if not isinstance(member, property):
            member.__module__, member.__qualname__ = module, f"{original.__name__}.{name}"
    namespace = {**members, "__module__": module, "__doc__": original.__doc__}
    derived = cast("type[Derived]", type(original.__name__, (base,), namespace))
    _derived[original] = derived
    return derived


def shown(value: Any, loop: Loop) -> Any:
    """Return what stands for a value where there is no `await`."""
    derived = _derived.get(cast("object", value).__class__)
    return value if derived is None else derived(value, loop)


def _member(value: Any) -> Any:
    if isinstance(value, property):
        return property(_plain(cast("Method", value.fget)))
    method = cast("Method", value)
    if inspect.isasyncgenfunction(method):
        derived = _iterator(method)
    elif inspect.isasyncgenfunction(inspect.unwrap(method)):
        derived = _context(method)
    elif inspect.iscoroutinefunction(method):
        derived = _call(method)
    else:
        derived = _plain(method)
    cast("Any", derived).__signature__ = _signature(method)
    return derived


def _call(method: Method) -> Method:
    fed = [name for name, each in _parameters(method).items() if get_origin(each.annotation) is AsyncIterable]

    @wraps(method)
    def call(self: Derived, /, *args: Any, **given: Any) -> Any:
        work = partial(method, self._original, *args, **given)
        return _shown(self._loop.call(work), self)

    @wraps(method)
    def feed(self: Derived, /, *args: Any, **given: Any) -> Any:
        bound = inspect.signature(method).bind(self._original, *args, **given)
        items = bound.arguments.pop(fed[0])
        return self._loop.feed(lambda lines: method(*bound.args, **bound.kwargs, **{fed[0]: lines}), items)

    return feed if fed else call


def _plain(method: Method) -> Method:
    handles = [name for name, each in _parameters(method).items() if "UserMemory" in str(each.annotation)]

    @wraps(method)
    def plain(self: Derived, /, *args: Any, **given: Any) -> Any:
        for name in handles:
            if name in given:
                given[name] = tuple(map(original_of, given[name]))
        work = partial(method, self._original, *args, **given)
        return _shown(self._loop.call_plain(work), self)

    return plain


def _iterator(method: Method) -> Method:
    @wraps(method)
    def iterator(self: Derived, /, *args: Any, **given: Any) -> Any:
        return self._loop.iterate(method(self._original, *args, **given))

    return iterator


def _context(method: Method) -> Method:
    """The block is entered and left by two calls: the original must hold no cancel scope in between."""

    @contextmanager
    def context(self: Derived, /, *args: Any, **given: Any) -> Generator[Any]:
        opened = cast("AbstractAsyncContextManager[Any]", method(self._original, *args, **given))
        value = self._loop.call(opened.__aenter__)
        try:
            yield shown(value, self._loop)
        except BaseException as exc:
            if not self._loop.call(partial(opened.__aexit__, type(exc), exc, exc.__traceback__)):
                raise
        else:
            self._loop.call(partial(opened.__aexit__, None, None, None))

    return wraps(method)(context)


def _shown(value: Any, asked: Derived) -> Any:
    return asked if value is asked._original else shown(value, asked._loop)


def original_of(value: Any) -> Any:
    return value._original if isinstance(value, Derived) else value


def _parameters(method: Method) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(method).parameters


def _signature(method: Method) -> inspect.Signature:
    signature = inspect.signature(method)
    parameters = [
        each.replace(annotation=_annotation(each.annotation)) for each in signature.parameters.values()
    ]
    return signature.replace(
        parameters=parameters, return_annotation=_annotation(signature.return_annotation)
    )


def _annotation(annotation: Any) -> Any:
    changed = _CHANGED.get(get_origin(annotation))
    return annotation if changed is None else changed[get_args(annotation)]
