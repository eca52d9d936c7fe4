"""From drafts to stored episodes: check, analyse; then together with others, embed and commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Literal, cast, get_args

from anyio import to_thread
from anyio.lowlevel import checkpoint

from . import _json
from ._analysis import LONG_TEXT, analyze
from ._checks import check_instant, check_json, check_object, check_optional_id, check_text
from ._composition import Composition, Scope
from ._dates import date_terms
from ._ids import derived, uuid7
from .errors import DeadlineExceeded, InvalidInput, OutcomeUnknown, RecollectError
from .stores import NewEpisode, Write
from .types import EmbeddingState, Episode, EpisodeDraft, Limits, text_of

Embed = Literal["now", "later"]


@dataclass(slots=True, eq=False)
class _Checked:
    """A draft that can be stored, with the session it belongs to."""

    draft: EpisodeDraft
    session_id: str | None
    occurred_at: datetime | None
    metadata: str
    transcript: str | None


async def remember(
    composition: Composition, scope: Scope, drafts: Sequence[EpisodeDraft], *, embed: Embed, many: bool
) -> tuple[Episode, ...]:
    """Store the drafts in one transaction, all or none; see `UserMemory.remember_many`."""
    checked = _check(drafts, embed, scope, composition.limits, many=many)
    write = Write(scope.tenant, (), guarded=any(draft.id is not None for draft in drafts))

    async def work() -> tuple[Episode, ...]:
        if not checked:
            return ()
        now = composition.clock()
        texts = [text_of(each.draft.input, each.draft.output) for each in checked]
        terms = await _analysed(composition, texts)
        unembedded: EmbeddingState = "none" if composition.embedding is None else "pending"
        # Every id follows from the first, so that `OutcomeUnknown.key` is enough to repeat a batch.
        first = checked[0].draft.id or uuid7()
        episodes: list[NewEpisode] = []
        for each, words in zip(checked, terms, strict=True):
            if episodes:
                await checkpoint()  # a thousand drafts must not hold up the loop, nor must their hashes
            id = each.draft.id or (derived(first, len(episodes)) if episodes else first)
            episodes.append(_new(id, each, scope, words, now=now, unembedded=unembedded))
        write.episodes = tuple(episodes)
        return await (composition.embedded_writes if embed == "now" else composition.writes).submit(write)

    def late(seconds: float) -> RecollectError:
        return OutcomeUnknown(write.episodes[0].id) if write.handed_over else DeadlineExceeded(seconds)

    return await composition.call(scope.tenant, work, late=late)


def _check(drafts: object, embed: object, scope: Scope, limits: Limits, *, many: bool) -> Sequence[_Checked]:
    if embed not in get_args(Embed):
        raise InvalidInput("embed", f"must be one of {', '.join(get_args(Embed))}")
    if not isinstance(drafts, list | tuple):
        raise InvalidInput("drafts", f"expected a list or tuple, got {type(drafts).__name__}")
    given = cast("Sequence[object]", drafts)
    if len(given) > limits.max_batch:
        raise InvalidInput("drafts", f"more than {limits.max_batch}; remember them in parts")
    checked = [
        _check_draft(f"drafts[{i}]." if many else "", draft, scope, limits) for i, draft in enumerate(given)
    ]
    ids = [each.draft.id for each in checked if each.draft.id is not None]
    if len(set(ids)) < len(ids):
        raise InvalidInput("drafts", "two of them have the same id")
    return checked


def _check_draft(at: str, draft: object, scope: Scope, limits: Limits) -> _Checked:
    if not isinstance(draft, EpisodeDraft):
        raise InvalidInput(at.removesuffix("."), f"expected an EpisodeDraft, got {type(draft).__name__}")
    check_text(f"{at}input", draft.input, limit=limits.max_text_bytes)
    check_text(f"{at}output", draft.output, limit=limits.max_text_bytes)
    if not draft.input.strip() and not draft.output.strip():
        raise InvalidInput(f"{at}input", "is blank, and so is output; one of them must say something")
    check_optional_id(f"{at}id", draft.id)
    session_id = check_optional_id(f"{at}session_id", draft.session_id)
    return _Checked(
        draft=draft,
        session_id=scope.session_id if session_id is None else session_id,
        occurred_at=None
        if draft.occurred_at is None
        else check_instant(f"{at}occurred_at", draft.occurred_at),
        metadata="{}"
        if draft.metadata is None
        else check_object(f"{at}metadata", draft.metadata, limit=limits.max_metadata_bytes),
        transcript=None
        if draft.transcript is None
        else check_json(f"{at}transcript", draft.transcript, limit=limits.max_transcript_bytes),
    )


async def _analysed(composition: Composition, texts: Sequence[str]) -> Sequence[Sequence[str]]:
    """Return the terms of each text. Neither a long one nor a thousand short ones hold up the loop."""
    found: list[Sequence[str]] = []
    for text in texts:
        if len(text) > LONG_TEXT:
            found.append(await to_thread.run_sync(analyze, text, composition.language))
            continue
        if found:
            await checkpoint()
        found.append(analyze(text, composition.language))
    return found


def _new(
    id: str,
    checked: _Checked,
    scope: Scope,
    terms: Sequence[str],
    *,
    now: datetime,
    unembedded: EmbeddingState,
) -> NewEpisode:
    draft, occurred_at = checked.draft, checked.occurred_at or now
    return NewEpisode(
        id=id,
        digest=_digest(checked, scope),
        session_id=checked.session_id,
        agent_id=scope.agent_id,
        input=draft.input,
        output=draft.output,
        occurred_at=occurred_at,
        metadata=checked.metadata,
        transcript=checked.transcript,
        terms=(*terms, *date_terms(occurred_at)),
        embedding_state=unembedded,
        vectors=None,
    )


def _digest(checked: _Checked, scope: Scope) -> bytes:
    """Return what tells one content from another: all that the caller passed, but for the id."""
    draft = checked.draft
    passed = (
        draft.input,
        draft.output,
        checked.session_id or "",
        scope.agent_id or "",
        "" if checked.occurred_at is None else checked.occurred_at.isoformat(),
        _json.canonical(draft.metadata) if draft.metadata else "",
        "" if checked.transcript is None else _json.canonical(draft.transcript),
    )
    # None of them contains a NUL, and an id or JSON is never empty: different contents stay different.
    return blake2b("\0".join(passed).encode(), digest_size=16).digest()
