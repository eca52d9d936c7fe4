"""What holds of predicates: recorded once, for all tenants and processes."""

from collections.abc import Mapping

from .._draft import UNDECLARED
from ..errors import ConfigurationError
from ..stores.changes import Rule
from ._pool import Connection, Postgres
from ._sql import statements
from .fact_rebuilding import divided
from .fact_writes import rule_of


class PostgresPredicates:
    """The table `predicate`.

    A predicate that gets another cardinality, even by being declared for the first time, has its facts
    folded again, of all tenants, with writes stopped meanwhile.
    """

    def __init__(self, postgres: Postgres, *, schema: str, vector: str) -> None:
        self._postgres = postgres
        names = ("predicates", "facts")
        self._sql = {
            name: sql
            for file in names
            for name, sql in statements(file, schema=schema, vector=vector).items()
        }

    async def adopt(self, rules: Mapping[str, Rule], *, replace: bool) -> Mapping[str, Rule]:
        async def work(conn: Connection) -> Mapping[str, Rule]:
            # Waits for writes in flight and holds off the next ones, which then see the new rules.
            await conn.execute(self._sql["stop_writes"])
            recorded = {row["name"]: rule_of(row) for row in await conn.fetch(self._sql["rules"])}
            new = _new(recorded, rules, replace=replace)
            await conn.execute(
                self._sql["record"],
                list(new),
                [rule.cardinality for rule in new.values()],
                [rule.key for rule in new.values()],
                [rule.immutable for rule in new.values()],
            )
            changed = {
                name: rule
                for name, rule in new.items()
                if rule.cardinality != recorded.get(name, UNDECLARED).cardinality
            }
            if changed:
                for row in await conn.fetch(self._sql["using"], list(changed)):
                    self._postgres.leave_replica()
                    await divided(conn, self._sql, row["tenant"], changed)
            return {**recorded, **new}

        recorded = {row["name"]: rule_of(row) for row in await self._postgres.fetch(self._sql["rules"])}
        if not _new(recorded, rules, replace=replace):
            return recorded
        return await self._postgres.transaction(work)


def _new(recorded: Mapping[str, Rule], rules: Mapping[str, Rule], *, replace: bool) -> Mapping[str, Rule]:
    """Return the rules that are to be recorded.

    Raises:
        ConfigurationError: one would take the place of another.
    """
    new = {name: rule for name, rule in rules.items() if recorded.get(name) != rule}
    for name, rule in new.items():
        if name in recorded and not replace:
            msg = (
                f"predicate {name!r} is recorded as {recorded[name]}, and given as {rule}; "
                "declare it as it is recorded, or replace it"
            )
            raise ConfigurationError(msg)
    return new
