"""A tenant's memory as an export, page by page."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from .._composition import Composition, Scope
from .._workspace import DumpCheckpoint, DumpScope, ListScopes, ScopeName
from ..errors import Conflict
from ..stores import Place, WorkingStore
from ..stores.transfer import BEGINNING, Holdings, KeptEpisode
from ..types import ExportedRule, ExportHeader, Tenant
from .history import told
from .reading import ERASED, VERSION
from .scopes import told_checkpoint, told_scope

PAGE = 200
"""Records read at once."""

MOVED = (
    "something of this user was forgotten while it was exported; what was exported is no use, export it again"
)


class Dump:
    """One export on its way.

    Attributes:
        header: known once it is opened.
    """

    def __init__(self, composition: Composition, scope: Scope, *, vectors: bool) -> None:
        self._composition = composition
        self._tenant = scope.tenant
        self._vectors = vectors and composition.embedding is not None
        self._holdings = Holdings()

    async def open(self) -> ExportHeader:
        """Fix what is to be exported: what comes later is left out."""
        self._holdings = held = await self._composition.archive.transfers.survey(self._tenant)
        embedding = self._composition.embedding
        with_vectors = embedding is not None and self._vectors
        return ExportHeader(
            version=VERSION,
            namespace=self._tenant.namespace,
            user_id=self._tenant.user_id,
            tx=held.tx,
            at=held.at,
            episodes=held.episodes,
            transactions=held.transactions,
            assertions=held.assertions,
            erased=len(held.tombstones),
            erasure_key=None if held.secret is None else held.secret.hex(),
            predicates={
                name: ExportedRule(cardinality=rule.cardinality, key=rule.key, immutable=rule.immutable)
                for name, rule in sorted(held.rules.items())
            },
            model=embedding.model if embedding is not None and with_vectors else None,
            dimensions=embedding.dimensions if embedding is not None and with_vectors else None,
        )

    async def pages(self) -> AsyncGenerator[Sequence[dict[str, Any]]]:
        """Yield the records.

        Raises:
            Conflict: something was forgotten meanwhile.
        """
        tombstones = self._holdings.tombstones
        for start in range(0, len(tombstones), ERASED):
            part = tombstones[start : start + ERASED]
            yield [{"kind": "erased", "digests": [each.hex() for each in part]}]
        async for page in self.history():
            yield page
        local = self._composition.tenants.held(self._tenant)
        async for page in scopes_of(self._composition.working, local, self._tenant):
            yield page

    async def history(self) -> AsyncGenerator[Sequence[dict[str, Any]]]:
        """Yield the records of the archive.

        Raises:
            Conflict: something was forgotten meanwhile.
        """
        transfers, held, after = self._composition.archive.transfers, self._holdings, BEGINNING
        while True:
            page = await transfers.dump(
                self._tenant, basis=held.tx, after=after, limit=PAGE, vectors=self._vectors
            )
            # Whatever was read before this has not changed is as it was when the export began.
            if await self._composition.archive.generation(self._tenant) != held.generation:
                raise Conflict(MOVED)
            if not page:
                return
            after = page[-1].position
            records: list[dict[str, Any]] = []
            for kept in page:
                record = told(kept, vectors=self._vectors)
                if isinstance(kept, KeptEpisode):
                    record["consolidated"] = self._is_consolidated(kept.seq)
                records.append(record)
            yield records

    def _is_consolidated(self, seq: int) -> bool:
        # As it was when the export began: the facts of what was consolidated since are left out, too.
        return seq <= self._holdings.consolidated and seq not in self._holdings.passed_over


async def scopes_of(
    working: WorkingStore, local: Any, tenant: Tenant
) -> AsyncGenerator[Sequence[dict[str, Any]]]:
    """Yield the records of working memory. That is no use of a session."""
    (names,) = await working.look(local, [Place(tenant)], ListScopes())
    for name in sorted(names, key=_order):
        place = Place(tenant, *name)
        (contents,) = await working.look(local, [place], DumpScope())
        if contents.empty:
            continue
        yield list(told_scope(name, contents))
        for made in contents.checkpoints:
            (saved,) = await working.look(local, [place], DumpCheckpoint(made.id))
            if saved is not None:  # else it went since
                yield list(told_checkpoint(saved))


def _order(name: ScopeName) -> tuple[str, str]:
    return name[0] or "", name[1] or ""
