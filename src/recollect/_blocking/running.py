"""An event loop in a thread of its own, and calls into it from any other thread."""

import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any, TypeVar, overload

import anyio
from anyio import BrokenResourceError, CancelScope, create_memory_object_stream, from_thread
from anyio.from_thread import BlockingPortal
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectSendStream

from ..errors import ConfigurationError, MemoryClosed

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 100
"""Items of an iterator that are carried from one thread to another together."""

GRACE = 1.0
"""Seconds that code of the user's in a worker thread may take to end, after the loop has."""


class Loop:
    """Where the calls run.

    Args:
        portal: into the loop; made in its thread.
    """

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._thread = threading.get_ident()
        self._ended = False

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for what `work` returns. Interrupted, it is cancelled, and over before this returns.

        Raises:
            MemoryClosed: the block has ended, or ended meanwhile.
            ConfigurationError: the caller is the loop, which would wait for itself.
        """
        with self._started(work) as future:
            return _result(future)

    def call_plain(self, work: Callable[[], T]) -> T:
        """Do what waits for nothing: in the loop, where nothing else is in the middle of something.

        The loop itself may ask for it, and so may anybody after the end.
        """
        if self._ended or threading.get_ident() == self._thread:
            return work()
        return _result(self._start(work))

    def iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        """Yield what an async generator yields, which holds no cancel scope while it waits for its reader."""

        async def some() -> list[T]:
            taken: list[T] = []
            async for item in items:
                taken.append(item)
                if len(taken) == AT_ONCE:
                    break
            return taken

        try:
            while taken := self.call(some):
                yield from taken
        finally:
            # A garbage collection may come by in any thread, and after the end.
            with suppress(ConfigurationError):
                self.call(items.aclose)

    def feed(self, work: Callable[[AsyncIterable[R]], Awaitable[T]], items: Iterable[R]) -> T:
        """Wait for what `work` returns, while this thread reads the items that it asks for."""
        self._ensure_callable()
        given = iter(items)
        send, receive = create_memory_object_stream[list[R]]()

        async def one_by_one() -> AsyncGenerator[R]:
            async for some in receive:
                for item in some:
                    yield item

        async def fed() -> T:
            with receive:
                async with aclosing(one_by_one()) as read:
                    return await work(read)

        with self._started(fed) as future:
            try:
                while (some := list(islice(given, AT_ONCE))) and self._sent(send, some):
                    pass
            finally:
                self.call_plain(send.close)
            return _result(future)

    def _sent(self, send: MemoryObjectSendStream[T], item: T) -> bool:
        try:
            self.call(partial(send.send, item))
        except BrokenResourceError:  # nobody reads any more
            return False
        return True

    @contextmanager
    def _started(self, work: Callable[[], Awaitable[T]]) -> Generator[Future[T]]:
        began: list[CancelScope] = []
        ended = threading.Event()
        abandoned = False

        async def run() -> T:
            with CancelScope() as scope:
                began.append(scope)
                try:
                    if not abandoned:
                        return await work()
                finally:
                    ended.set()
            raise MemoryClosed  # nobody waits for it

        def abandon() -> None:
            nonlocal abandoned
            abandoned = True
            for scope in began:
                scope.cancel()

        try:
            yield self._start(run)
        except BaseException:
            # An interrupt may come at any time, also while it is being handed over.
            if not ended.is_set():
                with suppress(RuntimeError, CancelledError):
                    self._portal.call(abandon)
                if began:
                    ended.wait()
            raise

    @overload
    def _start(self, work: Callable[[], Awaitable[T]]) -> Future[T]: ...

    @overload
    def _start(self, work: Callable[[], T]) -> Future[T]: ...

    def _start(self, work: Callable[[], Any]) -> Future[Any]:
        self._ensure_callable()
        try:
            return self._portal.start_task_soon(work)
        except RuntimeError:  # it has just ended
            raise MemoryClosed from None

    def _ensure_callable(self) -> None:
        if self._ended:
            raise MemoryClosed
        if threading.get_ident() == self._thread:
            msg = (
                "a call from the memory's own event loop would wait for itself; "
                "have an async hook do it in another thread: await anyio.to_thread.run_sync(...)"
            )
            raise ConfigurationError(msg)

    def end(self) -> None:
        """Cancel the calls of other threads, and refuse further ones."""
        self._ended = True
        with suppress(RuntimeError):  # the loop is gone
            self._portal.call(self._portal.stop, True)  # noqa: FBT003


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except CancelledError:
        raise MemoryClosed from None


@contextmanager
def open_loop(
    opened: Callable[[], AbstractAsyncContextManager[T]], *, backend: str, options: Mapping[str, Any] | None
) -> Generator[tuple[T, Loop]]:
    """Open something in an event loop in a thread of its own; both are gone after the block.

    Calls that other threads have not finished by then are cancelled before it is closed.
    """
    ready: Future[tuple[T, Loop]] = Future()
    begun: list[tuple[CancelScope, EventLoopToken]] = []
    abandoned = False

    async def hold() -> None:
        with CancelScope() as scope:
            begun.append((scope, current_token()))
            if abandoned:
                return
            async with opened() as value, BlockingPortal() as portal:
                ready.set_result((value, Loop(portal)))
                await portal.sleep_until_stopped()

    def run() -> None:
        try:
            anyio.run(hold, backend=backend, backend_options=dict(options or {}))
        except BaseException as exc:  # noqa: BLE001  # whoever opened it is told, in another thread
            failed.append(exc)
            if not ready.done():
                ready.set_exception(exc)

    def finish() -> None:
        nonlocal abandoned
        abandoned = True
        if ready.done() and ready.exception() is None:
            ready.result()[1].end()
        else:
            for scope, token in begun:
                with suppress(RuntimeError):  # it is over
                    from_thread.run_sync(scope.cancel, token=token)
        if thread.ident is not None:
            thread.join()
        _join_workers([token.native_token for _, token in begun])

    failed: list[BaseException] = []
    thread = threading.Thread(target=run, name="recollect", daemon=True)
    try:
        thread.start()
        yield ready.result()
    finally:
        try:
            finish()
        except BaseException:  # an interrupt came by; a second one leaves it as it is
            finish()
            raise
    if failed:
        raise failed[0]


def _join_workers(loops: Sequence[object]) -> None:
    """Wait for the worker threads of a loop: it tells them to end, and does not wait for that."""
    for worker in threading.enumerate():
        if getattr(worker, "loop", None) in loops:
            worker.join(GRACE)
