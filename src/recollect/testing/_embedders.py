from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import anyio
import numpy as np
from anyio.lowlevel import checkpoint

from ..stores import Embedder, TextKind

if TYPE_CHECKING:
    from ..stores import Vectors

Fault = Literal["raises", "too few", "wrong dimensions", "nan", "infinity", "zero", "hangs"]


class HashEmbedder(Embedder):
    """Turns texts into vectors without a model: the sum of a random direction for each word.

    Deterministic, on every machine. Texts that share words are near each other, others nearly
    orthogonal; nothing else is understood.
    """

    def __init__(self, *, dimensions: int = 32, model: str = "hash") -> None:
        self._dimensions = dimensions
        self._model = model

    @property
    def model(self) -> str:
        return self._model

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def embed(self, texts: Sequence[str], *, kind: TextKind) -> "Vectors":
        del kind
        await checkpoint()
        return np.array([self._vector(text) for text in texts], dtype=np.float32)

    def _vector(self, text: str) -> "Vectors":
        words = text.casefold().split() or [text]
        directions: Vectors = np.stack([self._direction(word) for word in words])
        summed: Vectors = directions.sum(axis=0)
        return summed

    def _direction(self, word: str) -> "Vectors":
        seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest())
        return np.random.default_rng(seed).standard_normal(self._dimensions, dtype=np.float32)


class FaultyEmbedder(Embedder):
    """Stands in front of an embedder and fails for as long as `fault` is set.

    Attributes:
        fault: "raises" an exception that quotes the texts, as those of services do; returns
            "too few" vectors, or some of "wrong dimensions", or with "nan", "infinity", "zero"; or
            "hangs" until it is cancelled. None: works.
        calls: the texts of each call so far, the failed ones included.
    """

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._embedder = HashEmbedder() if embedder is None else embedder
        self.fault: Fault | None = None
        self.calls: list[tuple[str, ...]] = []

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def embed(self, texts: Sequence[str], *, kind: TextKind) -> "Vectors":
        self.calls.append(tuple(texts))
        if self.fault == "raises":
            msg = f"cannot embed {list(texts)}"
            raise RuntimeError(msg)
        if self.fault == "hangs":
            await anyio.sleep_forever()
        return self._spoiled(await self._embedder.embed(texts, kind=kind))

    def _spoiled(self, vectors: "Vectors") -> "Vectors":
        match self.fault:
            case "too few":
                return vectors[1:]
            case "wrong dimensions":
                return vectors[:, 1:]
            case "nan" | "infinity" | "zero":
                spoiled = vectors.copy()
                spoiled[0] = {"nan": np.nan, "infinity": np.inf, "zero": 0.0}[self.fault]
                return spoiled
            case _:
                return vectors
