from collections.abc import Callable, Sequence
from datetime import datetime
from types import EllipsisType
from typing import Any, cast

from anyio.lowlevel import checkpoint
from pydantic import BaseModel

from ._checks import check_count, check_optional_id
from ._committing import commit
from ._composition import Composition, Scope
from ._fact_reads import staged_assertions
from ._requests import Asked, asked, given_sources
from .errors import InvalidInput
from .hooks import Event
from .stores.changes import Discard, Promote, Rollback
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

    _composition: Composition
    _scope: Scope

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
            await checkpoint()
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
            NotFound: there is no such fact, or another session has staged it.
            VersionConflict: the fact is not held any more; `current` is what is.
        """
        request = self._asked("update", actor, reason, key)
        await request.update(fact_id, patch)
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

        Args:
            object: what it should have been; None is JSON null.
            valid_from: aware.
            valid_to: aware, exclusive. None: until something else is known. `FOREVER`: as in `add`.

        Raises:
            NotFound: there is no such fact, or another session has staged it.
            VersionConflict: the fact is not held any more; `current` is what is.
        """
        request = self._asked("correct", actor, reason, key)
        await request.correct(fact_id, object, valid_from, valid_to)
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
        request.end(subject, predicate, object, at)
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
        request.deny(subject, predicate, object, valid_from=valid_from, valid_to=valid_to)
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
            select: which of the staged facts; None for all. Those that only support one go with it.
        """
        session = self._session(session_id)
        request = self._asked("promote", actor, reason, key, session_id=session)
        only = None
        if select is not None:
            only = await staged_assertions(self._composition, self._scope.tenant, session, select)
        request.propose("promote")
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
        request = self._asked("discard", actor, reason, key, session_id=session)
        request.propose("discard")
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
        request = self._asked("rollback", actor, reason, key, session_id=session)
        request.propose("rollback")
        request.operate(Rollback(request.next_id(), session, steps), passed=[session, steps])
        return await self._counted(request)

    # What they share.

    def _asked(
        self, event: Event, actor: object, reason: object, key: object, *, session_id: str | None = None
    ) -> Asked:
        request = asked(self._composition, self._scope, event, actor=actor, reason=reason, key=key)
        if session_id is not None:
            request.session_id = session_id
        return request

    async def _one(self, request: Asked) -> Fact:
        ((fact, *_), *_) = await commit(self._composition, self._scope, request.request())
        return fact

    async def _counted(self, request: Asked) -> int:
        (facts,) = await commit(self._composition, self._scope, request.request())
        return sum(fact.changed for fact in facts)

    def _session(self, session_id: object) -> str:
        session = check_optional_id("session_id", session_id) or self._scope.session_id
        if session is None:
            raise InvalidInput("session_id", "is needed: this handle has no session")
        return session
