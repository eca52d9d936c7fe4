"""What users plug in: their code, called without a lock or a connection held, and never trusted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from ..types import Episode, FactDraft

if TYPE_CHECKING:
    from .vectors import Vectors

TextKind = Literal["query", "document"]


class Reranker(Protocol):
    """Scores the best hits of a recall anew. The user's code: called without a lock or a connection held."""

    async def __call__(self, query: str, texts: Sequence[str], /) -> Sequence[float]:
        """Return a score for each text, the higher the better."""
        ...


class Extractor(Protocol):
    """Finds facts in an episode. The user's code: called without a lock or a connection held.

    Several episodes may be extracted at once, and one twice: in two processes, or again after a failure.
    """

    async def extract(self, episode: Episode, /) -> Sequence[FactDraft]:
        """Return what an episode says, as a list or tuple; empty if that is nothing.

        The episode is given alone, because what is said of it must be gone when it is forgotten. Contexts of
        ours are taken out of its texts: what was recalled is not said again.

        What is returned is checked like any input, and lands as a whole or not at all. A draft has no `id`,
        is not `staged`, and has no other source than this episode, which need not be named. `valid_from` is
        by default when the episode occurred. Whatever is raised makes the episode fail: it is tried again
        by the next `consolidate`.
        """
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
