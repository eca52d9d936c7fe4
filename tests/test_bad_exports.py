"""An export comes from a file that anybody may have written: what is wrong is told, and nothing stored."""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from recollect import Conflict, FactConflict, InvalidInput, Limits, Memory, open_memory
from recollect.testing import Clock, HashEmbedder
from recollect.types import Export

from .transferring import BORN, PREDICATES, fill

Lines = list[dict[str, Any]]
Tamper = Callable[[Lines], object]


def first(lines: Lines, kind: str, **fields: Any) -> dict[str, Any]:
    """Return the first record of a kind that has these fields."""
    return next(
        each
        for each in lines
        if each["kind"] == kind and all(each.get(name) == value for name, value in fields.items())
    )


def last(lines: Lines, kind: str) -> dict[str, Any]:
    return first(lines[::-1], kind)


def put(kind: str, name: str, value: Any, **which: Any) -> Tamper:
    return lambda lines: first(lines, kind, **which).update({name: value})


def drop(kind: str, name: str, **which: Any) -> Tamper:
    return lambda lines: first(lines, kind, **which).pop(name)


def swap(kind: str) -> Tamper:
    """Exchange the first record of a kind with the next one of it."""

    def tamper(lines: Lines) -> None:
        i, j = [i for i, each in enumerate(lines) if each["kind"] == kind][:2]
        lines[i], lines[j] = lines[j], lines[i]

    return tamper


def double(kind: str) -> Tamper:
    def tamper(lines: Lines) -> None:
        i = next(i for i, each in enumerate(lines) if each["kind"] == kind)
        lines.insert(i + 1, deepcopy(lines[i]))

    return tamper


def deep() -> Any:
    value: Any = 0
    for _ in range(40):
        value = [value]
    return value


CASES: dict[str, tuple[Tamper, str]] = {
    "another version": (put("header", "version", 2), "header.version"),
    "a clock that is none": (put("header", "tx", -1), "header.tx"),
    "more is promised": (put("header", "episodes", 4), "header.episodes"),
    "a clock that is behind": (put("header", "tx", 1), ".seq"),
    "a clock whose instant is behind": (put("header", "at", "2024-05-01T12:00:00Z"), ".recorded_at"),
    "no clock": (put("header", "at", None), "header.at"),
    "a field of the header is unknown": (put("header", "more", 1), "header"),
    "a rule that is none": (
        put("header", "predicates", {"p": {"cardinality": "two"}}), "header.predicates[0].cardinality",
    ),
    "no kind": (drop("episode", "kind"), "records[0].kind"),
    "an unknown kind": (put("episode", "kind", "file"), "records[0].kind"),
    "an unknown field": (put("episode", "more", None), "records[0]"),
    "a field is missing": (drop("episode", "digest"), "records[0].digest"),
    "an id with NUL": (put("episode", "id", "a\0"), "records[0].id"),
    "an id that is blank": (put("episode", "session_id", " "), "records[0].session_id"),
    "an id that is not NFC": (put("episode", "agent_id", "e\u0301"), "records[0].agent_id"),
    "a text that is no text": (put("episode", "input", 7), "records[0].input"),
    "a text with NUL": (put("episode", "output", "\0"), "records[0].output"),
    "a text that is too long": (put("episode", "input", "x" * 300_000), "records[0].input"),
    "an episode that says nothing": (
        lambda lines: first(lines, "episode").update(input=" ", output=""), "records[0].input",
    ),
    "metadata that is no object": (put("episode", "metadata", []), "records[0].metadata"),
    "metadata that is too deep": (put("episode", "metadata", {"a": deep()}), "[0][0][0]"),
    "a transcript with NUL": (put("episode", "transcript", ["\0"]), "records[0].transcript[0]"),
    "an integer that is too large": (put("episode", "transcript", 2**53), "records[0].transcript"),
    "a naive instant": (put("episode", "occurred_at", "2024-05-01T12:00:00"), "records[0].occurred_at"),
    "an instant that is none": (put("episode", "occurred_at", "soon"), "records[0].occurred_at"),
    "an instant that is a number": (put("episode", "occurred_at", 1), "records[0].occurred_at"),
    "a digest that is none": (put("episode", "digest", "zz"), "records[0].digest"),
    "a mark that is none": (put("episode", "consolidated", 1), "records[0].consolidated"),
    "a number that is none": (put("episode", "seq", True), "records[0].seq"),
    "episodes out of order": (swap("episode"), ".seq"),
    "an episode twice": (double("episode"), "records[1].seq"),
    "an id twice": (put("episode", "id", "e1", id="e2"), "records[1].id"),
    "recorded in no order": (
        put("episode", "recorded_at", "2024-05-01T11:00:00Z", id="e2"), "records[1].recorded_at",
    ),
    "recorded in the future": (
        lambda lines: (
            last(lines, "transaction").update(recorded_at="2034-01-01T00:00:00Z"),
            lines[0].update(at="2034-01-01T00:00:00Z"),
        ),
        ".recorded_at",
    ),
    "a key twice": (
        lambda lines: last(lines, "transaction").update(key=first(lines, "transaction")["key"]), ".key",
    ),
    "undone before it was done": (put("transaction", "undone_by", 1), ".undone_by"),
    "undone by nobody": (put("transaction", "undone_by", 10_000), ".undone_by"),
    "undone by what is no rollback": (put("transaction", "undone_by", 5), ".undone_by"),
    "an assertion of no transaction": (put("assertion", "tx", 1), ".tx"),
    "an unknown operation": (put("assertion", "op", "say"), ".op"),
    "a source that does not exist": (put("assertion", "sources", ["e1", "e7"]), ".sources[1]"),
    "a source twice": (put("assertion", "sources", ["e1", "e1"]), ".sources"),
    "sources that are no list": (put("assertion", "sources", "e1"), ".sources"),
    "an end before the beginning": (
        lambda lines: first(lines, "assertion").update(onset=False, valid_to="1999-01-01T00:00:00Z"),
        ".valid_to",
    ),
    "an onset with an end": (put("assertion", "valid_to", "2034-01-01T00:00:00Z"), ".onset"),
    "a confidence that is none": (put("assertion", "confidence", 1.5), ".confidence"),
    "no object": (drop("assertion", "object"), ".object"),
    "a retraction of nothing": (put("assertion", "retracts", None, op="retract"), ".retracts"),
    "a retraction of what does not exist": (put("assertion", "retracts", "x", op="retract"), ".retracts"),
    "a retraction of something else": (put("assertion", "subject", "x", op="retract"), ".retracts"),
    "a retraction that is none": (put("assertion", "retracts", "x", op="assert"), ".retracts"),
    "an assertion twice": (double("assertion"), ".seq"),
    "a part of no scope": (lambda lines: lines.remove(first(lines, "scope")), ".kind"),
    "a scope twice": (lambda lines: last(lines, "scope").update(agent_id=None, session_id=None), ""),
    "a block twice": (double("block"), ".name"),
    "two blocks in one place": (put("block", "order", 1, order=0), ".order"),
    "a version that is none": (put("block", "version", 0), ".version"),
    "a time to live that is over": (put("variable", "ttl", 0), ".ttl"),
    "a variable twice": (double("variable"), ".key"),
    "two tasks": (double("task"), ""),
    "progress beyond all": (put("task", "progress_percent", 101), ".progress_percent"),
    "a note without an instant": (drop("note", "at"), ".at"),
    "a checkpoint twice": (double("checkpoint"), ".id"),
    "history after working memory": (lambda lines: lines.insert(-1, deepcopy(lines[1])), ".kind"),
    "hashes that do not fit": (
        lambda lines: (
            lines.insert(1, {"kind": "erased", "digests": ["00" * 32]}),
            last(lines, "end").update(records=last(lines, "end")["records"] + 1),
        ),
        "header.erased",
    ),
    "too few lines": (lambda lines: lines.pop(-2), "records"),
    "no end": (lambda lines: lines.pop(), "records"),
    "something after the end": (lambda lines: lines.append({"kind": "end", "records": 0}), ""),
    "no header": (lambda lines: lines.pop(0), "header.kind"),
}  # fmt: skip


@pytest.fixture
async def memory(anyio_backend: object, clock: Clock) -> AsyncIterator[Memory]:
    async with open_memory(clock=clock, embedder=HashEmbedder(), predicates=PREDICATES) as opened:
        yield opened


async def exported(memory: Memory, clock: Clock, *, vectors: bool = False) -> Lines:
    user = memory.user("one")
    await fill(user, clock)
    return [json.loads(line) async for line in user.export_lines(vectors=vectors)]


async def as_lines(lines: Lines) -> AsyncIterator[str]:
    for line in lines:
        yield json.dumps(line)


async def test_what_nobody_has_touched_is_restored(memory: Memory, clock: Clock) -> None:
    await memory.user("other").restore_lines(as_lines(await exported(memory, clock)))
    assert await memory.user("other").episodes.count() == 3


@pytest.mark.parametrize("case", CASES)
async def test_what_is_wrong_is_told_and_nothing_stored(memory: Memory, clock: Clock, case: str) -> None:
    lines = await exported(memory, clock)
    tamper, field = CASES[case]
    tamper(lines)
    other = memory.user("other")
    with pytest.raises(InvalidInput) as refused:
        await other.restore_lines(as_lines(lines))
    assert refused.value.field.endswith(field)
    assert (await other.export()).records == ()
    assert len((await memory.users()).items) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', '{"kind": NaN', "[" * 100_000, '{"\\ud800": 1}']
)
async def test_a_line_that_is_no_record_is_told_by_its_number(
    memory: Memory, clock: Clock, text: str
) -> None:
    lines = [json.dumps(line) for line in await exported(memory, clock)]

    async def tampered() -> AsyncIterator[str]:
        for line in [*lines[:3], text, *lines[4:]]:
            yield line

    with pytest.raises(InvalidInput) as refused:
        await memory.user("other").restore_lines(tampered())
    assert refused.value.field.startswith("records[2]")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0, 7.0])
async def test_a_vector_is_finite_and_of_length_one(memory: Memory, clock: Clock, number: float) -> None:
    lines = await exported(memory, clock, vectors=True)
    episode = first(lines, "episode")
    size = len(b64decode(episode["vectors"][0]))
    episode["vectors"] = [b64encode(struct.pack("<f", number) * (size // 4)).decode()]
    with pytest.raises(InvalidInput) as refused:
        await memory.user("other").restore_lines(as_lines(lines))
    assert refused.value.field == "records[0].vectors"


@pytest.mark.parametrize(
    ("vectors", "field"), [(["AAAA"], ""), (["!"], "[0]"), ([7], "[0]"), ([], ""), (None, "")]
)
async def test_a_vector_is_as_long_as_the_header_says(
    memory: Memory, clock: Clock, vectors: Any, field: str
) -> None:
    lines = await exported(memory, clock, vectors=True)
    first(lines, "episode")["vectors"] = vectors
    with pytest.raises(InvalidInput) as refused:
        await memory.user("other").restore_lines(as_lines(lines))
    assert refused.value.field == f"records[0].vectors{field}"


async def test_two_objects_of_an_immutable_predicate_are_refused(memory: Memory, clock: Clock) -> None:
    lines = await exported(memory, clock)
    born = first(lines, "assertion", predicate=BORN.name)
    lines.insert(lines.index(born) + 1, {**born, "id": "x", "seq": 1, "object": "Rome"})
    lines[0]["assertions"] += 1
    lines[-1]["records"] += 1
    other = memory.user("other")
    with pytest.raises(FactConflict):
        await other.restore_lines(as_lines(lines))
    assert (await other.export()).records == ()


async def test_bounds_are_those_of_the_memory_that_restores(memory: Memory, clock: Clock) -> None:
    lines = await exported(memory, clock)
    async with open_memory(clock=clock, predicates=PREDICATES, limits=Limits(max_blocks=1)) as small:
        with pytest.raises(InvalidInput, match="more than 1 blocks"):
            await small.user("one").restore_lines(as_lines(lines))


async def test_an_export_that_was_put_together_by_hand_is_checked_alike(memory: Memory, clock: Clock) -> None:
    one, other = memory.user("one"), memory.user("other")
    await fill(one, clock)
    export = await one.export()
    records = ({**export.records[0], "input": "\0"}, *export.records[1:])
    with pytest.raises(InvalidInput) as refused:
        await other.restore(Export(header=export.header, records=records))
    assert refused.value.field == "records[0].input"
    with pytest.raises(InvalidInput, match="expected an Export"):
        await other.restore({"records": ()})  # type: ignore[arg-type]


async def test_nothing_was_recorded_in_the_future(memory: Memory, clock: Clock) -> None:
    one, other = memory.user("one"), memory.user("other")
    clock.advance(3_600)
    await one.remember("later")
    export = await one.export()
    clock.now -= timedelta(hours=1)
    with pytest.raises(InvalidInput) as refused:
        await other.restore(export)
    assert refused.value.field == "records[0].recorded_at"
    clock.now += timedelta(hours=1)
    await other.restore(export)


async def test_hashes_of_two_users_do_not_mix(memory: Memory) -> None:
    one, other = memory.user("one"), memory.user("other")
    for user in (one, other):
        await user.remember("hello", id="e1")
        await user.forget(episode_ids=["e1"])
    with pytest.raises(Conflict, match="another user"):
        await other.restore(await one.export())
