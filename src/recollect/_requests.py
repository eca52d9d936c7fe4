"""What callers of `Facts` ask for, checked and as operations."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from . import _json
from ._checks import (
    check_confidence,
    check_id,
    check_ids,
    check_instant,
    check_json,
    check_optional_id,
    check_optional_text,
)
from ._committing import Request, operation_id
from ._composition import Composition, Scope
from ._ids import uuid7
from .errors import InvalidInput
from .hooks import Event
from .stores.changes import Assert, Claim, Operation, Retract, Void
from .types import Episode, FactDraft, Forever

MAX_SOURCES = 1_000


@dataclass(slots=True)
class Asked:
    """A request that is being put together, one operation after the other."""

    composition: Composition
    scope: Scope
    event: Event
    key: str
    actor: str | None
    reason: str | None
    operations: list[Operation] = field(default_factory=list[Operation])
    passed: list[object] = field(default_factory=list[object])
    texts: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    drafts: list[FactDraft] = field(default_factory=list[FactDraft])
    fact_ids: list[str] = field(default_factory=list[str])

    def next_id(self) -> str:
        """Return the id of the operation that comes next."""
        return operation_id(self.key, len(self.operations))

    def add(self, draft: object, *, at: str = "") -> str:
        """Add a draft; return the id that its fact will have.

        Raises:
            InvalidInput: something in the draft, which `at` is the path to, cannot be stored.
        """
        if not isinstance(draft, FactDraft):
            raise InvalidInput(
                at.removesuffix(".") or "draft", f"expected a FactDraft, got {type(draft).__name__}"
            )
        subject = check_id(f"{at}subject", draft.subject)
        predicate = check_id(f"{at}predicate", draft.predicate)
        limit = self.composition.limits.max_metadata_bytes
        predicates = self.composition.predicates
        object = predicates.checked(predicate, subject, draft.object, limit=limit, field=f"{at}object")
        claim = checked_claim(draft.valid_from, draft.valid_to, at=at)
        if draft.staged and self.scope.session_id is None:
            raise InvalidInput(
                f"{at}staged", "needs a handle with a session: memory.user(..., session_id=...)"
            )
        operation = Assert(
            id=check_optional_id(f"{at}id", draft.id) or self.next_id(),
            subject=subject,
            predicate=predicate,
            object=object,
            claim=claim,
            confidence=check_confidence(f"{at}confidence", draft.confidence),
            sources=check_ids(f"{at}sources", draft.sources, limit=MAX_SOURCES),
            staged=bool(draft.staged),
            chosen=draft.id is not None,
        )
        self.texts.append((subject, predicate, object))
        self.drafts.append(draft)
        return self._take(operation, replace(operation, id=draft.id or ""))

    def void(
        self,
        subject: str,
        predicate: str,
        object: object,
        claim: Claim,
    ) -> str:
        """Add the end, or the denial, of a value; `...` for all that are held."""
        operation = Void(
            id=self.next_id(),
            subject=check_id("subject", subject),
            predicate=check_id("predicate", predicate),
            object=None if object is ... else self._named(object),
            claim=claim,
        )
        return self._take(operation, replace(operation, id=""))

    def retract(self, fact_id: str) -> str:
        """Add the retraction of an assertion."""
        operation = Retract(id=self.next_id(), ref=check_id("fact_id", fact_id))
        self.fact_ids.append(operation.ref)
        return self._take(operation, replace(operation, id=""))

    def operate(self, operation: Operation, *, passed: object) -> str:
        """Add an operation that was made elsewhere."""
        self.operations.append(operation)
        self.passed.append(passed)
        return operation.id

    def request(self) -> Request:
        return Request(
            event=self.event,
            key=self.key,
            operations=tuple(self.operations),
            passed=self.passed,
            actor=self.actor,
            reason=self.reason,
            session_id=self.scope.session_id,
            texts=tuple(self.texts),
            drafts=tuple(self.drafts),
            fact_ids=tuple(self.fact_ids),
        )

    def _named(self, object: object) -> str:
        """Return an object that is only named: it need not be what the schema wants."""
        check_json("object", object, limit=self.composition.limits.max_metadata_bytes)
        return _json.canonical(object)

    def _take(self, operation: Operation, anonymous: Operation) -> str:
        # Without the ids that follow from the key: what is compared is what the caller passed.
        return self.operate(operation, passed=repr(anonymous))


def asked(
    composition: Composition,
    scope: Scope,
    event: Event,
    *,
    actor: object,
    reason: object,
    key: object,
) -> Asked:
    """Begin a request.

    Raises:
        InvalidInput: actor, reason or key cannot be stored.
    """
    return Asked(
        composition,
        scope,
        event,
        check_optional_id("key", key) or uuid7(),
        check_optional_id("actor", actor),
        check_optional_text("reason", reason),
    )


def checked_claim(valid_from: object, valid_to: object, *, at: str = "") -> Claim:
    """Return a claim: without an end it lasts until something else is known, with one it is bounded."""
    start = None if valid_from is None else check_instant(f"{at}valid_from", valid_from)
    if valid_to is None or isinstance(valid_to, Forever):
        return Claim(start, None, onset=valid_to is None)
    end = check_instant(f"{at}valid_to", valid_to)
    if start is not None and start >= end:
        raise InvalidInput(f"{at}valid_to", "must be after valid_from")
    return Claim(start, end, onset=False)


def given_sources(sources: object, source: object) -> tuple[str, ...]:
    """Return what was given as sources, unchecked, with the one that was given by itself."""
    one = source.id if isinstance(source, Episode) else source
    if not isinstance(sources, list | tuple):
        raise InvalidInput("sources", f"expected a list of ids, got {type(sources).__name__}")
    return (*cast("Sequence[str]", sources), *([] if one is None else [cast("str", one)]))
