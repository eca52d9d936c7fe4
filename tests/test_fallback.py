"""Working memory while its server is away: what happens when calls cross each other."""

from collections.abc import Sequence
from typing import Any, TypeVar

import anyio
import pytest

from recollect import Limits, StoreUnavailable, Tenant, VersionConflict
from recollect._fallback import FallbackWorking
from recollect._workspace import AppendBlock, Edit, GetBlock, ListBlocks, Look, SetBlock
from recollect.stores import Place, Stamp
from recollect.testing import Clock
from recollect.testing._outages import SwitchedServer, SwitchedWorking

T = TypeVar("T")

PLACE = Place(Tenant("n", "alice"))


class Held(SwitchedWorking):
    """A client whose answers to looks wait on the wire for as long as `holds` is there."""

    holds: anyio.Event | None = None
    asked: anyio.Event
    seconds = 0.0

    async def look(self, local: Any, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        found = await super().look(local, places, look)
        if self.holds is not None:
            self.asked.set()
            await self.holds.wait()
        return found


def set_block(text: str, if_version: int | None = None) -> Edit[Any]:
    return SetBlock("persona", text, if_version, 100)


@pytest.fixture
def client() -> Held:
    return Held(SwitchedServer(clock=Clock()))


@pytest.fixture
def store(client: Held) -> FallbackWorking:
    return FallbackWorking(client, clock=Clock(), now=lambda: client.seconds)


async def test_an_answer_that_an_edit_overtook_teaches_nothing(client: Held, store: FallbackWorking) -> None:
    local = store.local()
    await store.apply(local, PLACE, set_block("old"), Stamp("1"))
    client.holds, client.asked = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.look, local, (PLACE,), ListBlocks())
        await client.asked.wait()
        await store.apply(local, PLACE, set_block("new"), Stamp("2"))
        client.holds.set()
    client.outage = "away"
    (block,) = await store.look(local, (PLACE,), GetBlock("persona"))
    assert block is not None
    assert block.text == "new"


async def test_a_version_of_an_outage_is_none_that_the_server_gives_meanwhile(
    client: Held, store: FallbackWorking
) -> None:
    local = store.local()
    first = await store.apply(local, PLACE, set_block("first"), Stamp("1"))
    client.outage = "away"
    ours = await store.apply(local, PLACE, set_block("ours", first.version), Stamp("2"))
    elsewhere = client._server.connect()
    theirs = await elsewhere.apply(elsewhere.local(), PLACE, set_block("theirs", first.version), Stamp("3"))
    assert theirs.version == first.version + 1
    assert ours.version > theirs.version
    client.outage = None
    client.seconds += 60
    with pytest.raises(VersionConflict):  # what was read here is not what is there
        await store.apply(local, PLACE, set_block("more", ours.version), Stamp("4"))


async def test_of_many_who_notice_that_the_server_is_back_one_sends_the_log(
    client: Held, store: FallbackWorking
) -> None:
    local = store.local()
    await store.apply(local, PLACE, set_block(""), Stamp("0"))
    client.outage = "away"
    for i in range(20):
        await store.apply(local, PLACE, AppendBlock("persona", f"<{i}>", 10_000, 100), Stamp(f"a{i}"))
    client.outage = None
    client.seconds += 60
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(store.look, local, (PLACE,), GetBlock("persona"))
    (block,) = await store.look(local, (PLACE,), GetBlock("persona"))
    assert block is not None
    assert block.text == "".join(f"<{i}>" for i in range(20))
    assert store.unsaved(local) == 0


async def test_what_is_answered_from_here_does_not_tell_that_the_server_is_back(
    client: Held, store: FallbackWorking, caplog: pytest.LogCaptureFixture
) -> None:
    local = store.local()
    await store.apply(local, PLACE, set_block("first"), Stamp("1"))
    client.outage = "away"
    await store.apply(local, PLACE, set_block("second"), Stamp("2"))
    since = store.status(local).since
    for _ in range(5):
        client.seconds += 60  # by now it may be asked
        (block,) = await store.look(local, (PLACE,), GetBlock("persona"))
        assert block is not None
        assert block.text == "second"
        status = store.status(local)
        assert (status.source, status.degraded, status.since) == ("local", True, since)
    assert len(caplog.records) == 1


async def test_what_is_too_much_to_keep_is_refused_and_not_lost(client: Held) -> None:
    store = FallbackWorking(client, limits=Limits(max_unsaved=3), clock=Clock())
    local = store.local()
    await store.apply(local, PLACE, set_block("-"), Stamp("0"))
    client.outage = "away"
    for i in range(3):
        await store.apply(local, PLACE, AppendBlock("persona", f"{i}", 10_000, 100), Stamp(f"a{i}"))
    with pytest.raises(StoreUnavailable, match="max_unsaved"):
        await store.apply(local, PLACE, AppendBlock("persona", "3", 10_000, 100), Stamp("a3"))
    (block,) = await store.look(local, (PLACE,), GetBlock("persona"))
    assert block is not None
    assert block.text == "-012"
