"""Count in a process of its own, by compare-and-set, once a line comes in: `counter.py URL NAMESPACE TIMES`.

Prints how often somebody else was faster.
"""

import sys
from typing import cast

import anyio
from anyio import to_thread

from recollect import Block, VersionConflict, open_memory


async def main(url: str, namespace: str, times: int) -> None:
    async with open_memory(redis=url, namespace=namespace, deadline=60, on_outage="error") as memory:
        blocks = memory.user("alice").blocks
        block, lost = await blocks.get("count"), 0
        print("ready", flush=True)  # noqa: T201
        await to_thread.run_sync(sys.stdin.readline)
        for _ in range(times):
            while True:
                before, version = (block.text, block.version) if block else ("0", 0)
                try:
                    block = await blocks.set("count", str(int(before) + 1), if_version=version)
                    break
                except VersionConflict as exc:
                    block = cast("Block | None", exc.current)
                    lost += 1
    print(lost, flush=True)  # noqa: T201


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:3], int(sys.argv[3]))
