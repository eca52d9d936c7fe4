"""The user's embedder behind a cache, in batches, and never trusted."""

import logging
import math
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING

import anyio
import numpy as np

from ._batching import Batcher
from .errors import ConfigurationError, Overloaded
from .stores import Embedder, TextKind

if TYPE_CHECKING:
    from .stores import Vector, Vectors

CALL = 256
"""Chunks that the embedder is given at once, at most."""

FAILURES = 12
"""Failures in a row after which a batch is given up: one bad text of `CALL` takes 9, and an outage few."""

logger = logging.getLogger("recollect")


class EmbeddingFailed(Exception):
    """The embedder raised, or returned something that is no embedding. Never leaves the package."""


@dataclass(slots=True)
class _Attempt:
    """What became of a batch.

    Attributes:
        kind: what the texts are.
        found: vectors by key; None for those that there are none of yet.
        failures: calls that failed since one came back.
        error: why the last of the texts without a vector has none.
    """

    kind: TextKind
    found: "dict[bytes, Vector | None]"
    failures: int = 0
    error: Exception | None = None


class Embedding:
    """What a memory knows of its embedder: results are kept, and concurrent queries become one call.

    Documents come as batches: who leads a batch of writes has it embedded before it is committed.

    Args:
        embedder: the user's.
        cached: vectors kept, the least recently used one goes first.
        chunk_chars: longer texts are embedded in pieces.
    """

    def __init__(self, embedder: Embedder, *, cached: int, chunk_chars: int) -> None:
        if not all(hasattr(embedder, name) for name in ("model", "dimensions", "embed")):
            msg = "an embedder has `model`, `dimensions` and `embed`; recollect.embedders wraps a function"
            raise ConfigurationError(msg)
        if type(embedder.model) is not str or not embedder.model.isprintable() or not embedder.model:
            msg = "the embedder's `model` must be a non-empty string"
            raise ConfigurationError(msg)
        if type(embedder.dimensions) is not int or not 1 <= embedder.dimensions <= 16_000:
            msg = "the embedder's `dimensions` must be an integer in 1..16000"
            raise ConfigurationError(msg)
        self._embedder = embedder
        self._cached = cached
        self._chunk_chars = chunk_chars
        self._cache: OrderedDict[bytes, Vector] = OrderedDict()
        self._forgotten = 0  # times; what was asked for before is not kept
        self._failing = False
        # No shield: it is user code.
        self._queries = Batcher[str, "Vector | None"](self._ask_for_queries, shield=False)

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def documents(self, texts: Sequence[str], *, seconds: float = math.inf) -> "list[Vectors | None]":
        """Embed texts, `CALL` chunks at a time.

        Args:
            seconds: that it may take.

        Returns:
            For each text shape (chunks, dimensions), L2-normalised; None if the embedder failed, or was late.
        """
        forgotten = self._forgotten
        pieces = [list(chunks(text, self._chunk_chars)) for text in texts]
        keys = [[_key(chunk, "document") for chunk in of_one] for of_one in pieces]
        found = {key: self._cache.get(key) for of_one in keys for key in of_one}
        chunk_of = dict(zip(chain.from_iterable(keys), chain.from_iterable(pieces), strict=True))
        wanted = [(key, chunk_of[key]) for key, vector in found.items() if vector is None]
        if wanted:
            attempt = _Attempt("document", found)
            with anyio.move_on_after(seconds) as scope:
                for start in range(0, len(wanted), CALL):
                    await self._embed(wanted[start : start + CALL], attempt)
            if scope.cancelled_caught:
                attempt.error = TimeoutError()
            self._noticed(attempt)
        for key, vector in found.items():
            if vector is not None and forgotten == self._forgotten:
                self._keep(key, vector)
        return [_stacked([found[key] for key in of_one]) for of_one in keys]

    async def query(self, text: str) -> "Vector | None":
        """Return shape (dimensions,), L2-normalised; None if the embedder failed."""
        forgotten = self._forgotten
        first = next(chunks(text, self._chunk_chars), "")
        key = _key(first, "query")
        vector = self._cache.get(key)
        if vector is None:
            try:
                vector = await self._queries.submit(first)
            except Overloaded as exc:
                self._went_wrong(exc)
        if vector is not None and forgotten == self._forgotten:
            self._keep(key, vector)
        return vector

    async def _embed(self, wanted: "Sequence[tuple[bytes, str]]", attempt: "_Attempt") -> None:
        """Embed chunks in one call; if it fails, in two: one bad text must not cost the others."""
        try:
            vectors = await self._ask([text for _, text in wanted], attempt.kind)
        except Exception as exc:  # noqa: BLE001  # boundary to user code: it raises what it likes
            attempt.failures += 1
            if len(wanted) == 1 or attempt.failures >= FAILURES:
                attempt.error = exc
                return
            middle = len(wanted) // 2
            halves = [wanted[:middle], wanted[middle:]]
            # The oldest are those that always fail: first every time, they would use up every attempt.
            random.shuffle(halves)
            for half in halves:
                await self._embed(half, attempt)
            return
        attempt.failures = 0
        for (key, _), vector in zip(wanted, vectors, strict=True):
            if isinstance(vector, Exception):
                attempt.error = vector
            else:
                attempt.found[key] = vector

    async def _ask_for_queries(self, texts: Sequence[str]) -> "Sequence[Vector | None]":
        keys = [_key(text, "query") for text in texts]
        attempt = _Attempt("query", dict.fromkeys(keys))
        await self._embed(list(dict(zip(keys, texts, strict=True)).items()), attempt)
        self._noticed(attempt)
        return [attempt.found[key] for key in keys]

    async def _ask(self, texts: Sequence[str], kind: TextKind) -> "list[Vector | Exception]":
        """Return shape (dimensions,), L2-normalised, for each text; an exception for what is no vector."""
        given = await self._embedder.embed(texts, kind=kind)
        with np.errstate(over="ignore"):  # what is too large for a float32 is infinity, and not usable
            raw = np.asarray(given, dtype=np.float32)
        expected = (len(texts), self._embedder.dimensions)
        if raw.shape != expected:
            msg = f"expected shape {expected}, got {raw.shape}"
            raise EmbeddingFailed(msg)
        norms = np.sqrt(np.einsum("ij,ij->i", raw, raw, dtype=np.float64))
        usable = np.isfinite(norms) & (norms > 0)
        norms[~usable] = 1.0
        unit = (raw / norms[:, np.newaxis]).astype(np.float32)
        # Each is a copy, so that one that is kept does not keep its whole batch.
        return [
            row.copy() if good else EmbeddingFailed("NaN, infinity or zero")
            for row, good in zip(unit, usable.tolist(), strict=True)
        ]

    # The rest runs without an await.

    def forget(self) -> None:
        """Drop all results that are kept: nobody knows whose they are."""
        self._forgotten += 1
        self._cache.clear()

    def _keep(self, key: bytes, vector: "Vector") -> None:
        self._cache[key] = vector
        self._cache.move_to_end(key)
        if len(self._cache) > self._cached:
            self._cache.popitem(last=False)

    def _noticed(self, attempt: "_Attempt") -> None:
        if attempt.error is not None:
            self._went_wrong(attempt.error)
        else:
            self._came_back()

    def _went_wrong(self, exc: Exception) -> None:
        if not self._failing:
            # Only the type: the message of somebody else's exception may quote the text.
            failure = type(exc).__name__
            logger.warning("the embedder fails (%s): episodes stay pending, recall goes by words", failure)
        self._failing = True

    def _came_back(self) -> None:
        if self._failing:
            logger.warning("the embedder works again; embed_pending() embeds what was left")
        self._failing = False


def chunks(text: str, size: int) -> Iterator[str]:
    """Cut at white space where there is some in the second half of a chunk of `size` characters."""
    rest = text.strip()
    while len(rest) > size:
        cut = max(rest.rfind(white, size // 2, size) for white in (" ", "\n"))
        cut = cut if cut > 0 else size
        yield rest[:cut]
        rest = rest[cut:].lstrip()
    if rest:
        yield rest


def _stacked(vectors: "Sequence[Vector | None]") -> "Vectors | None":
    """Return the chunks of a text as one matrix; None if one is missing."""
    whole = [vector for vector in vectors if vector is not None]
    if not whole or len(whole) < len(vectors):
        return None
    return whole[0][np.newaxis] if len(whole) == 1 else np.stack(whole)


def _key(text: str, kind: TextKind) -> bytes:
    return blake2b(text.encode(), digest_size=16, person=kind.encode()).digest()
