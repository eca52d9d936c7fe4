"""A filter of facts as SQL."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from .. import _json
from .._draft import MAIN, digest
from ..stores.facts import FactFilter, FactPosition
from ..types import Tenant


class FactQuery:
    """The statement `found` for a filter, with its parameters; `$1` is the tenant.

    What is current is found by the indices of the projection, what was current once by those of the log.
    """

    def __init__(self, sql: Mapping[str, str], tenant: Tenant, filter: FactFilter) -> None:
        self.values: list[object] = [tenant.key]
        self._sql = sql
        self._filter = filter
        self._k = None if filter.known is None else f"{self.given(filter.known)}::bigint"
        self._branch = None if not filter.branch else self.given(filter.branch)
        if filter.during is not None:
            self._instant = "p.starts"
        elif filter.valid_at is not None:
            self._instant = f"{self.given(filter.valid_at)}::timestamptz"
        else:
            self._instant = f"greatest({self.given(filter.now)}, t.at)"
        self._conditions = [self._known("f"), *self._when(), *self._whose(), *self._what()]
        self._source = sql["all"]
        self._order = ""

    def given(self, value: object) -> str:
        """Return the parameter that a value is given as."""
        self.values.append(value)
        return f"${len(self.values)}"

    def page(self, after: FactPosition | None, limit: int) -> None:
        """Return only so many beyond a position, in order."""
        if after is not None:
            tx, seq, start = map(self.given, after)
            # The first condition alone can be looked up, where a piece starts later than its row says.
            self._conditions += [
                f"f.assertion_tx >= {tx}::bigint",
                f"(f.assertion_tx, f.assertion_seq, p.starts) > ({tx}::bigint, {seq}::int, {start})",
            ]
        self._order = f" order by f.assertion_tx, f.assertion_seq, p.starts limit {self.given(limit)}"

    def link(self, nodes: Sequence[str]) -> None:
        """Return only what has one of the nodes at either end."""
        objects = [digest(_json.canonical(node)) for node in nodes]
        self._source = self._filled("linked" if self._k is None else "linked_then", {
            "{subjects}": self.given(list(nodes)),
            "{objects}": self.given(objects),
        })  # fmt: skip

    def statement(self, *, columns: str = "", texts: str = "") -> str:
        pieces = self._filled("pieces", {
            "{source}": self._source,
            "{logged}": "" if self._k is None else self._sql["logged"],
            "{parts}": self._parts(),
            "{instant}": self._instant,
            "{filters}": "".join(f" and {each}" for each in self._conditions),
        })  # fmt: skip
        return self._filled("found", {
            "{pieces}": pieces + self._order,
            "{visible}": self._visible(),
            "{columns}": columns,
            "{texts}": texts,
        })  # fmt: skip

    @property
    def _at(self) -> str:
        return "f" if self._k is None else "w"

    def _known(self, alias: str) -> str:
        if self._k is None:
            return f"{alias}.tx_to is null"
        return f"{alias}.tx_from <= {self._k} and ({alias}.tx_to is null or {alias}.tx_to > {self._k})"

    def _visible(self) -> str:
        if self._k is None:
            return self._sql["visible"]
        return self._filled("visible_then", {"{known}": self._k})

    def _when(self) -> Sequence[str]:
        if self._filter.during is None:
            return [f"p.starts <= {self._instant}", f"(p.ends is null or {self._instant} < p.ends)"]
        start, end = self._filter.during
        conditions = list[str]()
        if start is not None:
            conditions.append(f"(p.ends is null or {self.given(start)} < p.ends)")
        if end is not None:
            conditions.append(f"p.starts < {self.given(end)}")
        return conditions

    def _whose(self) -> Sequence[str]:
        conditions = list[str]()
        if self._branch is None:
            conditions.append(f"f.branch = '{MAIN}'")
        else:
            conditions.append(f"f.branch in ('{MAIN}', {self._branch})")
        if self._filter.session_id is not None:
            conditions.append(f"f.session_id = {self.given(self._filter.session_id)}")
        return conditions

    def _what(self) -> Sequence[str]:
        conditions = list[str]()
        if self._filter.subject is not None:
            conditions.append(f"{self._at}.subject = {self.given(self._filter.subject)}")
        if self._filter.predicate is not None:
            conditions.append(f"{self._at}.predicate = {self.given(self._filter.predicate)}")
        if self._filter.object is not None:
            conditions.append(f"f.object_digest = {self.given(digest(self._filter.object))}")
        if self._filter.where:
            conditions.append(self._filled("said", {"{conditions}": self._paths()}))
        return conditions

    def _paths(self) -> str:
        parts = list[str]()
        for path, expected in self._filter.where.items():
            found = " -> ".join(["a.object", *(f"{self.given(name)}::text" for name in path)])
            parts.append(f" and ({found})::jsonb = {self.given(_json.dumps(expected))}::text::jsonb")
        return "".join(parts)

    def _parts(self) -> str:
        if self._branch is None:
            return self._sql["whole"]
        return self._filled("overlaid", {"{branch}": self._branch, "{known}": self._known("o")})

    def _filled(self, statement: str, placeholders: Mapping[str, str]) -> str:
        return _filled(self._sql[statement], *placeholders.items())


@lru_cache(maxsize=1_000)
def _filled(sql: str, *placeholders: tuple[str, str]) -> str:
    """Fill a statement in; kept, because few kinds of questions are asked, over and over."""
    for placeholder, text in placeholders:
        sql = sql.replace(placeholder, text)
    return sql
