"""What the benchmarks store: made-up exchanges, and vectors that no model has made."""

import random
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np

from recollect.stores import Embedder

DIMENSIONS = 384


class Lookup(Embedder):
    """An embedder whose vectors were made before: what is measured is not somebody's model."""

    def __init__(self, texts: Sequence[str], vectors: Any, *, model: str = "looked up") -> None:
        self._places = {text: i for i, text in enumerate(texts)}
        self._vectors = vectors
        self._model = model

    @property
    def model(self) -> str:
        return self._model

    @property
    def dimensions(self) -> int:
        return int(self._vectors.shape[1])

    async def embed(self, texts: Sequence[str], *, kind: str) -> Any:  # noqa: ARG002
        return self._vectors[[self._places[text] for text in texts]]


class Drawn(Embedder):
    """An embedder that draws the vector of a text from a table: what is measured is not somebody's model."""

    def __init__(self) -> None:
        self._vectors = unit_vectors(10_007)

    @property
    def model(self) -> str:
        return "drawn"

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    async def embed(self, texts: Sequence[str], *, kind: str) -> Any:  # noqa: ARG002
        return self._vectors[[crc32(text.encode()) % len(self._vectors) for text in texts]]


_EMPTY = "the a to of and I you it is that was for on in my we have with at be so this but not are".split()  # noqa: SIM905
_SYLLABLES = [
    "ba",
    "co",
    "di",
    "fer",
    "gan",
    "hol",
    "il",
    "jor",
    "ka",
    "len",
    "mo",
    "nis",
    "or",
    "pa",
    "qui",
    "ros",
    "ta",
    "ul",
    "ven",
    "wes",
    "yar",
    "zo",
    "ing",
    "tion",
    "er",
]


def made_up(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Return different exchanges of 10 to 40 and 5 to 30 words, frequent and rare ones as in a language."""
    rng = random.Random(seed)
    rare = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(8_000)]
    weights = [1 / (rank + 3) for rank in range(len(rare))]
    picked = iter(rng.choices(rare, weights, k=count * 75))

    def sentence(low: int, high: int) -> str:
        size = rng.randint(low, high)
        return " ".join(rng.choice(_EMPTY) if rng.random() < 0.45 else next(picked) for _ in range(size))

    return [(f"{sentence(10, 40)} {i}.", f"{sentence(5, 30)}.") for i in range(count)]


def unit_vectors(count: int, *, dimensions: int = DIMENSIONS, seed: int = 0) -> Any:
    """Return shape (count, dimensions), float32, L2-normalised."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
