"""Several processes write to one tenant, and one of them is killed."""

import sys
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.streams.text import TextReceiveStream

from recollect import open_memory

WRITER = str(Path(__file__).parent / "writer.py")


async def test_processes_that_write_to_one_tenant_lose_and_double_nothing(
    postgres_dsn: str, shared_schema: str
) -> None:
    namespace = str(uuid4())
    acknowledged: dict[str, int] = {}

    async def write(prefix: str) -> None:
        command = [sys.executable, WRITER, postgres_dsn, shared_schema, namespace, prefix, "150"]
        done = await anyio.run_process(command)
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        acknowledged.update({id: int(seq) for id, seq in lines})

    async with anyio.create_task_group() as tasks:
        for prefix in ("one", "other"):
            tasks.start_soon(write, prefix)
    async with open_memory(postgres=postgres_dsn, schema=shared_schema, namespace=namespace) as memory:
        stored = (await memory.user("alice").episodes.list(limit=1_000)).items
    assert len(acknowledged) == len(set(acknowledged.values())) == 300
    assert {each.id: each.seq for each in stored} == acknowledged
    instants = [each.recorded_at for each in stored]
    assert instants == sorted(set(instants))


async def test_what_was_acknowledged_survives_the_death_of_the_writer(
    postgres_dsn: str, shared_schema: str
) -> None:
    namespace, acknowledged = str(uuid4()), set[str]()
    command = [sys.executable, WRITER, postgres_dsn, shared_schema, namespace, "one", "100000"]
    async with await anyio.open_process(command) as writer:
        assert writer.stdout is not None
        text = ""
        async for piece in TextReceiveStream(writer.stdout):
            text += piece
            if text.count("\n") > 100:
                writer.kill()
                break
        acknowledged |= {line.split()[0] for line in text.splitlines(keepends=True) if line.endswith("\n")}
    async with open_memory(postgres=postgres_dsn, schema=shared_schema, namespace=namespace) as memory:
        alice = memory.user("alice")
        stored = {each.id for each in await alice.episodes.list(limit=1_000)}
        assert acknowledged <= stored
        await alice.remember("the next one")  # no lock was left behind
