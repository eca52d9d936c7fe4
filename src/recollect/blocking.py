"""The whole memory without `await`, for plain scripts and threads: `with open_memory() as memory: ...`.

Everything is derived from the async classes, and `blocking.pyi` with it, which says the types of it:
`python -m tests.blocking_stub` writes that again.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from . import episodes as _episodes
from . import facts as _facts
from . import memory as _memory
from . import user as _user
from . import working as _working
from ._blocking.deriving import derive, shown
from ._blocking.running import open_loop
from ._fact_transaction import FactTransaction as _FactTransaction
from .connect import open_memory as _open_memory
from .errors import ConfigurationError

__all__ = (
    "Blocks",
    "Checkpoints",
    "Episodes",
    "FactTransaction",
    "Facts",
    "Memory",
    "Scratchpad",
    "Task",
    "UserMemory",
    "Variables",
    "Working",
    "open_memory",
)

Blocks = derive(_working.Blocks, __name__)
Checkpoints = derive(_working.Checkpoints, __name__)
Episodes = derive(_episodes.Episodes, __name__)
FactTransaction = derive(_FactTransaction, __name__)
Facts = derive(_facts.Facts, __name__)
Memory = derive(_memory.Memory, __name__)
Scratchpad = derive(_working.Scratchpad, __name__)
Task = derive(_working.Task, __name__)
UserMemory = derive(_user.UserMemory, __name__)
Variables = derive(_working.Variables, __name__)
Working = derive(_working.Working, __name__)


@contextmanager
def open_memory(
    *,
    backend: str = "asyncio",
    backend_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Generator[Any]:
    """Open a memory for the length of the block, with an event loop in a thread of its own.

    Any thread may use it, several at once. After the block neither the memory nor the thread is there any
    more; calls that other threads have not finished by then are cancelled, and raise `MemoryClosed`. Ctrl-C
    cancels the call that the main thread waits for.

    What is given to it is called in that thread: embedder, extractor, reranker, hooks. An async one may use
    this memory from another thread again, by `anyio.to_thread.run_sync`; that `on_conflict` is called with an
    async handle.

    Args:
        backend: of anyio: "asyncio" or "trio".
        backend_options: of anyio: such as {"use_uvloop": True}.
        options: as of `recollect.open_memory`.

    Raises:
        ConfigurationError: also if a pool is given: that of another event loop cannot be used here.
    """
    if backend not in ("asyncio", "trio"):
        msg = f'backend must be "asyncio" or "trio", got {backend!r}'
        raise ConfigurationError(msg)
    if not isinstance(options.get("postgres"), str | None):
        msg = "a pool belongs to the event loop that it was made in; give its DSN to a memory without await"
        raise ConfigurationError(msg)
    opened = partial(_open_memory, **options)
    with open_loop(opened, backend=backend, options=backend_options) as (memory, loop):
        yield shown(memory, loop)
