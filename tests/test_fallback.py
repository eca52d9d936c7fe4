"""Working memory while its server is away: what happens when calls cross each other."""

import gc
from collections.abc import Sequence
from typing import Any, TypeVar

import anyio
import pytest

from recollect import IdempotencyConflict, Limits, StoreUnavailable, Tenant, VersionConflict, _standby
from recollect._fallback import FallbackWorking
from recollect._unsaved import Replica
from recollect._workspace import (
    AppendBlock,
    DeleteBlock,
    Edit,
    GetBlock,
    GetTask,
    GetVariables,
    ListBlocks,
    Look,
    SetBlock,
    SetVariable,
)
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


def replicas_at_hand() -> int:
    gc.collect()
    return sum(isinstance(each, Replica) for each in gc.get_objects())


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


async def test_a_deletion_whose_reply_was_lost_is_known_to_be_one(
    client: Held, store: FallbackWorking
) -> None:
    local = store.local()
    await store.apply(local, PLACE, set_block("old"), Stamp("1"))
    client.outage = "reply lost"
    assert await store.apply(local, PLACE, DeleteBlock("persona"), Stamp("2"))
    client.outage = None
    client.seconds += 60
    await store.look(local, (PLACE,), GetTask())
    assert store.unsaved(local) == 0
    client.outage = "away"
    assert await store.look(local, (PLACE,), GetBlock("persona")) == (None,)


async def test_what_is_known_of_more_tenants_than_are_at_hand_is_answered(
    client: Held, store: FallbackWorking
) -> None:
    held = [(store.local(), Place(Tenant("n", f"user{i}"))) for i in range(2 * _standby.AT_HAND)]
    for local, place in held:
        await store.apply(local, place, set_block(f"of {place.tenant.user_id}"), Stamp("key", "digest"))
    assert replicas_at_hand() == _standby.AT_HAND
    client.outage = "away"
    for local, place in held:
        (block,) = await store.look(local, (place,), GetBlock("persona"))
        assert block is not None
        assert block.text == f"of {place.tenant.user_id}"
        assert await store.apply(local, place, set_block(block.text), Stamp("key", "digest")) == block
        with pytest.raises(IdempotencyConflict):
            await store.apply(local, place, set_block("else"), Stamp("key", "other"))
        with pytest.raises(StoreUnavailable):
            await store.look(local, (place,), ListBlocks())


async def test_what_is_unsaved_stays_at_hand_until_it_is_saved(
    client: Held, store: FallbackWorking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_standby, "AT_HAND", 0)
    local = store.local()
    first = await store.apply(local, PLACE, set_block("first"), Stamp("1"))
    client.outage = "away"
    await store.apply(local, PLACE, set_block("second", first.version), Stamp("2"))
    (replica,) = local.replicas.values()
    await store.look(local, (PLACE,), GetBlock("persona"))
    assert local.replicas[PLACE] is replica
    client.outage = None
    client.seconds += 60
    await store.look(local, (PLACE,), GetBlock("persona"))
    assert store.unsaved(local) == 0
    assert local.replicas[PLACE] is not replica
    assert local.replicas[PLACE].space.blocks["persona"].text == "second"


async def test_what_a_call_is_using_stays_at_hand(
    client: Held, store: FallbackWorking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_standby, "AT_HAND", 1)
    local, other = store.local(), store.local()
    await store.apply(local, PLACE, set_block("first"), Stamp("1"))
    client.holds, client.asked = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.look, local, (PLACE,), ListBlocks())
        await client.asked.wait()
        for i in range(3):  # others end meanwhile, of other tenants and of this one
            await store.apply(other, Place(Tenant("n", "bob")), set_block("his"), Stamp(f"b{i}"))
            await store.apply(store.local(), Place(Tenant("n", f"{i}")), set_block(""), Stamp("0"))
            if i == 1:
                await store.apply(local, PLACE, SetVariable("state", "1", None, 100), Stamp("2"))
        client.holds.set()
    client.outage = "away"
    ((block,),) = await store.look(local, (PLACE,), ListBlocks())
    assert block.text == "first"
    (found,) = await store.look(local, (PLACE,), GetVariables(("state",)))
    assert found["state"].value == "1"


async def test_what_was_forgotten_does_not_come_back_from_what_was_packed(
    client: Held, store: FallbackWorking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_standby, "AT_HAND", 0)
    local, session = store.local(), Place(PLACE.tenant, None, "s1")
    for place in (PLACE, session):
        await store.apply(local, place, set_block("secret"), Stamp(f"of {place.session_id}"))
    await store.erase(local, PLACE.tenant, "s1")
    assert not replicas_at_hand()
    client.outage = "away"
    (block,) = await store.look(local, (PLACE,), GetBlock("persona"))
    assert block is not None
    with pytest.raises(StoreUnavailable):
        await store.look(local, (session,), GetBlock("persona"))
