"""Event loops: all that this package knows of which one it runs on."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from .errors import ConfigurationError

Post = Callable[[Callable[[], Any]], object]
"""Has an event loop call something soon; from any thread, and without waiting for it."""

PIECE = 32_768
"""Bytes that a connection reads at a time."""


def is_asyncio() -> bool:
    """Whether the running event loop is one of asyncio's, which is what drivers run on."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def post() -> Post:
    """Return how other threads reach the running event loop."""
    if is_asyncio():
        # In this context: that of another thread may say that it is in another kind of loop.
        return partial(asyncio.get_running_loop().call_soon_threadsafe, context=copy_context())
    from trio.lowlevel import current_trio_token

    return current_trio_token().run_sync_soon


def require_asyncio(what: str, instead: str) -> None:
    """Fail early, and in words, where a driver's own object is bound to another kind of event loop."""
    if not is_asyncio():
        msg = f"{what} is bound to an event loop of asyncio, and this one is trio's; give {instead}"
        raise ConfigurationError(msg)


def read_in_pieces(transport: Any) -> None:
    """Have a connection take no more memory for a read than `PIECE`, where its loop lets us say so.

    asyncio takes 256 kB for each, and gives back what an answer leaves of it: with the allocator of glibc,
    holes that the next read does not fit into, so that a process grows and grows. uvloop has one buffer.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = PIECE
