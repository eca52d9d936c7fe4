"""Others use the same database, the same pool, the same process: what they do must not show."""

import json
import tempfile
import traceback

import anyio
import asyncpg
import pytest

from recollect import ConfigurationError, EpisodeDraft, Memory, OutcomeUnknown, TryLater, open_memory
from recollect.testing import HashEmbedder

from .beside import in_transaction


@pytest.mark.asyncio_only
async def test_a_json_codec_of_the_callers_pool_changes_nothing(
    postgres_dsn: str, schema: str, watch
) -> None:
    async def codecs(connection: asyncpg.Connection) -> None:
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)

    metadata, transcript = {"a": {"b": 1}}, [{"role": "tool"}, None]
    async with (
        asyncpg.create_pool(postgres_dsn, min_size=0, max_size=4, init=codecs) as pool,
        open_memory(postgres=pool, schema=schema, migrate="auto") as memory,
    ):
        alice = memory.user("alice")
        await alice.remember("hello", metadata=metadata, transcript=transcript, id="e")
        (hit,) = await alice.recall("hello", where={"a.b": 1})
        assert (hit.episode.metadata, hit.episode.transcript) == (metadata, transcript)
    kind = await watch.fetchval(f'select json_typeof(metadata) from "{schema}".episode')
    assert kind == "object"


@pytest.mark.parametrize("dimensions", [8, 16], ids=["same dimensions", "other dimensions"])
async def test_vectors_of_a_replaced_embedder_stay_out(
    postgres_dsn: str, schema: str, dimensions: int
) -> None:
    def opened(embedder: HashEmbedder, **options: str):
        return open_memory(postgres=postgres_dsn, schema=schema, migrate="auto", embedder=embedder, **options)

    old, new = HashEmbedder(model="old", dimensions=8), HashEmbedder(model="new", dimensions=dimensions)
    async with opened(old) as before:
        await before.user("alice").remember("a cat", embed="later")
        async with opened(new, on_embedding_mismatch="reembed") as after:
            late = await before.user("alice").remember("another cat")
            assert late.embedding_state == "pending"
            assert await before.user("alice").episodes.embed_pending() == 0
            assert await after.user("alice").episodes.embed_pending() == 2
            hits = await after.user("alice").recall("cat", mode="semantic")
            assert len(hits) == 2


async def test_one_locked_tenant_does_not_hold_up_the_others(postgres_dsn: str, schema: str) -> None:
    async with open_memory(postgres=postgres_dsn, schema=schema, migrate="auto", deadline=4.0) as memory:
        await memory.user("locked").remember("first")
        outcomes: dict[str, str] = {}

        async def write(user: str) -> None:
            try:
                await memory.user(user).remember("second")
            except OutcomeUnknown:
                outcomes[user] = "unknown"
            else:
                outcomes[user] = "stored"

        async with in_transaction(postgres_dsn) as conn:
            await conn.execute(f'select from "{schema}".tenant for update')
            async with anyio.create_task_group() as tasks:
                for user in ("first to lead", "locked", "free", "also free"):
                    tasks.start_soon(write, user)
        assert outcomes == {
            "first to lead": "stored",
            "locked": "unknown",
            "free": "stored",
            "also free": "stored",
        }


async def test_a_locked_tenant_that_goes_on_writing_does_not_hold_up_the_others(
    postgres_dsn: str, schema: str
) -> None:
    async with open_memory(postgres=postgres_dsn, schema=schema, migrate="auto", deadline=8.0) as memory:
        locked = memory.user("locked")
        await locked.remember("first")

        async def write() -> None:
            with pytest.raises(TryLater):
                await locked.remember("second")

        async with in_transaction(postgres_dsn) as conn:
            await conn.execute(f'select from "{schema}".tenant for update')
            async with anyio.create_task_group() as tasks:
                for _ in range(4):  # more than there are transactions at once
                    tasks.start_soon(write)
                    await anyio.wait_all_tasks_blocked()
                for i in range(20):
                    with anyio.fail_after(6):
                        await memory.user(f"free {i}").remember("second")
                    tasks.start_soon(write)
        assert (await locked.remember("third")).seq > 1


async def test_opening_is_bounded_while_others_change_the_embedder(postgres_dsn: str, schema: str) -> None:
    embedder = HashEmbedder(model="m", dimensions=8)
    async with open_memory(postgres=postgres_dsn, schema=schema, migrate="auto", embedder=embedder):
        pass
    async with in_transaction(postgres_dsn) as conn:
        await conn.execute(f'update "{schema}".embedder set model = model')
        with anyio.fail_after(10):
            async with open_memory(postgres=postgres_dsn, schema=schema, embedder=embedder) as memory:
                assert not memory.closed


async def test_a_batch_is_repeated_by_the_key_of_an_unknown_outcome(memory: Memory) -> None:
    drafts = [EpisodeDraft(text) for text in ("one", "two", "three")]
    alice = memory.user("alice of the batch")
    stored = await alice.remember_many(drafts)
    again = [EpisodeDraft("one", id=stored[0].id), *drafts[1:]]
    assert await alice.remember_many(again) == stored
    assert await alice.episodes.count() == 3


async def test_embedding_what_is_pending_passes_over_what_always_fails() -> None:
    class Picky(HashEmbedder):
        async def embed(self, texts, *, kind):
            if any("poison" in text for text in texts):
                raise RuntimeError
            return await super().embed(texts, kind=kind)

    async with open_memory(embedder=Picky(model="m", dimensions=8)) as memory:
        alice = memory.user("alice")
        for text in ("poison", "poison too", "good", "better"):
            await alice.remember(text, embed="later")
        assert await alice.episodes.embed_pending(limit=1) == 1
        assert await alice.episodes.embed_pending(limit=9) == 1
        assert await alice.episodes.embed_pending(limit=9) == 0


async def test_one_embedded_server_is_opened_from_several_tasks(postgres_dsn: str) -> None:
    with tempfile.TemporaryDirectory(prefix="recollect-tests-", ignore_cleanup_errors=True) as directory:

        async def use(user: str) -> None:
            async with open_memory(postgres=f"embedded:{directory}/data") as memory:
                await memory.user(user).remember("hello")

        async with anyio.create_task_group() as tasks:
            for i in range(3):
                tasks.start_soon(use, f"user {i}")
        async with open_memory(postgres=f"embedded:{directory}/data") as memory:
            assert len(await memory.users()) == 3


async def test_what_the_server_says_of_a_row_is_not_passed_on(
    postgres_dsn: str, schema: str, watch: asyncpg.Connection
) -> None:
    async with open_memory(postgres=postgres_dsn, schema=schema, migrate="auto") as memory:
        await watch.execute(f'alter table "{schema}".episode add constraint odd check (input <> $$canary$$)')
        with pytest.raises(ConfigurationError, match="23514") as caught:
            await memory.user("alice").remember("CANARY".lower())  # a traceback quotes this line
        assert "canary" not in "".join(traceback.format_exception(caught.value, chain=True))
        assert await memory.user("alice").episodes.count() == 0
