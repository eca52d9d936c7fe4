"""What a tenant owns in process."""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ..stores import NewEpisode
from ..types import EmbeddingState, Tenant
from ._columns import Column, VectorTable
from ._fact_tables import FactTable
from ._progress import Progress

if TYPE_CHECKING:
    from ..stores import Integers, Vectors

MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Row:
    """A stored episode. JSON stays text: what is handed out is nobody's live reference."""

    new: NewEpisode
    seq: int
    recorded_at: datetime
    state: EmbeddingState


@dataclass(slots=True)
class TenantTable:
    """Everything of one tenant. Index i in one column is index i in all of them.

    Attributes:
        generation: how often something was erased.
        edits: how often the columns changed.
    """

    tenant: Tenant
    at: datetime
    tx: int = 0
    generation: int = 0
    edits: int = 0
    rows: list[Row] = field(default_factory=list[Row])
    by_id: dict[str, int] = field(default_factory=dict[str, int])
    by_seq: dict[int, int] = field(default_factory=dict[int, int])
    # Quoted, because Python 3.11 cannot subscript an array.
    by_session: "dict[str, array[int]]" = field(default_factory=dict[str, "array[int]"])
    seqs: Column = field(default_factory=lambda: Column(np.int64))
    session_codes: Column = field(default_factory=lambda: Column(np.int64))
    lengths: Column = field(default_factory=lambda: Column(np.float64))
    occurred: Column = field(default_factory=lambda: Column(np.float64))
    postings: "dict[str, tuple[array[int], array[int]]]" = field(
        default_factory=dict[str, "tuple[array[int], array[int]]"]
    )
    vectors: VectorTable = field(default_factory=VectorTable)
    terms: int = 0
    facts: FactTable = field(default_factory=FactTable)
    progress: Progress = field(default_factory=Progress)
    memo: dict[str, Any] = field(default_factory=dict[str, Any])  # see `Candidates`

    def tick(self, now: datetime) -> None:
        """Advance the clock: strictly, even when the wall clock stalls or steps back."""
        self.tx += 1
        self.at = max(now, self.at + MICROSECOND)

    def add(self, new: NewEpisode, now: datetime) -> Row:
        self.tick(now)
        state: EmbeddingState = new.embedding_state
        vectors = new.vectors
        if vectors is not None and not self.vectors.fits(vectors):
            state, vectors = "pending", None
        # Terms and vectors are kept in columns, once.
        row = Row(replace(new, terms=(), vectors=None), self.tx, self.at, state)
        index = len(self.rows)
        self.edits += 1
        self.rows.append(row)
        self.by_id[new.id] = index
        self.by_seq[row.seq] = index
        self.memo = {}
        self.seqs.append(row.seq)
        self.session_codes.append(self.join_session(new.session_id, index))
        self.lengths.append(len(new.terms))
        self.occurred.append(new.occurred_at.timestamp())
        self.terms += len(new.terms)
        for term, count in Counter(new.terms).items():
            at, counts = self.postings.setdefault(term, (array("q"), array("q")))
            at.append(index)
            counts.append(count)
        if vectors is not None:
            self.vectors.add(index, vectors)
        return row

    def join_session(self, session_id: str | None, index: int) -> int:
        """Make an episode the newest of its session; return what stands for the session."""
        if session_id is None:
            return -1
        members = self.by_session.setdefault(session_id, array("q"))
        members.append(index)
        return members[0]  # the index of its first episode is as good a code as any

    def set_vectors(self, index: int, vectors: "Vectors") -> bool:
        """Make an episode ready; return whether it was not."""
        row = self.rows[index]
        if row.state == "ready" or not self.vectors.fits(vectors):
            return False
        self.edits += 1
        self.vectors.add(index, vectors)
        row.state = "ready"
        return True

    def make_pending(self) -> None:
        self.edits += 1
        self.vectors = VectorTable()
        for row in self.rows:
            row.state = "pending"
        self.facts.texts.make_pending()

    def unconsolidated(self, *, after: int = 0) -> Iterator[Row]:
        """Yield the episodes beyond a number that are not consolidated, in order."""
        return (self.rows[index] for index in self.progress.left(self.rows, self.by_seq, after=after))

    def posting(self, term: str) -> "tuple[Integers, Integers] | None":
        """Return copies: a view would forbid the arrays to grow while somebody holds it."""
        found = self.postings.get(term)
        return None if found is None else (np.array(found[0]), np.array(found[1]))


class Tables:
    """The tables of all tenants, and in sorted order who they belong to."""

    def __init__(self) -> None:
        self._by_tenant: dict[Tenant, TenantTable] = {}
        self._users: dict[str, list[str]] = {}
        self._namespaces: list[str] = []

    def __iter__(self) -> Iterator[TenantTable]:
        return iter(self._by_tenant.values())

    def get(self, tenant: Tenant) -> TenantTable | None:
        return self._by_tenant.get(tenant)

    def open(self, tenant: Tenant, now: datetime) -> TenantTable:
        """Return the tenant's table, made if this is its first write."""
        table = self._by_tenant.get(tenant)
        if table is None:
            # So that the first tick lands on `now`.
            table = self._by_tenant[tenant] = TenantTable(tenant, now - MICROSECOND)
            if tenant.namespace not in self._users:
                self._users[tenant.namespace] = []
                insort(self._namespaces, tenant.namespace, key=str.encode)
            insort(self._users[tenant.namespace], tenant.user_id or "", key=str.encode)
        return table

    def replace(self, table: TenantTable) -> None:
        self._by_tenant[table.tenant] = table

    def tenants(self, *, after: Tenant | None) -> Iterator[Tenant]:
        """Yield whoever has a table, one namespace after the other."""
        namespaces = self._namespaces
        start = 0 if after is None else bisect_left(namespaces, after.namespace.encode(), key=str.encode)
        for namespace in islice(namespaces, start, None):
            last = None if after is None or namespace != after.namespace else after.user_id or ""
            for user in self._listed(namespace, after=last):
                yield Tenant(namespace, user or None)

    def _listed(self, namespace: str, *, after: str | None) -> Iterator[str]:
        users = self._users.get(namespace, [])
        start = 0 if after is None else bisect_right(users, after.encode(), key=str.encode)
        return islice(users, start, None)

    def users(self, namespace: str, *, after: str | None) -> Iterator[str]:
        """Yield users in byte order; "" is the anonymous one: no user is called that, and it sorts first."""
        for user in self._listed(namespace, after=after):
            table = self._by_tenant[Tenant(namespace, user or None)]
            if table.rows or table.facts.headers:  # of who was forgotten the table stays, and nothing in it
                yield user
