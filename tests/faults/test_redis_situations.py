"""Each way in which Redis can be of no use has its outcome, with real servers in that situation."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import anyio
import pytest

from recollect import (
    ConfigurationError,
    OutcomeUnknown,
    StoreUnavailable,
    open_memory,
)

from ..redis_servers import RedisServer
from .interruption import HANGS
from .redis_memories import (
    DEADLINE,
    KEY,
    PASSWORD,
    TEXT,
    THERE,
    Start,
    heal,
    lines,
    opened,
    texts,
    write_elsewhere,
)
from .redis_situations import AWAY, MISTAKES, WRITES_ONLY


@pytest.fixture
def server(redis_server: Start) -> RedisServer:
    return redis_server(requirepass=PASSWORD)


def _deadline(name: str) -> float:
    """Return what a call may take: little if it is waited for in vain."""
    return DEADLINE if name == "timeout" else 60.0


@pytest.mark.parametrize("name", AWAY)
async def test_outage_that_is_to_be_an_error_is_one_and_ends(
    server: RedisServer, namespace: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    deadline = _deadline(name)
    async with opened(server, namespace, on_outage="error", deadline=deadline) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        with AWAY[name](server):
            with pytest.raises(StoreUnavailable) as looked:
                await alice.blocks.list()
            with pytest.raises(StoreUnavailable) as edited:
                await alice.blocks.append("persona", "!", key=KEY)
            if name != "cut-off replica":  # which answers that it is there
                assert not (await alice.working.health()).ok
            if name not in ("cut-off replica", "loading"):  # which answer who they are
                with pytest.raises(StoreUnavailable):
                    async with opened(server, namespace, on_outage="error", deadline=deadline):
                        raise AssertionError("it was opened")
        for error in (looked.value, edited.value):
            assert TEXT not in f"{error!r}"
            assert PASSWORD not in f"{error!r} {error.__cause__!r}"
        assert (await alice.blocks.append("persona", "!", key=KEY)).text == f"{TEXT}!"
        assert await texts(alice) == [f"{TEXT}!"]
        assert (await alice.working.health()).ok
    assert lines(caplog) == []


@pytest.mark.parametrize("name", AWAY)
async def test_outage_is_bridged_with_what_is_known_and_never_read_as_empty(
    server: RedisServer, namespace: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await write_elsewhere(server, namespace, "bob")
    async with opened(server, namespace, deadline=_deadline(name)) as memory:
        alice, bob = memory.user("alice"), memory.user("bob")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        await alice.scratchpad.append("before")
        assert alice.working.status == THERE
        with AWAY[name](server):
            assert await texts(alice) == [TEXT]
            assert (await alice.blocks.append("persona", "!")).text == f"{TEXT}!"
            await alice.variables.set(KEY, TEXT)
            await alice.scratchpad.append("during")
            assert await texts(alice) == [f"{TEXT}!"]
            assert await alice.variables.get(KEY) == TEXT
            status = alice.working.status
            assert (status.source, status.degraded, status.unsaved) == ("local", True, 3)
            assert status.since is not None
            for unknown in (bob.blocks.list, alice.variables.items, alice.checkpoints.create):
                with pytest.raises(StoreUnavailable):
                    await unknown()
        await heal(alice)
        assert await texts(bob) == ["plan of bob"]
    async with opened(server, namespace) as other:
        alice = other.user("alice")
        assert await texts(alice) == [f"{TEXT}!"]
        assert await alice.variables.items() == {KEY: TEXT}
        assert [note.text for note in await alice.scratchpad.entries()] == ["before", "during"]
        assert await alice.working.conflicts() == ()
    went, came = lines(caplog)
    assert "does not answer" in went
    assert "is back" in came


@pytest.mark.parametrize("name", WRITES_ONLY)
async def test_server_that_takes_no_writes_raises_for_these_alone_if_an_outage_is_an_error(
    server: RedisServer, namespace: str, name: str
) -> None:
    async with opened(server, namespace, on_outage="error") as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.checkpoints.create()
        edits: Sequence[Callable[[], Any]] = (
            lambda: alice.blocks.append("persona", "!"),
            lambda: alice.variables.set(KEY, TEXT),
            lambda: alice.scratchpad.append(TEXT),
            alice.checkpoints.create,
        )
        with WRITES_ONLY[name](server):
            for edit in edits:
                with pytest.raises(StoreUnavailable) as caught:
                    await edit()
                assert not any(secret in f"{caught.value!r}" for secret in (TEXT, KEY, PASSWORD))
            assert await texts(alice) == [TEXT]
            assert (await alice.working.stats()).model_dump(exclude={"created_at"}) == {
                "variables": 0,
                "blocks": 1,
                "notes": 0,
                "checkpoints": 1,
                "has_task": False,
            }
        assert (await alice.blocks.append("persona", "!")).text == f"{TEXT}!"


@pytest.mark.parametrize("name", WRITES_ONLY)
async def test_server_that_takes_no_writes_still_answers_and_our_own_are_in_its_answers(
    server: RedisServer, namespace: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await write_elsewhere(server, namespace, "alice", "bob", "carol")
    async with opened(server, namespace) as memory:
        alice, bob, carol = map(memory.user, ("alice", "bob", "carol"))
        with WRITES_ONLY[name](server):
            await alice.blocks.set("persona", TEXT)
            await alice.variables.set(KEY, TEXT)
            status = alice.working.status
            assert (status.source, status.degraded, status.unsaved) == ("redis", True, 2)
            assert await texts(alice) == ["plan of alice", TEXT]
            assert await alice.variables.items() == {KEY: TEXT}
            assert await texts(bob) == ["plan of bob"]
            await bob.blocks.append("plan", "!")
            assert await texts(bob) == ["plan of bob!"]
            assert await texts(carol) == ["plan of carol"]
            assert carol.working.status.unsaved == 0
        for user in (alice, bob):
            await heal(user)
    async with opened(server, namespace) as other:
        assert await texts(other.user("alice")) == ["plan of alice", TEXT]
        assert await other.user("alice").variables.items() == {KEY: TEXT}
        assert await texts(other.user("bob")) == ["plan of bob!"]
    went, came = lines(caplog)
    assert "takes no writes" in went
    assert "is back" in came


@pytest.mark.parametrize("on_outage", ["local", "error"])
@pytest.mark.parametrize("name", MISTAKES)
async def test_mistake_is_told_at_once_and_never_bridged(
    server: RedisServer,
    namespace: str,
    name: str,
    on_outage: Literal["local", "error"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(server, namespace, on_outage=on_outage) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        await alice.blocks.list()
        with MISTAKES[name](server):
            calls: Sequence[Callable[[], Any]] = (
                alice.blocks.list,
                lambda: alice.blocks.append("persona", "!"),
                lambda: alice.blocks.set("persona", "other"),
            )
            for call in calls:
                with pytest.raises(ConfigurationError) as caught:
                    await call()
                assert not any(secret in f"{caught.value!r}" for secret in (TEXT, KEY, PASSWORD))
                assert alice.working.status == THERE
        assert await texts(alice) == [TEXT]
    assert lines(caplog) == []


@pytest.mark.parametrize("on_outage", ["local", "error"])
@pytest.mark.parametrize("url", ["redis://:wrongword@127.0.0.1:{port}", "redis://127.0.0.1:{port}"])
async def test_wrong_password_is_told_when_the_memory_is_opened(
    server: RedisServer, on_outage: Literal["local", "error"], url: str
) -> None:
    with pytest.raises(ConfigurationError, match="password") as caught:
        async with open_memory(redis=url.format(port=server.port), on_outage=on_outage):
            raise AssertionError("it was opened")
    assert "wrongword" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_name_that_nobody_has_is_an_outage(
    redis_url: str, anyio_backend: object, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://:{PASSWORD}@no-such-host.invalid:6379/0"
    with anyio.fail_after(HANGS):
        with pytest.raises(StoreUnavailable) as caught:
            async with open_memory(redis=url, on_outage="error"):
                raise AssertionError("it was opened")
        assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r}"
        async with open_memory(redis=url) as memory:
            alice = memory.user("alice")
            with pytest.raises(StoreUnavailable):
                await alice.blocks.list()
            await alice.blocks.set("persona", TEXT)
            block = await alice.blocks.get("persona")
            assert block is not None
            assert block.text == TEXT
            status = alice.working.status
            assert (status.source, status.degraded, status.unsaved) == ("local", True, 1)
    went, lost = lines(caplog)
    assert "does not answer" in went
    assert "1 unsaved edits of 1 tenants" in lost


async def test_edit_that_a_stopped_server_was_sent_is_of_unknown_outcome_and_safe_to_repeat(
    server: RedisServer, namespace: str
) -> None:
    async with opened(server, namespace, on_outage="error", deadline=DEADLINE) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        # The connection is good, as far as anybody can tell.
        with AWAY["timeout"](server), anyio.fail_after(DEADLINE * 4), pytest.raises(OutcomeUnknown) as caught:
            await alice.blocks.append("persona", "!")
        key = caught.value.key
        assert (await alice.blocks.append("persona", "!", key=key)).text == f"{TEXT}!"


async def test_edit_that_a_stopped_server_was_sent_counts_once_if_it_is_bridged(
    server: RedisServer, namespace: str
) -> None:
    async with opened(server, namespace, deadline=DEADLINE) as memory:
        alice = memory.user("alice")
        await alice.blocks.set("persona", TEXT)
        with AWAY["timeout"](server), anyio.fail_after(DEADLINE * 4):
            assert (await alice.blocks.append("persona", "!")).text == f"{TEXT}!"
            assert (await alice.blocks.append("persona", "?")).text == f"{TEXT}!?"
        await heal(alice)
        assert await texts(alice) == [f"{TEXT}!?"]
