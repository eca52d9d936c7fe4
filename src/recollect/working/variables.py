import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, cast

from .. import _json
from .._checks import check_id, check_ids, check_json, check_text
from .._workspace import (
    ClearVariables,
    DeleteVariable,
    GetVariables,
    ListKeys,
    ListVariables,
    SetVariable,
)
from ..errors import InvalidInput
from .reach import Reach

MAX_KEYS = 1_000
"""Keys of one `get_many`."""


class Variables(Reach):
    """JSON values by key, each with a time to live if wanted."""

    async def set(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """Set a variable; replaces its value and its time to live.

        Args:
            value: any JSON value. None is a value like any other.
            ttl: seconds, > 0, after which it is gone; None for `Limits.variable_ttl`.

        Raises:
            InvalidInput: also if there are `Limits.max_variables` of this scope already.
        """
        limits = self._composition.limits
        check_id("key", key)
        text = check_json("value", value, limit=limits.max_variable_bytes)
        ttl = limits.variable_ttl if ttl is None else _check_ttl(ttl)
        await self._edit(SetVariable(key, text, ttl, limits.max_variables))

    async def get(self, key: str, default: Any = None, *, inherit: bool = False) -> Any:
        """Return a value; the default if there is none.

        Args:
            inherit: if there is none, that of the agent, the tenant, or a parent of the handle.
        """
        look = GetVariables((check_id("key", key),))
        if not inherit:
            found = await self._look(look)
            return _json.loads(found[key].value) if key in found else default
        with self._as_one_call():
            for places in self._lineage():
                for found in await self._look_in(places, look):
                    if key in found:
                        return _json.loads(found[key].value)
        return default

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values that there are of these keys, at most 1000, in the order of the keys."""
        names = check_ids("keys", _taken(keys), limit=MAX_KEYS)
        found = await self._look(GetVariables(names))
        return {key: _json.loads(found[key].value) for key in names if key in found}

    async def delete(self, key: str) -> bool:
        """Delete a variable; return whether there was one."""
        return await self._edit(DeleteVariable(check_id("key", key)))

    async def exists(self, key: str) -> bool:
        """Return whether there is such a variable, whatever its value."""
        return key in await self._look(GetVariables((check_id("key", key),)))

    async def keys(self, pattern: str = "*") -> list[str]:
        """Return the keys, sorted.

        Args:
            pattern: as of `fnmatch.fnmatchcase`: `*`, `?`, `[seq]`, `[!seq]`.
        """
        check_text("pattern", pattern, limit=1024)
        return sorted(key for key in await self._look(ListKeys()) if fnmatchcase(key, pattern))

    async def items(self) -> dict[str, Any]:
        """Return all variables, by key in order."""
        found = await self._look(ListVariables())
        return {key: _json.loads(found[key].value) for key in sorted(found)}

    async def clear(self) -> int:
        """Delete all variables of the scope, and nothing else; return how many there were."""
        return await self._edit(ClearVariables())


def _taken(keys: object) -> object:
    """Return a list of what can be iterated over, as far as it is needed to tell whether that is too much."""
    if not isinstance(keys, Iterable) or isinstance(keys, str | bytes):
        return keys
    return list(islice(cast("Iterable[object]", keys), MAX_KEYS + 1))


def _check_ttl(ttl: object) -> float:
    # Compared, not converted: no float is as large as some integers.
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= sys.float_info.max:
        raise InvalidInput("ttl", "must be a number of seconds above 0, or None")
    return float(ttl)
