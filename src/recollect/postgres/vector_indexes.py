"""Indexes of vectors, one for each tenant that has too many to compare them all.

Not one for all tenants: every write of everybody would pay for it, and a search in it would find the vectors
of others first. That of a tenant is kept up to date by its own writes only, and holds nothing else. In
return somebody has to make it, who owns the tables: `index_vectors`. No recall does.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..errors import ConfigurationError, Overloaded
from ..stores.indexing import Outcome
from ._pool import Connection, Postgres
from ._sql import literal, quoted, statements

PREFIX = "episode_vector_of_"
MOST = 2_000
"""Dimensions of a `vector` that HNSW takes; of a `halfvec` twice as many."""

# Nothing is sent over the connection that has the turn while an index is built, nor is it cut for that.
# As a simple query it also ends what the one before it has left open, for whose snapshot building would wait.
_PATIENT = "set local idle_in_transaction_session_timeout = 0"


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """The index of a tenant, there or not.

    Attributes:
        tenant: its key.
        dimensions: of the vectors in it.
    """

    tenant: str
    dimensions: int

    @property
    def possible(self) -> bool:
        return self.dimensions <= 2 * MOST

    @property
    def name(self) -> str:
        return f"{PREFIX}{sha256(self.tenant.encode()).hexdigest()[:32]}_{self.dimensions}"

    def told(self, sql: str, *, vector: str, **others: str) -> str:
        """Return a statement about the index; what is no parameter of a statement is spelled out."""
        kind = "vector" if self.dimensions <= MOST else "halfvec"
        names = {
            "index": quoted(self.name),
            "tenant": literal(self.tenant),
            "dimensions": str(self.dimensions),
            "kind": kind,
            "indexed": f"{quoted(vector)}.{kind}({self.dimensions})",
        }
        for name, value in {**names, **others}.items():
            sql = sql.replace("{" + name + "}", value)
        return sql


class PostgresVectorIndexes:
    """Makes and drops the indexes of an archive."""

    def __init__(self, postgres: Postgres, *, schema: str, vector: str) -> None:
        self._postgres = postgres
        self._schema = schema
        self._vector = vector
        self._sql = statements("vector_indexes", schema=schema, vector=vector)

    async def index(self, *, above: int) -> Outcome:
        """See `Indexing.index_vectors`. Who has half as many is still worth an index that is there."""
        if self._postgres.connections < 2:
            msg = (
                "to make indexes takes a pool of two connections: one of them keeps others from doing it too"
            )
            raise ConfigurationError(msg)

        async def work(turn: Connection) -> Outcome:
            if not await turn.fetchval(self._sql["take_turn"], self._schema):
                msg = "another process is making indexes; try later"
                raise Overloaded(msg)
            await turn.execute(_PATIENT)
            return await self._index(above)

        return await self._postgres.transaction(work)

    async def _index(self, above: int) -> Outcome:
        if await self._value("is_building", self._schema):
            msg = "PostgreSQL is still making an index for a process that is gone; try later"
            raise Overloaded(msg)
        there = await self._postgres.fetch(self._sql["ours"], self._schema, PREFIX)
        needed = await self._needed(above // 2)
        kept = {row["name"] for row in there if row["valid"] and row["name"] in needed}
        dropped = [row["name"] for row in there if row["name"] not in kept]
        for name in dropped:
            await self._postgres.fetch(self._sql["drop"].replace("{index}", quoted(name)))
        built = 0
        for name, (index, vectors) in needed.items():
            if name not in kept and vectors > above:
                built += await self._build(index)
        return Outcome(built=built, kept=len(kept), dropped=len(dropped))

    async def _needed(self, above: int) -> dict[str, tuple[VectorIndex, int]]:
        dimensions = await self._value("embedder")
        if dimensions is None:
            return {}
        rows = await self._postgres.fetch(self._sql["sizes"], above)
        indexes = [(VectorIndex(row["tenant"], dimensions), row["vectors"]) for row in rows]
        if indexes and not await self._value("version"):
            msg = "indexes of vectors need pgvector 0.8 or later; update the extension"
            raise ConfigurationError(msg)
        return {index.name: (index, vectors) for index, vectors in indexes if index.possible}

    async def _build(self, index: VectorIndex) -> bool:
        row = await self._postgres.fetchrow(self._sql["table"], index.tenant)
        if row is None:  # forgotten meanwhile
            return False
        table = f"{quoted(row['schema'])}.{quoted(row['name'])}"
        for statement in ("build", "take_no_samples"):
            await self._postgres.fetch(index.told(self._sql[statement], vector=self._vector, table=table))
        there = await self._postgres.fetch(self._sql["ours"], self._schema, index.name)
        if not any(row["valid"] for row in there):
            msg = "PostgreSQL cut an index off; do it again"
            raise Overloaded(msg)
        return True

    async def _value(self, statement: str, *args: object) -> Any:
        row = await self._postgres.fetchrow(self._sql[statement], *args)
        return None if row is None else row[0]
