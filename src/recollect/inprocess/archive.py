from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from anyio.lowlevel import checkpoint

from .._clock import aware, utc_now
from .._draft import UNDECLARED
from .._timeline import Slot
from ..errors import ConfigurationError, EmbeddingMismatch
from ..stores import Archive, Directory, Erased, Erasure
from ..stores.changes import Rule
from ..stores.garbage import Leftovers
from ..stores.traits import Traits
from ..types import Health, Tenant
from ._erasing import Erasing
from ._fact_tables import FactTable
from ._revision import Logs, Revision, by_subject, prepared, slotted
from ._tables import Tables
from ._transferring import InProcessTransfers
from .episodes import InProcessEpisodes
from .facts import InProcessFacts


class InProcessArchive(Archive):
    """Episodes and facts in dicts and arrays, for as long as the object lives. Never evicted.

    Args:
        clock: gives `recorded_at`.
    """

    traits = Traits("inprocess", durable=False)

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._tables = Tables()
        self._embedder: tuple[str, int] | None = None
        self._rules: dict[str, Rule] = {}
        self._episodes = InProcessEpisodes(self._tables, aware(clock))
        self._facts = InProcessFacts(self._tables, aware(clock), self._rules)
        self._erasing = Erasing(self._tables, aware(clock))
        self._transfers = InProcessTransfers(self._tables, aware(clock), self._rules)
        self._directory = InProcessDirectory(self._tables)

    @property
    def episodes(self) -> InProcessEpisodes:
        return self._episodes

    @property
    def facts(self) -> InProcessFacts:
        return self._facts

    @property
    def transfers(self) -> InProcessTransfers:
        return self._transfers

    @property
    def directory(self) -> "InProcessDirectory":
        return self._directory

    async def health(self) -> Health:
        await checkpoint()
        return Health(ok=True, source="local", latency=0.0)

    async def adopt_embedder(self, model: str, dimensions: int, *, reembed: bool) -> None:
        await checkpoint()
        given = (model, dimensions)
        if self._embedder is not None and self._embedder != given:
            if not reembed:
                raise EmbeddingMismatch(self._embedder, given)
            for table in self._tables:
                table.make_pending()
        self._embedder = given

    async def adopt_predicates(self, rules: Mapping[str, Rule], *, replace: bool) -> Mapping[str, Rule]:
        await checkpoint()
        revisions: dict[Tenant, Revision] = {}
        divided: dict[str, Rule] = {}

        def current() -> Iterable[Revision]:
            nonlocal divided
            # Looked at each time: others may adopt rules, and tenants appear, while this one prepares.
            if not replace:
                self._refuse_others(rules)
            before = divided
            divided = {
                name: rule
                for name, rule in rules.items()
                if rule.cardinality != self._rules.get(name, UNDECLARED).cardinality
            }
            if divided != before:
                revisions.clear()
            for table in self._tables if divided else ():
                revisions.setdefault(table.tenant, _divided(table.facts, divided))
            return list(revisions.values())

        await prepared(current)
        for revision in revisions.values():
            revision.apply()
        self._rules.update(rules)
        return dict(self._rules)

    async def erase(self, tenant: Tenant, erasure: Erasure) -> Erased:
        await checkpoint()
        return await self._erasing.erase(tenant, erasure)

    async def generation(self, tenant: Tenant) -> int:
        await checkpoint()
        table = self._tables.get(tenant)
        return 0 if table is None else table.generation

    async def left(self, tenant: Tenant, erasure: Erasure) -> int:
        await checkpoint()
        return await self._erasing.left(tenant, erasure)

    async def sweep(self, tenant: Tenant, *, dry_run: bool) -> Leftovers:
        await checkpoint()
        table = self._tables.get(tenant)
        if table is None:
            return Leftovers()
        marks, texts = table.progress.stale(table.by_seq), table.facts.texts
        blank = texts.blank
        if not dry_run:
            table.progress.drop(marks)
            parts = texts.compact() if blank else ()
            blank = 0
            for gone in parts:
                await checkpoint()
                blank += gone
        return Leftovers(fact_vectors=blank, marks=len(marks))

    def _refuse_others(self, rules: Mapping[str, Rule]) -> None:
        for name, rule in rules.items():
            recorded = self._rules.get(name, rule)
            if recorded != rule:
                msg = (
                    f"predicate {name!r} is recorded as {recorded}, and given as {rule}; "
                    "declare it as it is recorded, or replace it"
                )
                raise ConfigurationError(msg)


def _divided(facts: FactTable, rules: Mapping[str, Rule]) -> Revision:
    """Return a tenant's facts as other rules divide them into slots."""

    def affected(facts: FactTable) -> Iterable[Sequence[Slot]]:
        return by_subject(place for name in rules for place in facts.at(("predicate", name)))

    def rewrite(logs: Logs) -> Logs:
        (predicate,) = {place[2] for place in logs}
        return slotted(logs, rules[predicate])

    return Revision(facts, affected, rewrite)


class InProcessDirectory(Directory):
    """The tenants that have a table."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def tenants(self, *, after: Tenant | None, limit: int) -> Sequence[Tenant]:
        await checkpoint()
        return list(islice(self._tables.tenants(after=after), limit))

    async def users(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        await checkpoint()
        return [user or None for user in islice(self._tables.users(namespace, after=after), limit)]

    async def unconsolidated(self, namespace: str, *, after: str | None, limit: int) -> Sequence[str | None]:
        await checkpoint()
        return [user or None for user in islice(self._left(namespace, after), limit)]

    def _left(self, namespace: str, after: str | None) -> Iterator[str]:
        for user in self._tables.users(namespace, after=after):
            table = self._tables.get(Tenant(namespace, user or None))
            if table is not None and next(table.unconsolidated(), None) is not None:
                yield user

    async def has_named_users(self, namespace: str) -> bool:
        await checkpoint()
        return next(self._tables.users(namespace, after=""), None) is not None
