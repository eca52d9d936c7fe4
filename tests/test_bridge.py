"""What is done in the other loop is over when its caller goes on, however that comes about."""

import gc
import os
import resource
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar

import anyio
import pytest
from anyio.lowlevel import checkpoint

from recollect import MemoryClosed
from recollect._bridge import Bridge, bridge_if_needed, by_caller, driven, front_of, open_bridge, over_bridge
from recollect._loop import is_asyncio

PATIENCE = 30

_request = ContextVar("_request", default="none")


class Interrupt(BaseException):
    """Such as KeyboardInterrupt, which is nobody's error."""


def drivers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "recollect drivers"]


@pytest.fixture
async def bridge(anyio_backend: object) -> AsyncIterator[Bridge]:
    async with open_bridge() as opened:
        yield opened
    assert not drivers()


async def test_work_is_done_in_an_asyncio_loop_of_one_other_thread(bridge: Bridge) -> None:
    async def where() -> tuple[bool, int]:
        await checkpoint()
        return is_asyncio(), threading.get_ident()

    found = {await bridge.cross(where) for _ in range(3)}
    assert found == {(True, drivers()[0].ident)}
    assert threading.get_ident() != drivers()[0].ident


async def test_each_of_many_gets_its_own_result(bridge: Bridge) -> None:
    results = dict[int, int]()

    async def one(i: int) -> None:
        async def work() -> int:
            await anyio.sleep(0.001 * (i % 7))
            return i

        results[i] = await bridge.cross(work)

    async with anyio.create_task_group() as tasks:
        for i in range(200):
            tasks.start_soon(one, i)
    assert results == {i: i for i in range(200)}


async def test_an_error_comes_over_as_it_is(bridge: Bridge) -> None:
    error = LookupError("not there")

    async def work() -> None:
        await checkpoint()
        raise error

    with pytest.raises(LookupError) as caught:
        await bridge.cross(work)
    assert caught.value is error


async def test_what_is_no_exception_comes_over_as_well(bridge: Bridge) -> None:
    async def work() -> None:
        await checkpoint()
        raise Interrupt

    with pytest.raises(Interrupt):
        await bridge.cross(work)
    await bridge.cross(checkpoint)


async def test_an_error_is_gone_when_nobody_has_it_any_more(bridge: Bridge) -> None:
    class Refused(Exception):
        pass

    async def work() -> None:
        await checkpoint()
        raise Refused

    async def refused() -> weakref.ref[Refused]:
        try:
            await bridge.cross(work)
        except Refused as exc:
            return weakref.ref(exc)
        raise AssertionError("it was not refused")

    gc.collect()
    gc.disable()
    try:
        error = await refused()
        await bridge.cross(checkpoint)
        assert error() is None
    finally:
        gc.enable()


async def test_work_sees_the_context_variables_of_its_caller(bridge: Bridge) -> None:
    async def work() -> tuple[str, bool]:
        await checkpoint()
        return _request.get(), is_asyncio()

    async def one(name: str) -> None:
        _request.set(name)
        assert await bridge.cross(work) == (name, True)

    async with anyio.create_task_group() as tasks:
        for i in range(10):
            tasks.start_soon(one, f"request {i}")
    assert await bridge.cross(work) == ("none", True)


async def test_a_cancelled_call_is_over_before_its_caller_goes_on(bridge: Bridge) -> None:
    steps = list[str]()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
            steps.append("over")

    with anyio.move_on_after(0.02) as scope:
        await bridge.cross(work)
    steps.append("on")
    assert scope.cancelled_caught
    assert steps == ["over", "on"]


async def test_what_a_cancelled_call_says_of_its_end_goes_before_its_cancellation(bridge: Bridge) -> None:
    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("not known")

    with pytest.raises(LookupError), anyio.move_on_after(0.02):
        await bridge.cross(work)


async def test_a_call_of_somebody_who_is_cancelled_already_is_not_begun(bridge: Bridge) -> None:
    begun = list[str]()

    async def work() -> None:
        begun.append("begun")
        await checkpoint()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await bridge.cross(work)
    await bridge.cross(checkpoint)
    assert begun == []


async def test_one_cancelled_call_leaves_the_others_alone(bridge: Bridge) -> None:
    let_go = anyio.Event()
    results = list[str]()

    async def work() -> str:
        await anyio.sleep(0.1)
        return "done"

    async def other() -> None:
        results.append(await bridge.cross(work))
        let_go.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        with anyio.move_on_after(0.02):
            await bridge.cross(anyio.sleep_forever)
        with anyio.fail_after(PATIENCE):
            await let_go.wait()
    assert results == ["done"]


async def test_an_interrupt_is_not_replaced_by_what_the_call_says_of_its_end(bridge: Bridge) -> None:
    async def interrupt() -> None:
        await checkpoint()
        raise Interrupt

    async def work() -> None:
        try:
            await by_caller(interrupt)
        finally:
            raise LookupError("not known")

    with pytest.raises(Interrupt):
        await bridge.cross(work)


@pytest.mark.parametrize("end", ["done", "cancelled", "given up"])
async def test_what_the_caller_is_asked_for_is_cancelled_with_the_call(bridge: Bridge, end: str) -> None:
    """Also what it is asked for at the end of a call that is cancelled already."""
    here = threading.get_ident()
    steps = list[str]()

    async def hang() -> None:
        assert threading.get_ident() == here
        steps.append("asked")
        try:
            await anyio.sleep_forever()
        finally:
            steps.append("over")

    async def work() -> None:
        if end == "cancelled":
            await by_caller(hang)
        if end == "given up":
            with anyio.move_on_after(0.02):
                await by_caller(hang)
            assert steps == ["asked", "over"]
        try:
            await anyio.sleep_forever()
        finally:
            if end == "done":
                await by_caller(hang)

    with anyio.fail_after(PATIENCE), anyio.move_on_after(0.1) as scope:
        await bridge.cross(work)
    assert scope.cancelled_caught
    assert steps == ["asked", "over"]


async def test_calls_that_a_bridge_is_closed_under_say_so_and_so_do_later_ones() -> None:
    refused = list[str]()

    async def call(bridge: Bridge) -> None:
        try:
            await bridge.cross(anyio.sleep_forever)
        except MemoryClosed:
            refused.append("under way")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks, open_bridge() as bridge:
            for _ in range(10):
                tasks.start_soon(call, bridge)
            await bridge.cross(checkpoint)
        with pytest.raises(MemoryClosed):
            await bridge.cross(checkpoint)
    assert refused == ["under way"] * 10


async def test_calls_that_a_bridge_is_closed_under_may_still_come_to_their_end() -> None:
    begun, results = anyio.Event(), list[str]()

    async def call(bridge: Bridge) -> None:
        async def work() -> str:
            await by_caller(begin)
            await anyio.sleep(0.02)
            return "done"

        async def begin() -> None:
            await checkpoint()
            begun.set()

        results.append(await bridge.cross(work))

    async with anyio.create_task_group() as tasks, open_bridge() as bridge:
        tasks.start_soon(call, bridge)
        await begun.wait()
    assert results == ["done"]


@contextmanager
def no_more_files() -> Generator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what is made by half
async def test_a_loop_that_cannot_be_had_says_so() -> None:
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        async with open_bridge():
            raise AssertionError("it was opened")
    assert not drivers()
    gc.collect()


class Held:
    """A context manager that has to be left in the task that entered it, as task groups have to be."""

    def __init__(self, *, refuses: bool = False, hangs: bool = False) -> None:
        self.refuses, self.hangs = refuses, hangs
        self.entered = self.left = False
        self.among = ("here", "there")

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator["Held"]:
        async with anyio.create_task_group() as tasks:
            if self.hangs:
                await anyio.sleep_forever()
            if self.refuses:
                raise LookupError("refused")
            self.entered = True
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.01)
                self.left = True
                tasks.cancel_scope.cancel()

    async def ask(self) -> bool:
        await checkpoint()
        return is_asyncio()


@pytest.mark.parametrize("end", [None, LookupError("in the block")], ids=["left", "raised"])
async def test_what_is_held_is_left_at_the_end_of_the_block(end: Exception | None) -> None:
    held = Held()
    with nullcontext() if end is None else pytest.raises(LookupError, match=str(end)):
        async with open_bridge() as bridge, driven(held.opened, front_of, bridge) as front:
            assert await front.ask()
            assert front.among == held.among
            assert not held.left
            if end is not None:
                raise end
    assert held.left
    assert not drivers()


async def test_what_is_held_is_left_when_the_block_is_cancelled() -> None:
    held = Held()
    with anyio.move_on_after(0.05) as scope:
        async with open_bridge() as bridge, driven(held.opened, front_of, bridge):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert held.left
    assert not drivers()


async def test_what_refuses_to_open_says_so_and_leaves_no_thread() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="refused")):
        async with open_bridge() as bridge, driven(Held(refuses=True).opened, front_of, bridge):
            raise AssertionError("it was opened")
    assert not drivers()


async def test_opening_can_be_cancelled() -> None:
    held = Held(hangs=True)
    with anyio.move_on_after(0.05) as scope:
        async with open_bridge() as bridge, driven(held.opened, front_of, bridge):
            raise AssertionError("it was opened")
    assert scope.cancelled_caught
    assert not held.entered
    assert not drivers()


async def test_a_function_is_done_over_a_bridge_of_its_own() -> None:
    @over_bridge
    async def where(word: str, *, times: int) -> tuple[str, bool]:
        await checkpoint()
        return word * times, is_asyncio()

    assert await where("a", times=2) == ("aa", True)
    assert not drivers()


async def test_no_thread_is_started_where_none_is_needed() -> None:
    async with bridge_if_needed(drivers=False) as bridge:
        assert bridge is None
    async with bridge_if_needed() as bridge:
        assert (bridge is None) == is_asyncio() == (not drivers())
