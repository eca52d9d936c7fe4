"""Add facts in a process of its own, a round for each line of input: `racer.py DSN SCHEMA NAMESPACE NAME`.

Prints, for each round, what was accepted.
"""

import sys

import anyio
from anyio import to_thread

from recollect import FactConflict, Predicate, open_memory

PREDICATES = (
    Predicate("lives_in", cardinality="one"),
    Predicate("born_in", immutable=True),
    Predicate("account", key="email"),
)


async def main(dsn: str, schema: str, namespace: str, name: str) -> None:
    opening = open_memory(
        postgres=dsn, schema=schema, namespace=namespace, deadline=60, predicates=PREDICATES
    )
    async with opening as memory:
        facts = memory.user("alice").facts
        print("ready", flush=True)  # noqa: T201
        while line := await to_thread.run_sync(sys.stdin.readline):
            subject, accepted = line.strip(), list[str]()
            account = {"email": subject, "by": name}
            for predicate, object in (("lives_in", name), ("born_in", name), ("account", account)):
                try:
                    await facts.add(subject, predicate, object)
                    accepted.append(predicate)
                except FactConflict:
                    pass
            print(*accepted, flush=True)  # noqa: T201


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:5])
