"""What stands between a memory and the user's embedder: batches, a cache, and no trust."""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np
import pytest
from anyio import wait_all_tasks_blocked
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect import ConfigurationError
from recollect._embedding import CALL, FAILURES, Embedding, chunks

from . import virtual_time

DIMENSIONS = 3
CHUNK = 4


def meaning(text: str, kind: str) -> list[float]:
    """A vector that tells texts and kinds apart."""
    return [float(sum(map(ord, text))), float(len(text)), 1.0 if kind == "query" else 2.0]


def unit(text: str, kind: str) -> Any:
    vector = np.array(meaning(text, kind))
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class NotingEmbedder:
    """Notes the calls; `hinder` may wait, raise, or return something else instead."""

    model = "test"
    dimensions = DIMENSIONS

    def __init__(self, hinder: Callable[[Sequence[str]], Awaitable[Any]] | None = None) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.hinder = hinder

    async def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        self.calls.append(tuple(texts))
        instead = None if self.hinder is None else await self.hinder(texts)
        return [meaning(text, kind) for text in texts] if instead is None else instead


async def passing(opened: anyio.Event) -> None:
    """Wait, but not for ever: a call that nobody can end has to fail a test, not to hang it."""
    with anyio.fail_after(15):
        await opened.wait()


def embedding_of(embedder: NotingEmbedder, *, cached: int = 100) -> Embedding:
    return Embedding(embedder, cached=cached, chunk_chars=CHUNK)  # type: ignore[arg-type]


async def one(embedding: Embedding, text: str) -> Any:
    (found,) = await embedding.documents([text])
    return found


@dataclass(frozen=True)
class Call:
    at: int
    kind: str
    text: str


# "!" makes the embedder raise, "?" gives a vector of NaN; both are longer than one chunk with others.
written = st.text(st.sampled_from("abcde!? "), min_size=1, max_size=9).filter(str.strip)
calls = st.builds(Call, at=st.integers(0, 4), kind=st.sampled_from(("document", "query")), text=written)


@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_every_call_has_its_own_vectors(loop: str) -> None:
    @given(st.lists(calls, min_size=1, max_size=12), st.integers(0, 6))
    @settings(max_examples=200)
    def check(schedule: list[Call], cached: int) -> None:
        virtual_time.run(lambda: play(schedule, cached), loop=loop)

    async def play(schedule: list[Call], cached: int) -> None:
        async def hinder(texts: Sequence[str]) -> Any:
            await anyio.sleep(1)
            if "!" in "".join(texts):
                raise RuntimeError
            return None

        async def call(each: Call) -> None:
            await anyio.sleep(each.at)
            found = (
                await one(embedding, each.text)
                if each.kind == "document"
                else await embedding.query(each.text)
            )
            pieces = list(chunks(each.text, CHUNK))[: 1 if each.kind == "query" else None]
            if set("!?").intersection("".join(pieces)):
                assert found is None
            elif each.kind == "query":
                assert found == pytest.approx(unit(pieces[0], "query"))
            else:
                assert found == pytest.approx(np.array([unit(piece, "document") for piece in pieces]))
            assert len(embedding._cache) <= cached

        embedder = PickyEmbedder(hinder)
        embedding = embedding_of(embedder, cached=cached)
        async with anyio.create_task_group() as tasks:
            for each in schedule:
                tasks.start_soon(call, each)

    check()


class PickyEmbedder(NotingEmbedder):
    async def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        vectors = await super().embed(texts, kind=kind)
        return [
            [math.nan] * 3 if "?" in text else vector for text, vector in zip(texts, vectors, strict=True)
        ]


async def test_queries_made_while_one_is_in_flight_share_the_next_and_documents_do_not_wait() -> None:
    opened = anyio.Event()

    async def hinder(texts: Sequence[str]) -> None:
        await passing(opened)

    embedder = NotingEmbedder(hinder)
    embedding = embedding_of(embedder)
    async with anyio.create_task_group() as tasks:
        for text in ("q", "r", "s"):
            tasks.start_soon(embedding.query, text)
            await wait_all_tasks_blocked()
        tasks.start_soon(embedding.documents, ["b", "c d ef", "b"])
        await wait_all_tasks_blocked()
        assert embedder.calls == [("q",), ("b", "c d", "ef")]
        opened.set()
    assert embedder.calls[2:] == [("r", "s")]


async def test_bad_text_fails_alone() -> None:
    async def hinder(texts: Sequence[str]) -> None:
        if "bad" in texts:
            raise RuntimeError

    texts = ["one", "two", "bad", "tri", "for"]
    found = await embedding_of(NotingEmbedder(hinder)).documents(texts)
    assert [None if each is None else each[0].tolist() for each in found] == [
        None if text == "bad" else unit(text, "document").tolist() for text in texts
    ]


@pytest.mark.parametrize("bad", [{5}, {0, 31}, {15, 16}, {7, 8}], ids=repr)
async def test_two_bad_texts_of_32_are_found_and_an_outage_is_given_up_early(bad: set[int]) -> None:
    async def hinder(texts: Sequence[str]) -> None:
        if any(int(text) in bad for text in texts):
            raise RuntimeError

    embedder = NotingEmbedder(hinder)
    embedding = embedding_of(embedder, cached=0)
    found = await embedding.documents([str(i) for i in range(32)])
    assert {i for i, vectors in enumerate(found) if vectors is None} == bad
    bad.update(range(32))
    embedder.calls.clear()
    assert await embedding.documents([str(i) for i in range(32)]) == [None] * 32
    assert len(embedder.calls) <= 2 * FAILURES


async def test_queries_of_many_callers_give_an_outage_up_as_early() -> None:
    opened = anyio.Event()

    async def hinder(texts: Sequence[str]) -> None:
        await passing(opened)
        raise RuntimeError

    async def ask(text: str) -> None:
        found.append(await embedding.query(text))

    embedder, found = NotingEmbedder(hinder), list[Any]()
    embedding = embedding_of(embedder)
    async with anyio.create_task_group() as tasks:
        for i in range(101):
            tasks.start_soon(ask, f"q{i}")
        await wait_all_tasks_blocked()
        opened.set()
    assert found == [None] * 101
    assert len(embedder.calls) <= 1 + 2 * FAILURES


async def test_many_bad_texts_cost_the_good_ones_between_them_nothing() -> None:
    bad = set(range(0, 100, 8))

    async def hinder(texts: Sequence[str]) -> None:
        if any(int(text) in bad for text in texts):
            raise RuntimeError

    found = await embedding_of(NotingEmbedder(hinder)).documents([str(i) for i in range(100)])
    assert {i for i, vectors in enumerate(found) if vectors is None} == bad


async def test_texts_that_always_fail_keep_no_other_from_its_vector_for_ever() -> None:
    bad = {*range(20), 60}  # what always fails is the oldest in time, and is asked for first

    async def hinder(texts: Sequence[str]) -> None:
        if any(int(text) in bad for text in texts):
            raise RuntimeError

    embedding = embedding_of(NotingEmbedder(hinder), cached=0)
    pending = list(range(100))
    for _ in range(200):
        found = await embedding.documents([str(i) for i in pending])
        pending = [i for i, vectors in zip(pending, found, strict=True) if vectors is None]
        if bad.issuperset(pending):
            return
    pytest.fail(f"never embedded: {sorted(set(pending) - bad)}")


@pytest.mark.parametrize("number", [0.0, math.nan, math.inf, -math.inf, 1e300])
async def test_unusable_vector_fails_alone_without_a_second_call(number: float) -> None:
    async def hinder(texts: Sequence[str]) -> Any:
        return [[number if text == "bad" else 1.0, 0.0, 0.0] for text in texts]

    embedder = NotingEmbedder(hinder)
    found = await embedding_of(embedder).documents(["one", "two", "bad"])
    assert embedder.calls == [("one", "two", "bad")]
    assert [vectors is None for vectors in found] == [False, False, True]


@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_what_was_embedded_before_the_time_was_over_is_kept(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        async def hinder(texts: Sequence[str]) -> None:
            await anyio.sleep(1 if "0" in texts else 10)

        embedder = NotingEmbedder(hinder)
        embedding = embedding_of(embedder, cached=CALL)
        found = await embedding.documents([str(i) for i in range(2 * CALL)], seconds=5)
        assert [vectors is None for vectors in found] == [False] * CALL + [True] * CALL
        assert [len(call) for call in embedder.calls] == [CALL, CALL]
        assert "fails (TimeoutError)" in caplog.text

    virtual_time.run(play, loop=loop)


async def test_cancelled_leader_leaves_the_call_to_the_others() -> None:
    opened = anyio.Event()

    async def hinder(texts: Sequence[str]) -> None:
        await passing(opened)

    embedder = NotingEmbedder(hinder)
    embedding = embedding_of(embedder)
    scope = anyio.CancelScope()

    async def lead() -> None:
        with scope:
            await embedding.query("a")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await wait_all_tasks_blocked()
        tasks.start_soon(embedding.query, "b")
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        assert embedder.calls == [("a",), ("b",)]
        opened.set()


async def test_cache_is_bounded_and_the_least_recently_used_goes_first() -> None:
    embedder = NotingEmbedder()
    embedding = embedding_of(embedder, cached=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        assert await one(embedding, text) is not None
        assert len(embedding._cache) <= 2
    assert embedder.calls == [("a",), ("b",), ("c",), ("b",)]


async def test_only_unknown_chunks_are_embedded_and_a_query_is_no_document() -> None:
    embedder = NotingEmbedder()
    embedding = embedding_of(embedder)
    await one(embedding, "abcdefgh")
    again = await one(embedding, "abcdijklefgh")
    assert again == pytest.approx(np.array([unit(text, "document") for text in ("abcd", "ijkl", "efgh")]))
    await embedding.query("abcd")
    assert embedder.calls == [("abcd", "efgh"), ("ijkl",), ("abcd",)]


async def test_cache_of_nothing_keeps_nothing() -> None:
    embedder = NotingEmbedder()
    embedding = embedding_of(embedder, cached=0)
    first, second = await one(embedding, "a"), await one(embedding, "a")
    assert np.array_equal(first, second)
    assert len(embedder.calls) == 2


async def test_vectors_have_length_one_whatever_their_size() -> None:
    async def hinder(texts: Sequence[str]) -> Any:
        return np.array([[3e38, 3e38, 0.0], [1e-45, 0.0, 0.0]][: len(texts)], dtype=np.float32)

    found = await one(embedding_of(NotingEmbedder(hinder)), "abcdefgh")
    assert found is not None
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[0.5**0.5, 0.5**0.5, 0.0], [1.0, 0.0, 0.0]]))


@pytest.mark.parametrize(
    "garbage",
    [
        [],
        [[1.0, 2.0]],
        [1.0, 2.0, 3.0],
        [[1.0, 2.0, 3.0]] * 2,
        [[[1.0, 2.0, 3.0]]],
        [[0.0, 0.0, 0.0]],
        [[1.0, math.nan, 3.0]],
        [[1.0, math.inf, 3.0]],
        [[1.0, 1e300, 3.0]],
        [[1.0, 10**400, 3.0]],
        [["a", "b", "c"]],
        [[1.0], [2.0, 3.0]],
        "abc",
        5,
        Ellipsis,
    ],
    ids=repr,
)
async def test_what_is_no_embedding_is_none_and_is_not_kept(garbage: object) -> None:
    async def hinder(texts: Sequence[str]) -> object:
        return garbage

    embedder = NotingEmbedder(hinder)
    embedding = embedding_of(embedder)
    assert await one(embedding, "a") is None
    assert await embedding.query("a") is None
    embedder.hinder = None
    assert await one(embedding, "a") is not None
    assert await embedding.query("a") is not None


async def test_failing_and_returning_are_one_line_each_without_a_word_of_the_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hinder(texts: Sequence[str]) -> None:
        raise RuntimeError(texts)

    embedder = NotingEmbedder()
    embedding = embedding_of(embedder)
    for failing in (False, True, True, False, False, True):
        embedder.hinder = hinder if failing else None
        embedding._cache.clear()
        for _ in range(3):
            assert (await one(embedding, "secret") is None) is failing
            await embedding.query("secret")
    assert [(record.levelno, record.name) for record in caplog.records] == [
        (logging.WARNING, "recollect")
    ] * 3
    fails, returns, again = (record.getMessage() for record in caplog.records)
    assert fails == again
    assert "fails (RuntimeError)" in fails
    assert "works again" in returns
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": None},
        {"model": b"m"},
        {"model": "m\0"},
        {"dimensions": 0},
        {"dimensions": -1},
        {"dimensions": 16_001},
        {"dimensions": 3.0},
        {"dimensions": True},
    ],
    ids=repr,
)
def test_embedder_that_does_not_say_what_it_is_is_refused(wrong: dict[str, object]) -> None:
    embedder: Any = SimpleNamespace(**{"model": "m", "dimensions": 3, "embed": None} | wrong)
    with pytest.raises(ConfigurationError, match=f"embedder's `{next(iter(wrong))}`"):
        Embedding(embedder, cached=1, chunk_chars=1)


@pytest.mark.parametrize("missing", ["model", "dimensions", "embed"])
def test_what_is_no_embedder_is_refused(missing: str) -> None:
    members = {"model": "m", "dimensions": 3, "embed": None}
    del members[missing]
    embedder: Any = SimpleNamespace(**members)
    with pytest.raises(ConfigurationError, match="an embedder has"):
        Embedding(embedder, cached=1, chunk_chars=1)
