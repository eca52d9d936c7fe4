"""Vectors of two models never meet. Each of these checks needs an archive that nobody has used."""

import anyio
import numpy as np

from ..errors import EmbeddingMismatch
from ..stores import Archive, Filters, Query
from ._material import Check, episode, fresh_tenant, store


async def the_first_embedder_is_adopted_and_welcome_again(archive: Archive) -> None:
    for reembed in (False, True, False):
        await archive.adopt_embedder("m", 2, reembed=reembed)


async def another_model_is_refused_in_the_names_of_both(archive: Archive) -> None:
    tenant = fresh_tenant()
    await archive.adopt_embedder("m", 2, reembed=False)
    (stored,) = await store(archive, tenant, episode(vectors=np.eye(2, dtype=np.float32)[:1]))
    for given in (("other", 2), ("m", 3)):
        try:
            await archive.adopt_embedder(*given, reembed=False)
        except EmbeddingMismatch as exc:
            assert (exc.stored, exc.given) == (("m", 2), given)  # noqa: PT017
        else:
            raise AssertionError("vectors of two models were mixed")
    await archive.adopt_embedder("m", 2, reembed=False)
    assert await archive.episodes.get(tenant, stored.id) == stored


async def embedding_again_drops_every_vector_and_leaves_everything_pending(archive: Archive) -> None:
    tenants = [fresh_tenant(), fresh_tenant()]
    await archive.adopt_embedder("m", 2, reembed=False)
    for tenant in tenants:
        await store(archive, tenant, episode("ready", vectors=np.eye(2, dtype=np.float32)))
        await store(archive, tenant, episode("none", embedding_state="none"))
    await archive.adopt_embedder("other", 3, reembed=True)
    identity = np.eye(3, dtype=np.float32)
    for tenant in tenants:
        waiting = await archive.episodes.unembedded(tenant, limit=10)
        assert [(each.input, each.embedding_state) for each in waiting] == [
            ("ready", "pending"),
            ("none", "pending"),
        ]
        seen = await archive.episodes.candidates(tenant, Query((), identity[0], Filters()))
        assert seen.cosine is not None
        assert np.isnan(seen.cosine).all()
        await archive.episodes.set_vectors(tenant, {waiting[0].id: identity[:1]})
        seen = await archive.episodes.candidates(tenant, Query((), identity[0], Filters()))
        assert seen.cosine is not None
        assert np.allclose(seen.cosine, [1, np.nan], equal_nan=True)


async def of_two_embedders_at_once_one_is_refused(archive: Archive) -> None:
    refused: list[str] = []

    async def adopt(model: str) -> None:
        try:
            await archive.adopt_embedder(model, 2, reembed=False)
        except EmbeddingMismatch:
            refused.append(model)

    async with anyio.create_task_group() as tasks:
        for model in ("a", "b"):
            tasks.start_soon(adopt, model)
    assert len(refused) == 1


EMBEDDER_CHECKS: tuple[Check, ...] = (
    the_first_embedder_is_adopted_and_welcome_again,
    another_model_is_refused_in_the_names_of_both,
    embedding_again_drops_every_vector_and_leaves_everything_pending,
    of_two_embedders_at_once_one_is_refused,
)
