"""Drivers run on asyncio only: on trio they get an asyncio loop of their own, in one thread."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar, copy_context
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
from .errors import MemoryClosed
from .stores import Archive
from .stores.transfer import Kept, Loading
from .types import Tenant

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

GRACE = 0.3
"""Seconds that calls may take which are under way when their bridge is closed: to say what became of them."""


class _Work(Generic[T]):
    """Something that is done in one loop, while a task of the other waits for it.

    Args:
        tell: how to reach the one that waits.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], tell: Post) -> None:
        self._work = work
        self._tell = tell
        self._over = False
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._scope: CancelScope | None = None
        self._cancelled = False

    async def _done(self) -> None:
        with CancelScope() as self._scope:
            if self._cancelled:
                self._scope.cancel()
            self._values.append(await self._work())

    def cancel(self) -> None:
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    # What it came to, where it is waited for.

    def raise_error(self) -> None:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback leads here: only a garbage collection would find that


class _Request(_Work[T]):
    """Something that work in the other loop has its caller do."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        super().__init__(work, post())
        self._answered = anyio.Event()

    async def answer(self) -> None:
        try:
            await self._done()
        except Exception as exc:  # noqa: BLE001  # raised where it is waited for
            self._error = exc
        finally:
            self._tell(self._answered.set)

    async def result(self, reach: Post) -> T:
        try:
            await self._answered.wait()
        except BaseException:
            reach(self.cancel)
            with CancelScope(shield=True):
                await self._answered.wait()
            raise
        self.raise_error()
        if not self._values:  # the caller was cancelled: so will this be
            await anyio.sleep_forever()
        return self._values[0]


class _Job(_Work[T]):
    """Something that is done in the other loop, while a task of this one waits for it.

    It sees the context variables of that task, as if it were done there.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], tell: Post) -> None:
        super().__init__(work, tell)
        self._context = copy_context()
        self._turn = anyio.Event()
        self._requests: deque[_Request[Any]] = deque()

    async def wait(self) -> None:
        """Wait until it is over, and do what it asks for meanwhile."""
        while not self._over:
            await self._turn.wait()
            self._turn = anyio.Event()
            while self._requests:
                await self._requests.popleft().answer()

    def _end(self) -> None:
        self._over = True
        self._turn.set()

    def _take(self, request: _Request[Any]) -> None:
        self._requests.append(request)
        self._turn.set()

    @property
    def result(self) -> T:
        self.raise_error()
        if not self._values:  # the bridge was closed under it
            raise MemoryClosed
        return self._values[0]

    # What follows runs in the other loop.

    async def run(self) -> None:
        its_own = copy_context()  # such as which kind of loop it is
        for variable, value in self._context.items():
            if variable not in its_own:
                variable.set(value)
        # Who starts a timer keeps the context, as drivers do; not what this brings, which may be forgotten.
        _under_way.set(ref(self))
        try:
            await self._done()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:  # noqa: BLE001  # raised where it is waited for
            self._error = exc
        finally:
            self._tell(self._end)

    async def ask(self, work: Callable[[], Awaitable[R]]) -> R:
        request = _Request(work)
        self._tell(lambda: self._take(request))
        return await request.result(self._tell)


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
        self._reach = reach
        self._tasks = tasks
        self._left = anyio.Event()
        self._tell = tell
        self._closed = False

    async def cross(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for what `work` returns in the other loop. Cancelled, it is cancelled there, and over.

        Raises:
            MemoryClosed: the bridge is closed, or was closed meanwhile.
        """
        await checkpoint_if_cancelled()
        job = self._begun(work)
        try:
            await job.wait()
        except anyio.get_cancelled_exc_class():
            await self._end(job)
            job.raise_error()  # what it has to say of its end goes before that it was cancelled
            raise
        except BaseException:  # but not before an interrupt
            await self._end(job)
            raise
        return job.result

    def close(self) -> None:
        """Take nothing any more, and have what is still under way come to its end."""
        self._closed = True
        self._reach(self._left.set)

    async def hold(self) -> None:
        """Stay in the other loop until this is closed; what is under way then is cancelled after a grace."""
        await self._left.wait()
        self._tasks.cancel_scope.deadline = anyio.current_time() + GRACE

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
                self._reach(left.set)
            with CancelScope(shield=True):
                await job.wait()
        job.raise_error()

    def _begun(self, work: Callable[[], Awaitable[T]]) -> _Job[T]:
        if self._closed:
            raise MemoryClosed
        job = _Job(work, self._tell)
        self._reach(partial(self._tasks.start_soon, job.run))
        return job

    async def _end(self, job: _Job[Any]) -> None:
        if not self._closed:
            self._reach(job.cancel)
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
    made: list[Bridge] = []
    failed: list[BaseException] = []

    async def hold() -> None:
        async with create_task_group() as tasks:
            made.append(Bridge(post(), tasks, tell))
            tell(ready.set)
            await made[0].hold()

    def run() -> None:
        try:
            anyio.run(hold)
        except BaseException as exc:  # noqa: BLE001  # whoever opened it is told, in another thread
            failed.append(exc)
        finally:
            tell(ready.set)
            tell(over.set)

    thread = Thread(target=run, name="recollect drivers", daemon=True)

    async def end() -> None:
        with CancelScope(shield=True):
            await ready.wait()
            for bridge in made:
                bridge.close()
            await over.wait()
            while thread.is_alive():  # it has nothing left to do
                await checkpoint()

    thread.start()
    try:
        with CancelScope(shield=True):
            await ready.wait()
        if made:
            yield made[0]
    finally:
        try:
            await end()
        except BaseException:  # an interrupt came by, which no shield stops; a second one leaves it as it is
            await end()
            raise
    if failed:
        raise failed[0]


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
