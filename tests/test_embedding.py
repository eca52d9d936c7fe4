"""An embedder is the user's code: it is batched, cached, never trusted, and can be late."""

import logging
import threading
from collections.abc import Sequence
from functools import partial

import anyio
import numpy as np
import pytest
from anyio import to_thread

from recollect import (
    ConfigurationError,
    EmbeddingMismatch,
    EpisodeDraft,
    Limits,
    Memory,
    Page,
    StoreUnavailable,
    UnsupportedOperation,
    open_memory,
)
from recollect.embedders import FunctionEmbedder
from recollect.inprocess import InProcessWorking
from recollect.stores import Embedder, TextKind
from recollect.testing import Fault, FaultyEmbedder, HashEmbedder

from .conftest import Connect

GARBAGE: tuple[Fault, ...] = ("raises", "too few", "wrong dimensions", "nan", "infinity", "zero")


@pytest.mark.parametrize("fault", GARBAGE)
async def test_embedder_that_fails_leaves_the_episode_pending_until_it_works_again(
    connect: Connect, fault: Fault
) -> None:
    embedder = FaultyEmbedder()
    # Without the warnings of numpy, which are errors here and must not be what notices it.
    with np.errstate(all="ignore"):
        async with connect(embedder=embedder) as memory:
            alice = memory.user("alice")
            embedder.fault = fault
            stored = await alice.remember("a walk in Lisbon")
            assert stored.embedding_state == "pending"
            assert [hit.episode for hit in await alice.recall("Lisbon")] == [stored]
            assert await alice.episodes.embed_pending() == 0
            embedder.fault = None
            assert await alice.recall("Lisbon", mode="semantic") == ()
            assert await alice.episodes.embed_pending() == 1
            assert await alice.episodes.embed_pending() == 0
            (hit,) = await alice.recall("Lisbon", mode="semantic")
            assert hit.episode == stored.model_copy(update={"embedding_state": "ready"})


async def test_embedder_that_hangs_costs_its_vectors_and_not_the_write(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder, deadline=3.0) as memory:
        alice = memory.user("alice")
        embedder.fault = "hangs"
        stored = await alice.remember("a walk in Lisbon")
        assert stored.embedding_state == "pending"
        embedder.fault = None
        assert [hit.episode for hit in await alice.recall("Lisbon")] == [stored]
        assert await alice.episodes.embed_pending() == 1


async def test_embedder_that_hangs_holds_up_nothing_that_is_not_to_be_embedded(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder, deadline=None) as memory:
        alice = memory.user("alice")
        embedder.fault = "hangs"
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for i in range(4):
                    tasks.start_soon(alice.remember, f"turn {i}")
                while len(embedder.calls) < 2:  # noqa: ASYNC110 - every lane hangs; an embedder has no events
                    await anyio.sleep(0.01)
                stored = await alice.remember("put off", embed="later")
                tasks.cancel_scope.cancel()
        assert await alice.episodes.list() == Page(items=(stored,), cursor=None, basis=stored.seq)


async def test_embedder_that_hangs_costs_who_has_less_time_than_others_no_write(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder, deadline=60.0) as memory:
        alice = memory.user("alice")
        embedder.fault = "hangs"
        async with anyio.create_task_group() as tasks:
            for i in range(3):
                tasks.start_soon(alice.remember, f"turn {i}")
                tasks.start_soon(partial(alice.facts.add, "alice", "likes", i))
            while len(embedder.calls) < 3:  # noqa: ASYNC110 - every lane hangs; an embedder has no events
                await anyio.sleep(0.01)
            with anyio.fail_after(4):
                async with anyio.create_task_group() as hurried:
                    hurried.start_soon(alice.remember, "in a hurry")
                    hurried.start_soon(alice.facts.add, "alice", "is", "in a hurry")
            embedder.fault = None
            tasks.cancel_scope.cancel()
        assert (await alice.episodes.count(), await alice.facts.count()) == (1, 1)
        assert await alice.episodes.embed_pending() == 1


async def test_one_unusable_vector_does_not_spoil_those_beside_it(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        embedder.fault = "nan"  # in the first place only
        stored = await memory.user("alice").remember_many([EpisodeDraft(f"turn {i}") for i in range(4)])
        states = [each.embedding_state for each in stored]
        # Which of them are embedded together is not promised, but the first of each batch is spoiled.
        assert states.count("pending") == len(embedder.calls) < 4


async def test_put_off_embedding_asks_nobody_until_it_is_told_to(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        one = await alice.remember("first", embed="later")
        many = await alice.remember_many([EpisodeDraft("second"), EpisodeDraft("third")], embed="later")
        assert {each.embedding_state for each in (one, *many)} == {"pending"}
        assert embedder.calls == []
        assert await alice.episodes.embed_pending(limit=2) == 2
        assert [each.embedding_state for each in await alice.episodes.list()] == ["ready", "ready", "pending"]
        assert await alice.episodes.embed_pending() == 1


async def test_episodes_of_a_memory_without_an_embedder_are_embedded_by_one_with(archive, clock) -> None:
    without = Memory(working=InProcessWorking(), archive=archive, clock=clock, namespace=f"n{id(clock)}")
    stored = await without.user("alice").remember("a walk in Lisbon")
    assert stored.embedding_state == "none"
    with pytest.raises(ConfigurationError):
        await without.user("alice").episodes.embed_pending()
    having = Memory(
        working=InProcessWorking(),
        archive=archive,
        clock=clock,
        namespace=f"n{id(clock)}",
        embedder=HashEmbedder(),
    )
    assert await having.user("alice").episodes.embed_pending() == 1
    assert len(await having.user("alice").recall("Lisbon", mode="semantic")) == 1


async def test_without_an_embedder_recall_goes_by_words_and_says_so(connect: Connect) -> None:
    async with connect(embedder=None) as memory:
        alice = memory.user("alice")
        await alice.remember("a walk in Lisbon")
        (hit,) = await alice.recall("Lisbon")
        assert hit.signals.semantic is None
        assert hit.signals.lexical is not None
        assert hit.signals.lexical > 0
        with pytest.raises(UnsupportedOperation):
            await alice.recall("Lisbon", mode="semantic")


async def test_recall_goes_by_words_while_the_embedder_fails(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        stored = await alice.remember("a walk in Lisbon")
        embedder.fault = "raises"
        (hit,) = await alice.recall("Lisbon?")
        assert hit.episode == stored
        assert hit.signals.semantic is None
        with pytest.raises(StoreUnavailable):
            await alice.recall("Lisbon?", mode="semantic")


async def test_failing_and_working_again_is_one_line_of_log_each(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        embedder.fault = "raises"
        for i in range(3):
            await alice.remember(f"turn {i}")
        embedder.fault = None
        for i in range(3):
            await alice.remember(f"again {i}")
    ours = [record for record in caplog.records if record.name == "recollect"]
    assert [record.levelno for record in ours] == [logging.WARNING] * 2
    assert "fails" in ours[0].message
    assert "works again" in ours[1].message


async def test_concurrent_writes_share_calls_of_the_embedder(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        async with anyio.create_task_group() as tasks:
            for i in range(50):
                tasks.start_soon(memory.user(f"user {i % 5}").remember, f"turn {i}")
        assert sorted(text for call in embedder.calls for text in call) == sorted(
            f"turn {i}" for i in range(50)
        )
        assert len(embedder.calls) <= 5


async def test_many_drafts_share_calls_of_the_embedder(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        stored = await memory.user("alice").remember_many([EpisodeDraft(f"turn {i}") for i in range(200)])
        assert {each.embedding_state for each in stored} == {"ready"}
        assert len(embedder.calls) <= 5


async def test_text_that_was_embedded_is_not_embedded_again(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        for name in ("alice", "bob"):
            user = memory.user(name)
            await user.remember("hello", "world")
            await user.recall("hello?")
            await user.recall("hello?")
        assert embedder.calls == [("hello\nworld",), ("hello?",)]


async def test_cache_keeps_the_texts_used_last(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder, limits=Limits(cached_embeddings=2)) as memory:
        alice = memory.user("alice")
        for text in ("a", "b", "a", "c", "a", "b"):
            await alice.recall(text, mode="semantic")
        assert embedder.calls == [("a",), ("b",), ("c",), ("b",)]


async def test_failure_is_not_cached(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        embedder.fault = "zero"
        await alice.remember("hello")
        embedder.fault = None
        assert (await alice.remember("hello")).embedding_state == "ready"


async def test_long_text_is_found_by_its_end(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder, limits=Limits(chunk_chars=60)) as memory:
        alice = memory.user("alice")
        text = " ".join(f"filler{i}" for i in range(40)) + " violin lessons"
        long = await alice.remember(text)
        await alice.remember("something else entirely")
        pieces = embedder.calls[0]
        assert max(map(len, pieces)) <= 60
        assert " ".join(pieces) == text
        hits = await alice.recall("violin lessons", mode="semantic")
        assert hits[0].episode == long
        assert hits[0].signals.semantic is not None
        assert hits[0].signals.semantic > 0.4


async def test_sync_function_runs_in_a_worker_thread_and_may_return_lists(connect: Connect) -> None:
    threads: set[int] = set()

    def embed(texts: Sequence[str]) -> list[list[float]]:
        threads.add(threading.get_ident())
        return [[float(len(text)), 1.0] for text in texts]

    async with connect(embedder=FunctionEmbedder(embed, model="hash", dimensions=32)) as memory:
        stored = await memory.user("alice").remember("hello")
        assert stored.embedding_state == "pending"  # two numbers are not 32
    assert threads.isdisjoint({threading.get_ident()})


async def test_queries_may_have_a_function_of_their_own() -> None:
    async def document(texts: Sequence[str]) -> np.ndarray:
        return np.tile(np.array([1, 0], dtype=np.float32), (len(texts), 1))

    async def query(texts: Sequence[str]) -> np.ndarray:
        return np.tile(np.array([3, 4], dtype=np.float32), (len(texts), 1))

    embedder = FunctionEmbedder(document, model="m", dimensions=2, query_function=query)
    async with open_memory(embedder=embedder) as memory:
        alice = memory.user("alice")
        await alice.remember("hello")
        (hit,) = await alice.recall("anything", mode="semantic")
        assert hit.signals.semantic == pytest.approx(0.6)


class ReadingEmbedder(Embedder):
    """Looks into the memory while it embeds, as one that asks for context would."""

    model, dimensions = "hash", 32

    def __init__(self) -> None:
        self.memory: Memory | None = None

    async def embed(self, texts: Sequence[str], *, kind: TextKind) -> np.ndarray:
        assert self.memory is not None
        alice = self.memory.user("alice")
        await alice.episodes.count()
        await alice.remember("by the embedder", embed="later")
        return await HashEmbedder().embed(texts, kind=kind)


async def test_embedder_may_use_the_memory_because_nothing_is_held_while_it_runs(connect: Connect) -> None:
    embedder = ReadingEmbedder()
    async with connect(embedder=embedder, limits=Limits(max_users=1)) as memory:
        embedder.memory = memory
        with anyio.fail_after(20):
            stored = await memory.user("alice").remember("hello")
            await memory.user("alice").recall("hello")
        assert stored.embedding_state == "ready"
        assert await memory.user("alice").episodes.count() == 3


async def test_another_model_is_refused_on_opening(postgres_dsn: str, schema: str) -> None:
    options = {"postgres": postgres_dsn, "schema": schema, "migrate": "auto"}
    async with open_memory(**options, embedder=HashEmbedder()) as memory:
        stored = await memory.user("alice").remember("a walk in Lisbon")
    other = HashEmbedder(model="other", dimensions=48)
    with pytest.raises(EmbeddingMismatch) as caught:
        async with open_memory(**options, embedder=other):
            raise AssertionError("vectors of two models were mixed")
    assert (caught.value.stored, caught.value.given) == (("hash", 32), ("other", 48))
    async with open_memory(**options, embedder=other, on_embedding_mismatch="reembed") as memory:
        alice = memory.user("alice")
        assert (await alice.episodes.get(stored.id)).embedding_state == "pending"
        assert await alice.episodes.embed_pending() == 1
        assert len(await alice.recall("Lisbon", mode="semantic")) == 1
    async with open_memory(**options) as memory:  # without one the words are there still
        assert len(await memory.user("alice").recall("Lisbon")) == 1


async def test_blocking_embedder_does_not_hold_up_other_calls() -> None:
    entered, leave = threading.Event(), threading.Event()

    def embed(texts: Sequence[str]) -> np.ndarray:
        entered.set()
        leave.wait(20)
        return np.ones((len(texts), 1), dtype=np.float32)

    async with open_memory(embedder=FunctionEmbedder(embed, model="m", dimensions=1), deadline=60) as memory:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.user("alice").remember, "hello")
            await to_thread.run_sync(entered.wait, 20)
            await memory.user("bob").remember("meanwhile", embed="later")
            assert await memory.user("bob").episodes.count() == 1
            assert await memory.user("alice").episodes.count() == 0
            leave.set()
        assert await memory.user("alice").episodes.count() == 1
