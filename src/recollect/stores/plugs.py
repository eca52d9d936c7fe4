"""What users plug in: their code, called without a lock or a connection held, and never trusted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from .vectors import Vectors

TextKind = Literal["query", "document"]


class Reranker(Protocol):
    """Scores the best hits of a recall anew. The user's code: called without a lock or a connection held."""

    async def __call__(self, query: str, texts: Sequence[str], /) -> Sequence[float]:
        """Return a score for each text, the higher the better."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors. The user's code: called without a lock or a connection held."""

    @property
    def model(self) -> str:
        """Name stored with the vectors, so that two models are never mixed."""
        ...

    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str], *, kind: TextKind) -> "Vectors":
        """Return shape (len(texts), dimensions), float32. Need not be normalised."""
        ...
