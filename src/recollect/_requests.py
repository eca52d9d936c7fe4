"""What callers of `Facts` ask for, checked and as operations."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from . import _json
from ._checks import (
    check_confidence,
    check_id,
    check_ids,
    check_instant,
    check_object,
    check_optional_id,
    check_optional_text,
)
from ._committing import Request, operation_id
from ._composition import Composition, Scope
from ._ids import uuid7
from ._timeline import Assertion
from .errors import InvalidInput, NotFound
from .hooks import Event, Proposed
from .stores.changes import Assert, Claim, Operation, Replace, Retract, Void
from .types import Episode, FactDraft, Forever

MAX_SOURCES = 1_000


@dataclass(slots=True)
class Asked:
    """A request that is being put together, one operation after the other.

    Attributes:
        session_id: that the transaction is of.
        passed: what tells this request from another one with the same key: JSON.
    """

    composition: Composition
    scope: Scope
    event: Event
    key: str
    actor: str | None
    reason: str | None
    session_id: str | None
    operations: list[Operation] = field(default_factory=list[Operation])
    passed: list[object] = field(default_factory=list[object])
    texts: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    proposed: list[Proposed] = field(default_factory=list[Proposed])

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
        object = self._checked(predicate, subject, draft.object, at=f"{at}object")
        claim = checked_claim(draft.valid_from, draft.valid_to, at=at)
        if type(cast("Any", draft.staged)) is not bool:
            raise InvalidInput(f"{at}staged", f"expected a bool, got {type(draft.staged).__name__}")
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
            sources=check_ids(f"{at}sources", given_sources(draft.sources, at=at), limit=MAX_SOURCES),
            staged=draft.staged,
            chosen=draft.id is not None,
        )
        if any(isinstance(each, Assert) and each.id == operation.id for each in self.operations):
            raise InvalidInput(f"{at}id", "is that of another one here")
        self.propose("add", replace(draft, object=_json.loads(object)))
        return self._take(operation, replace(operation, id=draft.id or ""))

    def end(self, subject: str, predicate: str, object: object, at: object) -> str:
        """Add the end of a value; `...` for all that are held."""
        start = None if at is None else check_instant("at", at)
        return self._void("end", subject, predicate, object, Claim(start, None, onset=True))

    def deny(
        self, subject: str, predicate: str, object: object, *, valid_from: object, valid_to: object
    ) -> str:
        """Add the denial of a value; `...` for all that are held."""
        check_instant("valid_from", valid_from)
        claim = checked_claim(valid_from, Forever.FOREVER if valid_to is None else valid_to)
        return self._void("deny", subject, predicate, object, claim)

    def _void(self, op: Event, subject: str, predicate: str, object: object, claim: Claim) -> str:
        limit = self.composition.limits.max_metadata_bytes
        name = check_id("predicate", predicate)
        operation = Void(
            id=self.next_id(),
            subject=check_id("subject", subject),
            predicate=name,
            object=None if object is ... else self.composition.predicates.named(name, object, limit=limit),
            claim=claim,
        )
        value = ... if operation.object is None else _json.loads(operation.object)
        end = claim.end if claim.end is not None or claim.onset else Forever.FOREVER
        self.propose(op, FactDraft(subject, predicate, value, valid_from=claim.start, valid_to=end))
        return self._take(operation, replace(operation, id=""))

    def retract(self, fact_id: str) -> str:
        """Add the retraction of an assertion."""
        operation = Retract(id=self.next_id(), ref=check_id("fact_id", fact_id))
        self.propose("retract", fact_id=operation.ref)
        return self._take(operation, replace(operation, id=""))

    async def update(self, fact_id: str, patch: object) -> str:
        """Add the replacement of a fact by one with other fields, from now on."""
        limit = self.composition.limits.max_metadata_bytes
        check_object("patch", patch, limit=limit)
        fields = cast("dict[str, Any]", patch)
        if not fields:
            raise InvalidInput("patch", "is empty; give the fields to be set")
        old = await self._named(check_id("fact_id", fact_id))
        before = None if old.object is None else _json.loads(old.object)
        if not isinstance(before, dict):
            raise InvalidInput("fact_id", "the object of this fact has no fields; use add or correct")
        merged = {**cast("dict[str, Any]", before), **fields}
        object = self._checked(old.predicate, old.subject, merged, at="patch")
        passed = ["update", fact_id, _json.canonical(fields)]
        return self._replace("update", old, object, {}, passed)

    async def correct(self, fact_id: str, object: object, valid_from: object, valid_to: object) -> str:
        """Add the replacement of a fact by one that puts it right; `...` for what stays as it was claimed."""
        claim: dict[str, Any] = {}
        if valid_from is not ...:
            claim["start"] = check_instant("valid_from", valid_from)
        if valid_to is None:
            claim["opened"] = True
        elif valid_to is not ...:
            end = None if isinstance(valid_to, Forever) else check_instant("valid_to", valid_to)
            claim |= {"end": end, "bounded": True}
        if object is ... and not claim:
            raise InvalidInput("object", "nothing to correct: give object, valid_from or valid_to")
        if claim.get("start") is not None and claim.get("end") is not None and claim["start"] >= claim["end"]:
            raise InvalidInput("valid_to", "must be after valid_from")
        old = await self._named(check_id("fact_id", fact_id))
        text = None if object is ... else self._checked(old.predicate, old.subject, object, at="object")
        return self._replace("correct", old, text, claim, ["correct", fact_id, text, repr(claim)])

    async def _named(self, fact_id: str) -> Assertion | Assert:
        """Return what is to be replaced. Assertions never change, so it can be read before."""
        for operation in self.operations:
            if isinstance(operation, Assert) and operation.id == fact_id:
                return operation
        store, tenant = self.composition.archive.facts, self.scope.tenant
        found = await self.composition.call(tenant, lambda: store.get(tenant, [fact_id]))
        for slots in found.values():
            for each in slots.log:
                # What another session has staged is not there for this one.
                if each.id == fact_id and each.op == "assert" and each.branch in ("", self.scope.session_id):
                    return each
        raise NotFound("fact", fact_id)

    def _replace(
        self, op: Event, old: Assertion | Assert, object: str | None, claim: dict[str, Any], passed: object
    ) -> str:
        if object is not None:
            self.texts.append((old.subject, old.predicate, object))
        start, end, onset = _claimed(old)
        if op == "update":
            start = None  # from now on
        else:
            start = claim.get("start", start)
            onset = bool(claim.get("opened", onset and not claim.get("bounded")))
            end = None if onset else claim.get("end", end)
        draft = FactDraft(
            old.subject, old.predicate, _json.loads(old.object or "null" if object is None else object),
            valid_from=start, valid_to=end if end is not None or onset else Forever.FOREVER,
            confidence=old.confidence, sources=old.sources,
        )  # fmt: skip
        self.propose(op, draft, fact_id=old.id)
        operation = Replace(self.next_id(), old.id, object, op == "correct", **claim)
        return self.operate(operation, passed=passed)

    def operate(self, operation: Operation, *, passed: object) -> str:
        """Add an operation that was made elsewhere."""
        if len(self.operations) >= self.composition.limits.max_batch:
            raise InvalidInput("transaction", f"more than {self.composition.limits.max_batch} operations")
        self.operations.append(operation)
        self.passed.append(passed)
        if isinstance(operation, Assert):
            self.texts.append((operation.subject, operation.predicate, operation.object))
        return operation.id

    def request(self) -> Request:
        return Request(
            event=self.event,
            key=self.key,
            operations=tuple(self.operations),
            passed=self.passed,
            actor=self.actor,
            reason=self.reason,
            session_id=self.session_id,
            texts=tuple(self.texts),
            proposed=tuple(self.proposed),
        )

    def _checked(self, predicate: str, subject: str, object: object, *, at: str) -> str:
        limit = self.composition.limits.max_metadata_bytes
        return self.composition.predicates.checked(predicate, subject, object, limit=limit, field=at)

    def propose(self, op: Event, draft: FactDraft | None = None, fact_id: str | None = None) -> None:
        self.proposed.append(Proposed(op=op, draft=draft, fact_id=fact_id))

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
    composition.ensure_open()
    return Asked(
        composition,
        scope,
        event,
        check_optional_id("key", key) or uuid7(),
        check_optional_id("actor", actor),
        check_optional_text("reason", reason),
        scope.session_id,
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


def given_sources(sources: object, source: object = None, *, at: str = "") -> tuple[str, ...]:
    """Return what was given as sources, unchecked, with the one that was given by itself."""
    one = source.id if isinstance(source, Episode) else source
    # A set has no order, and would be other content each time.
    if not isinstance(sources, list | tuple):
        raise InvalidInput(f"{at}sources", f"expected a list of ids, got {type(sources).__name__}")
    return (*cast("Sequence[str]", sources), *([] if one is None else [cast("str", one)]))


def _claimed(old: Assertion | Assert) -> tuple[datetime | None, datetime | None, bool]:
    if isinstance(old, Assert):
        return old.claim.start, old.claim.end, old.claim.onset
    return old.claimed_from, old.claimed_to, old.onset
