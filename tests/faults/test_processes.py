"""Several processes write to one tenant, and one of them is killed."""

import sys
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.text import TextReceiveStream

from recollect import open_memory

from .racer import PREDICATES

RACER = str(Path(__file__).parent / "racer.py")
WRITER = str(Path(__file__).parent / "writer.py")
ROUNDS = 50


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


async def test_processes_that_race_on_one_fact_never_both_win(postgres_dsn: str, shared_schema: str) -> None:
    namespace = str(uuid4())
    command = [sys.executable, RACER, postgres_dsn, shared_schema, namespace]
    # The first one declares the predicates, which it may not while another one writes.
    async with open_memory(postgres=postgres_dsn, schema=shared_schema, predicates=PREDICATES):
        pass
    async with AsyncExitStack() as stack:
        racers = [
            await stack.enter_async_context(await anyio.open_process([*command, name])) for name in "ab"
        ]
        answers = [TextLines(racer) for racer in racers]
        assert [await lines.next() for lines in answers] == ["ready", "ready"]
        accepted: list[list[set[str]]] = []
        for round in range(ROUNDS):
            for racer in racers:
                assert racer.stdin is not None
                await racer.stdin.send(f"subject {round}\n".encode())
            accepted.append([set((await lines.next()).split()) for lines in answers])
        for racer in racers:
            assert racer.stdin is not None
            await racer.stdin.aclose()
    assert [sum("born_in" in each for each in both) for both in accepted] == [1] * ROUNDS
    assert all({"lives_in", "account"} <= each for both in accepted for each in both)
    async with open_memory(postgres=postgres_dsn, schema=shared_schema, namespace=namespace) as memory:
        facts = memory.user("alice").facts
        for round in range(ROUNDS):
            for predicate in ("lives_in", "born_in", "account"):
                now = (await facts.find(f"subject {round}", predicate)).items
                assert len(now) == 1
                known = [
                    each for each in await facts.history(f"subject {round}", predicate) if each.tx_to is None
                ]
                assert all(a.valid_to == b.valid_from for a, b in pairwise(known))


class TextLines:
    """The lines that a process prints."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._text = BufferedByteReceiveStream(process.stdout)

    async def next(self) -> str:
        with anyio.fail_after(60):
            return (await self._text.receive_until(b"\n", 10_000)).decode()
