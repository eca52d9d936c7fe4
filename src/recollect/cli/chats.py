"""Chat files as episode drafts, in the formats of docs/chat-format.md. Text in, drafts out: no I/O."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import PurePath
from typing import Any, cast

from .._checks import MAX_ID_BYTES, check_id, check_instant, check_json, check_text
from ..errors import InvalidInput
from ..types import EpisodeDraft, Limits

_SPOKEN = frozenset({"user", "assistant"})
_UNSPOKEN = frozenset({"system", "developer", "tool", "function"})
_KNOWN_KEYS = frozenset({"role", "content", "at", "session_id", "user"})


@dataclass(frozen=True, slots=True)
class Chat:
    """What a file holds of one user.

    Attributes:
        user: whose memory it becomes.
        drafts: in the order of the file, each with an id that is the same at every reading.
        sessions: number of conversations.
        skipped: exchanges in which neither side said anything.
    """

    user: str
    drafts: tuple[EpisodeDraft, ...]
    sessions: int
    skipped: int


@dataclass(slots=True)
class _Message:
    """One entry of a session.

    Attributes:
        place: where it stands in the file, as a prefix for the name of a field.
        order: counts the messages of the file.
        at: its own instant, else that of the message before, else that of the session.
        plain: role and text are all there is to it.
        raw: as it is in the file.
    """

    place: str
    order: int
    role: str
    content: str
    at: datetime | None
    plain: bool
    raw: dict[str, Any]
    metadata: dict[str, Any] | None = None


@dataclass(slots=True)
class _Session:
    user: str
    session_id: str
    at: datetime | None = None
    messages: list[_Message] = field(default_factory=list[_Message])


def parse_chats(
    text: str, *, name: str, user: str | None = None, limits: Limits = Limits()
) -> tuple[Chat, ...]:
    """Read a whole chat file, or nothing of it.

    Args:
        text: the file's.
        name: the file's, for messages; without its suffix, the session of messages that name none.
        user: whose chats these are, whatever the file says.
        limits: of the texts.

    Returns:
        One chat for each user, in the order of their first message.

    Raises:
        InvalidInput: `field` is the file and the place in it.
    """
    try:
        sessions = _Reader(text.removeprefix("\ufeff"), name, user, limits).sessions()
        return _chats(sessions, limits)
    except InvalidInput as exc:
        raise InvalidInput(f"{name}: {exc.field}", exc.reason) from None
    except RecursionError:
        raise InvalidInput(name, "is nested too deeply to be a chat") from None


class _Reader:
    """Collects the sessions of a file."""

    def __init__(self, text: str, name: str, user: str | None, limits: Limits) -> None:
        self._text = text
        self._limits = limits
        self._user = None if user is None else check_id("user", user)
        self._session_id = unicodedata.normalize("NFC", PurePath(name).stem)
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._count = 0

    def sessions(self) -> Sequence[_Session]:
        if _is_lines(self._text):
            self._read_lines()
        else:
            self._read_document(_decoded("", self._text))
        return list(self._sessions.values())

    def _read_lines(self) -> None:
        # Not splitlines(): a string in JSON may hold what Unicode counts as the end of a line.
        for number, line in enumerate(self._text.split("\n"), start=1):
            if line.strip():
                place = f"line {number}: "
                self._read_item(place, _decoded(place, line))

    def _read_document(self, document: object) -> None:
        if not isinstance(document, list):
            self._read_item("", document)
            return
        for i, item in enumerate(cast("list[object]", document)):
            self._read_item(f"[{i}].", item)

    def _read_item(self, place: str, value: object) -> None:
        item = _object(place, value)
        if "sessions" in item:
            self._read_conversation(place, item)
        elif "role" in item:
            self._read_loose(place, item)
        else:
            what = place.rstrip(".: ") or "document"
            raise InvalidInput(
                what, 'has neither "sessions" nor "role"; `recollect import --help` shows the formats'
            )

    def _read_loose(self, place: str, value: dict[str, Any]) -> None:
        """Read a message that stands by itself, and may name its session."""
        user = self._named_user(place, value.get("user"))
        named = value.get("session_id")
        session_id = check_id(f"{place}session_id", self._session_id if named is None else named)
        session = self._sessions.setdefault((user, session_id), _Session(user, session_id))
        self._read_message(place, session, value)

    def _read_conversation(self, place: str, value: dict[str, Any]) -> None:
        sessions = _array(f"{place}sessions", value["sessions"])
        for i, item in enumerate(sessions):
            at = f"{place}sessions[{i}]."
            entry = _object(at, item)
            # Where there are speakers instead of a user, the memory is that of the conversation.
            owner = value.get("user", value.get("id") if "turns" in entry else None)
            user = self._named_user(place, owner)
            session_id = check_id(f"{at}session_id", _string(f"{at}session_id", entry.get("session_id")))
            if (user, session_id) in self._sessions:
                raise InvalidInput(
                    f"{at}session_id", "occurs twice for this user; sessions need ids of their own"
                )
            session = _Session(user, session_id, _instant(f"{at}occurred_at", entry.get("occurred_at")))
            self._sessions[user, session_id] = session
            kind = "turns" if "turns" in entry else "messages"
            for j, message in enumerate(_array(f"{at}{kind}", entry.get(kind))):
                deeper = f"{at}{kind}[{j}]."
                read = self._read_turn if kind == "turns" else self._read_message
                read(deeper, session, _object(deeper, message))

    def _named_user(self, place: str, found: object) -> str:
        if self._user is not None:
            return self._user
        if found is None:
            raise InvalidInput(f"{place}user", "is missing; say whose chat it is with --user")
        return check_id(f"{place}user", found)

    def _read_message(self, place: str, session: _Session, value: dict[str, Any]) -> None:
        role = value.get("role")
        if not isinstance(role, str) or role not in _SPOKEN | _UNSPOKEN:
            raise InvalidInput(f"{place}role", 'must be "user", "assistant", "system" or "tool"')
        content = _content(f"{place}content", value.get("content"))
        check_text(f"{place}content", content, limit=self._limits.max_text_bytes)
        at = _instant(f"{place}at", value.get("at"))
        plain = role in _SPOKEN and isinstance(value.get("content"), str) and value.keys() <= _KNOWN_KEYS
        self._add(session, _Message(place, self._count, role, content, at, plain, value))

    def _read_turn(self, place: str, session: _Session, value: dict[str, Any]) -> None:
        speaker, text = (_string(f"{place}{key}", value.get(key)) for key in ("speaker", "text"))
        content = f"{speaker}: {text}" if text.strip() else ""
        check_text(f"{place}text", content, limit=self._limits.max_text_bytes)
        metadata = {"speaker": speaker}
        if (id := value.get("id")) is not None:
            metadata["turn"] = _string(f"{place}id", id)
        check_json(f"{place}speaker", metadata, limit=self._limits.max_metadata_bytes)
        self._add(session, _Message(place, self._count, "user", content, None, True, value, metadata))

    def _add(self, session: _Session, message: _Message) -> None:
        if message.at is None:
            message.at = session.messages[-1].at if session.messages else session.at
        session.messages.append(message)
        self._count += 1


def _chats(sessions: Sequence[_Session], limits: Limits) -> tuple[Chat, ...]:
    users: dict[str, list[_Session]] = {}
    for session in sessions:
        users.setdefault(session.user, []).append(session)
    return tuple(_chat(user, theirs, limits) for user, theirs in users.items())


def _chat(user: str, sessions: Sequence[_Session], limits: Limits) -> Chat:
    drafts: list[tuple[int, EpisodeDraft]] = []
    skipped = 0
    for session in sessions:
        for position, exchange in _exchanges(session.messages):
            draft = _draft(session.session_id, position, exchange, limits)
            if draft is None:
                skipped += 1
            else:
                drafts.append((exchange[0].order, draft))
    # Lines of several sessions may be interleaved: episodes keep the order in which exchanges began.
    drafts.sort(key=lambda pair: pair[0])
    return Chat(user, tuple(draft for _, draft in drafts), len(sessions), skipped)


def _exchanges(messages: Sequence[_Message]) -> Iterator[tuple[int, Sequence[_Message]]]:
    """Yield what one episode is made of: a user's message and all that follows until the next one.

    What is said before a user's first message is an exchange of its own; what is not said there, a
    system message, goes with the first exchange. With each comes the position of its first message.
    """
    start = 0
    for position, message in enumerate(messages):
        if message.role == "user" and any(m.role in _SPOKEN for m in messages[start:position]):
            yield start, messages[start:position]
            start = position
    if start < len(messages):
        yield start, messages[start:]


def _draft(
    session_id: str, position: int, exchange: Sequence[_Message], limits: Limits
) -> EpisodeDraft | None:
    """Return the episode of an exchange, None if nothing was said in it."""
    spoken = [message for message in exchange if message.role in _SPOKEN]
    input = "".join(message.content for message in spoken if message.role == "user")
    answers = [
        message.content for message in spoken if message.role == "assistant" and message.content.strip()
    ]
    output = "\n\n".join(answers)
    if not input.strip() and not output.strip():
        return None
    place = exchange[0].place
    transcript = None
    if len(answers) > 1 or not all(message.plain for message in exchange):
        transcript = [message.raw for message in exchange]
        check_json(f"{place}transcript", transcript, limit=limits.max_transcript_bytes)
    return EpisodeDraft(
        input=input,
        output=check_text(f"{place}output", output, limit=limits.max_text_bytes),
        session_id=session_id,
        occurred_at=spoken[0].at,
        metadata=spoken[0].metadata,
        transcript=transcript,
        id=_id(session_id, position),
    )


def _id(session_id: str, position: int) -> str:
    id = f"{session_id}#{position}"
    if len(id.encode()) <= MAX_ID_BYTES:
        return id
    return f"{blake2b(session_id.encode(), digest_size=16).hexdigest()}#{position}"


def _is_lines(text: str) -> bool:
    """Tell JSON lines from a document: a line that is a whole object, and has lines after it or a role."""
    first, _, rest = text.lstrip().partition("\n")
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and (bool(rest.strip()) or "role" in value)


def _decoded(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        where = f"column {exc.colno}" if place else f"line {exc.lineno} column {exc.colno}"
        raise InvalidInput(f"{place}{where}", f"is not JSON: {exc.msg}") from None
    except ValueError:
        raise InvalidInput(f"{place}number", "has more digits than JSON readers accept") from None


def _content(field: str, value: object) -> str:
    """Return the text of a message: a string, the text parts of a list, or nothing for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidInput(field, f"expected a string, a list of parts or null, got {_json_type(value)}")
    parts = [_object(f"{field}[{i}].", part) for i, part in enumerate(cast("list[object]", value))]
    texts = [
        _string(f"{field}[{i}].text", part.get("text"))
        for i, part in enumerate(parts)
        if part.get("type") == "text"
    ]
    return "\n".join(texts)


def _instant(field: str, value: object) -> datetime | None:
    if value is None:
        return None
    text = _string(field, value)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(field, 'expected an instant such as "2026-03-02T08:15:00Z"') from None
    return check_instant(field, instant)


def _object(place: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(place.rstrip(".: ") or "document", f"expected an object, got {_json_type(value)}")
    return cast("dict[str, Any]", value)


def _array(field: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise InvalidInput(
            field, "is missing" if value is None else f"expected a list, got {_json_type(value)}"
        )
    return cast("list[object]", value)


def _string(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(
            field, "is missing" if value is None else f"expected a string, got {_json_type(value)}"
        )
    return value


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
