"""Extractors of tests: plain functions, which may wait to be let go."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from recollect import Episode, FactDraft
from recollect.stores import Extractor

Function = Callable[[Episode], Awaitable[Any]]


class FunctionExtractor(Extractor):
    """Calls a function, and notes what it was called with."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.seen: list[Episode] = []

    async def extract(self, episode: Episode, /) -> Sequence[FactDraft]:
        self.seen.append(episode)
        found: Sequence[FactDraft] = await self.function(episode)
        return found

    @property
    def inputs(self) -> list[str]:
        return [episode.input for episode in self.seen]


async def words(episode: Episode) -> list[FactDraft]:
    """Say of each word that somebody has said it."""
    return [FactDraft("somebody", "said", word) for word in episode.input.split()]


def failing_on(*inputs: str, exception: Exception | None = None) -> FunctionExtractor:
    async def extract(episode: Episode) -> list[FactDraft]:
        if episode.input in inputs:
            raise exception or ValueError(f"cannot read {episode.input}")
        return await words(episode)

    return FunctionExtractor(extract)


class Gate:
    """Holds extractions up until it is opened."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.opened = anyio.Event()

    async def extract(self, episode: Episode) -> list[FactDraft]:
        self.arrived.set()
        await self.opened.wait()
        return await words(episode)
