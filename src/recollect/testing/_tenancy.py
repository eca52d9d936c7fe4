"""Nothing of one tenant is read, counted or touched through another, whatever they are called."""

import numpy as np

from ..stores import Archive, Filters, Query
from ..types import Tenant
from ._material import HOSTILE, Check, episode, fresh_namespace, fresh_tenant, store


def neighbouring_tenants() -> list[Tenant]:
    """Return tenants whose names run into each other when they are joined, matched or folded."""
    base = fresh_namespace()
    names = (
        (base, None),
        (base, "None"),
        (base, "b"),
        (base, "b/c"),
        (f"{base}/b", None),
        (f"{base}/b", "c"),
        (f"{base}%2Fb", "c"),
        (f"{base}%2Fb", None),
        (base, "%"),
        (base, "_"),
        (base, "B"),
        (base, " b"),
        (base, "b "),
        (base, "b\n"),
        (f"{base} ", "b"),
        (base.upper(), "b"),
    )
    return [Tenant(namespace, user) for namespace, user in names]


async def tenants_with_one_episode_id_never_meet(archive: Archive) -> None:
    namespace = fresh_namespace()
    tenants = [*neighbouring_tenants(), *(Tenant(namespace, name) for name in HOSTILE)]
    for i, tenant in enumerate(tenants):
        await store(archive, tenant, episode(f"of {i}", id="e", session_id="s"))
    for i, tenant in enumerate(tenants):
        (only,), _ = await archive.episodes.page(tenant, Filters(), after=0, limit=10)
        assert (only.id, only.input, only.user_id) == ("e", f"of {i}", tenant.user_id)
        assert await archive.episodes.get(tenant, "e") == only
        assert list(await archive.episodes.newest(tenant, Filters(session_id="s"), limit=10)) == [only]
        assert await archive.episodes.count(tenant) == 1
        (session,), _ = await archive.episodes.sessions(tenant, after=0, limit=10)
        assert session.episode_count == 1
        assert list(await archive.episodes.recent_sessions(tenant, limit=10)) == [session]
        seen = await archive.episodes.candidates(tenant, Query(("of",), None, Filters()))
        assert (seen.documents, dict(seen.frequencies)) == (1, {"of": 1})


async def anothers_episodes_are_not_found_by_id_or_seq(archive: Archive) -> None:
    mine, theirs = fresh_tenant(), fresh_tenant()
    (secret,) = await store(archive, theirs, episode("secret", id="e", session_id="s"))
    assert await archive.episodes.get(mine, "e") is None
    assert await archive.episodes.by_seq(mine, [secret.seq]) == {}
    assert await archive.episodes.around(mine, [secret], distance=5) in ({}, {secret.seq: ()})


async def neighbours_of_the_same_session_name_elsewhere_stay_there(archive: Archive) -> None:
    mine, theirs = fresh_tenant(), fresh_tenant()
    await store(archive, theirs, *(episode(f"theirs {i}", session_id="s") for i in range(3)))
    first, second = await store(archive, mine, episode("a", session_id="s"), episode("b", session_id="s"))
    around = await archive.episodes.around(mine, [first, second], distance=5)
    assert around == {first.seq: (second,), second.seq: (first,)}


async def vectors_are_set_and_compared_within_a_tenant(archive: Archive) -> None:
    mine, theirs, identity = fresh_tenant(), fresh_tenant(), np.eye(4, dtype=np.float32)
    (waiting,) = await store(archive, theirs, episode(embedding_state="pending"))
    (own,) = await store(archive, mine, episode(vectors=identity[:1]))
    assert await archive.episodes.set_vectors(mine, {waiting.id: identity[1:2]}) == 0
    assert [each.id for each in await archive.episodes.unembedded(theirs, limit=5)] == [waiting.id]
    assert not await archive.episodes.unembedded(mine, limit=5)
    seen = await archive.episodes.candidates(mine, Query((), identity[1], Filters()))
    assert seen.seqs.tolist() == [own.seq]
    assert seen.cosine is not None
    assert abs(float(seen.cosine[0])) < 1e-6


TENANCY_CHECKS: tuple[Check, ...] = (
    tenants_with_one_episode_id_never_meet,
    anothers_episodes_are_not_found_by_id_or_seq,
    neighbours_of_the_same_session_name_elsewhere_stay_there,
    vectors_are_set_and_compared_within_a_tenant,
)
