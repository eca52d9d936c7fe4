"""Hooks: they may refuse a change before it happens, and are told of it afterwards."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from recollect import (
    Commit,
    ConfigurationError,
    FactDraft,
    HookError,
    Memory,
    NotFound,
    Proposal,
    UserMemory,
)

from .conftest import Connect
from .facts import HOME, NOW, move, objects, since


@pytest.fixture
async def memory(connect: Connect) -> AsyncIterator[Memory]:
    async with connect(predicates=[HOME]) as opened:
        yield opened


@pytest.fixture
def alice(memory: Memory) -> UserMemory:
    return memory.user("alice", session_id="s")


async def test_hooks_run_in_their_order_sync_and_async(memory: Memory, alice: UserMemory) -> None:
    called: list[tuple[Any, ...]] = []

    def sync(what: Proposal | Commit) -> None:
        called.append(("sync", type(what)))

    async def slow(what: Proposal | Commit) -> None:
        await checkpoint()
        called.append(("slow", type(what), len(await objects(alice))))

    for stage in ("after", "before"):
        memory.add_hook(slow, stage=stage)
        memory.add_hook(sync, stage=stage)
    await alice.facts.add("alice", "likes", "tea")
    assert called == [
        ("slow", Proposal, 0),
        ("sync", Proposal),
        ("slow", Commit, 1),
        ("sync", Commit),
    ]


async def test_hook_sees_every_operation_as_it_would_be_stored(memory: Memory, alice: UserMemory) -> None:
    seen: list[Proposal] = []
    memory.add_hook(seen.append)
    await alice.facts.add_many(
        [FactDraft("alice", "likes", {"b": 1, "a": [2]}, valid_from=since(2020)), FactDraft("x", "y", None)],
        actor="bot",
        reason="why",
        key="k",
    )
    (proposal,) = seen
    assert (proposal.event, proposal.user_id, proposal.session_id) == ("add", "alice", "s")
    assert (proposal.namespace, proposal.actor, proposal.reason) == (alice.namespace, "bot", "why")
    assert [(each.op, each.fact_id) for each in proposal.operations] == [("add", None)] * 2
    drafts = [each.draft for each in proposal.operations]
    assert drafts == [
        FactDraft("alice", "likes", {"a": [2], "b": 1}, valid_from=since(2020)),
        FactDraft("x", "y", None),
    ]


async def test_hook_sees_what_is_replaced_ended_and_retracted(memory: Memory, alice: UserMemory) -> None:
    fact = await alice.facts.add(
        "alice", HOME.name, {"n": 1}, valid_from=since(2020), valid_to=since(2030), confidence=0.5
    )
    other = await alice.facts.add("alice", "owns", {"n": 1, "m": 2})
    seen: list[Proposal] = []
    memory.add_hook(seen.append)
    await alice.facts.correct(fact.fact_id, object={"n": 2})
    await alice.facts.update(other.fact_id, {"n": 3})
    await alice.facts.end("alice", "owns", at=since(2040))
    await alice.facts.deny("alice", HOME.name, "x", valid_from=since(2021), valid_to=since(2022))
    await alice.facts.retract(other.fact_id)
    operations = [each for proposal in seen for each in proposal.operations]
    assert [(each.op, each.fact_id, each.draft) for each in operations] == [
        (
            "correct",
            fact.fact_id,
            FactDraft("alice", HOME.name, {"n": 2}, since(2020), since(2030), confidence=0.5),
        ),
        ("update", other.fact_id, FactDraft("alice", "owns", {"n": 3, "m": 2})),
        ("end", None, FactDraft("alice", "owns", ..., since(2040))),
        ("deny", None, FactDraft("alice", HOME.name, "x", since(2021), since(2022))),
        ("retract", other.fact_id, None),
    ]
    assert [proposal.event for proposal in seen] == ["correct", "update", "end", "deny", "retract"]


async def test_hook_is_told_which_session_is_promoted_discarded_and_rolled_back(
    memory: Memory, alice: UserMemory
) -> None:
    await alice.facts.add("alice", "likes", "tea", staged=True)
    seen: list[tuple[str, str | None]] = []
    memory.add_hook(lambda proposal: seen.append((proposal.event, proposal.session_id)))
    handle = memory.user("alice")
    await handle.facts.promote_session("s")
    await handle.facts.discard_session("s")
    await handle.facts.rollback("s")
    assert seen == [("promote", "s"), ("discard", "s"), ("rollback", "s")]


async def test_hook_is_called_for_its_events_only(memory: Memory, alice: UserMemory) -> None:
    seen: list[str] = []
    told: list[str] = []
    memory.add_hook(lambda proposal: seen.append(proposal.event), events=["retract", "transaction"])
    memory.add_hook(lambda commit: told.append(commit.proposal.event), events={"add"}, stage="after")
    fact = await alice.facts.add("alice", "likes", "tea")
    async with alice.facts.transaction() as tx:
        tx.add("alice", "likes", "milk")
    await alice.facts.retract(fact.fact_id)
    assert (seen, told) == (["transaction", "retract"], ["add"])


@pytest.mark.parametrize("error", [HookError("not that"), LookupError("kanarienvogel")], ids=repr)
async def test_what_a_hook_refuses_is_neither_stored_nor_journaled(
    memory: Memory, alice: UserMemory, error: Exception
) -> None:
    await move(alice, ("Paris", 2020), ("Rome", 2021))
    refusing = True
    told: list[Commit] = []

    async def refuse(proposal: Proposal) -> None:
        if refusing and proposal.event != "rollback":
            raise error

    memory.add_hook(refuse)
    memory.add_hook(told.append, stage="after")
    before = (await alice.facts.journal(), await alice.facts.changes())
    for _ in range(2):
        with pytest.raises(HookError) as caught:
            await alice.facts.add("alice", HOME.name, "Oslo", key="k")
    assert "kanarienvogel" not in str(caught.value)
    assert (await alice.facts.journal(), await alice.facts.changes()) == before
    assert told == []
    assert await alice.facts.rollback() == 1
    assert await objects(alice) == ["Paris"], "the rollback undid something else than the newest change"
    refusing = False
    assert (await alice.facts.add("alice", HOME.name, "Oslo", key="k")).changed


async def test_first_hook_that_refuses_is_the_last_that_is_asked(memory: Memory, alice: UserMemory) -> None:
    asked: list[int] = []

    def refuse(proposal: Proposal) -> None:
        asked.append(1)
        raise HookError("no")

    memory.add_hook(refuse)
    memory.add_hook(lambda proposal: asked.append(2))
    with pytest.raises(HookError):
        await alice.facts.add("alice", "likes", "tea")
    assert asked == [1]


async def test_after_hook_gets_what_has_become_of_every_operation(memory: Memory, alice: UserMemory) -> None:
    told: list[Commit] = []
    memory.add_hook(told.append, stage="after")
    await alice.facts.add("alice", "likes", "tea", valid_from=NOW)
    drafts = [FactDraft("alice", "likes", each, valid_from=NOW) for each in ("tea", "milk")]
    facts = await alice.facts.add_many(drafts)
    assert [each.tx for each in told] == [1, 2]
    assert told[1].facts == facts
    assert [fact.changed for fact in facts] == [False, True]
    assert told[1].proposal.event == "add"


async def test_after_hook_is_not_told_of_what_changed_nothing(memory: Memory, alice: UserMemory) -> None:
    await alice.facts.add("alice", "likes", "tea", valid_from=NOW)
    told: list[Commit] = []
    memory.add_hook(told.append, stage="after")
    await alice.facts.add("alice", "likes", "tea", valid_from=NOW)
    with pytest.raises(NotFound):
        await alice.facts.retract("nobody")
    assert told == []


async def test_after_hook_that_fails_is_logged_by_its_type_and_the_change_stays(
    memory: Memory, alice: UserMemory, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Commit] = []

    async def fail(commit: Commit) -> None:
        raise LookupError(f"cannot index {commit.facts}")

    memory.add_hook(fail, stage="after")
    memory.add_hook(told.append, stage="after")
    caplog.set_level(logging.DEBUG, logger="recollect")
    fact = await alice.facts.add("alice", "likes", "kanarienvogel")
    assert (await alice.facts.get(fact.fact_id)) == fact
    assert len(told) == 1
    assert "LookupError" in caplog.text
    assert "kanarienvogel" not in caplog.text


async def test_hook_may_read_and_write_the_same_memory(memory: Memory, alice: UserMemory) -> None:
    async def note(commit: Commit) -> None:
        if commit.proposal.operations[0].draft.predicate != "noted":
            await alice.facts.add("alice", "noted", commit.tx)

    async def check(proposal: Proposal) -> None:
        if await alice.facts.count() >= 4:
            raise HookError("enough")

    memory.add_hook(note, stage="after")
    memory.add_hook(check)
    with anyio.fail_after(20):
        await alice.facts.add("alice", "likes", "tea")
        await alice.facts.add("alice", "likes", "milk")
        with pytest.raises(HookError):
            await alice.facts.add("alice", "likes", "wine")
    assert sorted(await objects(alice, predicate="noted")) == [1, 3]


@pytest.mark.parametrize("stage", ["before", "after"])
async def test_hook_that_waits_holds_up_nobody_else(memory: Memory, alice: UserMemory, stage) -> None:
    waits, go_on = anyio.Event(), anyio.Event()

    async def wait(what: Any) -> None:
        if waits.is_set():
            return
        waits.set()
        await go_on.wait()

    memory.add_hook(wait, stage=stage)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(alice.facts.add, "alice", "likes", "first")
            await waits.wait()
            for i in range(5):
                await alice.facts.add("alice", "likes", i)
                assert (await alice.facts.find(limit=10)).items
            await alice.remember("hello")
            assert memory.statistics().leased == 0
            go_on.set()
    assert sorted(map(str, await objects(alice))) == ["0", "1", "2", "3", "4", "first"]


async def test_call_cancelled_while_a_hook_runs_stores_nothing(memory: Memory, alice: UserMemory) -> None:
    async def hang(proposal: Proposal) -> None:
        scope.cancel()
        await anyio.sleep_forever()

    memory.add_hook(hang)
    with anyio.fail_after(20), anyio.CancelScope() as scope:
        await alice.facts.add("alice", "likes", "tea")
    assert scope.cancelled_caught
    assert (await alice.facts.changes()).items == ()


@pytest.mark.parametrize(
    "options",
    [
        {"events": ["explode"]},
        {"events": "add"},
        {"events": 7},
        {"events": [["add"]]},
        {"stage": "during"},
        {"stage": None},
    ],
    ids=str,
)
async def test_hook_that_could_never_run_is_refused(memory: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        memory.add_hook(lambda proposal: None, **options)
    with pytest.raises(ConfigurationError):
        memory.add_hook("no function")  # type: ignore[arg-type]
