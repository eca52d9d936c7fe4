from collections.abc import Callable, Sequence
from datetime import datetime
from types import EllipsisType
from typing import Any, cast

from pydantic import BaseModel

from . import _json
from ._checks import check_count, check_id, check_instant, check_optional_id
from ._committing import commit
from ._composition import Composition, Scope
from ._fact_reads import staged_facts
from ._requests import Asked, asked, checked_claim, given_sources
from ._timeline import Assertion
from .errors import InvalidInput, NotFound
from .hooks import Event
from .stores.changes import Claim, Discard, Promote, Replace, Rollback
from .types import Episode, Fact, FactDraft, Forever


class FactWrites:
    """How facts change. Every call is one transaction: all of it, or nothing.

    All take, beside what is named there:

    * `actor`: who says so, an id; `reason`: why, in words. For the journal.
    * `key`: makes the call idempotent: the same call again with the same key returns its first result.

    and raise:

    * InvalidInput: before anything is stored.
    * HookError: a before-hook refused; nothing was stored.
    * FactConflict: an immutable predicate has another object; nothing was stored.
    * IdempotencyConflict: the key was used for something else.
    * OutcomeUnknown: it may have been stored; call again with `key=error.key`.
    * StoreUnavailable, Overloaded, DeadlineExceeded: nothing was stored; try later.
    """

    def __init__(self, composition: Composition, scope: Scope) -> None:
        self._composition = composition
        self._scope = scope
        self._store = composition.archive.facts

    async def add(
        self,
        subject: str,
        predicate: str,
        object: Any,
        *,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = (),
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact:
        """Hold something to be true. What is said already, by the same sources, is not stored again.

        Args:
            object: any JSON value, or a pydantic model; validated if the predicate has a model.
            valid_from: aware; None for the earliest source's `occurred_at`, or else for now.
            valid_to: aware, exclusive. None: until something else is known. `FOREVER`: without end, over
                whatever was known to start later.
            confidence: 0..1.
            sources: ids of the episodes that say so.
            source: one more of them, or the only one.
            id: None for a new one. The same id with the same content is stored once.
            staged: only for the session of this handle, until it is promoted.

        Raises:
            NotFound: a source does not exist.
            Conflict: a source was erased.
            FactConflict: the id is taken by another fact.
        """
        draft = FactDraft(
            subject, predicate, object, valid_from=valid_from, valid_to=valid_to, confidence=confidence,
            sources=given_sources(sources, source), id=id, staged=staged,
        )  # fmt: skip
        request = self._asked("add", actor, reason, key)
        request.add(draft)
        return await self._one(request)

    async def add_many(
        self,
        drafts: Sequence[FactDraft],
        *,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> tuple[Fact, ...]:
        """Add several facts in one transaction; return them in the order of the drafts.

        Args:
            drafts: a list or tuple, at most `Limits.max_batch`, with the fields of `add`.
        """
        given = cast("object", drafts)
        if not isinstance(given, list | tuple):
            raise InvalidInput("drafts", f"expected a list or tuple, got {type(given).__name__}")
        if len(drafts) > self._composition.limits.max_batch:
            raise InvalidInput("drafts", f"more than {self._composition.limits.max_batch}; add them in parts")
        request = self._asked("add", actor, reason, key)
        for i, draft in enumerate(drafts):
            request.add(draft, at=f"drafts[{i}].")
        if not drafts:
            return ()
        return tuple(facts[0] for facts in await commit(self._composition, self._scope, request.request()))

    async def add_model(
        self,
        model: BaseModel,
        *,
        predicate: str | None = None,
        subject: str | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = (),
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact:
        """Add a fact whose object is a pydantic model; see `add` for the rest.

        Args:
            predicate: None for the one that is declared with this class.
            subject: None for the value of the predicate's key.
        """
        name, about, value = self._composition.predicates.placed(model, predicate, subject)
        return await self.add(
            about, name, value, valid_from=valid_from, valid_to=valid_to, confidence=confidence,
            sources=sources, source=source, id=id, staged=staged, actor=actor, reason=reason, key=key,
        )  # fmt: skip

    async def update(
        self,
        fact_id: str,
        patch: dict[str, Any],
        *,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact:
        """Change some fields of a fact's object, from now on: until now it was as it was.

        Args:
            patch: fields to be set, at the top level; not empty.

        Raises:
            NotFound: there is no such fact.
            VersionConflict: the fact is not held any more; `current` is what is.
        """
        request = self._asked("update", actor, reason, key)
        if not isinstance(cast("object", patch), dict) or not patch:
            raise InvalidInput("patch", "expected a dict with the fields to be set")
        old = await self._named(check_id("fact_id", fact_id))
        before = None if old.object is None else _json.loads(old.object)
        if not isinstance(before, dict):
            raise InvalidInput("fact_id", "the object of this fact has no fields; use add or correct")
        merged = {**cast("dict[str, Any]", before), **patch}
        self._replace(request, old, merged, correct=False, claim={}, passed=["update", fact_id, repr(patch)])
        return await self._one(request)

    async def correct(
        self,
        fact_id: str,
        *,
        object: Any = ...,
        valid_from: datetime | EllipsisType = ...,
        valid_to: datetime | Forever | EllipsisType | None = ...,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact:
        """Put right what was never true: retract a fact and add another one, in one transaction.

        What is not given stays as it was claimed. The result's `replaces` is the id of the old one.

        Raises:
            NotFound: there is no such fact.
            VersionConflict: the fact is not held any more; `current` is what is.
        """
        request = self._asked("correct", actor, reason, key)
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
        passed = ["correct", fact_id, object is not ..., repr(claim)]
        self._replace(request, old, object, correct=True, claim=claim, passed=passed)
        return await self._one(request)

    async def end(
        self,
        subject: str,
        predicate: str,
        object: Any = ...,
        *,
        at: datetime | None = None,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact:
        """Say that something stopped being true. It stays true until then.

        Args:
            object: which value; without it, whatever is true at that moment: of a predicate with many
                values, each of them.
            at: aware; None for now.

        Returns:
            What says so, with `void=True`; of several the first.

        Raises:
            NotFound: no object was given, and the predicate has many values but none then.
        """
        request = self._asked("end", actor, reason, key)
        start = None if at is None else check_instant("at", at)
        request.void(subject, predicate, object, Claim(start, None, onset=True))
        return await self._one(request)

    async def deny(
        self,
        subject: str,
        predicate: str,
        object: Any = ...,
        *,
        valid_from: datetime,
        valid_to: datetime | Forever | None,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Fact:
        """Say that something was not true during a period, whatever was known of it.

        Args:
            object: as in `end`; each value that was true at any moment of the period.
            valid_to: exclusive; None or `FOREVER` for no end.

        Returns:
            What says so, with `void=True`; of several the first.
        """
        request = self._asked("deny", actor, reason, key)
        check_instant("valid_from", valid_from)
        claim = checked_claim(valid_from, Forever.FOREVER if valid_to is None else valid_to)
        request.void(subject, predicate, object, claim)
        return await self._one(request)

    async def retract(
        self, fact_id: str, *, actor: str | None = None, reason: str | None = None, key: str | None = None
    ) -> Fact:
        """Say that an assertion should never have been believed; what it had displaced comes back.

        At an earlier `known_at` it still shows. What else says the same stays.

        Args:
            fact_id: also of what `end`, `deny` or `retract` returned: to retract a retraction undoes it.

        Returns:
            The retraction; `retracts` is what it hides.

        Raises:
            NotFound: there is no such assertion.
        """
        request = self._asked("retract", actor, reason, key)
        request.retract(fact_id)
        return await self._one(request)

    async def promote_session(
        self,
        session_id: str | None = None,
        *,
        select: Callable[[Fact], bool] | None = None,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> int:
        """Make what a session has staged known to all; return how many facts that was news.

        Args:
            session_id: None for that of the handle.
            select: which of the staged facts; None for all.
        """
        session = self._session(session_id)
        request = self._asked("promote", actor, reason, key)
        only = None
        if select is not None:
            staged = await staged_facts(self._composition, self._scope.tenant, session)
            only = frozenset(fact.fact_id for fact in staged if select(fact))
        operation = Promote(request.next_id(), session, only)
        request.operate(operation, passed=[session, select is not None])
        return await self._counted(request)

    async def discard_session(
        self,
        session_id: str | None = None,
        *,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> int:
        """Retract what a session has staged and not promoted; return how many facts that was."""
        session = self._session(session_id)
        request = self._asked("discard", actor, reason, key)
        request.operate(Discard(request.next_id(), session), passed=session)
        return await self._counted(request)

    async def rollback(
        self,
        session_id: str | None = None,
        *,
        steps: int = 1,
        actor: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> int:
        """Undo the newest transactions of a session that are not undone yet; return how many assertions.

        By compensation, in one transaction: nothing leaves the log. Called again, it goes further back.

        Args:
            session_id: None for that of the handle; if it has none, transactions without a session.
            steps: transactions to undo, 1..1000; fewer if there are no more.

        Raises:
            RollbackConflict: another session has changed the same facts since; nothing is undone.
        """
        check_count("steps", steps)
        session = check_optional_id("session_id", session_id) or self._scope.session_id
        request = self._asked("rollback", actor, reason, key)
        request.operate(Rollback(request.next_id(), session, steps), passed=[session, steps])
        return await self._counted(request)

    # What they share.

    def _asked(self, event: Event, actor: object, reason: object, key: object) -> Asked:
        return asked(self._composition, self._scope, event, actor=actor, reason=reason, key=key)

    async def _one(self, request: Asked) -> Fact:
        ((fact, *_), *_) = await commit(self._composition, self._scope, request.request())
        return fact

    async def _counted(self, request: Asked) -> int:
        (facts,) = await commit(self._composition, self._scope, request.request())
        return sum(fact.changed for fact in facts)

    async def _named(self, fact_id: str) -> Assertion:
        """Return an assertion that is to be replaced. Assertions never change, so it can be read before."""
        tenant = self._scope.tenant
        found = await self._composition.call(tenant, lambda: self._store.get(tenant, [fact_id]))
        for slots in found.values():
            for assertion in slots.log:
                if assertion.id == fact_id and assertion.op == "assert":
                    return assertion
        raise NotFound("fact", fact_id)

    def _replace(
        self,
        request: Asked,
        old: Assertion,
        object: object,
        *,
        correct: bool,
        claim: dict[str, Any],
        passed: Sequence[object],
    ) -> None:
        text = None
        if object is not ...:
            limit = self._composition.limits.max_metadata_bytes
            text = self._composition.predicates.checked(old.predicate, old.subject, object, limit=limit)
            request.texts.append((old.subject, old.predicate, text))
            request.drafts.append(FactDraft(old.subject, old.predicate, object))
        request.fact_ids.append(old.id)
        operation = Replace(request.next_id(), old.id, text, correct, **claim)
        request.operate(operation, passed=[*passed, text if correct else None])

    def _session(self, session_id: object) -> str:
        session = check_optional_id("session_id", session_id) or self._scope.session_id
        if session is None:
            raise InvalidInput("session_id", "is needed: this handle has no session")
        return session
