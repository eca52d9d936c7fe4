"""Facts of several tenants in one transaction: as far as none of them has to wait for another."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from anyio import wait_all_tasks_blocked

from recollect import FactDraft, Memory, OutcomeUnknown, UserMemory
from recollect.inprocess import InProcessArchive, InProcessWorking
from recollect.stores import FactStore
from recollect.stores.changes import Change

Batches = Sequence[Sequence[Change]]
Wait = Callable[[Batches], Awaitable[object]]


class WaitingArchive:
    """An archive whose fact store awaits something before it commits."""

    def __init__(self, wait: Wait) -> None:
        self._archive = InProcessArchive()
        self.facts = WaitingFacts(self._archive.facts, wait)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)


class WaitingFacts:
    def __init__(self, store: FactStore, wait: Wait) -> None:
        self._store = store
        self._wait = wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def try_commit(self, batches: Batches) -> Sequence[Any]:
        await self._wait(batches)
        return await self._store.try_commit(batches)

    async def commit(self, changes: Sequence[Change]) -> Sequence[Any]:
        await self._wait([changes])
        return await self._store.commit(changes)


def _operations(changes: Sequence[Change]) -> int:
    return sum(len(each.operations) for each in changes)


async def test_tenant_whose_transaction_hangs_takes_nobody_with_it() -> None:
    gate, done = anyio.Event(), anyio.Event()
    outcomes: dict[str, str] = {}

    async def wait(batches: Batches) -> None:
        users = {changes[0].tenant.user_id for changes in batches}
        if "one lane" in users:
            await gate.wait()
        elif "other lane" in users:
            await done.wait()
        elif "slow" in users:
            await anyio.sleep_forever()

    memory = Memory(working=InProcessWorking(), archive=WaitingArchive(wait), deadline=4.0)

    async def add(user: str) -> None:
        try:
            await memory.user(user).facts.add("alice", "likes", "tea")
        except OutcomeUnknown:
            outcomes[user] = "unknown"
        else:
            outcomes[user] = "stored"
        if user == "other":
            done.set()

    async with anyio.create_task_group() as tasks:
        for user in ("one lane", "other lane", "slow", "other"):
            tasks.start_soon(add, user)
            await wait_all_tasks_blocked()
        gate.set()
    assert outcomes == {"one lane": "stored", "other lane": "stored", "slow": "unknown", "other": "stored"}


async def test_what_is_much_shares_no_transaction_with_what_others_write() -> None:
    gate = anyio.Event()
    together: list[dict[str | None, int]] = []

    async def wait(batches: Batches) -> None:
        together.append({changes[0].tenant.user_id: _operations(changes) for changes in batches})
        await gate.wait()

    memory = Memory(working=InProcessWorking(), archive=WaitingArchive(wait), deadline=60.0)
    session = memory.user("promotes").at(session_id="s")
    gate.set()
    await session.facts.add("alice", "likes", "tea", staged=True)
    gate = anyio.Event()
    together.clear()

    async def add_many(user: UserMemory, n: int) -> None:
        await user.facts.add_many([FactDraft("alice", "likes", i) for i in range(n)])

    async with anyio.create_task_group() as tasks:
        few, much = dict.fromkeys(("one lane", "other lane", "a", "b"), 1), dict.fromkeys("cdef", 200)
        for user, n in {**few, **much, "g": 300}.items():
            tasks.start_soon(add_many, memory.user(user), n)
            await wait_all_tasks_blocked()
        tasks.start_soon(session.facts.promote_session)
        await wait_all_tasks_blocked()
        gate.set()
    shared = [sizes for sizes in together if len(sizes) > 1]
    assert shared
    assert all(sum(sizes.values()) <= 256 for sizes in shared)
    assert {"g": 300} in together
    assert {"promotes": 1} in together
