from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from ..stores import Embedder, TextKind

if TYPE_CHECKING:
    from ..stores import Vectors


class FunctionEmbedder(Embedder):
    """Wraps a function from texts to vectors.

    Args:
        function: `function(texts)` returns one vector for each text: a float array of shape
            (len(texts), dimensions), or nested lists. A sync function runs in a worker thread.
        model: name stored with the vectors, so that two models are never mixed.
        dimensions: length of a vector.
        query_function: for models that embed queries differently from documents; None for the same.
        threads: worker threads that a sync function may occupy at once.
    """

    def __init__(
        self,
        function: Callable[[Sequence[str]], Any],
        *,
        model: str,
        dimensions: int,
        query_function: Callable[[Sequence[str]], Any] | None = None,
        threads: int = 1,
    ) -> None:
        self._functions = {"document": function, "query": query_function or function}
        self._model = model
        self._dimensions = dimensions
        self._threads = threads
        self._limiter = RunVar[anyio.CapacityLimiter]("limiter")  # one for each event loop

    @property
    def model(self) -> str:
        return self._model

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def embed(self, texts: Sequence[str], *, kind: TextKind) -> "Vectors":
        function = self._functions[kind]
        if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
            return await cast("Callable[[Sequence[str]], Awaitable[Vectors]]", function)(texts)
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._threads)
            self._limiter.set(limiter)
        return await to_thread.run_sync(partial(function, texts), limiter=limiter, abandon_on_cancel=True)
