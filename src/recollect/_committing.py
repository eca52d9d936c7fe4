"""From checked operations to what they have become: hooks, group commit, hooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast

from anyio import to_thread
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from . import _json
from ._analysis import LONG_TEXT, analyze
from ._batching import Batcher
from ._composition import ALONE, Composition, Scope, weight_of
from ._deadline import half_of_the_rest
from ._draft import text_digest
from ._facts_shown import entered
from ._ids import derived, is_uuid7
from .errors import DeadlineExceeded, OutcomeUnknown, RecollectError, VersionConflict
from .hooks import Commit, Event, Proposal, Proposed
from .stores.changes import Change, Committed, Entry, FactText, Operation
from .types import EmbeddingState, Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller asks for, checked.

    Attributes:
        passed: what tells this request from another one with the same key: JSON.
        session_id: that the transaction is of.
        texts: subject, predicate and canonical object of what may be new.
        proposed: for the hooks.
        consolidates: the episode that the request is all of.
    """

    event: Event
    key: str
    operations: tuple[Operation, ...]
    passed: object
    actor: str | None = None
    reason: str | None = None
    session_id: str | None = None
    texts: tuple[tuple[str, str, str], ...] = ()
    proposed: tuple[Proposed, ...] = ()
    consolidates: str | None = None


def operation_id(key: str, position: int) -> str:
    """Return the id of an operation, the same whenever the request is repeated with its key.

    It begins with the milliseconds of a key of ours, so that new rows are together; and it is not the key,
    which somebody may have given to a fact as its id.
    """
    id = derived(key, position)
    return f"{key[:14]}7{id[15:]}" if is_uuid7(key) else id


async def commit(composition: Composition, scope: Scope, request: Request) -> tuple[tuple[Fact, ...], ...]:
    """Commit a request; return for each operation what it has become.

    Raises:
        HookError: a hook refused; nothing was stored.
        OutcomeUnknown: it may have been stored.
    """
    results = await land(composition, scope, request)
    assert results is not None  # noqa: S101  # it consolidates nothing that could be consolidated already
    return results


async def land(
    composition: Composition, scope: Scope, request: Request
) -> tuple[tuple[Fact, ...], ...] | None:
    """Like `commit`; None if the episode of the request was consolidated already, and nothing was stored."""
    composition.ensure_open()
    await checkpoint_if_cancelled()
    proposal = Proposal(
        event=request.event,
        user_id=scope.tenant.user_id,
        namespace=scope.tenant.namespace,
        session_id=request.session_id,
        actor=request.actor,
        reason=request.reason,
        operations=request.proposed,
    )
    if request.operations:
        await composition.hooks.propose(proposal)
    committed = await _committed(composition, scope, request)
    if not committed.landed:
        return None
    results = tuple(tuple(map(entered, entries)) for entries in committed.entries)
    if any(fact.changed for facts in results for fact in facts):
        facts = tuple(fact for facts in results for fact in facts)
        await composition.hooks.tell(Commit(proposal=proposal, tx=committed.tx, facts=facts))
    return results


def _change(scope: Scope, request: Request) -> Change:
    passed = [request.event, request.session_id, request.actor, request.reason, request.passed]
    return Change(
        tenant=scope.tenant,
        key=request.key,
        digest=blake2b(_json.canonical(passed).encode(), digest_size=16).digest(),
        name=request.event,
        operations=request.operations,
        session_id=request.session_id,
        actor=request.actor,
        reason=request.reason,
        consolidates=request.consolidates,
    )


async def _texts(composition: Composition, request: Request) -> tuple[FactText, ...]:
    """Return what the facts of a request are found by. Neither a long one nor many hold up the loop."""
    unembedded: EmbeddingState = "none" if composition.embedding is None else "pending"
    texts: dict[bytes, FactText] = {}
    for parts in request.texts:
        text = text_of_fact(*parts)
        if len(text) > LONG_TEXT:
            terms = await to_thread.run_sync(analyze, text, composition.language)
        else:
            if texts:
                await checkpoint()
            terms = analyze(text, composition.language)
        digest = text_digest(*parts)
        texts[digest] = FactText(digest, text, tuple(terms), unembedded)
    return tuple(texts.values())


async def _committed(composition: Composition, scope: Scope, request: Request) -> Committed:
    tenant, change, gathering = scope.tenant, _change(scope, request), composition.fact_writes

    async def work() -> Committed:
        change.texts = await _texts(composition, request)
        batcher = gathering.get(tenant)
        if batcher is None:
            batcher = gathering[tenant] = group_commit(composition)
        try:
            return await batcher.submit(change)
        finally:
            if not batcher.busy and gathering.get(tenant) is batcher:
                del gathering[tenant]  # an idle tenant holds nothing

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
        assert embedding is not None  # noqa: S101  # else it is not called
        waiting = [(change, text) for change in changes for text in change.texts if text.vectors is None]
        found = await embedding.documents([text.text for _, text in waiting], seconds=half_of_the_rest())
        for (change, text), vectors in zip(waiting, found, strict=True):
            if vectors is not None and not change.handed_over:
                text.vectors, text.embedding_state = vectors[:1], "ready"

    async def flush(changes: Sequence[Change]) -> Sequence[Committed | Exception]:
        outcomes = None
        if sum(map(weight_of, changes)) < ALONE:
            outcomes = await composition.fact_batches.submit(changes)
        if outcomes is None:  # it is much, or takes long, or waits for the clock: nobody else's business
            return await commit_apart(changes)
        composition.fact_changes += len(changes)
        return outcomes

    async def commit_apart(changes: Sequence[Change]) -> Sequence[Committed | Exception]:
        for change in changes:
            change.handed_over = True
        outcomes = await facts.commit(changes)
        composition.fact_transactions += 1
        composition.fact_changes += len(changes)
        return outcomes

    if embedding is None:
        return Batcher(flush, weigh=weight_of, max_weight=ALONE)
    # Not those of other tenants as well: no transaction of several may be given a tenant twice.
    unembedded = Batcher(commit_apart, weigh=weight_of, max_weight=ALONE)
    return Batcher(flush, prepare=embed, unprepared=unembedded.submit, weigh=weight_of, max_weight=ALONE)


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
