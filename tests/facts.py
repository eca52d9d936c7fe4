"""What the tests of facts have in common. A predicate has the same rule in all of them: they share tables."""

from datetime import UTC, datetime
from typing import Any

from recollect import Fact, Predicate, UserMemory

HOME = Predicate("api_home", cardinality="one")
"""One value at a time; "likes", which nobody declares, has many."""

SINCE_2020 = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
"""What a test's clock says at first."""


def since(year: int, month: int = 1, day: int = 1) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


async def move(alice: UserMemory, *homes: tuple[str, int]) -> list[Fact]:
    """Say where alice has lived since which year, in this order."""
    return [await alice.facts.add("alice", HOME.name, place, valid_from=since(year)) for place, year in homes]


async def objects(alice: UserMemory, *args: Any, **kwargs: Any) -> list[Any]:
    return [fact.object for fact in await alice.facts.find(*args, **kwargs)]
