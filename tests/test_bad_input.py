"""What cannot be stored and given back is refused in the name of its field, before anything has happened."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from recollect import EpisodeDraft, InvalidInput, Limits, Memory, UserMemory
from recollect.testing import Clock

from .conftest import Connect

CANARY = "kanarienvogel"
"""Stands in every refused value that has room for it, and must not come out in words of ours."""

LIMITS = Limits(max_text_bytes=200, max_metadata_bytes=300, max_transcript_bytes=400, max_batch=3)
AWARE = datetime(2024, 1, 1, tzinfo=UTC)
EAST, WEST = timezone(timedelta(hours=2)), timezone(timedelta(hours=-2))


def _nested(depth: int) -> Any:
    return [] if depth == 1 else [_nested(depth - 1)]


def _cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {CANARY: 1}
    cycle["self"] = cycle
    return cycle


def _long(length: int) -> str:
    return CANARY + "x" * (length - len(CANARY))


TEXTS: dict[str, Any] = {
    "nul": f"{CANARY}\0",
    "lone surrogate": f"{CANARY}\ud800",
    "reversed surrogates": f"{CANARY}\udc00\ud800",
    "too long": _long(201),
    "too long in bytes": _long(101) + "é" * 50,
    "bytes": CANARY.encode(),
    "number": 1,
    "list": [CANARY],
}
IDS: dict[str, Any] = {
    "nul": f"{CANARY}\0",
    "lone surrogate": f"{CANARY}\ud800",
    "empty": "",
    "blank": " \t\n\u3000",
    "not NFC": f"{CANARY}e\u0301",
    "257 bytes": _long(257),
    "257 bytes of UTF-8": _long(255) + "é",
    "number": 7,
    "bool": True,
    "bytes": CANARY.encode(),
}
JSON: dict[str, Any] = {
    "nul": {"k": f"{CANARY}\0"},
    "nul in a key": {f"{CANARY}\0": 1},
    "lone surrogate": {"k": [f"{CANARY}\ud800"]},
    "lone surrogate in a key": {"k": {f"{CANARY}\udfff": 1}},
    "nan": {CANARY: float("nan")},
    "infinity": {CANARY: [float("-inf")]},
    "2**53": {CANARY: 2**53},
    "-(2**53)": {CANARY: -(2**53)},
    "huge integer": {CANARY: 10**5000},
    "key that is a number": {1: CANARY},
    "key that is None": {"k": {None: CANARY}},
    "tuple": {"k": (CANARY,)},
    "set": {"k": {CANARY}},
    "bytes": {"k": CANARY.encode()},
    "decimal": {"k": Decimal(1)},
    "datetime": {"k": AWARE},
    "object": {"k": object()},
    "deeper than 32": {"k": _nested(32)},
    "much deeper than 32": {"k": [_nested(900)]},
    "contains itself": _cycle(),
}
INSTANTS: dict[str, Any] = {
    "naive": datetime(2024, 1, 1),  # noqa: DTZ001
    "date": date(2024, 1, 1),
    "string": f"2024-01-01T00:00:00Z {CANARY}",
    "number": 1_700_000_000,
    "min": datetime.min.replace(tzinfo=UTC),
    "max": datetime.max.replace(tzinfo=UTC),
    "naive min": datetime.min,  # noqa: DTZ901
    "before year 1 in UTC": datetime(1, 1, 1, 1, tzinfo=EAST),
    "after year 9999 in UTC": datetime(9999, 12, 31, 23, tzinfo=WEST),
}
COUNTS: dict[str, Any] = {
    "zero": 0,
    "negative": -1,
    "1001": 1_001,
    "huge": 10**30,
    "bool": True,
    "float": 3.0,
    "nan": float("nan"),
    "string": CANARY,
    "none": None,
}
CURSORS: dict[str, Any] = {
    "made up": CANARY,
    "not base64": f"{CANARY}***",
    "not ascii": f"{CANARY}é",
    "empty": "",
    "too short": "AAAA",
    "number": 7,
    "bytes": b"AAAA",
}

Call = Callable[[Memory, UserMemory], Awaitable[object]]


@dataclass(frozen=True)
class Bad:
    """A call, and the field that it is refused for."""

    name: str
    field: str
    call: Call = field(repr=False)


def _remember(name: str, refused: str, *args: Any, **kwargs: Any) -> Bad:
    return Bad(f"remember {name}", refused, lambda memory, alice: alice.remember(*args, **kwargs))


def _many(name: str, refused: str, drafts: Any, **kwargs: Any) -> Bad:
    return Bad(f"remember_many {name}", refused, lambda memory, alice: alice.remember_many(drafts, **kwargs))


def _recall(name: str, refused: str, *args: Any, **kwargs: Any) -> Bad:
    return Bad(f"recall {name}", refused, lambda memory, alice: alice.recall(*args, **kwargs))


async def _user(memory: Memory, **kwargs: Any) -> object:
    return memory.user(**{"user_id": "alice", **kwargs})


async def _at(alice: UserMemory, **kwargs: Any) -> object:
    return alice.at(**kwargs)


def _handles() -> list[Bad]:
    return [
        Bad(f"{place} {at} {name}", at, call)
        for name, value in IDS.items()
        for place, at, call in (
            ("user", "user_id", lambda memory, alice, value=value: _user(memory, user_id=value)),
            ("user", "namespace", lambda memory, alice, value=value: _user(memory, namespace=value)),
            ("user", "agent_id", lambda memory, alice, value=value: _user(memory, agent_id=value)),
            ("user", "session_id", lambda memory, alice, value=value: _user(memory, session_id=value)),
            ("at", "agent_id", lambda memory, alice, value=value: _at(alice, agent_id=value)),
            ("at", "session_id", lambda memory, alice, value=value: _at(alice, session_id=value)),
            ("users", "namespace", lambda memory, alice, value=value: memory.users(namespace=value)),
        )
    ]


def _writes() -> list[Bad]:
    good = EpisodeDraft("hello")
    return [
        *(_remember(f"input {name}", "input", value) for name, value in TEXTS.items()),
        *(_remember(f"output {name}", "output", "hello", value) for name, value in TEXTS.items()),
        *(_remember(f"id {name}", "id", CANARY, id=value) for name, value in IDS.items()),
        *(
            _remember(f"session_id {name}", "session_id", CANARY, session_id=value)
            for name, value in IDS.items()
        ),
        *(
            _remember(f"at {name}", "occurred_at", CANARY, occurred_at=value)
            for name, value in INSTANTS.items()
        ),
        *(_remember(f"metadata {name}", "metadata", CANARY, metadata=value) for name, value in JSON.items()),
        *(
            _remember(f"transcript {name}", "transcript", CANARY, transcript=value)
            for name, value in JSON.items()
        ),
        _remember("input None", "input", None),
        _remember("input blank", "input", " \n"),
        _remember("both blank", "input", "", "\t"),
        _remember("metadata list", "metadata", "hello", metadata=[CANARY]),
        _remember("metadata string", "metadata", "hello", metadata=CANARY),
        _remember("metadata too long", "metadata", "hello", metadata={"k": _long(300)}),
        _remember("metadata too long in bytes", "metadata", "hello", metadata={"k": _long(100) + "é" * 100}),
        _remember("transcript too long", "transcript", "hello", transcript=[_long(400)]),
        _remember("transcript tuple", "transcript", "hello", transcript=(CANARY,)),
        _remember("embed", "embed", CANARY, embed="never"),
        _remember("embed bool", "embed", CANARY, embed=True),
        _remember("embed list", "embed", CANARY, embed=[]),
        _many("string", "drafts", CANARY),
        _many("generator", "drafts", (each for each in [good])),
        _many("a draft alone", "drafts", good),
        _many("too many", "drafts", [good] * 4),
        _many("one id twice", "drafts", [EpisodeDraft("a", id=CANARY), EpisodeDraft("b", id=CANARY)]),
        _many("not a draft", "drafts[1]", [good, {"input": CANARY}]),
        _many("bad input at 2", "drafts[2].input", [good, good, EpisodeDraft(f"{CANARY}\0")]),
        _many("bad output at 0", "drafts[0].output", [EpisodeDraft("a", f"{CANARY}\0"), good]),
        _many("blank at 1", "drafts[1].input", [good, EpisodeDraft(" ")]),
        _many("bad id at 1", "drafts[1].id", [good, EpisodeDraft(CANARY, id="")]),
        _many("bad session at 1", "drafts[1].session_id", [good, EpisodeDraft(CANARY, session_id=" ")]),
        _many(
            "naive at 1", "drafts[1].occurred_at", [good, EpisodeDraft("a", occurred_at=INSTANTS["naive"])]
        ),
        _many("nan at 1", "drafts[1].metadata", [good, EpisodeDraft("a", metadata=JSON["nan"])]),
        _many("set at 1", "drafts[1].transcript", [good, EpisodeDraft("a", transcript={CANARY})]),
        _many("embed", "embed", [good], embed=None),
    ]


def _reads() -> list[Bad]:
    page = lambda **kwargs: lambda memory, alice: alice.episodes.list(**kwargs)  # noqa: E731
    return [
        *(_recall(f"query {name}", "query", value) for name, value in TEXTS.items()),
        *(
            _recall(f"session_id {name}", "session_id", CANARY, session_id=value)
            for name, value in IDS.items()
        ),
        *(_recall(f"agent_id {name}", "agent_id", CANARY, agent_id=value) for name, value in IDS.items()),
        *(_recall(f"limit {name}", "limit", CANARY, limit=value) for name, value in COUNTS.items()),
        *(
            _recall(f"from {name}", "time_range", "a", time_range=(value, None))
            for name, value in INSTANTS.items()
        ),
        *(
            _recall(f"to {name}", "time_range", "a", time_range=(None, value))
            for name, value in INSTANTS.items()
        ),
        *(_recall(f"where {name}", "where", "a", where={"k": value}) for name, value in JSON.items()),
        *(_recall(f"where path {name}", "where", "a", where={value: 1}) for name, value in IDS.items()),
        _recall("neighbours -1", "neighbours", CANARY, neighbours=-1),
        _recall("neighbours 101", "neighbours", CANARY, neighbours=101),
        _recall("neighbours bool", "neighbours", CANARY, neighbours=False),
        _recall("mode", "mode", CANARY, mode=f"{CANARY}!"),
        _recall("mode None", "mode", CANARY, mode=None),
        _recall("mode list", "mode", CANARY, mode=[]),
        _recall("range list", "time_range", CANARY, time_range=[None, None]),
        _recall("range of three", "time_range", CANARY, time_range=(None, None, None)),
        _recall("range reversed", "time_range", CANARY, time_range=(AWARE, AWARE - timedelta(1))),
        _recall("range empty", "time_range", CANARY, time_range=(AWARE, AWARE)),
        _recall("where list", "where", CANARY, where=[CANARY]),
        _recall("where operator", "where", "a", where={"k": {"$gt": CANARY}}),
        _recall("where empty part", "where", "a", where={f"{CANARY}..b": 1}),
        _recall("where trailing dot", "where", "a", where={f"{CANARY}.": 1}),
        _recall("where 33 parts", "where", "a", where={".".join([CANARY[:3]] * 33): 1}),
        *(
            Bad(f"get {name}", "id", lambda m, alice, value=value: alice.episodes.get(value))
            for name, value in IDS.items()
        ),
        Bad("get None", "id", lambda memory, alice: alice.episodes.get(None)),
        *(
            Bad(f"messages {name}", "session_id", lambda m, alice, value=value: alice.messages(value))
            for name, value in IDS.items()
        ),
        *(
            Bad(f"messages limit {name}", "limit", lambda m, alice, value=value: alice.messages(limit=value))
            for name, value in COUNTS.items()
            if name != "zero"
        ),
        *(Bad(f"list limit {name}", "limit", page(limit=value)) for name, value in COUNTS.items()),
        *(Bad(f"list cursor {name}", "cursor", page(cursor=value)) for name, value in CURSORS.items()),
        *(Bad(f"list session {name}", "session_id", page(session_id=value)) for name, value in IDS.items()),
        *(Bad(f"list before {name}", "before", page(before=value)) for name, value in INSTANTS.items()),
        *(Bad(f"list after {name}", "after", page(after=value)) for name, value in INSTANTS.items()),
        Bad("list reversed", "before", page(after=AWARE, before=AWARE - timedelta(1))),
        *(
            Bad(
                f"sessions cursor {name}",
                "cursor",
                lambda m, alice, value=value: alice.episodes.sessions(cursor=value),
            )
            for name, value in CURSORS.items()
        ),
        *(
            Bad(
                f"users cursor {name}",
                "cursor",
                lambda memory, alice, value=value: memory.users(cursor=value),
            )
            for name, value in CURSORS.items()
        ),
        *(
            Bad(f"{place} limit {name}", "limit", call)
            for name, value in COUNTS.items()
            for place, call in (
                ("sessions", lambda m, alice, value=value: alice.episodes.sessions(limit=value)),
                ("users", lambda memory, alice, value=value: memory.users(limit=value)),
                ("embed_pending", lambda m, alice, value=value: alice.episodes.embed_pending(limit=value)),
            )
        ),
    ]


BAD = [*_handles(), *_writes(), *_reads()]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_bad_input_is_refused_before_any_effect(
    connect: Connect, caplog: pytest.LogCaptureFixture, bad: Bad
) -> None:
    caplog.set_level(logging.DEBUG, logger="recollect")
    async with connect(limits=LIMITS) as memory:
        alice = memory.user("alice")
        with pytest.raises(InvalidInput) as caught:
            await bad.call(memory, alice)
        exc = caught.value
        assert exc.field == bad.field or exc.field.startswith((f"{bad.field}[", f"{bad.field} "))
        assert exc.reason
        assert isinstance(exc, ValueError)
        said = (repr(exc.args), *_chained(exc))
        assert not any(CANARY in text for text in said)
        assert await alice.episodes.count() == 0
        assert (await memory.users()).items == ()
    assert CANARY not in caplog.text


def _chained(exc: BaseException) -> list[str]:
    """Return the words that a traceback would show of it, and of those it came from."""
    before = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return [str(exc), repr(exc), *([] if before is None else _chained(before))]


async def test_a_cursor_of_another_query_or_tenant_is_refused(memory: Memory) -> None:
    alice, bob = memory.user("alice"), memory.user("bob")
    for user in (alice, bob):
        for i in range(3):
            await user.remember(f"hello {i}", session_id=f"s{i % 2}")
    listed = (await alice.episodes.list(limit=1)).cursor
    sessions = (await alice.episodes.sessions(limit=1)).cursor
    users = (await memory.users(limit=1)).cursor
    assert listed is not None
    assert sessions is not None
    assert users is not None
    foreign: list[Callable[[], Awaitable[object]]] = [
        lambda: bob.episodes.list(cursor=listed),
        lambda: alice.episodes.list(cursor=listed, session_id="s0"),
        lambda: alice.episodes.list(cursor=listed, after=AWARE),
        lambda: alice.episodes.list(cursor=sessions),
        lambda: alice.episodes.sessions(cursor=listed),
        lambda: bob.episodes.sessions(cursor=sessions),
        lambda: alice.episodes.list(cursor=users),
        lambda: memory.users(cursor=users, namespace="another"),
        lambda: memory.users(cursor=listed),
        *(lambda n=n: alice.episodes.list(cursor=listed[:n]) for n in range(len(listed))),
        *(
            lambda i=i: alice.episodes.list(
                cursor=listed[:i] + ("A" if listed[i] != "A" else "B") + listed[i + 1 :]
            )
            for i in range(len(listed))
        ),
        lambda: alice.episodes.list(cursor=f"{listed}=="),
    ]
    for call in foreign:
        with pytest.raises(InvalidInput) as caught:
            await call()
        assert caught.value.field == "cursor"


async def test_the_longest_and_oddest_legal_input_reads_back_equal(connect: Connect, clock: Clock) -> None:
    async with connect(limits=LIMITS) as memory:
        alice = memory.user("u" * 256, namespace=str(uuid4()), agent_id="é" * 128)
        stored = await alice.remember(
            "x" * 198 + "é",
            "y" * 200,
            id="i" * 256,
            session_id="{}*?[]:%\\\n",
            occurred_at=datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
            metadata={"k": _nested(31), "n": [2**53 - 1, -(2**53) + 1, 5e-324, -0.0]},
            transcript="t" * 398,
        )
        assert await alice.episodes.get("i" * 256) == stored
        assert stored.metadata["k"] == _nested(31)
        assert stored.input == "x" * 198 + "é"
        assert len(await alice.remember_many([EpisodeDraft(str(i)) for i in range(3)])) == 3
        assert await alice.remember_many([]) == ()
        assert (await alice.recall("", where={"n": [2**53 - 1, -(2**53) + 1, 5e-324, 0]}))[
            0
        ].episode == stored


async def test_percent_and_underscore_in_a_query_are_characters(memory: Memory) -> None:
    alice = memory.user("alice")
    await alice.remember("a discount of 50 percent")
    for query in ("%", "_", "50%", "d_scount", "'; select 1; --", "{{x}}", "\\", "a" * 5000):
        for hit in await alice.recall(query, mode="lexical"):
            assert "50" in query, hit
