"""What was said becomes what is believed: each episode once, whatever the extractor does."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from recollect import (
    ConfigurationError,
    EpisodeDraft,
    FactDraft,
    InvalidInput,
    Limits,
    MemoryClosed,
    Predicate,
    Proposal,
    UnsupportedOperation,
    UserMemory,
    open_memory,
)
from recollect.stores import Erasure
from recollect.types.consolidation import ConsolidationReport

from .conftest import Connect
from .extraction import FunctionExtractor, Gate, failing_on, words

SECRET = "the canary sings"


async def said(alice: UserMemory) -> list[Any]:
    return sorted(fact.object for fact in await alice.facts.find("somebody", "said", limit=1_000))


async def tell(alice: UserMemory, *inputs: str) -> None:
    """Remember, under ids that are the same."""
    for text in inputs:
        await alice.remember(text, id=text)


async def erase(alice: UserMemory, *ids: str) -> None:
    """Erase some episodes, or everything."""
    erasure = Erasure(episode_ids=frozenset(ids)) if ids else Erasure(everything=True)
    await alice._composition.archive.erase(alice._scope.tenant, erasure)


def failed(report: ConsolidationReport) -> list[tuple[str, str]]:
    return [(failure.episode_id, failure.error) for failure in report.failures]


async def test_what_is_extracted_is_a_fact_with_its_episode_as_the_source(connect: Connect) -> None:
    then = datetime(2020, 1, 2, 3, tzinfo=UTC)
    async with connect(extractor=FunctionExtractor(words)) as memory:
        alice = memory.user("alice")
        await alice.remember("tea", id="e", session_id="s", occurred_at=then)
        report = await alice.consolidate()
        assert (report.considered, report.consolidated, report.facts, report.remaining) == (1, 1, 1, 0)
        (fact,) = await alice.facts.find(valid_at=then)
        assert (fact.object, fact.sources, fact.valid_from) == ("tea", ("e",), then)
        assert (fact.session_id, fact.actor) == ("s", "consolidate")
        assert fact.fact_id in {hit.fact.fact_id for hit in await alice.recall_facts("who said tea?")}
        await erase(alice)
        assert await alice.facts.count() == 0


async def test_an_episode_is_extracted_once(connect: Connect) -> None:
    extractor = FunctionExtractor(words)
    async with connect(extractor=extractor) as memory:
        alice = memory.user("alice")
        await tell(alice, "one", "two")
        assert (await alice.consolidate()).consolidated == 2
        assert (await alice.consolidate()).considered == 0
        await tell(alice, "three")
        assert (await alice.consolidate()).consolidated == 1
        assert sorted(extractor.inputs) == ["one", "three", "two"]
        assert await said(alice) == ["one", "three", "two"]


async def test_episodes_are_attempted_in_their_order_over_many_pages(connect: Connect) -> None:
    extractor = failing_on("07", "30")
    texts = [f"{n:02}" for n in range(53)]
    async with connect(extractor=extractor, limits=Limits(max_extractions=1)) as memory:
        alice = memory.user("alice")
        await alice.remember_many([EpisodeDraft(text, id=text) for text in texts])
        report = await alice.consolidate()
        assert extractor.inputs == texts
        assert failed(report) == [("07", "ValueError"), ("30", "ValueError")]
        assert (report.considered, report.consolidated, report.remaining) == (53, 51, 2)


async def test_no_more_are_looked_at_than_the_limit_and_none_twice(connect: Connect) -> None:
    extractor = failing_on("b")
    async with connect(extractor=extractor) as memory:
        alice = memory.user("alice")
        await tell(alice, *"abcdef")
        report = await alice.consolidate(limit=3)
        assert (report.considered, report.consolidated, report.remaining) == (3, 2, 4)
        report = await alice.consolidate(limit=2)
        assert (report.considered, report.consolidated, report.remaining) == (2, 1, 3)
        assert sorted(extractor.inputs) == [*"abbcd"]
        for wrong in (0, -1, True, 1.5, "2"):
            with pytest.raises(InvalidInput):
                await alice.consolidate(limit=wrong)  # type: ignore[arg-type]


async def test_what_fails_is_reported_and_tried_again_and_holds_up_nobody(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    extractor = failing_on("b", exception=RuntimeError(SECRET))
    async with connect(extractor=extractor) as memory:
        alice = memory.user("alice")
        await tell(alice, *"abc")
        for _ in range(2):
            report = await alice.consolidate()
            assert failed(report) == [("b", "RuntimeError")]
            assert SECRET not in repr(report)
            assert report.remaining == 1
            assert await said(alice) == ["a", "c"]
        extractor.function = words
        assert (await alice.consolidate()).consolidated == 1
        assert await said(alice) == ["a", "b", "c"]
    assert SECRET not in caplog.text


async def test_as_many_are_extracted_at_once_as_is_allowed(connect: Connect) -> None:
    busy, most, full = 0, 0, anyio.Event()

    async def extract(episode: object) -> list[FactDraft]:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        if busy == 3:
            full.set()
        await full.wait()
        busy -= 1
        return []

    limits = Limits(max_extractions=3)
    async with connect(extractor=FunctionExtractor(extract), limits=limits) as memory:
        alice = memory.user("alice")
        await tell(alice, *"abcdefgh")
        with anyio.fail_after(60):
            assert (await alice.consolidate()).consolidated == 8
        assert most == 3


async def test_concurrent_runs_land_every_episode_once(connect: Connect) -> None:
    async with connect(extractor=FunctionExtractor(words)) as memory:
        alice, again = memory.user("alice"), memory.user("alice")
        await tell(alice, *"abcdefgh")
        reports: list[ConsolidationReport] = []

        async def run(handle: UserMemory) -> None:
            reports.append(await handle.consolidate())

        async with anyio.create_task_group() as tasks:
            for handle in (alice, again, alice):
                tasks.start_soon(run, handle)
        assert sum(report.consolidated for report in reports) == 8
        assert sum(report.facts for report in reports) == 8
        assert all(r.considered == r.consolidated + r.skipped and not r.failures for r in reports)
        assert [len(fact.sources) for fact in await alice.facts.find("somebody", "said")] == [1] * 8
        assert await alice.facts.count() == 8
        changes = (await alice.facts.changes(limit=100)).items
        assert len(changes) == 8


async def test_an_episode_that_is_forgotten_while_it_is_extracted_says_nothing(connect: Connect) -> None:
    gate = Gate()
    async with connect(extractor=FunctionExtractor(gate.extract)) as memory:
        alice = memory.user("alice")
        await tell(alice, "secret", "kept")
        reports: list[ConsolidationReport] = []

        async def run() -> None:
            reports.append(await alice.consolidate())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await gate.arrived.wait()
            await erase(alice, "secret")
            gate.opened.set()
        (report,) = reports
        assert (report.forgotten, report.consolidated, report.remaining) == (1, 1, 0)
        assert report.failures == ()
        assert await said(alice) == ["kept"]
        assert (await alice.consolidate()).considered == 0


async def test_forgetting_an_episode_leaves_the_marks_of_the_others(connect: Connect) -> None:
    extractor = failing_on("b", "d")
    async with connect(extractor=extractor) as memory:
        alice = memory.user("alice")
        await tell(alice, *"abcde")
        assert (await alice.consolidate()).consolidated == 3
        await erase(alice, "a", "b")
        extractor.seen.clear()
        report = await alice.consolidate()
        assert extractor.inputs == ["d"]
        assert (failed(report), report.remaining) == ([("d", "ValueError")], 1)
        assert await said(alice) == ["c", "e"]
        await erase(alice)
        assert (await alice.consolidate()).considered == 0
        await alice.remember("new", id="new")
        extractor.seen.clear()
        assert (await alice.consolidate()).consolidated == 1


async def test_our_own_context_is_not_said_again(connect: Connect) -> None:
    extractor = FunctionExtractor(words)
    async with connect(extractor=extractor) as memory:
        alice = memory.user("alice")
        await alice.remember("The cat is called Pepper.", id="first")
        context = str(await alice.context("cat"))
        assert "Pepper" in context
        transcript = [{"role": "system", "content": [f"{context} Be kind."]}, 1, None]
        await alice.remember(
            f"{context}hello", f"Hi! {context}", transcript=transcript, metadata={"prompt": context, "n": 1}
        )
        await alice.remember(f" {context} ", id="only")
        report = await alice.consolidate()
        view = next(each for each in extractor.seen if each.input == "hello")
        assert (view.output, view.metadata) == ("Hi! ", {"prompt": "", "n": 1})
        assert view.transcript == [{"role": "system", "content": [" Be kind."]}, 1, None]
        # Of the last one nothing is left to ask about.
        assert len(extractor.seen) == 2
        assert (report.consolidated, report.remaining) == (3, 0)


HOSTILE: dict[str, Any] = {
    "nothing": None,
    "a draft alone": FactDraft("a", "b", "c"),
    "a text": "abc",
    "a dict": {"a": FactDraft("a", "b", "c")},
    "a generator": (FactDraft("a", "b", "c") for _ in range(3)),
    "an endless range": range(10**12),
    "ten thousand": [FactDraft("a", "b", n) for n in range(10_000)],
    "no draft among them": [FactDraft("a", "b", "c"), "d"],
    "an episode": [EpisodeDraft("a")],
    "a draft that looks like one": [SimpleNamespace(subject="a")],
    "another source": [FactDraft("a", "b", "c", sources=("other",))],
    "another source beside": [FactDraft("a", "b", "c", sources=("e", "other"))],
    "sources of any kind": [FactDraft("a", "b", "c", sources={"e"})],  # type: ignore[arg-type]
    "a source that is no id": [FactDraft("a", "b", "c", sources=(1,))],  # type: ignore[arg-type]
    "an id": [FactDraft("a", "b", "c", id="taken")],
    "staged": [FactDraft("a", "b", "c", staged=True)],
    "staged somehow": [FactDraft("a", "b", "c", staged=1)],  # type: ignore[arg-type]
    "no subject": [FactDraft("", "b", "c")],
    "a subject that is none": [FactDraft(1, "b", "c")],  # type: ignore[arg-type]
    "a long predicate": [FactDraft("a", "b" * 300, "c")],
    "NUL": [FactDraft("a", "b", "c\0")],
    "a surrogate": [FactDraft("a", "b", "\ud800")],
    "NaN": [FactDraft("a", "b", math.nan)],
    "no JSON": [FactDraft("a", "b", {1, 2})],
    "confidence NaN": [FactDraft("a", "b", "c", confidence=math.nan)],
    "confidence infinite": [FactDraft("a", "b", "c", confidence=math.inf)],
    "confidence over one": [FactDraft("a", "b", "c", confidence=1.1)],
    "confidence in words": [FactDraft("a", "b", "c", confidence="high")],  # type: ignore[arg-type]
    "a naive instant": [FactDraft("a", "b", "c", valid_from=datetime(2020, 1, 1))],  # noqa: DTZ001
    "an instant in words": [FactDraft("a", "b", "c", valid_from="2020")],  # type: ignore[arg-type]
    "an end before the start": [FactDraft("a", "b", "c", valid_to=datetime(1999, 1, 1, tzinfo=UTC))],
    "one of many that is wrong": [*(FactDraft("a", "b", n) for n in range(50)), FactDraft("a", "b", "\0")],
    "what contradicts itself in a model of the world": [
        FactDraft("a", "born_in", "x"),
        FactDraft("a", "born_in", "y"),
    ],
}


def deep(levels: int) -> list[Any]:
    return [deep(levels - 1)] if levels else []


HOSTILE["a deep object"] = [FactDraft("a", "b", deep(500))]
HOSTILE["an object within itself"] = [FactDraft("a", "b", (loop := [1])), loop.append(loop)][:1]  # type: ignore[func-returns-value, arg-type]


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_no_extractor_may_say_fails_its_episode_alone(connect: Connect, name: str) -> None:
    async def extract(episode: Any) -> Any:
        return HOSTILE[name] if episode.id == "e" else await words(episode)

    predicates = [Predicate("born_in", immutable=True)]
    async with connect(extractor=FunctionExtractor(extract), predicates=predicates) as memory:
        alice, bob = memory.user("alice"), memory.user("bob")
        await tell(alice.at(session_id="s"), "other", "e", "last")
        await tell(bob, "other", "e")
        before = (await bob.facts.changes()).items
        report = await alice.consolidate()
        ((id, error),) = failed(report)
        assert (id, error) == ("e", "FactConflict" if "model" in name else "InvalidInput")
        assert (report.consolidated, report.remaining) == (2, 1)
        assert await alice.facts.count() == 2
        assert await said(alice) == ["last", "other"]
        assert (await bob.facts.changes()).items == before


async def test_a_draft_that_names_its_own_episode_is_as_good_as_one_that_names_none(
    connect: Connect,
) -> None:
    async def extract(episode: Any) -> Sequence[FactDraft]:
        ends = episode.occurred_at + timedelta(days=1)
        return (
            FactDraft("a", "b", 1, sources=(episode.id,)),
            FactDraft("a", "b", 2, sources=[episode.id], valid_to=ends),  # type: ignore[arg-type]
        )

    async with connect(extractor=FunctionExtractor(extract)) as memory:
        alice = memory.user("alice")
        await tell(alice, "e")
        assert (await alice.consolidate()).facts == 2
        assert [fact.sources for fact in await alice.facts.find()] == [("e",), ("e",)]


async def test_a_hook_can_refuse_what_is_extracted(connect: Connect) -> None:
    async with connect(extractor=FunctionExtractor(words)) as memory:
        alice = memory.user("alice")
        await tell(alice, *"abc")
        proposals: list[Proposal] = []
        told: list[object] = []

        def refuse(proposal: Proposal) -> None:
            proposals.append(proposal)
            if proposal.operations[0].draft is not None and proposal.operations[0].draft.object == "b":
                raise PermissionError(SECRET)

        memory.add_hook(refuse, events=["add"])
        memory.add_hook(told.append, events=["add"], stage="after")
        report = await alice.consolidate()
        assert failed(report) == [("b", "HookError")]
        assert await said(alice) == ["a", "c"]
        assert (len(proposals), len(told)) == (3, 2)


async def test_a_hook_hears_nothing_of_an_episode_that_says_nothing(connect: Connect) -> None:
    async def nothing(episode: object) -> list[FactDraft]:
        return []

    async with connect(extractor=FunctionExtractor(nothing)) as memory:
        alice = memory.user("alice")
        await tell(alice, *"ab")
        heard: list[Proposal] = []
        memory.add_hook(heard.append)
        report = await alice.consolidate()
        assert (report.consolidated, report.facts, heard) == (2, 0, [])
        assert (await alice.facts.journal()).items == ()


async def test_an_extractor_may_use_the_memory_that_it_serves(connect: Connect) -> None:
    async def extract(episode: Any) -> list[FactDraft]:
        await alice.remember("and another one")
        known = await alice.facts.find("somebody", "said")
        return [FactDraft("somebody", "said", f"{episode.input} {len(known)}")]

    async with connect(extractor=FunctionExtractor(extract), limits=Limits(max_extractions=1)) as memory:
        alice = memory.user("alice")
        await alice.remember_many([EpisodeDraft("a") for _ in range(25)])
        with anyio.fail_after(60):
            report = await alice.consolidate()
        # What came meanwhile waits for the next run.
        assert (report.considered, report.remaining) == (25, 25)
        assert await said(alice) == sorted(f"a {n}" for n in range(25))


async def test_a_slow_extractor_is_not_bounded_by_the_deadline_and_blocks_nothing() -> None:
    gate = Gate()
    async with open_memory(extractor=FunctionExtractor(gate.extract), deadline=0.5) as memory:
        alice = memory.user("alice")
        await alice.remember("slow")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(alice.consolidate)
            await gate.arrived.wait()
            with anyio.move_on_after(0.7) as later:  # longer than the deadline
                await anyio.sleep_forever()
            assert later.cancelled_caught
            assert memory.statistics().leased == 0, "it holds the tenant while it waits"
            await alice.remember("meanwhile")
            await alice.facts.add("a", "b", "c")
            gate.opened.set()
        assert await said(alice) == ["slow"]


async def test_without_an_extractor_there_is_nothing_to_consolidate_with() -> None:
    async with open_memory() as memory:
        with pytest.raises(UnsupportedOperation, match="extractor"):
            await memory.user("alice").consolidate()
        with pytest.raises(UnsupportedOperation, match="extractor"):
            await memory.consolidate(interval=1)
    for wrong in (words, "extract", object()):
        with pytest.raises(ConfigurationError, match="extractor"):
            async with open_memory(extractor=wrong):  # type: ignore[arg-type]
                pass


async def test_a_memory_that_is_closed_meanwhile_takes_nothing_in() -> None:
    gate = Gate()
    async with open_memory(extractor=FunctionExtractor(gate.extract)) as memory:
        alice = memory.user("alice")
        await alice.remember_many([EpisodeDraft("one"), EpisodeDraft("two")])
        raised: list[str] = []

        async def run() -> None:
            try:
                await alice.consolidate()
            except MemoryClosed as exc:  # itself, and not a group with it
                raised.append(str(exc))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await gate.arrived.wait()
            memory.close()
            gate.opened.set()
        assert len(raised) == 1
        with pytest.raises(MemoryClosed):
            await alice.consolidate()


async def test_consolidating_one_tenant_leaves_the_others_alone(connect: Connect) -> None:
    extractor = FunctionExtractor(words)
    async with connect(extractor=extractor) as memory:
        alice, bob, nobody = memory.user("alice"), memory.user("bob"), memory.user(None)
        for handle in (alice, bob, nobody):
            await tell(handle, "same")
        assert (await alice.at(session_id="s").consolidate()).consolidated == 1
        assert len(extractor.seen) == 1
        assert (await said(bob), await bob.facts.count()) == ([], 0)
        assert (await bob.consolidate()).consolidated == 1
        assert (await nobody.consolidate()).consolidated == 1
