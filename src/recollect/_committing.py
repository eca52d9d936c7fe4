"""From checked operations to what they have become: hooks, group commit, hooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast

from anyio.lowlevel import checkpoint_if_cancelled

from . import _json
from ._analysis import analyze
from ._batching import Batcher
from ._composition import Composition, Scope
from ._deadline import half_of_the_rest
from ._draft import text_digest
from ._facts_shown import entered
from ._ids import derived, is_uuid7
from .errors import DeadlineExceeded, OutcomeUnknown, RecollectError, VersionConflict
from .hooks import Commit, Event, Proposal
from .stores.changes import Change, Committed, Entry, FactText, Operation
from .types import EmbeddingState, Fact, FactDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller asks for, checked.

    Attributes:
        passed: what tells this request from another one with the same key: JSON.
        texts: subject, predicate and canonical object of what may be new.
        drafts, fact_ids: for the hooks.
    """

    event: Event
    key: str
    operations: tuple[Operation, ...]
    passed: object
    actor: str | None = None
    reason: str | None = None
    session_id: str | None = None
    texts: tuple[tuple[str, str, str], ...] = ()
    drafts: tuple[FactDraft, ...] = ()
    fact_ids: tuple[str, ...] = ()


def operation_id(key: str, position: int) -> str:
    """Return the id of an operation, the same whenever the request is repeated with its key."""
    return key if position == 0 and is_uuid7(key) else derived(key, position)


async def commit(composition: Composition, scope: Scope, request: Request) -> tuple[tuple[Fact, ...], ...]:
    """Commit a request; return for each operation what it has become.

    Raises:
        HookError: a hook refused; nothing was stored.
        OutcomeUnknown: it may have been stored.
    """
    composition.ensure_open()
    await checkpoint_if_cancelled()
    proposal = Proposal(
        event=request.event,
        user_id=scope.tenant.user_id,
        namespace=scope.tenant.namespace,
        session_id=request.session_id,
        actor=request.actor,
        reason=request.reason,
        drafts=request.drafts,
        fact_ids=request.fact_ids,
    )
    await composition.hooks.propose(proposal)
    committed = await _committed(composition, scope, _change(composition, scope, request))
    results = tuple(tuple(map(entered, entries)) for entries in committed.entries)
    if any(fact.changed for facts in results for fact in facts):
        facts = tuple(fact for facts in results for fact in facts)
        await composition.hooks.tell(Commit(proposal=proposal, tx=committed.tx, facts=facts))
    return results


def _change(composition: Composition, scope: Scope, request: Request) -> Change:
    passed = [request.event, request.session_id, request.actor, request.reason, request.passed]
    unembedded: EmbeddingState = "none" if composition.embedding is None else "pending"
    texts = {text_digest(*parts): parts for parts in request.texts}
    return Change(
        tenant=scope.tenant,
        key=request.key,
        digest=blake2b(_json.canonical(passed).encode(), digest_size=16).digest(),
        name=request.event,
        operations=request.operations,
        session_id=request.session_id,
        actor=request.actor,
        reason=request.reason,
        texts=tuple(
            FactText(digest, text, tuple(analyze(text, composition.language)), unembedded)
            for digest, parts in texts.items()
            for text in (text_of_fact(*parts),)
        ),
    )


async def _committed(composition: Composition, scope: Scope, change: Change) -> Committed:
    tenant = scope.tenant

    async def work() -> Committed:
        state = composition.tenants.held(tenant)
        batcher = state.facts = state.facts or group_commit(composition)
        try:
            return await batcher.submit(change)
        finally:
            if not batcher.busy and state.facts is batcher:
                state.facts = None  # an idle tenant holds nothing

    def late(seconds: float) -> RecollectError:
        return OutcomeUnknown(change.key) if change.handed_over else DeadlineExceeded(seconds)

    try:
        return await composition.call(tenant, work, late=late)
    except VersionConflict as exc:
        if isinstance(exc.current, Entry):
            raise VersionConflict("the fact", entered(exc.current)) from None
        raise


def group_commit(composition: Composition) -> Batcher[Change, Committed]:
    """Return what gathers concurrent changes of one tenant into one transaction of the store."""
    embedding, facts = composition.embedding, composition.archive.facts

    async def embed(changes: Sequence[Change]) -> None:
        if embedding is None:
            return
        waiting = [text for change in changes for text in change.texts if text.vectors is None]
        found = await embedding.documents([text.text for text in waiting], seconds=half_of_the_rest())
        for text, vectors in zip(waiting, found, strict=True):
            if vectors is not None:
                text.vectors, text.embedding_state = vectors[:1], "ready"

    async def flush(changes: Sequence[Change]) -> Sequence[Committed | Exception]:
        for change in changes:
            change.handed_over = True
        return await facts.commit(changes)

    return Batcher(flush, prepare=embed, weigh=lambda change: len(change.operations))


def text_of_fact(subject: str, predicate: str, object: str) -> str:
    """Return what a fact is found by: subject, the words of the predicate, and those of the object."""
    words = predicate.replace("_", " ").replace("-", " ").replace(".", " ")
    return f"{subject} {words} {' '.join(_words(_json.loads(object)))}".rstrip()


def _words(value: object) -> list[str]:
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return [word for key, item in items for word in (key, *_words(item))]
    if isinstance(value, list):
        return [word for item in cast("list[object]", value) for word in _words(item)]
    return [] if value is None else [str(value)]
