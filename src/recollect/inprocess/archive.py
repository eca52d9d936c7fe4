from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice

from anyio.lowlevel import checkpoint

from .._clock import aware, utc_now
from ..errors import EmbeddingMismatch
from ..stores import Archive, Directory
from ._tables import Tables, VectorTable
from .episodes import InProcessEpisodes


class InProcessArchive(Archive):
    """Episodes in dicts and arrays, for as long as the object lives. Never evicted.

    Args:
        clock: gives `recorded_at`.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._tables = Tables()
        self._embedder: tuple[str, int] | None = None
        self._episodes = InProcessEpisodes(self._tables, aware(clock))
        self._directory = InProcessDirectory(self._tables)

    @property
    def episodes(self) -> InProcessEpisodes:
        return self._episodes

    @property
    def directory(self) -> "InProcessDirectory":
        return self._directory

    async def adopt_embedder(self, model: str, dimensions: int, *, reembed: bool) -> None:
        await checkpoint()
        given = (model, dimensions)
        if self._embedder is not None and self._embedder != given:
            if not reembed:
                raise EmbeddingMismatch(self._embedder, given)
            for table in self._tables:
                table.vectors = VectorTable()
                for row in table.rows:
                    row.state = "pending"
        self._embedder = given


class InProcessDirectory(Directory):
    """The tenants that have a table."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def users(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        await checkpoint()
        return [user or None for user in islice(self._tables.users(namespace, after=after), limit)]

    async def has_named_users(self, namespace: str) -> bool:
        await checkpoint()
        return next(self._tables.users(namespace, after=""), None) is not None
