"""Vectors on their way to PostgreSQL: both spellings say every bit."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recollect.postgres import PostgresArchive, open_postgres
from recollect.postgres.vectors import packed, spelled
from recollect.stores import Filters, Query
from recollect.testing._material import episode, fresh_tenant, store

EDGES = {
    "zero": 0x0000_0000,
    "negative zero": 0x8000_0000,
    "smallest subnormal": 0x0000_0001,
    "largest subnormal": 0x007F_FFFF,
    "smallest normal": 0x0080_0000,
    "one": 0x3F80_0000,
    "largest": 0x7F7F_FFFF,
    "most negative": 0xFF7F_FFFF,
}
"""Bits of float32."""


def is_finite(bits: int) -> bool:
    return bits >> 23 & 0xFF != 0xFF


MATRICES = arrays.arrays(
    np.uint32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(0, 0xFFFF_FFFF).filter(is_finite) | st.sampled_from(sorted(EDGES.values())),
).map(lambda bits: bits.view(np.float32))

OWN, CALLERS = "a pool of ours", "a pool of the caller's"


@pytest.fixture(params=[OWN, CALLERS])
async def archive(
    request: pytest.FixtureRequest, anyio_backend: object, postgres_dsn: str, shared_schema: str
) -> AsyncIterator[PostgresArchive]:
    async with AsyncExitStack() as stack:
        where: Any = postgres_dsn
        if request.param == CALLERS:
            where = await stack.enter_async_context(asyncpg.create_pool(postgres_dsn, min_size=0, max_size=2))
        opened = await stack.enter_async_context(open_postgres(where, schema=shared_schema))
        assert opened._postgres.binary == (request.param == OWN)
        yield opened


async def bits_of(archive: PostgresArchive, schema: str, tenant: Any, seq: int) -> Any:
    """Return what is stored of an episode, as the server counts it out."""
    rows = await archive._postgres.fetch(
        f"select embedding::real[] from {schema}.episode_vector"
        " where tenant = $1 and seq = $2 order by chunk",
        tenant.key,
        seq,
    )
    return np.array([row[0] for row in rows], dtype=np.float32).view(np.uint32)


@pytest.mark.asyncio_only
@given(vectors=MATRICES)
async def test_vectors_are_stored_bit_for_bit_however_they_are_sent(
    archive: PostgresArchive, shared_schema: str, vectors: Any
) -> None:
    tenant = fresh_tenant()
    stored, later = await store(archive, tenant, episode("now", vectors=vectors), episode("later"))
    assert await archive.episodes.set_vectors(tenant, {later.id: vectors}) == 1
    for seq in (stored.seq, later.seq):
        assert np.array_equal(await bits_of(archive, shared_schema, tenant, seq), vectors.view(np.uint32))


@pytest.mark.asyncio_only
async def test_edges_of_a_float_are_stored_bit_for_bit_however_they_are_sent(
    archive: PostgresArchive, shared_schema: str
) -> None:
    tenant = fresh_tenant()
    bits = np.array([list(EDGES.values())], dtype=np.uint32)
    (stored,) = await store(archive, tenant, episode(vectors=bits.view(np.float32)))
    assert np.array_equal(await bits_of(archive, shared_schema, tenant, stored.seq), bits)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("by", [1, -3])
async def test_query_finds_its_own_vector_however_it_is_sent(archive: PostgresArchive, by: int) -> None:
    tenant = fresh_tenant()
    vector = np.random.default_rng(7).standard_normal(384).astype(np.float32)
    await store(archive, tenant, episode(vectors=(vector * by)[np.newaxis]))
    found = await archive.episodes.candidates(tenant, Query((), vector, Filters()))
    assert found.cosine is not None
    assert found.cosine.tolist() == pytest.approx([np.sign(by)])


def test_every_upper_half_of_a_float_is_spelled_and_packed_as_it_is() -> None:
    upper = np.array([half for half in range(1 << 16) if is_finite(half << 16)], dtype=np.uint32)
    lower = np.random.default_rng(7).integers(0, 1 << 16, len(upper), dtype=np.uint32)
    bits = (upper << 16 | lower).reshape(-1, 16)
    vectors = bits.view(np.float32)
    read = [[float.fromhex(number) for number in text[1:-1].split(",")] for text in spelled(vectors)]
    assert np.array_equal(np.array(read, dtype=np.float32).view(np.uint32), bits)
    sent = [np.frombuffer(each, dtype=">u4", offset=4) for each in packed(vectors)]
    assert np.array_equal(sent, bits)
