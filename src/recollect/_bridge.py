"""Drivers run on asyncio only: on trio they get an asyncio loop of their own, in one thread."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial, wraps
from inspect import iscoroutinefunction
from threading import Thread
from typing import Any, Generic, ParamSpec, TypeVar, cast
from weakref import ref

import anyio
from anyio import CancelScope, create_task_group
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from ._loop import Post, is_asyncio, post
from .stores import Archive
from .stores.transfer import Kept, Loading
from .types import Tenant

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class _Request:
    """Something that work in the other loop has its caller do."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self._work = work
        self._tell = post()
        self._answered = anyio.Event()
        self._values: list[Any] = []
        self._error: Exception | None = None

    async def answer(self) -> None:
        try:
            self._values.append(await self._work())
        except Exception as exc:  # noqa: BLE001  # raised where it is waited for
            self._error = exc
        finally:
            self._tell(self._answered.set)

    async def result(self) -> Any:
        await self._answered.wait()
        if self._error is not None:
            raise self._error
        if not self._values:  # the caller was cancelled: so will this be
            await anyio.sleep_forever()
        return self._values[0]


class _Job(Generic[T]):
    """Something that is done in the other loop, while a task of this one waits for it.

    Args:
        tell: how to reach this one.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], tell: Post) -> None:
        self._work = work
        self._tell = tell
        self._turn = anyio.Event()
        self._requests: deque[_Request] = deque()
        self._ended = False
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._scope: CancelScope | None = None
        self._cancelled = False

    async def wait(self) -> None:
        """Wait until it is over, and do what it asks for meanwhile."""
        while not self._ended:
            await self._turn.wait()
            self._turn = anyio.Event()
            while self._requests:
                await self._requests.popleft().answer()

    def _end(self) -> None:
        self._ended = True
        self._turn.set()

    def _take(self, request: _Request) -> None:
        self._requests.append(request)
        self._turn.set()

    # What follows runs in the other loop.

    async def run(self) -> None:
        # Who starts a timer keeps the context, as drivers do; not what this brings, which may be forgotten.
        _under_way.set(ref(self))
        try:
            with CancelScope() as self._scope:
                if not self._cancelled:
                    self._values.append(await self._work())
        except Exception as exc:  # noqa: BLE001  # raised where it is waited for
            self._error = exc
        finally:
            self._tell(self._end)

    async def ask(self, work: Callable[[], Awaitable[R]]) -> R:
        request = _Request(work)
        self._tell(lambda: self._take(request))
        return cast("R", await request.result())

    def cancel(self) -> None:
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    # What it came to.

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    @property
    def result(self) -> T:
        self.raise_error()
        return self._values[0]


_under_way: ContextVar[ref[_Job[Any]] | None] = ContextVar("_under_way", default=None)


async def by_caller(work: Callable[[], Awaitable[R]]) -> R:
    """Have the task do something that has had this done over a bridge; do it here if there is none."""
    found = _under_way.get()
    job = None if found is None else found()
    return await (work() if job is None else job.ask(work))


class Bridge:
    """Another event loop, in which things can be done from this one.

    Args:
        reach: how to reach it.
        tasks: of it, for what is done there.
        tell: how to reach this one.
    """

    def __init__(self, reach: Post, tasks: TaskGroup, tell: Post) -> None:
        self.post = reach
        self._tasks = tasks
        self._tell = tell

    async def cross(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for what `work` returns in the other loop. Cancelled, it is cancelled there, and over."""
        await checkpoint_if_cancelled()
        job = self._begun(work)
        try:
            await job.wait()
        except BaseException:
            await self._end(job)
            job.raise_error()  # what it has to say of its end goes before that it was cancelled
            raise
        return job.result

    @asynccontextmanager
    async def holding(self, opened: Callable[[], AbstractAsyncContextManager[T]]) -> AsyncGenerator[T]:
        """Enter what `opened` returns in the other loop for the length of the block, in one task of it."""
        entered, tell = anyio.Event(), self._tell
        held: list[tuple[T, anyio.Event]] = []

        async def hold() -> None:
            try:
                async with opened() as value:
                    held.append((value, anyio.Event()))
                    tell(entered.set)
                    await held[0][1].wait()
            finally:
                tell(entered.set)

        job = self._begun(hold)
        try:
            await entered.wait()
        except BaseException:
            await self._end(job)
            raise
        try:
            if held:
                yield held[0][0]
        finally:
            for _, left in held:
                self.post(left.set)
            with CancelScope(shield=True):
                await job.wait()
        job.raise_error()

    def _begun(self, work: Callable[[], Awaitable[T]]) -> _Job[T]:
        job = _Job(work, self._tell)
        self.post(partial(self._tasks.start_soon, job.run))
        return job

    async def _end(self, job: _Job[Any]) -> None:
        self.post(job.cancel)
        with CancelScope(shield=True):
            await job.wait()


@asynccontextmanager
async def bridge_if_needed(*, drivers: bool = True) -> AsyncGenerator[Bridge | None]:
    """Own a bridge for the length of the block; None where this loop is asyncio's, or without drivers."""
    if not drivers or is_asyncio():
        yield None
        return
    async with open_bridge() as bridge:
        yield bridge


@asynccontextmanager
async def open_bridge() -> AsyncGenerator[Bridge]:
    """Own a thread with an asyncio loop for the length of the block."""
    tell, ready, over = post(), anyio.Event(), anyio.Event()
    made: list[tuple[Bridge, anyio.Event]] = []

    async def hold() -> None:
        async with create_task_group() as tasks:
            made.append((Bridge(post(), tasks, tell), anyio.Event()))
            tell(ready.set)
            await made[0][1].wait()

    def run() -> None:
        try:
            anyio.run(hold)
        finally:
            tell(ready.set)
            tell(over.set)

    thread = Thread(target=run, name="recollect drivers", daemon=True)
    with CancelScope(shield=True):
        thread.start()
        await ready.wait()
    bridge, left = made[0]
    try:
        yield bridge
    finally:
        bridge.post(left.set)
        with CancelScope(shield=True):
            await over.wait()
            while thread.is_alive():  # it has nothing left to do
                await checkpoint()


@asynccontextmanager
async def driven(
    opened: Callable[[], AbstractAsyncContextManager[T]],
    front: Callable[[T, Bridge], T],
    bridge: Bridge | None = None,
) -> AsyncGenerator[T]:
    """Enter what `opened` returns where drivers run: here, or beyond a bridge.

    Args:
        front: what stands for it on this side.
        bridge: None for one of its own, if one is needed.
    """
    if bridge is not None:
        async with bridge.holding(opened) as value:
            yield front(value, bridge)
        return
    async with bridge_if_needed() as own:
        if own is None:
            async with opened() as value:
                yield value
        else:
            async with own.holding(opened) as value:
                yield front(value, own)


def over_bridge(work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Have what is awaited done where drivers run, over a bridge of its own if one is needed."""

    @wraps(work)
    async def done(*args: P.args, **kwargs: P.kwargs) -> T:
        async with bridge_if_needed() as bridge:
            if bridge is None:
                return await work(*args, **kwargs)
            return await bridge.cross(partial(work, *args, **kwargs))

    return done


class _Front:
    """Stands for a store in the other loop: what is to be awaited of it, crosses the bridge."""

    def __init__(self, store: object, bridge: Bridge) -> None:
        for name in dir(store):
            if not name.startswith("_"):
                value = getattr(store, name)
                setattr(self, name, _crossing(value, bridge) if iscoroutinefunction(value) else value)


def _crossing(call: Callable[..., Awaitable[Any]], bridge: Bridge) -> Callable[..., Awaitable[Any]]:
    async def cross(*args: Any, **kwargs: Any) -> Any:
        return await bridge.cross(partial(call, *args, **kwargs))

    return cross


def front_of(store: T, bridge: Bridge) -> T:
    """Return what stands for a store in the other loop."""
    return cast("T", _Front(store, bridge))


def front_of_archive(archive: Archive, bridge: Bridge) -> Archive:
    """Return what stands for an archive in the other loop, with all of its parts."""
    front: Any = _Front(archive, bridge)
    for part in ("episodes", "facts", "directory", "transfers"):
        setattr(front, part, _Front(getattr(archive, part), bridge))
    front.transfers.load = partial(_load, archive, bridge)
    return cast("Archive", front)


async def _load(archive: Archive, bridge: Bridge, tenant: Tenant, loading: Loading) -> None:
    async def pages() -> AsyncGenerator[Sequence[Kept]]:
        given = loading.pages()
        try:
            while (page := await by_caller(partial(anext, given, None))) is not None:
                yield page
        finally:
            with CancelScope(shield=True):
                await by_caller(given.aclose)

    await bridge.cross(lambda: archive.transfers.load(tenant, replace(loading, pages=pages)))
