"""Remember in a process of its own: `writer.py DSN SCHEMA NAMESPACE PREFIX COUNT`; print what was stored."""

import sys

import anyio

from recollect import open_memory


async def main(dsn: str, schema: str, namespace: str, prefix: str, count: int) -> None:
    async with open_memory(postgres=dsn, schema=schema, namespace=namespace, deadline=60) as memory:
        alice = memory.user("alice")

        async def remember(n: int) -> None:
            stored = await alice.remember(f"{prefix} says {n}", id=f"{prefix}-{n}")
            print(stored.id, stored.seq, flush=True)  # noqa: T201

        for first in range(0, count, 16):
            async with anyio.create_task_group() as tasks:
                for n in range(first, min(first + 16, count)):
                    tasks.start_soon(remember, n)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:5], int(sys.argv[5]))
