"""Consolidate in a process of its own: `consolidator.py DSN SCHEMA NAMESPACE NAME`, for each line of input.

Prints an episode when its extraction begins, and after each run how many episodes were consolidated. Its
facts say who extracted them.
"""

import sys

import anyio
from anyio import to_thread

from recollect import Episode, FactDraft, open_memory
from recollect.stores import Extractor


class Saying(Extractor):
    def __init__(self, name: str) -> None:
        self._name = name

    async def extract(self, episode: Episode, /) -> list[FactDraft]:
        print("extracts", episode.id, flush=True)  # noqa: T201
        return [FactDraft(episode.id, "was_read_by", f"{self._name} {n}") for n in range(2)]


async def main(dsn: str, schema: str, namespace: str, name: str) -> None:
    async with open_memory(
        postgres=dsn, schema=schema, namespace=namespace, deadline=60, extractor=Saying(name)
    ) as memory:
        print("ready", flush=True)  # noqa: T201
        while await to_thread.run_sync(sys.stdin.readline):
            report = await memory.user("alice").consolidate()
            print("consolidated", report.consolidated, len(report.failures), flush=True)  # noqa: T201


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:5])
