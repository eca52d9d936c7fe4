"""The user's embedder behind a cache, in batches, and never trusted."""

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from ._batching import Batcher
from .errors import ConfigurationError
from .stores import Embedder, TextKind

if TYPE_CHECKING:
    from .stores import Vectors

logger = logging.getLogger("recollect")

Texts = tuple[str, ...]


class EmbeddingFailed(Exception):
    """The embedder raised, or returned something that is no embedding. Never leaves the package."""


class Embedding:
    """What a memory knows of its embedder: concurrent calls become one, results are kept.

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
        self._cache: OrderedDict[bytes, Vectors] = OrderedDict()
        self._failing = False
        # Queries and documents are different calls of the embedder. No shield: it is user code.
        self._documents = Batcher[Texts, "Vectors"](
            lambda items: self._flush(items, "document"), weigh=len, shield=False
        )
        self._queries = Batcher[Texts, "Vectors"](
            lambda items: self._flush(items, "query"), weigh=len, shield=False
        )

    async def document(self, text: str) -> "Vectors | None":
        """Return shape (chunks, dimensions), L2-normalised; None if the embedder failed."""
        return await self._embedded(self._documents, tuple(chunks(text, self._chunk_chars)), "document")

    async def query(self, text: str) -> "Vectors | None":
        """Return shape (dimensions,), L2-normalised; None if the embedder failed."""
        first = next(chunks(text, self._chunk_chars), "")
        found = await self._embedded(self._queries, (first,), "query")
        return None if found is None else found[0]

    async def _embedded(
        self, batcher: "Batcher[Texts, Vectors]", texts: Texts, kind: TextKind
    ) -> "Vectors | None":
        keys = [_key(text, kind) for text in texts]
        known = [self._cache.get(key) for key in keys]
        wanted = tuple(text for text, vector in zip(texts, known, strict=True) if vector is None)
        if wanted:
            try:
                fresh = iter(await batcher.submit(wanted))
            except Exception as exc:  # noqa: BLE001  # boundary to user code: it raises what it likes
                self._went_wrong(exc)
                return None
            self._came_back()
            known = [next(fresh) if vector is None else vector for vector in known]
        found = np.stack([vector for vector in known if vector is not None])
        self._keep(keys, found)
        return found

    async def _flush(self, items: Sequence[Texts], kind: TextKind) -> "Sequence[Vectors | Exception]":
        texts = [text for item in items for text in item]
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
        outcomes: list[Vectors | Exception] = []
        start = 0
        for item in items:
            rows = slice(start, start + len(item))
            start = rows.stop
            outcomes.append(unit[rows] if usable[rows].all() else EmbeddingFailed("NaN, infinity or zero"))
        return outcomes

    # The rest runs without an await.

    def _keep(self, keys: Sequence[bytes], vectors: "Vectors") -> None:
        for key, vector in zip(keys, vectors, strict=True):
            self._cache[key] = vector
            self._cache.move_to_end(key)
        while len(self._cache) > self._cached:
            self._cache.popitem(last=False)

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


def _key(text: str, kind: TextKind) -> bytes:
    return blake2b(text.encode(), digest_size=16, person=kind.encode()).digest()
