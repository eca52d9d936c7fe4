"""Chat files: what becomes of them, and what is refused."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect import EpisodeDraft, InvalidInput, Limits
from recollect.cli.chats import parse_chats

MESSAGE = {"role": "user", "content": "hello"}
ANSWER = {"role": "assistant", "content": "hi"}


def session(*messages: dict[str, Any], session_id: str = "s1", **more: Any) -> dict[str, Any]:
    return {"session_id": session_id, "messages": list(messages), **more}


def document(*sessions: dict[str, Any], user: str = "alice") -> str:
    return json.dumps({"user": user, "sessions": list(sessions)})


def lines(*messages: object) -> str:
    return "".join(f"{json.dumps(message)}\n" for message in messages)


def drafts(text: str, **options: Any) -> tuple[EpisodeDraft, ...]:
    (chat,) = parse_chats(text, name="chat.json", **{"user": "alice", **options})
    return chat.drafts


def test_a_user_message_and_the_answer_are_one_episode() -> None:
    asked = {"role": "user", "content": "5 + 5?", "at": "2026-03-02T08:15:00+02:00"}
    answered = {"role": "assistant", "content": "10", "at": "2026-03-02T08:15:09+02:00"}
    (draft,) = drafts(document(session(asked, answered)))
    assert (draft.input, draft.output, draft.session_id) == ("5 + 5?", "10", "s1")
    assert draft.occurred_at == datetime(2026, 3, 2, 6, 15, tzinfo=UTC)
    assert (draft.metadata, draft.transcript) == (None, None)


def test_each_user_message_begins_an_episode() -> None:
    found = drafts(document(session(MESSAGE, MESSAGE, ANSWER, MESSAGE)))
    assert [(draft.input, draft.output) for draft in found] == [
        ("hello", ""),
        ("hello", "hi"),
        ("hello", ""),
    ]


def test_what_the_assistant_says_first_has_an_empty_input() -> None:
    found = drafts(document(session(ANSWER, ANSWER, MESSAGE, ANSWER)))
    assert [(draft.input, draft.output) for draft in found] == [("", "hi\n\nhi"), ("hello", "hi")]


def test_several_answers_are_joined_and_kept_apart_in_the_transcript() -> None:
    more = {"role": "assistant", "content": "anything else?"}
    (draft,) = drafts(document(session(MESSAGE, ANSWER, more)))
    assert draft.output == "hi\n\nanything else?"
    assert draft.transcript == [MESSAGE, ANSWER, more]


def test_system_and_tool_messages_go_into_the_transcript_only() -> None:
    system = {"role": "system", "content": "be brief"}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}
    result = {"role": "tool", "content": "10", "tool_call_id": "x"}
    first, second = drafts(document(session(system, MESSAGE, call, result, ANSWER, MESSAGE, ANSWER)))
    assert (first.input, first.output) == ("hello", "hi")
    assert first.transcript == [system, MESSAGE, call, result, ANSWER]
    assert second.transcript is None


def test_text_parts_are_read_and_other_parts_kept() -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": "x"},
        {"type": "text", "text": "!"},
    ]
    message = {"role": "user", "content": parts}
    (draft,) = drafts(document(session(message, ANSWER)))
    assert draft.input == "look\n!"
    assert draft.transcript == [message, ANSWER]


def test_exchanges_in_which_nothing_is_said_are_skipped_and_counted() -> None:
    blank = {"role": "user", "content": " "}
    (chat,) = parse_chats(
        document(session(blank, MESSAGE, ANSWER), session({"role": "tool", "content": "x"}, session_id="s2")),
        name="chat.json",
    )
    assert ([draft.input for draft in chat.drafts], chat.skipped, chat.sessions) == (["hello"], 2, 2)


def test_a_message_without_a_time_has_that_of_the_one_before_it() -> None:
    timed = {**MESSAGE, "at": "2026-03-02T09:00:00Z"}
    text = document(session(MESSAGE, timed, MESSAGE, occurred_at="2026-03-02T08:00:00Z"))
    assert [draft.occurred_at.hour for draft in drafts(text) if draft.occurred_at] == [8, 9, 9]


def test_without_any_time_the_store_decides() -> None:
    (draft,) = drafts(document(session(MESSAGE)))
    assert draft.occurred_at is None


def test_ids_do_not_depend_on_what_follows() -> None:
    short = drafts(document(session(MESSAGE, ANSWER)))
    long = drafts(document(session(MESSAGE, ANSWER, MESSAGE), session(MESSAGE, session_id="s2")))
    assert long[0] == short[0]
    assert [draft.id for draft in long] == ["s1#0", "s1#2", "s2#0"]


@pytest.mark.parametrize("session_id", ["s" * 254, "ü" * 128, "s" * 256])
def test_ids_of_long_sessions_fit_and_differ(session_id: str) -> None:
    found = drafts(document(session(*[MESSAGE] * 12, session_id=session_id)))
    ids = [draft.id or "" for draft in found]
    assert len(set(ids)) == 12
    assert max(len(id.encode()) for id in ids) <= 256


def test_lines_of_several_users_and_sessions_may_alternate() -> None:
    text = lines(
        {**MESSAGE, "user": "alice", "session_id": "a"},
        {**MESSAGE, "user": "bob", "session_id": "b"},
        {**MESSAGE, "user": "alice", "session_id": "c"},
        {**ANSWER, "user": "alice", "session_id": "a"},
        {**MESSAGE, "user": "alice", "session_id": "a"},
    )
    alice, bob = parse_chats(text, name="chat.jsonl")
    assert [(draft.id, draft.output) for draft in alice.drafts] == [("a#0", "hi"), ("c#0", ""), ("a#2", "")]
    assert (alice.user, alice.sessions, bob.user, bob.sessions) == ("alice", 2, "bob", 1)


@pytest.mark.parametrize(
    "text", [lines(MESSAGE), lines(MESSAGE, ANSWER), json.dumps([MESSAGE, ANSWER], indent=1)]
)
def test_messages_that_name_no_session_are_that_of_the_file(text: str) -> None:
    (chat,) = parse_chats(text, name="somewhere/tuesday.jsonl", user="alice")
    assert [draft.session_id for draft in chat.drafts] == ["tuesday"]


def test_what_unicode_calls_the_end_of_a_line_does_not_end_one() -> None:
    (draft,) = drafts('{"role": "user", "content": "a\u2028b"}\r\n\n{"role": "assistant", "content": "c"}')
    assert (draft.input, draft.output) == ("a\u2028b", "c")


def test_a_byte_order_mark_is_no_error() -> None:
    (draft,) = drafts("\ufeff" + document(session(MESSAGE)))
    assert draft.input == "hello"


def test_a_line_may_be_a_whole_document() -> None:
    text = lines(
        {"user": "a", "sessions": [session(MESSAGE)]},
        {"user": "b", "sessions": [session(MESSAGE)]},
    )
    assert [chat.user for chat in parse_chats(text, name="chat.jsonl")] == ["a", "b"]


TALK = {
    "id": "conv-1",
    "speakers": ["Ann", "Bo"],
    "sessions": [
        {
            "session_id": "conv-1/1",
            "occurred_at": "2023-05-08T13:56:00+00:00",
            "turns": [
                {"id": "D1:1", "speaker": "Ann", "text": "Hey Bo!"},
                {"speaker": "Bo", "text": "Hey Ann!"},
                {"speaker": "Bo", "text": ""},
            ],
        }
    ],
}


def test_each_turn_between_speakers_is_an_episode() -> None:
    (chat,) = parse_chats(json.dumps([TALK]), name="talk.json")
    assert (chat.user, chat.skipped) == ("conv-1", 1)
    first, second = chat.drafts
    assert (first.input, first.output, first.id) == ("Ann: Hey Bo!", "", "conv-1/1#0")
    assert first.metadata == {"speaker": "Ann", "turn": "D1:1"}
    assert second.metadata == {"speaker": "Bo"}
    assert second.occurred_at == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert second.transcript is None


def test_the_id_of_a_chat_with_a_user_and_an_assistant_is_not_its_user() -> None:
    with pytest.raises(InvalidInput, match="user: is missing"):
        parse_chats(json.dumps({"id": "x", "sessions": [session(MESSAGE)]}), name="chat.json")


def test_the_user_given_overrides_that_of_the_file() -> None:
    (chat,) = parse_chats(document(session(MESSAGE), user="bob"), name="chat.json", user="alice")
    assert chat.user == "alice"


def with_message(**changes: Any) -> str:
    return document(session(MESSAGE, {**ANSWER, **changes}))


SECOND = "sessions[0].messages[1]"
MALFORMED = {
    "empty": ("", "line 1 column 1"),
    "not JSON": ('{"user": "alice",\n "sessions": nope}', "line 2 column 14"),
    "a line that is not JSON": (lines(MESSAGE) + "{oops\n", "line 2: column 2"),
    "a line that is no object": (lines(MESSAGE) + "[]\n", "line 2"),
    "neither": ("{}", "document"),
    "a number": ("42", "document"),
    "a list of numbers": ("[42]", "[0]"),
    "sessions not a list": ('{"user": "a", "sessions": {}}', "sessions"),
    "a session that is no object": ('{"user": "a", "sessions": [1]}', "sessions[0]"),
    "no messages": ('{"user": "a", "sessions": [{"session_id": "s"}]}', "sessions[0].messages"),
    "no session id": ('{"user": "a", "sessions": [{"messages": []}]}', "sessions[0].session_id"),
    "blank session id": (document(session(MESSAGE, session_id=" ")), "sessions[0].session_id"),
    "session id not NFC": (document(session(MESSAGE, session_id="e\u0301")), "sessions[0].session_id"),
    "session id too long": (document(session(MESSAGE, session_id="s" * 257)), "sessions[0].session_id"),
    "session id twice": (document(session(MESSAGE), session(MESSAGE)), "sessions[1].session_id"),
    "user is a number": ('{"user": 1, "sessions": [{"session_id": "s", "messages": []}]}', "user"),
    "no role": (document(session({"content": "x"})), "sessions[0].messages[0].role"),
    "unknown role": (with_message(role="narrator"), f"{SECOND}.role"),
    "role is a list": (with_message(role=["user"]), f"{SECOND}.role"),
    "content is a number": (with_message(content=1), f"{SECOND}.content"),
    "part is no object": (with_message(content=["x"]), f"{SECOND}.content[0]"),
    "part without text": (with_message(content=[{"type": "text"}]), f"{SECOND}.content[0].text"),
    "NUL": (with_message(content="a\0b"), f"{SECOND}.content"),
    "lone surrogate": (with_message(content="\ud800"), f"{SECOND}.content"),
    "text too long": (with_message(content="x" * 262_145), f"{SECOND}.content"),
    "answers too long together": (
        document(session(MESSAGE, *[{"role": "assistant", "content": "x" * 200_000}] * 2)),
        "sessions[0].messages[0].output",
    ),
    "naive time": (with_message(at="2026-03-02T08:15:00"), f"{SECOND}.at"),
    "only a date": (with_message(at="2026-03-02"), f"{SECOND}.at"),
    "no time": (with_message(at="yesterday"), f"{SECOND}.at"),
    "time is a number": (with_message(at=1772439300), f"{SECOND}.at"),
    "time before the year 1": (with_message(at="0001-01-01T00:00:00+01:00"), f"{SECOND}.at"),
    "naive session": (document(session(occurred_at="2026-03-02T08:15:00")), "sessions[0].occurred_at"),
    "NaN in what is kept": (with_message(score=float("nan")), "sessions[0].messages[0].transcript"),
    "nested too deeply": ("[" * 100_000, ""),
    "too many digits": (f'{{"role": {"9" * 5_000}}}', "number"),
    "turn without a speaker": (
        '{"id": "c", "sessions": [{"session_id": "s", "turns": [{"text": "x"}]}]}',
        "sessions[0].turns[0].speaker",
    ),
    "turn id is a number": (
        '{"id": "c", "sessions": [{"session_id": "s", "turns": [{"id": 1, "speaker": "a", "text": "x"}]}]}',
        "sessions[0].turns[0].id",
    ),
}


@pytest.mark.parametrize(("text", "place"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_refused_with_the_place(text: str, place: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_chats(text, name="chat.json", user=None if '"user":' in text else "alice")
    expected = f"chat.json: {place}" if place else "chat.json"
    assert caught.value.field.startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_line_without_a_user_asks_for_one() -> None:
    with pytest.raises(InvalidInput, match=r"chat.jsonl: line 1: user: is missing; .* --user"):
        parse_chats(lines(MESSAGE), name="chat.jsonl")


def test_the_texts_of_a_file_are_not_quoted_in_errors() -> None:
    secret = "correct horse battery staple"
    text = document(session({"role": secret, "content": secret, "at": secret}))
    with pytest.raises(InvalidInput) as caught:
        parse_chats(text, name="chat.json")
    assert secret not in str(caught.value)


def test_limits_are_those_of_the_memory() -> None:
    with pytest.raises(InvalidInput, match="longer than 4 bytes"):
        drafts(document(session(MESSAGE)), limits=Limits(max_text_bytes=4))


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.sampled_from(
    ["user", "id", "sessions", "session_id", "messages", "turns", "role", "content", "at", "speaker", "text"]
)
VALUES = st.recursive(
    LEAVES | st.sampled_from(["user", "assistant", "system", "2026-03-02T08:15:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


def read_or_refused(text: str) -> list[str | None]:
    """Return the ids; none of what is refused as it should be."""
    try:
        chats = parse_chats(text, name="chat.json", user="alice")
    except InvalidInput:
        return []
    return [draft.id for chat in chats for draft in chat.drafts]


@given(VALUES)
def test_whatever_the_json_is_it_is_read_or_refused(value: object) -> None:
    ids = read_or_refused(json.dumps(value))
    assert len(ids) == len(set(ids))


@given(st.text())
def test_whatever_the_text_is_it_is_read_or_refused(text: str) -> None:
    read_or_refused(text)


def test_the_examples_of_the_documentation_can_be_imported() -> None:
    page = (Path(__file__).parents[1] / "docs" / "chat-format.md").read_text(encoding="utf-8")
    blocks = [part.removeprefix("json").strip() for part in page.split("```")[1::2]]
    examples = [block for block in blocks if '"role"' in block or '"turns"' in block]
    assert len(examples) == 3
    for example in examples:
        (chat,) = parse_chats(example, name="chat.json", user="alice")
        assert chat.drafts
