from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import InvalidInput
from .space import VARIABLES, Edit, Look, Part, Variable, Workspace


@dataclass(frozen=True, slots=True)
class GetVariables(Look[dict[str, Variable]]):
    """Those of `keys` that there are."""

    keys: tuple[str, ...]

    @property
    def needs(self) -> tuple[Part, ...]:
        return tuple(map(_part, self.keys))

    def look(self, space: Workspace, now: datetime) -> dict[str, Variable]:
        found = {key: space.variable(key, now) for key in self.keys}
        return {key: each for key, each in found.items() if each is not None}

    def learn(self, space: Workspace, found: dict[str, Variable], now: datetime) -> None:
        for key in self.keys:
            _learn(space, key, found.get(key))


@dataclass(frozen=True, slots=True)
class ListVariables(Look[dict[str, Variable]]):
    """All variables."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (VARIABLES,)

    def look(self, space: Workspace, now: datetime) -> dict[str, Variable]:
        return dict(space.sweep(now))

    def learn(self, space: Workspace, found: dict[str, Variable], now: datetime) -> None:
        space.variables = dict(found)
        space.known.add(VARIABLES)


@dataclass(frozen=True, slots=True)
class ListKeys(Look[tuple[str, ...]]):
    """The keys of all variables, in any order."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (VARIABLES,)

    def look(self, space: Workspace, now: datetime) -> tuple[str, ...]:
        return tuple(space.sweep(now))


@dataclass(frozen=True, slots=True)
class SetVariable(Edit[None]):
    """Give a variable this value, and this time to live or none.

    Attributes:
        value: JSON text.
        ttl: seconds, > 0; None for ever.
        at_most: variables in the scope.
    """

    key: str
    value: str
    ttl: float | None
    at_most: int

    @property
    def settles(self) -> tuple[Part, ...]:
        return (_part(self.key),)

    def apply(self, space: Workspace, now: datetime) -> None:
        new = self.key not in space.variables
        if new and len(space.variables) >= self.at_most and len(space.sweep(now)) >= self.at_most:
            raise too_many(self.at_most)
        space.variables[self.key] = self._made(now)

    def apply_late(self, space: Workspace, made_at: datetime) -> None:
        if not _is_newer(space.variables.get(self.key), made_at):
            self.apply(space, made_at)

    def learn(self, space: Workspace, result: None, now: datetime) -> None:
        _learn(space, self.key, self._made(now))

    def _made(self, now: datetime) -> Variable:
        return Variable(self.value, None if self.ttl is None else after(now, self.ttl), now)


@dataclass(frozen=True, slots=True)
class DeleteVariable(Edit[bool]):
    key: str

    @property
    def needs(self) -> tuple[Part, ...]:
        return (_part(self.key),)

    def apply(self, space: Workspace, now: datetime) -> bool:
        found = space.variable(self.key, now) is not None
        space.variables.pop(self.key, None)
        return found

    def apply_late(self, space: Workspace, made_at: datetime) -> bool:
        return not _is_newer(space.variables.get(self.key), made_at) and self.apply(space, made_at)

    def learn(self, space: Workspace, result: bool, now: datetime) -> None:
        _learn(space, self.key, None)


@dataclass(frozen=True, slots=True)
class ClearVariables(Edit[int]):
    """Drop all variables, and nothing else; returns how many there were."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (VARIABLES,)

    def apply(self, space: Workspace, now: datetime) -> int:
        count = len(space.sweep(now))
        space.variables.clear()
        return count

    def apply_late(self, space: Workspace, made_at: datetime) -> int:
        found = space.sweep(made_at)
        space.variables = {key: each for key, each in found.items() if _is_newer(each, made_at)}
        return len(found) - len(space.variables)

    def learn(self, space: Workspace, result: int, now: datetime) -> None:
        space.variables.clear()
        space.known.add(VARIABLES)


def after(now: datetime, left: float | timedelta) -> datetime | None:
    """Return the instant so much later, or so many seconds; None if no calendar reaches it."""
    try:
        return now + (left if isinstance(left, timedelta) else timedelta(seconds=left))
    except OverflowError:
        return None


def _is_newer(variable: Variable | None, made_at: datetime) -> bool:
    return variable is not None and variable.written_at is not None and variable.written_at > made_at


def too_many(at_most: int) -> InvalidInput:
    reason = f"there are {at_most} variables already; delete one, or raise Limits.max_variables"
    return InvalidInput("key", reason)


def _part(key: str) -> Part:
    return (*VARIABLES, key)


def _learn(space: Workspace, key: str, found: Variable | None) -> None:
    if found is None:
        space.variables.pop(key, None)
    else:
        space.variables[key] = found
    space.known.add(_part(key))
