"""A tenant that owns something of every kind, to be exported."""

from typing import Any

from recollect import Predicate, TaskState, Transaction, UserMemory
from recollect.testing import Clock

CITY = Predicate("transfer-lives-in", cardinality="one")
BORN = Predicate("transfer-born-in", immutable=True)
PREDICATES = (CITY, BORN)

TIME = 60.0


async def fill(user: UserMemory, clock: Clock) -> None:
    """Do everything once."""
    await fill_episodes(user, clock)
    await fill_facts(user, clock)
    await fill_working(user, clock)


async def fill_episodes(user: UserMemory, clock: Clock) -> None:
    await user.remember("I moved to Lisbon", "How nice!", id="e1", session_id="s1")
    clock.advance(TIME)
    await user.remember(
        "and the cat, too",
        session_id="s1",
        id="e2",
        metadata={"b": 1, "a": [None, 1.5, {"": "\u2028"}]},
        transcript=[{"role": "tool", "content": "42"}, -0.0],
        occurred_at=clock(),
    )
    await user.at(agent_id="cook").remember("", "Dinner is ready", embed="later", id="e\n3")


async def fill_facts(user: UserMemory, clock: Clock) -> None:
    facts, s1 = user.facts, user.at(session_id="s1").facts
    home = await facts.add("ann", CITY.name, "Paris", sources=["e1", "e2"], actor="me", reason="why")
    clock.advance(TIME)
    await facts.correct(home.fact_id, object="Rome", key="k1")
    await facts.end("ann", CITY.name)
    await facts.add("ann", "likes", None)
    tea = await facts.add("ann", "likes", {"b": 1, "a": 2.0}, confidence=0.25)
    clock.advance(TIME)
    retraction = await facts.retract(tea.fact_id)
    await facts.retract(retraction.fact_id)
    await facts.deny("ann", "likes", None, valid_from=clock(), valid_to=None)
    await facts.add("ann", BORN.name, "Riga")
    await s1.add("ann", "likes", "jazz", staged=True)
    await s1.add("ann", CITY.name, "Oslo", staged=True)
    await s1.promote_session()
    await s1.add("ann", "likes", "rock", staged=True)
    await s1.add("ann", "likes", "opera", actor="dj")
    await s1.rollback()
    await user.at(session_id="s2").facts.add("bob", "likes", "tea", staged=True)
    await user.at(session_id="s2").facts.discard_session()
    async with facts.transaction(key="k2") as tx:
        tx.add("bob", "likes", "milk", valid_from=clock())
        tx.add("bob", CITY.name, "Bern")
    clock.advance(TIME)


async def fill_working(user: UserMemory, clock: Clock) -> None:
    for scope in (user, user.at(session_id="s1"), user.at(agent_id="cook", session_id="s/1")):
        await scope.blocks.set("persona", "Prefers short answers.")
        await scope.blocks.set("rules", "")
        await scope.blocks.append("persona", " \u2028 And\n tea.")
        await scope.blocks.set("gone", "x")
        await scope.blocks.delete("gone")
        await scope.blocks.move("rules", 0)
        await scope.variables.set("n", None)
        await scope.variables.set("left", {"b": [1, 2.5], "a": "\u00e9"}, ttl=3_600)
        await scope.scratchpad.append("first")
        await scope.checkpoints.create("before")
        clock.advance(TIME)
        await scope.variables.set("n", [True])
        await scope.task.set(TaskState(task_id="t", context={"k": None}, started_at=clock(), total_steps=3))
        await scope.task.update(current_step=1, progress_percent=33.5)
        await scope.scratchpad.append("second")
        await scope.checkpoints.create("after")


async def observed(user: UserMemory, clock: Clock) -> list[Any]:
    """Return all that a user can see, at any two times."""
    facts = user.facts
    journal = await facts.journal(limit=100)
    knowns = [each.tx for each in journal]
    seen: list[Any] = [
        await user.episodes.list(limit=100),
        await user.episodes.sessions(),
        await user.messages(limit=100),
        # The last digits of a score are those of the arithmetic of a store, and may decide on the order.
        sorted(str(hit.episode) for hit in await user.recall("the cat in Lisbon", limit=100)),
        sorted(str(hit.fact) for hit in await user.recall_facts("who likes tea?", limit=100)),
        [_unordered(each) for each in journal],
        await facts.changes(),
    ]
    for subject in ("ann", "bob"):
        for predicate in (CITY.name, BORN.name, "likes"):
            seen.append(await facts.history(subject, predicate))
            seen += [await facts.timeline(subject, predicate, known_at=known) for known in (*knowns, None)]
    for known in knowns:
        seen += [
            await facts.find(known_at=known, valid_during=(None, None)),
            await facts.diff(known, knowns[0]),
        ]
    seen += [await user.at(session_id=session).facts.find() for session in ("s1", "s2")]
    for scope in (user, user.at(session_id="s1"), user.at(agent_id="cook", session_id="s/1")):
        seen += [
            await scope.blocks.list(),
            await scope.variables.items(),
            await scope.task.get(),
            await scope.scratchpad.entries(),
            await scope.checkpoints.list(),
            await scope.working.stats(),
        ]
    return seen


def _unordered(transaction: Transaction) -> Transaction:
    """Return a transaction with its facts in the order of their ids: stores differ in that."""
    before, after = (
        tuple(sorted(facts, key=lambda each: each.version_id))
        for facts in (transaction.before, transaction.after)
    )
    return transaction.model_copy(update={"before": before, "after": after})
