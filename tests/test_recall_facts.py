"""Facts are recalled by words and by meaning, as they are true and believed at one point."""

from collections.abc import AsyncIterator

import pytest

from recollect import ConfigurationError, FactDraft, IsolationWarning, Memory, UserMemory
from recollect.testing import Clock, FaultyEmbedder, HashEmbedder

from .conftest import Connect
from .facts import HOME, move, since


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect(predicates=[HOME]) as opened:
        yield opened


@pytest.fixture
def alice(memory: Memory) -> UserMemory:
    return memory.user("alice")


async def _recalled(alice: UserMemory, query: str, **kwargs) -> list[object]:
    return [hit.fact.object for hit in await alice.recall_facts(query, **kwargs)]


async def test_fact_is_found_by_its_subject_the_words_of_its_predicate_and_its_object(
    connect: Connect,
) -> None:
    async with connect(embedder=None) as memory:
        alice = memory.user("alice")
        await alice.facts.add("alice", "favourite_dish", {"name": "lasagne", "with": ["spinach", 3]})
        await alice.facts.add("bob", "works-for", "acme")
        for query in ("Alice", "her favourite?", "a dish", "lasagne", "spinach", "what name"):
            hits = await alice.recall_facts(query)
            assert [hit.fact.predicate for hit in hits] == ["favourite_dish"], query
            assert hits[0].signals.lexical is not None
            assert hits[0].signals.lexical > 0
            assert hits[0].signals.semantic is None
        assert await _recalled(alice, "who works here") == ["acme"]
        assert await _recalled(alice, "") == await _recalled(alice, "the of") == []
        assert await _recalled(alice, "zebra") == []


async def test_best_facts_come_first_and_no_more_than_asked_for(alice: UserMemory) -> None:
    drafts = [FactDraft("alice", "likes", f"coffee {i}") for i in range(20)]
    await alice.facts.add_many([*drafts, FactDraft("alice", "drinks", "green tea with mint")])
    hits = await alice.recall_facts("green tea with mint", limit=3)
    assert len(hits) == 3
    assert hits[0].fact.object == "green tea with mint"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].signals.semantic is not None
    assert hits[0].signals.semantic > 0.5


async def test_what_is_superseded_ended_or_retracted_is_not_recalled(alice: UserMemory) -> None:
    paris, rome = await move(alice, ("Paris", 2020), ("Rome", 2023))
    assert await _recalled(alice, "Paris Rome") == ["Rome"]
    assert await _recalled(alice, "Paris Rome", valid_at=since(2021)) == ["Paris"]
    await alice.facts.retract(rome.fact_id)
    assert await _recalled(alice, "Paris Rome") == ["Paris"]
    assert await _recalled(alice, "Paris Rome", known_at=rome.tx_from) == ["Rome"]
    assert await _recalled(alice, "Paris Rome", known_at=paris.tx_from) == ["Paris"]
    await alice.facts.end("alice", HOME.name)
    assert await _recalled(alice, "Paris Rome") == []
    (hit,) = await alice.recall_facts("Rome", known_at=rome.tx_from)
    assert (hit.fact.tx_to, hit.fact.superseded_by) == (None, None)


async def test_recall_of_the_past_by_an_instant(alice: UserMemory, clock: Clock) -> None:
    await alice.facts.add("alice", "likes", "tea", valid_from=since(2020))
    at = clock.now
    clock.advance(60)
    await alice.facts.add("alice", "likes", "milk", valid_from=since(2020))
    assert sorted(map(str, await _recalled(alice, "alice likes"))) == ["milk", "tea"]
    assert await _recalled(alice, "alice likes", known_at=at) == ["tea"]


async def test_recalled_fact_says_how_it_is_supported(alice: UserMemory) -> None:
    for id in "ab":
        await alice.remember("hello", id=id, occurred_at=since(2023))
        await alice.facts.add("alice", "likes", "tea", source=id)
    (hit,) = await alice.recall_facts("tea")
    assert (hit.fact.support, hit.fact.sources) == (2, ("a", "b"))
    assert (await alice.facts.find()).items == (hit.fact,)


async def test_same_words_of_another_tenant_weigh_nothing(memory: Memory, alice: UserMemory) -> None:
    await alice.facts.add("alice", "likes", "tea")
    before = await alice.recall_facts("tea")
    await memory.user("bob").facts.add_many([FactDraft("bob", "likes", f"tea {i}") for i in range(20)])
    assert await alice.recall_facts("tea") == before


async def test_failing_embedder_costs_its_leg_only(connect: Connect) -> None:
    embedder = FaultyEmbedder()
    async with connect(embedder=embedder) as memory:
        alice = memory.user("alice")
        await alice.facts.add("alice", "likes", "tea")
        embedder.fault = "raises"
        await alice.facts.add("alice", "likes", "milk")
        (hit,) = await alice.recall_facts("milk")
        assert (hit.fact.object, hit.signals.semantic) == ("milk", None)
        embedder.fault = None
        hits = {hit.fact.object: hit for hit in await alice.recall_facts("alice likes")}
        assert hits["tea"].signals.semantic is not None
        assert hits["milk"].signals.semantic is None
        assert await alice.facts.embed_pending() == 1
        (hit,) = await alice.recall_facts("milk", limit=1)
        assert hit.signals.semantic is not None


async def test_facts_are_embedded_in_parts_and_what_fails_is_passed_over(connect: Connect) -> None:
    class Picky(HashEmbedder):
        async def embed(self, texts, *, kind):
            if any("poison" in text for text in texts):
                raise ValueError("no")
            return await super().embed(texts, kind=kind)

    async with connect(embedder=Picky()) as memory:
        alice = memory.user("alice")
        facts = alice.facts
        for text in ("poison", "poison too", "poisonous"):
            await facts.add("alice", "likes", text)
        assert await facts.embed_pending() == 0

    embedder = FaultyEmbedder()
    async with connect(embedder=embedder, namespace="parts") as memory:
        facts = memory.user("alice" + str(id(embedder))).facts
        embedder.fault = "raises"
        await facts.add_many([FactDraft("alice", "likes", i) for i in range(7)])
        embedder.fault = None
        assert [await facts.embed_pending(limit=3) for _ in range(4)] == [3, 3, 1, 0]


async def test_many_facts_are_ranked_as_few_are(connect: Connect) -> None:
    async with connect(embedder=None) as memory:
        alice = memory.user("alice")
        for start in range(0, 1_200, 300):
            await alice.facts.add_many(
                [FactDraft(f"subject {i}", "likes", f"thing {i}") for i in range(start, start + 300)]
            )
        assert await _recalled(alice, "thing 777", limit=1) == ["thing 777"]
        assert len(await alice.recall_facts("thing", limit=1_000)) == 1_000


async def test_recall_of_the_anonymous_tenant_warns_beside_named_ones(memory: Memory) -> None:
    await memory.user("alice").facts.add("alice", "likes", "tea")
    with pytest.warns(IsolationWarning) as caught:
        await memory.user(None).recall_facts("tea")
    assert [each.filename for each in caught] == [__file__]


async def test_nothing_can_be_embedded_without_an_embedder(connect: Connect) -> None:
    async with connect(embedder=None) as memory:
        with pytest.raises(ConfigurationError):
            await memory.user("alice").facts.embed_pending()


async def test_long_object_is_found_by_its_last_word(connect: Connect) -> None:
    async with connect(embedder=None) as memory:
        alice = memory.user("alice")
        fact = await alice.facts.add("alice", "wrote", f"{'many words ' * 3_000} zebra")
        assert await _recalled(alice, "zebra") == [fact.object]
