from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .. import _json
from ..errors import RecollectError
from ..stores import Archive, NewEpisode, Write
from ..types import EmbeddingState, Episode, Tenant
from ._clock import Clock

if TYPE_CHECKING:
    from ..stores import Vectors

Check = Callable[[Archive], Awaitable[None]]
"""Raises AssertionError if the archive breaks the promise that the check is named after."""

ClockCheck = Callable[[Archive, Clock], Awaitable[None]]
"""The same for an archive that was opened with this clock."""

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)

HOSTILE = (
    "plain",
    "{curly}",
    "star*",
    "quest?on",
    "[brackets]",
    "co:lon",
    "per%cent",
    "%2F",
    "under_score",
    "back\\slash",
    "sl/ash",
    "new\nline",
    "tab\there",
    "qu'ote",
    'dou"ble',
    "'; drop table episode; --",
    "$1",
    "$body$ end $body$",
    "{{ template }}",
    "../../etc/passwd",
    " leading and trailing ",
    "é",
    "Ünïcödé",
    "日本語",
    "👩‍👩‍👧 family",
    "\u202eright to left",
    "\ufeffmark",
    "None",
    "null",
    "A",
    "a",
)
"""Ids and texts that are legal, and that something built from strings would trip over."""


def fresh_tenant(user_id: str | None = "alice", *, namespace: str | None = None) -> Tenant:
    """Return a tenant that nobody has used, unless a namespace is given."""
    return Tenant(fresh_namespace() if namespace is None else namespace, user_id)


def fresh_namespace() -> str:
    return f"check-{uuid4()}"


def episode(
    input: str = "hello",
    output: str = "",
    *,
    id: str | None = None,
    session_id: str | None = None,
    agent_id: str | None = None,
    occurred_at: datetime = AT,
    metadata: dict[str, Any] | None = None,
    transcript: Any = None,
    vectors: "Vectors | None" = None,
    embedding_state: EmbeddingState | None = None,
) -> NewEpisode:
    """Return an episode ready to be stored; its terms are the words of `input`, as they are."""
    content = [input, output, session_id, agent_id, str(occurred_at), metadata, transcript]
    return NewEpisode(
        id=str(uuid4()) if id is None else id,
        digest=blake2b(_json.canonical(content).encode(), digest_size=16).digest(),
        session_id=session_id,
        agent_id=agent_id,
        input=input,
        output=output,
        occurred_at=occurred_at,
        metadata=_json.dumps(metadata or {}),
        transcript=None if transcript is None else _json.dumps(transcript),
        terms=tuple(input.split()),
        embedding_state=embedding_state or ("none" if vectors is None else "ready"),
        vectors=vectors,
    )


def write(tenant: Tenant, *episodes: NewEpisode) -> Write:
    return Write(tenant, episodes, guarded=True)


async def store(archive: Archive, tenant: Tenant, *episodes: NewEpisode) -> tuple[Episode, ...]:
    """Store episodes in one write; return them as stored. Raises what they are refused for."""
    (outcome,) = await archive.episodes.append([write(tenant, *episodes)])
    if isinstance(outcome, RecollectError):
        raise outcome
    return outcome
