"""A few words in which the checks of facts say what is written and read."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .. import _json
from .._draft import digest, text_digest
from ..errors import RecollectError
from ..stores import Archive
from ..stores.changes import (
    Assert,
    Change,
    Claim,
    Committed,
    Entry,
    FactText,
    Operation,
    Replace,
    Retract,
    Rule,
    Void,
)
from ..stores.facts import FactFilter, FactPosition, FoundFact
from ..types import Tenant
from ._material import fresh_tenant

if TYPE_CHECKING:
    from ..stores import Vectors

CITY, LIKES, BORN, BADGE = "check-lives-in", "check-likes", "check-born", "check-badge"
"""Predicates: one value at a time; many, and not declared; one and immutable; many and immutable."""

RULES = {CITY: Rule("one"), BORN: Rule("one", immutable=True), BADGE: Rule("many", immutable=True)}

NOW = datetime(2100, 1, 1, tzinfo=UTC)
"""Later than the clock of any tenant, so that the checks know what is true now."""

ALWAYS = (None, None)

Span = tuple[Any, int | datetime, int | datetime | None]
"""An object, and when it holds: from, to. A whole number is the beginning of a year."""

_keys = count()


def year(number: int) -> datetime:
    return datetime(number, 1, 1, tzinfo=UTC)


def instant(given: int | datetime) -> datetime:
    return year(given) if isinstance(given, int) else given


def _instant(given: int | datetime | None) -> datetime | None:
    return None if given is None else instant(given)


def since(object: Any, start: int | datetime | None = None, **fields: Any) -> Assert:
    """Return an assertion that holds from `start` until something else is known."""
    return _assert(object, Claim(_instant(start), None, onset=True), fields)


def during(object: Any, start: int | datetime, end: int | datetime | None, **fields: Any) -> Assert:
    """Return an assertion of a certain time; None for no end."""
    return _assert(object, Claim(instant(start), _instant(end), onset=False), fields)


def _assert(object: Any, claim: Claim, fields: dict[str, Any]) -> Assert:
    given: dict[str, Any] = {"subject": "anna", "predicate": CITY, "chosen": "id" in fields, **fields}
    given.setdefault("id", str(uuid4()))
    return Assert(object=_json.canonical(object), claim=claim, **given)


def end(start: int | datetime, object: Any = ..., **fields: Any) -> Void:
    return _void(object, Claim(instant(start), None, onset=True), fields)


def deny(start: int | datetime, stop: int | datetime | None, object: Any = ..., **fields: Any) -> Void:
    return _void(object, Claim(instant(start), _instant(stop), onset=False), fields)


def _void(object: Any, claim: Claim, fields: dict[str, Any]) -> Void:
    given: dict[str, Any] = {"id": str(uuid4()), "subject": "anna", "predicate": CITY, **fields}
    return Void(object=None if object is ... else _json.canonical(object), claim=claim, **given)


def retract(ref: str) -> Retract:
    return Retract(str(uuid4()), ref)


def correct(ref: str, object: Any = ..., **fields: Any) -> Replace:
    given = None if object is ... else _json.canonical(object)
    return Replace(str(uuid4()), ref, given, correct=True, **fields)


def update(ref: str, object: Any, **fields: Any) -> Replace:
    return Replace(str(uuid4()), ref, _json.canonical(object), correct=False, **fields)


def change(
    tenant: Tenant,
    *operations: Operation,
    key: str | None = None,
    name: str = "add",
    session_id: str | None = None,
    vectors: "Vectors | None" = None,
    **fields: Any,
) -> Change:
    """Return a change, ready to be committed; a fact is found by the words of its object."""
    said = [each for each in operations if isinstance(each, Assert)]
    return Change(
        tenant,
        f"key {next(_keys)}" if key is None else key,
        digest=digest(repr(operations)),
        name=name,
        operations=operations,
        session_id=session_id,
        texts=tuple(text(each, vectors) for each in said),
        **fields,
    )


def text(said: Assert, vectors: "Vectors | None" = None) -> FactText:
    words = tuple(said.object.strip('"').split())
    found_by = text_digest(said.subject, said.predicate, said.object)
    return FactText(found_by, said.object, words, "pending" if vectors is None else "ready", vectors)


async def fresh(archive: Archive, user_id: str | None = "alice") -> Tenant:
    """Return a tenant that nobody has used, of an archive that knows the rules."""
    await archive.adopt_predicates(RULES, replace=False)
    return fresh_tenant(user_id)


async def commit(archive: Archive, tenant: Tenant, *operations: Operation, **fields: Any) -> Committed:
    """Commit one change. Raises what it is refused for."""
    (outcome,) = await archive.facts.commit([change(tenant, *operations, **fields)])
    if isinstance(outcome, RecollectError):
        raise outcome
    return outcome


async def say(archive: Archive, tenant: Tenant, *operations: Operation, **fields: Any) -> list[Entry]:
    """Commit one change; return what its operations became, one after the other."""
    committed = await commit(archive, tenant, *operations, **fields)
    return [entry for entries in committed.entries for entry in entries]


async def refused(archive: Archive, tenant: Tenant, *operations: Operation, **fields: Any) -> RecollectError:
    """Return why a change is refused, once it is sure that nothing is left of it."""
    before = await everything(archive, tenant)
    (outcome,) = await archive.facts.commit([change(tenant, *operations, **fields)])
    assert isinstance(outcome, RecollectError), f"not refused: {outcome}"
    assert await everything(archive, tenant) == before, "something is left of what was refused"
    return outcome


async def everything(archive: Archive, tenant: Tenant) -> tuple[object, ...]:
    """Return all that can be read of a tenant's facts."""
    log, basis = await archive.facts.changes(tenant, after=(0, 0), limit=10_000)
    headers, _ = await archive.facts.headers(tenant, session_id=None, before=None, limit=10_000)
    pairs = sorted({(each.subject, each.predicate, each.branch) for each in log})
    pieces = [
        list((await archive.facts.slots(tenant, subject, predicate, branch=branch)).pieces)
        for subject, predicate, branch in pairs
    ]
    return list(log), basis, [(each.tx, each.undone_by) for each in headers], pieces


async def find(
    archive: Archive,
    tenant: Tenant,
    *,
    after: FactPosition | None = None,
    limit: int = 1_000,
    **filters: Any,
) -> list[FoundFact]:
    found, _ = await archive.facts.find(tenant, filtered(**filters), after=after, limit=limit)
    return list(found)


def filtered(**filters: Any) -> FactFilter:
    filters.setdefault("now", NOW)
    return FactFilter(**filters)


async def objects(archive: Archive, tenant: Tenant, **filters: Any) -> list[Any]:
    """Return the objects of the facts that pass, sorted."""
    return sorted((object_of(fact) for fact in await find(archive, tenant, **filters)), key=repr)


def object_of(fact: FoundFact) -> Any:
    return _json.loads(fact.piece.assertion.object or "null")


async def timeline(
    archive: Archive, tenant: Tenant, *, subject: str = "anna", predicate: str = CITY, **filters: Any
) -> list[Span]:
    """Return when what holds, in order of time; neighbours that say the same are one."""
    found = await find(archive, tenant, subject=subject, predicate=predicate, during=ALWAYS, **filters)
    merged: list[Span] = []
    for fact in sorted(found, key=lambda fact: (repr(object_of(fact)), fact.piece.valid_from)):
        span: Span = (object_of(fact), fact.piece.valid_from, fact.piece.valid_to)
        if merged and (merged[-1][0], merged[-1][2]) == span[:2]:
            span = (*merged.pop()[:2], span[2])
        merged.append(span)
    return sorted(merged, key=lambda span: (instant(span[1]), repr(span[0])))


def spans(given: Iterable[Span]) -> list[Span]:
    """Return spans whose years are instants."""
    return [(object, instant(start), _instant(stop)) for object, start, stop in given]


async def check_projection(archive: Archive, tenant: Tenant) -> None:
    """Check that what reads touch is what the log says."""
    assert await archive.facts.verify(tenant) == 0, "the projection is not what the log says"


def ids(entries: Sequence[Entry]) -> list[str]:
    return [entry.assertion.id for entry in entries]
