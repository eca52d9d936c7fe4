"""Several processes consolidate one tenant at once, and some of them are killed."""

import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from recollect import EpisodeDraft, Fact, FactDraft, UserMemory, open_memory

from .test_processes import TextLines

CONSOLIDATOR = str(Path(__file__).parent / "consolidator.py")
EPISODES = 120

Start = Callable[[str], AbstractAsyncContextManager[tuple[Process, TextLines]]]


@pytest.fixture
async def alice(
    anyio_backend: object, postgres_dsn: str, shared_schema: str, namespace: str
) -> AsyncIterator[UserMemory]:
    async with open_memory(postgres=postgres_dsn, schema=shared_schema, namespace=namespace) as memory:
        handle = memory.user("alice")
        await handle.remember_many([EpisodeDraft(f"turn {n}", id=f"e{n}") for n in range(EPISODES)])
        yield handle


@pytest.fixture
def start(postgres_dsn: str, shared_schema: str, namespace: str) -> Start:
    @asynccontextmanager
    async def start(name: str) -> AsyncIterator[tuple[Process, TextLines]]:
        command = [sys.executable, CONSOLIDATOR, postgres_dsn, shared_schema, namespace, name]
        async with await anyio.open_process(command) as process:
            lines = TextLines(process)
            assert await lines.next() == "ready"
            yield process, lines

    return start


async def go(process: Process) -> None:
    assert process.stdin is not None
    await process.stdin.send(b"go\n")


async def outcome(lines: TextLines) -> int:
    """Return how many episodes a run has consolidated."""
    while not (line := await lines.next()).startswith("consolidated"):
        pass
    _, consolidated, failures = line.split()
    assert failures == "0"
    return int(consolidated)


async def readers(alice: UserMemory) -> dict[str, set[str]]:
    """Return who has read each episode, once it is sure that all of a reading is there, once."""
    facts = [fact async for fact in all_facts(alice)]
    assert all(fact.support == 1 for fact in facts)
    said = Counter((fact.subject, fact.object.split()[0]) for fact in facts)
    assert set(said.values()) <= {2}, "a part of what an episode says, or more than that"
    found: dict[str, set[str]] = {}
    for episode, reader in said:
        found.setdefault(episode, set()).add(reader)
    return found


async def all_facts(alice: UserMemory) -> AsyncIterator[Fact]:
    cursor = None
    while True:
        page = await alice.facts.find(limit=1_000, cursor=cursor)
        for fact in page:
            yield fact
        cursor = page.cursor
        if cursor is None:
            return


async def test_two_processes_land_every_episode_once(alice: UserMemory, start: Start) -> None:
    async with start("one") as (one, answers_one), start("other") as (other, answers_other):
        for process in (one, other):
            await go(process)
        landed = [await outcome(lines) for lines in (answers_one, answers_other)]
    assert sum(landed) == EPISODES
    found = await readers(alice)
    assert set(found) == {f"e{n}" for n in range(EPISODES)}
    assert all(len(each) == 1 for each in found.values())
    assert await alice._composition.archive.episodes.count_unconsolidated(alice._scope.tenant) == 0


@pytest.mark.parametrize("extractions", [1, 30, 70])
async def test_what_a_killed_process_has_not_landed_lands_with_the_next_one(
    alice: UserMemory, start: Start, extractions: int
) -> None:
    async with start("victim") as (victim, lines):
        await go(victim)
        for _ in range(extractions):
            assert (await lines.next()).startswith("extracts")
        victim.kill()
    before = await readers(alice)
    async with start("heir") as (heir, lines):
        await go(heir)
        landed = await outcome(lines)
    found = await readers(alice)
    assert set(found) == {f"e{n}" for n in range(EPISODES)}
    assert all(len(each) == 1 for each in found.values())
    assert landed == sum(each == {"heir"} for each in found.values()) > 0
    assert {id for id, each in found.items() if each == {"victim"}} >= set(before)
    assert isinstance(await alice.facts.add_many([FactDraft("a", "b", "c")]), tuple), "no lock was left"


@pytest.mark.parametrize("extractions", [1, 20])
async def test_one_killed_in_the_middle_leaves_the_other_to_land_every_episode_once(
    alice: UserMemory, start: Start, extractions: int
) -> None:
    async with start("victim") as (victim, lines), start("other") as (other, answers):
        for process in (victim, other):
            await go(process)
        for _ in range(extractions):
            assert (await lines.next()).startswith("extracts")
        victim.kill()
        landed = await outcome(answers)
    found = await readers(alice)
    assert set(found) == {f"e{n}" for n in range(EPISODES)}
    assert all(len(each) == 1 for each in found.values())
    assert landed == sum(each == {"other"} for each in found.values())
    assert (await alice.facts.count()) == 2 * EPISODES
