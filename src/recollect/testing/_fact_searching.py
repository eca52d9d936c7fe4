"""What a search of facts looks at."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..stores import Archive
from ._fact_material import (
    ALWAYS,
    CITY,
    LIKES,
    NOW,
    commit,
    end,
    filtered,
    find,
    fresh,
    object_of,
    refused,
    retract,
    since,
    text,
    year,
)
from ._material import HOSTILE, Check, episode, store

if TYPE_CHECKING:
    from ..stores import Vectors

DIRECTIONS: "Vectors" = np.eye(4, dtype=np.float32)


async def a_search_looks_at_what_find_finds(archive: Archive) -> None:
    tenant = await fresh(archive)
    gone = since("gone for good", 2020, predicate=LIKES)
    await commit(archive, tenant, since("old Paris", 2019), since("new Rome", 2023), gone, retract(gone.id))
    await commit(archive, tenant, since("red red wine", 2020, predicate=LIKES))
    await commit(archive, tenant, since("cold beer", 2020, predicate=LIKES), session_id="s")
    await commit(archive, tenant, end(2022, "cold beer", predicate=LIKES))
    await commit(archive, tenant, since("staged tea", 2024, predicate=LIKES, staged=True), session_id="s")
    selections: tuple[dict[str, Any], ...] = (
        {},
        {"subject": "anna", "predicate": CITY},
        {"valid_at": year(2021)},
        {"known": 1},
        {"during": ALWAYS},
        {"branch": "s"},
        {"session_id": "s", "valid_at": year(2021)},
        {"subject": "nobody"},
    )
    for filters in selections:
        expected = await find(archive, tenant, **filters)
        seen = await archive.facts.candidates(tenant, filtered(**filters), None)
        assert list(seen.facts) == expected, filters
        assert [tuple(each) for each in seen.terms] == [tuple(object_of(each).split()) for each in expected]
        assert seen.cosine is None
        assert seen.basis == 5


async def cosines_are_those_of_the_texts_that_have_vectors(archive: Archive) -> None:
    tenant = await fresh(archive)
    for i in range(3):
        food = since(f"food {i}", 2020, predicate=LIKES)
        await commit(archive, tenant, food, vectors=DIRECTIONS[i : i + 1])
    await commit(archive, tenant, since("without", 2020, predicate=LIKES))
    seen = await archive.facts.candidates(tenant, filtered(), DIRECTIONS[1])
    assert seen.cosine is not None
    assert [object_of(each) for each in seen.facts] == ["food 0", "food 1", "food 2", "without"]
    assert np.allclose(seen.cosine, [0, 1, 0, np.nan], atol=1e-6, equal_nan=True)
    empty = await archive.facts.candidates(tenant, filtered(subject="nobody"), DIRECTIONS[1])
    assert empty.cosine is not None
    assert (len(empty.facts), empty.cosine.shape) == (0, (0,))


async def a_text_waits_for_its_vector_once(archive: Archive) -> None:
    tenant, other = await fresh(archive), await fresh(archive)
    said = [since(text, 2020, predicate=LIKES) for text in ("pizza", "sushi", *HOSTILE)]
    for each in (*said, since("pizza", 2021, predicate=LIKES)):
        await commit(archive, tenant, each)
    waiting = await archive.facts.unembedded(tenant, limit=1_000)
    expected = sorted((text(each) for each in said), key=lambda each: each.digest)
    assert [(each.digest, each.text, tuple(each.terms), each.embedding_state) for each in waiting] == [
        (each.digest, each.text, each.terms, "pending") for each in expected
    ]
    assert [each.digest for each in await archive.facts.unembedded(tenant, limit=3)] == [
        each.digest for each in expected[:3]
    ]
    given = {text(said[0]).digest: DIRECTIONS[:1], b"\0" * 16: DIRECTIONS[:1]}
    assert await archive.facts.set_vectors(other, given) == 0
    assert await archive.facts.set_vectors(tenant, given) == 1
    assert await archive.facts.set_vectors(tenant, {text(said[0]).digest: DIRECTIONS[1:2]}) == 0
    assert await archive.facts.set_vectors(tenant, {}) == 0
    assert len(await archive.facts.unembedded(tenant, limit=1_000)) == len(said) - 1
    seen = await archive.facts.candidates(tenant, filtered(object=said[0].object), DIRECTIONS[0])
    assert seen.cosine is not None
    assert np.allclose(seen.cosine, [1], atol=1e-6)


async def saying_again_brings_the_vector_that_was_missing(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("pizza", 2020, predicate=LIKES))
    await commit(archive, tenant, since("pizza", 2021, predicate=LIKES), vectors=DIRECTIONS[:1])
    assert not await archive.facts.unembedded(tenant, limit=5)
    seen = await archive.facts.candidates(tenant, filtered(), DIRECTIONS[0])
    assert seen.cosine is not None
    assert np.allclose(seen.cosine, [1], atol=1e-6)


async def a_refused_change_leaves_no_text(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("pizza", 2020, predicate=LIKES), vectors=DIRECTIONS[:1])
    await refused(archive, tenant, since("sushi", 2020, predicate=LIKES), retract("nobody"))
    assert not await archive.facts.unembedded(tenant, limit=5)


async def erasure_leaves_no_text_that_nobody_says_any_more(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"), episode(id="b"))
    pizza = since("pizza", 2020, predicate=LIKES, sources=("a",))
    await commit(archive, tenant, pizza, vectors=DIRECTIONS[:1])
    await commit(archive, tenant, since("sushi", 2020, predicate=LIKES, sources=("a",)))
    await commit(archive, tenant, since("sushi", 2021, predicate=LIKES, sources=("b",)))
    await commit(archive, tenant, since("curry", 2020, predicate=LIKES, sources=("a",)))
    await archive.facts.erase(tenant, ["a"])
    waiting = await archive.facts.unembedded(tenant, limit=5)
    assert [each.text for each in waiting] == ['"sushi"']
    # What is said anew after all is found by what it brings itself.
    await commit(archive, tenant, since("pizza", 2022, predicate=LIKES), vectors=DIRECTIONS[1:2])
    seen = await archive.facts.candidates(tenant, filtered(now=NOW), DIRECTIONS[1])
    assert seen.cosine is not None
    assert [object_of(each) for each in seen.facts] == ["sushi", "pizza"]
    assert np.allclose(seen.cosine, [np.nan, 1], atol=1e-6, equal_nan=True)


FACT_SEARCHING_CHECKS: tuple[Check, ...] = (
    a_search_looks_at_what_find_finds,
    cosines_are_those_of_the_texts_that_have_vectors,
    a_text_waits_for_its_vector_once,
    saying_again_brings_the_vector_that_was_missing,
    a_refused_change_leaves_no_text,
    erasure_leaves_no_text_that_nobody_says_any_more,
)
