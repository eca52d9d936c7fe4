"""Long reads in process let other tasks run, and answer as of the moment they began at."""

from threading import Event
from uuid import uuid4

import anyio
import numpy as np
import pytest

from recollect import Tenant
from recollect._draft import text_digest
from recollect.inprocess import InProcessArchive, episodes
from recollect.stores import Candidates, Filters, Query
from recollect.stores.changes import Assert, Change, Claim, FactText, Retract, Rule
from recollect.stores.facts import FactFilter
from recollect.testing import Clock
from recollect.testing._material import episode, store

N = 4_000


async def _commit(archive: InProcessArchive, tenant: Tenant, *operations: Assert | Retract) -> None:
    key = str(uuid4())
    (outcome,) = await archive.facts.commit([Change(tenant, key, key.encode(), "add", operations)])
    assert not isinstance(outcome, Exception)


async def _filled(clock: Clock) -> tuple[InProcessArchive, Tenant, list[Assert]]:
    archive, tenant = InProcessArchive(clock=clock), Tenant("long", None)
    claim = Claim(clock.now, None, onset=True)
    said = [Assert(f"f{i}", f"s{i}", "is", '"there"', claim) for i in range(N)]
    await _commit(archive, tenant, *said)
    return archive, tenant, said


async def test_a_long_read_is_not_disturbed_by_what_is_written_meanwhile(
    anyio_backend: object, clock: Clock
) -> None:
    archive, tenant, said = await _filled(clock)
    filter = FactFilter(now=clock.now, during=(None, None))
    answers, done = [], anyio.Event()

    async def read() -> None:
        answers.append(await archive.facts.find(tenant, filter, after=None, limit=2 * N))
        answers.append(((await archive.facts.candidates(tenant, filter, None)).facts, None))
        done.set()

    written = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        while not done.is_set():
            await _commit(archive, tenant, Retract(str(uuid4()), said[-1 - written].id))
            written += not done.is_set()
    (found, basis), (candidates, _) = answers
    assert written > 5
    assert 1 <= basis < 1 + written
    then, _ = await archive.facts.find(
        tenant, FactFilter(now=clock.now, during=(None, None), known=basis), after=None, limit=2 * N
    )
    assert [fact.position for fact in found] == [fact.position for fact in then]
    assert len(found) == N - (basis - 1)
    assert N - written <= len(candidates) < N


async def test_a_long_read_answers_as_before_an_erasure_that_overtakes_it(
    anyio_backend: object, clock: Clock
) -> None:
    archive, tenant, _ = await _filled(clock)
    started = anyio.Event()
    counts: list[int] = []

    async def read() -> None:
        started.set()
        counts.append(await archive.facts.count(tenant, clock.now))

    async def adopt() -> None:
        await started.wait()
        # Takes every slot of the predicate apart, and puts others in their place.
        await archive.adopt_predicates({"is": Rule("one")}, replace=True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(adopt)
    assert counts == [N]
    assert await archive.facts.count(tenant, clock.now) == N
    assert await archive.facts.verify(tenant) == 0


async def test_an_erased_fact_leaves_no_vector_behind(anyio_backend: object, clock: Clock) -> None:
    archive, tenant = InProcessArchive(clock=clock), Tenant("erased", None)
    await store(archive, tenant, episode(id="e"))
    said = Assert("f", "s", "is", '"there"', Claim(clock.now, None, onset=True), sources=("e",))
    vector = np.ones((1, 4), dtype=np.float32)
    text = FactText(text_digest("s", "is", '"there"'), "there", ("there",), "ready", vector)
    await archive.facts.commit([Change(tenant, "k", b"d", "add", (said,), texts=(text,))])
    table = archive._tables.get(tenant)
    assert table is not None
    vectors = table.facts.texts._vectors
    assert vectors.view()[0].tolist() == [[1.0] * 4]
    await archive.facts.erase(tenant, ["e"])
    assert vectors.view()[0].tolist() == [[0.0] * 4]


class Gate:
    """A value to be filtered by that is compared when it is told to."""

    def __init__(self) -> None:
        self.reached, self.opened = Event(), Event()

    def __eq__(self, other: object) -> bool:
        self.reached.set()
        return self.opened.wait(10)

    __hash__ = None


async def test_a_look_at_many_episodes_is_not_disturbed_by_what_is_stored_meanwhile(
    anyio_backend: object, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episodes, "MANY", 2)
    archive, tenant = InProcessArchive(clock=clock), Tenant("long", None)
    near = np.ones((1, 4), dtype=np.float32) / 2

    async def remember() -> None:
        await store(archive, tenant, episode("a word", metadata={"n": 1}, vectors=near))

    for _ in range(3):
        await remember()
    gate, found = Gate(), list[Candidates]()

    async def look() -> None:
        query = Query(("word",), near[0], Filters(where={("n",): gate}))
        found.append(await archive.episodes.candidates(tenant, query))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        assert await anyio.to_thread.run_sync(gate.reached.wait, 10)
        await remember()
        gate.opened.set()
    (candidates,) = found
    assert candidates.seqs.tolist() == [1, 2, 3]
    assert candidates.cosine is not None
    assert candidates.cosine.tolist() == [1.0] * 3
    at, counts = candidates.postings["word"]
    assert (at.tolist(), counts.tolist()) == ([0, 1, 2], [1, 1, 1])
