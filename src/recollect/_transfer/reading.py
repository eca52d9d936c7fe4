"""An export as it is read: checked record by record, before and while it is stored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from .. import _json
from .._checks import check_id
from .._draft import MICROSECOND, UNDECLARED
from .._workspace import Contents, Saved, ScopeName
from ..errors import InvalidInput
from ..stores.changes import Cardinality, Rule
from ..stores.transfer import Kept
from ..types import ExportedRule, ExportHeader, Limits
from .fields import Fields
from .history import History
from .scopes import PARTS, Scope

VERSION = 1
MAX_DIMENSIONS = 16_000
ERASED = 1_000
"""Hashes of what was erased in one record."""

HASH, KEY = 32, (16, 32)
"""Bytes of such a hash, and of what it is keyed with."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A scope, or the newest checkpoint of it."""

    name: ScopeName
    part: Contents | Saved


Item = Kept | Staged


def read_header(given: object) -> ExportHeader:
    """Return a header, if there is nothing wrong with it.

    Raises:
        InvalidInput: says where.
    """
    fields = Fields("header", given)
    version = fields.count("version")
    if version != VERSION:
        raise InvalidInput("header.version", f"this version of the package reads {VERSION}, got {version}")
    tx, at = fields.count("tx"), fields.optional("at", fields.instant)
    if (tx == 0) is not (at is None):
        raise InvalidInput("header.at", "is there if tx is above 0, and only then")
    model = fields.optional("model", lambda name: fields.text(name, 1024))
    dimensions = fields.optional("dimensions", lambda name: fields.count(name, low=1, high=MAX_DIMENSIONS))
    if (model is None) is not (dimensions is None):
        raise InvalidInput("header.dimensions", "belongs to a model")
    key = fields.optional("erasure_key", lambda name: fields.digits(name, *KEY))
    erased = fields.count("erased")
    if erased and key is None:
        raise InvalidInput("header.erasure_key", "is missing")
    header = ExportHeader(
        version=version,
        namespace=fields.id("namespace"),
        user_id=fields.optional("user_id", fields.id),
        tx=tx,
        at=at,
        episodes=fields.count("episodes"),
        transactions=fields.count("transactions"),
        assertions=fields.count("assertions"),
        erased=erased,
        erasure_key=None if key is None else key.hex(),
        predicates=_rules(fields.take("predicates")),
        model=model,
        dimensions=dimensions,
    )
    fields.end()
    return header


def _rules(given: object) -> dict[str, ExportedRule]:
    if not isinstance(given, dict):
        raise InvalidInput("header.predicates", f"expected an object, got {type(given).__name__}")
    rules: dict[str, ExportedRule] = {}
    for i, (name, rule) in enumerate(cast("dict[object, object]", given).items()):
        path = f"header.predicates[{i}]"
        fields = Fields(path, rule)
        rules[check_id(path, name)] = ExportedRule(
            cardinality=cast("Cardinality", fields.one_of("cardinality", ("one", "many"))),
            key=fields.optional("key", fields.id),
            immutable=fields.truth("immutable"),
        )
        fields.end()
    return rules


@dataclass(slots=True)
class Reader:
    """Reads the records of an export in their order, each once.

    Args:
        header: checked.
        limits: bounds of what is accepted.
        now: nothing can have been recorded later, on the whole.

    Attributes:
        records: read so far.
        tombstones: of what was erased.
        scopes: read so far.
    """

    header: ExportHeader
    limits: Limits
    now: datetime
    records: int = 0
    tombstones: list[bytes] = field(default_factory=list[bytes])
    scopes: dict[ScopeName, None] = field(default_factory=dict[ScopeName, None])
    history: History = field(init=False)
    _scope: Scope | None = None
    _stage: int = 0

    def __post_init__(self) -> None:
        rules = {
            name: Rule(rule.cardinality, rule.key, rule.immutable)
            for name, rule in self.header.predicates.items()
        }
        self.history = History(self.limits, rules, self.header.dimensions)

    def rules(self) -> Mapping[str, Rule]:
        """Return the rule of every predicate that occurs."""
        return {name: self.history.rules.get(name, UNDECLARED) for name in self.history.predicates}

    def read(self, record: object) -> Iterator[Item]:
        """Take in a record; yield what is complete with it.

        Raises:
            InvalidInput: says which field of which record is wrong.
        """
        given = Fields(f"records[{self.records}]", record)
        self.records += 1
        kind = given.one_of("kind", tuple(_STAGES))
        self._advance(given, kind)
        match kind:
            case "erased":
                self._erased(given)
            case "episode":
                yield self._timely(given, self.history.episode(given))
            case "transaction":
                yield self._timely(given, self.history.transaction(given))
            case "assertion":
                yield self.history.assertion(given)
            case "scope":
                yield from self._completed()
                self._begin(given)
            case _:
                yield from self._part(kind, given)
        given.end()

    def check(self, record: object) -> None:
        """Take in a record, and keep nothing of it."""
        for _ in self.read(record):
            pass

    def finish(self) -> None:
        """Like `end`, and keep nothing."""
        for _ in self.end():
            pass

    def end(self) -> Iterator[Item]:
        """There are no more records; yield what is complete with that."""
        yield from self._completed()
        self._scope = None
        self.history.end()
        history, header = self.history, self.header
        found = {
            "erased": len(self.tombstones),
            "episodes": history.episodes,
            "transactions": history.transactions,
            "assertions": history.assertions,
        }
        for name, count in found.items():
            if count != getattr(header, name):
                raise InvalidInput(f"header.{name}", f"promises {getattr(header, name)}, there are {count}")

    def _advance(self, given: Fields, kind: str) -> None:
        if _STAGES[kind] < self._stage:
            raise InvalidInput(given.at("kind"), "comes too late: working memory is last, hashes come first")
        self._stage = _STAGES[kind]

    def _timely(self, given: Fields, kept: Kept) -> Kept:
        history, header = self.history, self.header
        if history.tx > header.tx:
            raise InvalidInput(f"{given.path}.{'seq' if history.episodes else 'tx'}", "is beyond header.tx")
        if header.at is not None and history.at is not None and history.at > header.at:
            raise InvalidInput(given.at("recorded_at"), "is later than header.at")
        # Where the wall clock stalls, a tenant's own is ahead of it by a microsecond for each transaction.
        if history.at is not None and history.at > self.now + self.records * MICROSECOND:
            raise InvalidInput(given.at("recorded_at"), "is in the future")
        return kept

    def _erased(self, given: Fields) -> None:
        digests = given.list("digests")
        if len(digests) > ERASED:
            raise InvalidInput(given.at("digests"), f"more than {ERASED}")
        for i, each in enumerate(digests):
            item = Fields(f"{given.at('digests')}[{i}]", {"": each})
            self.tombstones.append(item.digits("", HASH))
            if len(self.tombstones) > 1 and self.tombstones[-2] >= self.tombstones[-1]:
                raise InvalidInput(f"{given.at('digests')}[{i}]", "is not in order")

    def _begin(self, given: Fields) -> None:
        self._scope = Scope.begun(given, self.limits)
        if self._scope.name in self.scopes:
            raise InvalidInput(given.path, "is a scope that there was before")
        self.scopes[self._scope.name] = None

    def _part(self, kind: str, given: Fields) -> Iterator[Item]:
        if self._scope is None:
            raise InvalidInput(given.at("kind"), "belongs to a scope, and there was none before it")
        if kind == "checkpoint":
            yield from self._completed()
            self._scope.checkpoint(given)
        else:
            self._scope.part(kind, given)

    def _completed(self) -> Iterator[Item]:
        scope = self._scope
        if scope is not None:
            yield Staged(scope.name, scope.saved() if scope.checkpoints else scope.contents())


_STAGES = {"erased": 0, "episode": 1, "transaction": 1, "assertion": 1, "scope": 2, **dict.fromkeys(PARTS, 2)}


def parsed(text: object, path: str) -> Any:
    """Return a line as JSON."""
    if not isinstance(text, str | bytes):
        raise InvalidInput(path, f"expected a line of JSON, got {type(text).__name__}")
    try:
        return _json.loads(cast("str", text))
    except (ValueError, RecursionError):
        raise InvalidInput(path, "is not JSON") from None
