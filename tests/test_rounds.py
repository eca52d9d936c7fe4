"""Consolidating whoever has something new, round after round, until it is cancelled."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from typing import Any

import anyio
import pytest

from recollect import (
    EpisodeDraft,
    InvalidInput,
    Memory,
    MemoryClosed,
    StoreUnavailable,
    UserMemory,
    open_memory,
)
from recollect._rounds import LONGEST, OUTAGE
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.stores import Directory

from .conftest import Connect
from .extraction import FunctionExtractor, Gate, failing_on, words
from .faults.interruption import until
from .properties.virtual_time import LOOPS, run

MINUTE = 60.0
SECRET = "the canary sings"

in_virtual_time = pytest.mark.parametrize("loop", LOOPS)


def in_process(extractor: FunctionExtractor) -> closing[Memory]:
    """Open a memory without a thread, for which virtual time would not wait."""
    return closing(Memory(archive=InProcessArchive(), working=InProcessWorking(), extractor=extractor))


async def for_minutes(memory: Memory, minutes: float) -> None:
    with anyio.move_on_after(minutes * MINUTE) as scope:
        await memory.consolidate(interval=MINUTE)
    assert scope.cancelled_caught


async def while_it_runs(memory: Memory, holds: Callable[[], bool], **options: Any) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(memory.consolidate, interval=0.001, **options))
        await until(holds, "it was not consolidated")
        tasks.cancel_scope.cancel()


async def count(alice: UserMemory) -> int:
    return await alice.facts.count()


async def test_every_user_of_the_namespace_is_consolidated(connect: Connect) -> None:
    extractor = FunctionExtractor(words)
    async with connect(extractor=extractor) as memory:
        users = [None, *(f"user {n}" for n in range(12))]
        for user in users:
            await memory.user(user).remember_many([EpisodeDraft("a"), EpisodeDraft("b")])
        await memory.user("elsewhere", namespace="check-other").remember("c")

        def landed() -> bool:
            return memory.statistics().writes >= 3 * len(users) + 1

        await while_it_runs(memory, landed)
        assert [await count(memory.user(user)) for user in users] == [2] * len(users)
        assert "c" not in extractor.inputs
        assert len(extractor.seen) == 2 * len(users)


@in_virtual_time
def test_who_has_nothing_new_is_not_looked_at_and_what_is_new_is(loop: str) -> None:
    async def scenario() -> None:
        extractor = FunctionExtractor(words)
        with in_process(extractor) as memory:
            alice, bob = memory.user("alice"), memory.user("bob")
            await alice.remember("one")
            await for_minutes(memory, 2.5)
            assert extractor.inputs == ["one"]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(memory.consolidate, interval=MINUTE))
                await anyio.sleep(1.5 * MINUTE)
                await bob.remember("two")
                await anyio.sleep(MINUTE)
                tasks.cancel_scope.cancel()
            assert extractor.inputs == ["one", "two"]
            assert await count(bob) == 1

    run(scenario, loop=loop)


@in_virtual_time
def test_what_keeps_failing_is_tried_in_ever_fewer_rounds(loop: str) -> None:
    async def scenario() -> None:
        extractor = failing_on("bad")
        rounds: list[float] = []
        fails = extractor.function

        async def extract(episode: Any) -> Any:
            rounds.append(round((anyio.current_time() - start) / MINUTE))
            return await fails(episode)

        extractor.function = extract
        with in_process(extractor) as memory:
            await memory.user("alice").remember("bad")
            start = anyio.current_time()
            await for_minutes(memory, 130)
            assert rounds == [0, 1, 3, 7, 15, 31, 63, 95, 127]
            assert rounds[-1] - rounds[-2] == LONGEST
            # It holds up nobody, and asked for by name it is tried at once.
            assert (await memory.user("alice").consolidate()).considered == 1
            # Of what has failed long ago, nothing is held against what is new.
            await memory.user("alice").remember("good")
            await for_minutes(memory, 0.5)
            assert await count(memory.user("alice")) == 1

    run(scenario, loop=loop)


async def test_what_goes_wrong_is_logged_without_a_word_of_it(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    extractor = failing_on(SECRET, exception=ValueError(SECRET))
    async with connect(extractor=extractor) as memory:
        await memory.user("alice").remember_many([EpisodeDraft(SECRET), EpisodeDraft("fine")])
        await while_it_runs(memory, lambda: bool(caplog.records) and len(extractor.seen) >= 2)
    record = caplog.records[0]
    assert (record.name, record.levelno) == ("recollect", logging.WARNING)
    assert "'alice'" in record.getMessage()
    assert "1 of 2 episodes" in record.getMessage()
    assert SECRET not in caplog.text


class UnsteadyDirectory(Directory):
    """Fails now and then, and tells of a tenant only what it was told to fail with."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.away = False

    async def tenants(self, *, after: Any, limit: int) -> Any:
        return await self._directory.tenants(after=after, limit=limit)

    async def users(self, namespace: str, *, after: str | None, limit: int) -> Any:
        return await self._directory.users(namespace, after=after, limit=limit)

    async def has_named_users(self, namespace: str) -> bool:
        return await self._directory.has_named_users(namespace)

    async def unconsolidated(self, namespace: str, *, after: str | None, limit: int) -> Any:
        if self.away:
            raise StoreUnavailable(SECRET)
        return await self._directory.unconsolidated(namespace, after=after, limit=limit)


class UnsteadyArchive(InProcessArchive):
    def __init__(self) -> None:
        super().__init__()
        self.unsteady = UnsteadyDirectory(super().directory)

    @property
    def directory(self) -> Any:
        return self.unsteady


@in_virtual_time
def test_an_outage_is_waited_for_and_told_of_once(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        archive, extractor = UnsteadyArchive(), FunctionExtractor(words)
        memory = Memory(archive=archive, working=InProcessWorking(), extractor=extractor)
        await memory.user("alice").remember("one")
        archive.unsteady.away = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(memory.consolidate, interval=MINUTE))
            await anyio.sleep(5.5 * MINUTE)
            assert extractor.seen == []
            archive.unsteady.away = False
            await anyio.sleep(3 * MINUTE)
            tasks.cancel_scope.cancel()
        assert extractor.inputs == ["one"]

    run(scenario, loop=loop)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["consolidation waits: the store does not answer", "consolidation goes on"]


class Broken(InProcessArchive):
    """Has tenants whose episodes cannot be read."""

    def __init__(self, failures: dict[str | None, Exception]) -> None:
        super().__init__()
        read: Callable[..., Awaitable[Any]] = super().episodes.unconsolidated

        async def unconsolidated(tenant: Any, **options: Any) -> Any:
            if tenant.user_id in failures:
                raise failures[tenant.user_id]
            return await read(tenant, **options)

        super().episodes.unconsolidated = unconsolidated  # type: ignore[method-assign]


@in_virtual_time
def test_a_tenant_that_cannot_be_read_holds_up_no_other(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        archive = Broken({"a": RuntimeError(SECRET), "b": StoreUnavailable(SECRET)})
        extractor = FunctionExtractor(words)
        memory = Memory(archive=archive, working=InProcessWorking(), extractor=extractor)
        for user in "abcd":
            await memory.user(user).remember(user)
        await for_minutes(memory, 0.5)
        assert sorted(extractor.inputs) == ["c", "d"]

    run(scenario, loop=loop)
    told = sorted(record.getMessage() for record in caplog.records)
    assert [("'a'" in each, "'b'" in each) for each in told] == [(True, False), (False, True)]
    assert "RuntimeError" in told[0]
    assert SECRET not in caplog.text


@in_virtual_time
def test_a_round_is_over_when_no_tenant_can_be_read(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        users = [str(n) for n in range(20)]
        archive = Broken({user: StoreUnavailable(SECRET) for user in users})
        memory = Memory(archive=archive, working=InProcessWorking(), extractor=FunctionExtractor(words))
        for user in users:
            await memory.user(user).remember("one")
        await for_minutes(memory, 0.5)

    run(scenario, loop=loop)
    *tenants, outage = [record.getMessage() for record in caplog.records]
    assert len(tenants) == OUTAGE
    assert outage == "consolidation waits: the store does not answer"


@in_virtual_time
def test_it_ends_when_the_memory_is_closed(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        gate = Gate()
        with in_process(FunctionExtractor(gate.extract)) as memory:
            await memory.user("alice").remember("one")

            async def close() -> None:
                await gate.arrived.wait()
                memory.close()
                gate.opened.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close)
                with pytest.raises(MemoryClosed):
                    await memory.consolidate(interval=MINUTE)

    run(scenario, loop=loop)
    assert caplog.records == []


@in_virtual_time
def test_cancelled_in_the_middle_it_leaves_the_rest_for_another_time(loop: str) -> None:
    async def scenario() -> None:
        gate = Gate()
        extractor = FunctionExtractor(gate.extract)
        with in_process(extractor) as memory:
            alice = memory.user("alice")
            await alice.remember("one")
            await for_minutes(memory, 10)
            assert await count(alice) == 0
            assert memory.statistics().leased == 0
            gate.opened.set()
            await for_minutes(memory, 0.5)
            assert await count(alice) == 1

    run(scenario, loop=loop)


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), True, "60", None])
async def test_an_interval_that_is_none_is_refused(interval: Any) -> None:
    async with open_memory(extractor=FunctionExtractor(words)) as memory:
        with pytest.raises(InvalidInput, match="interval"):
            await memory.consolidate(interval=interval)
        with pytest.raises(InvalidInput, match="namespace"):
            await memory.consolidate(interval=1, namespace=" ")
