"""Group commit, one promise at a time; `test_batching_schedules` plays all of them at random."""

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from recollect import OutcomeUnknown, Overloaded, StoreUnavailable, TryLater
from recollect._batching import Batcher, BatcherStatistics

from . import virtual_time


class Gate:
    """A flush that notes what it is given, and waits until it is let through.

    Not for ever, and not over and over: a promise that is broken has to fail a test, not to hang it.
    """

    def __init__(self, *, closed: bool = True) -> None:
        self.batches: list[list[object]] = []
        self.cut: list[list[object]] = []
        self._opened = anyio.Event()
        if not closed:
            self.open()

    def open(self) -> None:
        self._opened.set()

    async def __call__(self, items: Sequence[object]) -> Sequence[object]:
        self.batches.append(list(items))
        if len(self.batches) > 100:
            raise RuntimeError
        try:
            with anyio.fail_after(15):
                await self._opened.wait()
        except BaseException:
            self.cut.append(list(items))
            raise
        return [f"did {item}" for item in items]


class Caller:
    """Tasks that submit, their outcomes, and the means to cancel them."""

    def __init__(self, batcher: Batcher, tasks: anyio.abc.TaskGroup) -> None:
        self.outcomes: dict[object, object] = {}
        self._batcher = batcher
        self._tasks = tasks
        self._scopes: dict[object, anyio.CancelScope] = {}

    async def submit(self, *items: object, deadline: float = math.inf) -> None:
        """Submit each from a task of its own, and return when all of them wait."""
        for item in items:
            self._tasks.start_soon(self._submit, item, deadline)
            await wait_all_tasks_blocked()

    async def cancel(self, item: object) -> None:
        self._scopes[item].cancel()
        await wait_all_tasks_blocked()

    async def _submit(self, item: object, deadline: float) -> None:
        with anyio.CancelScope(deadline=deadline) as self._scopes[item]:
            try:
                self.outcomes[item] = await self._batcher.submit(item)
            except Exception as exc:  # noqa: BLE001
                self.outcomes[item] = exc


@asynccontextmanager
async def calling(batcher: Batcher) -> AsyncGenerator[Caller]:
    """Wait at the end for everybody who submitted; a lost one is a failure, not a hanging test."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            yield Caller(batcher, tasks)


async def test_idle_batcher_flushes_without_waiting_for_anything() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        return [item + 1 for item in items]

    submission = Batcher[int, int](flush).submit(1)
    with pytest.raises(StopIteration) as returned:
        submission.send(None)  # the first suspension would return here
    assert returned.value.value == 2


async def test_what_is_submitted_during_a_flush_shares_the_next_one() -> None:
    gate = Gate()
    batcher = Batcher(gate)
    async with calling(batcher) as caller:
        await caller.submit("a", "b", "c", "d")
        assert batcher.statistics() == BatcherStatistics(waiting=3, flushes=0, items=0)
        gate.open()
    assert gate.batches == [["a"], ["b", "c", "d"]]
    assert caller.outcomes == {item: f"did {item}" for item in "abcd"}
    assert batcher.statistics() == BatcherStatistics(waiting=0, flushes=2, items=4)


async def test_flush_is_bounded_by_weight_unless_one_item_is_heavier() -> None:
    gate = Gate()
    async with calling(Batcher(gate, weigh=int, max_weight=5)) as caller:
        await caller.submit(1, 2, 3, 1, 9, 4)
        gate.open()
    assert gate.batches == [[1], [2, 3], [1], [9], [4]]


async def test_share_of_a_half_leaves_the_others_for_the_next_flush() -> None:
    gate = Gate()
    async with calling(Batcher(gate, share=0.5)) as caller:
        await caller.submit(*"abcdef")
        gate.open()
    assert list(map(len, gate.batches)) == [1, 3, 2]
    assert [item for batch in gate.batches for item in batch] == list("abcdef")


async def test_lanes_flush_at_once_and_none_is_lost_when_two_become_free_together() -> None:
    gate = Gate()
    batcher = Batcher(gate, lanes=2, max_weight=2)
    async with calling(batcher) as caller:
        await caller.submit("a", "b", "c", "d")
        assert gate.batches == [["a"], ["b"]]
        gate.open()
    again = batcher._flush = Gate()
    async with calling(batcher) as caller:
        await caller.submit("e", "f")
        assert again.batches == [["e"], ["f"]]
        again.open()


async def test_full_batcher_refuses_without_effect() -> None:
    gate = Gate()
    async with calling(Batcher(gate, max_waiting=1)) as caller:
        await caller.submit("a", "b", "c")
        assert isinstance(caller.outcomes["c"], Overloaded)
        gate.open()
    assert gate.batches == [["a"], ["b"]]


async def test_parties_take_turns_however_much_one_of_them_submits() -> None:
    gate = Gate()
    async with calling(Batcher(gate, party=lambda item: item[0], max_weight=3)) as caller:
        await caller.submit("a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1", "c0")
        gate.open()
    assert gate.batches == [["a0"], ["a1", "b0", "c0"], ["a2", "b1", "a3"], ["a4", "a5"]]


async def test_more_parties_than_a_flush_takes_have_one_turn_each_before_any_has_two() -> None:
    gate = Gate()
    async with calling(Batcher(gate, party=lambda item: item[0], max_weight=2)) as caller:
        await caller.submit("x0", "a0", "a1", "b0", "b1", "c0", "c1")
        gate.open()
    assert gate.batches == [["x0"], ["a0", "b0"], ["c0", "a1"], ["b1", "c1"]]


async def test_one_party_cannot_take_all_places() -> None:
    gate = Gate()
    async with calling(Batcher(gate, party=lambda item: item[0], max_waiting=3, max_each=2)) as caller:
        await caller.submit("a0", "a1", "a2", "a3", "b0", "c0")
        assert {item for item, outcome in caller.outcomes.items() if isinstance(outcome, Overloaded)} == {
            "a3", "c0",
        }  # fmt: skip
        gate.open()


async def test_cancelled_waiter_is_never_flushed_and_frees_its_place() -> None:
    gate = Gate()
    async with calling(Batcher(gate, max_waiting=2)) as caller:
        await caller.submit("a", "b", "c")
        await caller.cancel("b")
        await caller.submit("d")
        gate.open()
    assert gate.batches == [["a"], ["c", "d"]]


async def test_cancelled_submitter_submits_nothing() -> None:
    gate = Gate(closed=False)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Batcher(gate).submit("a")
    assert gate.batches == []


async def test_shielded_flush_outlives_the_cancellation_of_its_leader() -> None:
    gate = Gate()
    async with calling(Batcher(gate)) as caller:
        await caller.submit("a", "b")
        await caller.cancel("a")
        assert gate.batches == [["a"]]
        gate.open()
    assert caller.outcomes == {"a": "did a", "b": "did b"}
    assert gate.cut == []


async def test_unshielded_flush_ends_with_its_leader_and_the_others_are_led_again() -> None:
    gate = Gate()
    async with calling(Batcher(gate, shield=False)) as caller:
        await caller.submit("a", "b", "c", "d")
        await caller.cancel("a")
        await caller.submit("e")
        await caller.cancel("b")
        gate.open()
    assert gate.batches == [["a"], ["b", "c", "d"], ["c", "d", "e"]]
    assert caller.outcomes == {item: f"did {item}" for item in "cde"}


async def test_preparation_ends_with_its_leader_and_is_done_again_for_the_others() -> None:
    gate, flush = Gate(), Gate(closed=False)

    async def prepare(items: Sequence[object]) -> None:
        await gate(items)

    async with calling(Batcher(flush, prepare=prepare)) as caller:
        await caller.submit("a", "b", "c", "d")
        await caller.cancel("a")
        await caller.cancel("d")
        assert flush.batches == []
        gate.open()
    assert gate.batches == [["a"], ["b", "c", "d"]]
    assert flush.batches == [["b", "c"]]
    assert caller.outcomes == {item: f"did {item}" for item in "bc"}


@pytest.mark.parametrize("slow", ["prepare", "flush"])
@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_who_has_little_time_waits_half_of_it_for_a_preparation_and_all_of_it_for_a_flush(
    loop: str, slow: str
) -> None:
    async def scenario() -> None:
        gates = {name: Gate(closed=name == slow) for name in ("prepare", "flush")}
        alone: list[tuple[object, float]] = []

        async def prepare(items: Sequence[object]) -> None:
            await gates["prepare"](items)

        async def unprepared(item: object) -> object:
            alone.append((item, anyio.current_time() - begun))
            return f"did {item} alone"

        begun = anyio.current_time()
        batcher = Batcher(gates["flush"], prepare=prepare, unprepared=unprepared)
        async with calling(batcher) as caller:
            await caller.submit("a", "b", deadline=begun + 40)
            await caller.submit("hurried", deadline=begun + 8)
            await anyio.sleep(6)
            gates[slow].open()
        hurried = "did hurried" if slow == "flush" else "did hurried alone"
        assert caller.outcomes == {"a": "did a", "b": "did b", "hurried": hurried}
        assert alone == ([("hurried", 4.0)] if slow == "prepare" else [])
        assert gates["flush"].batches == [["a"], ["b"] if slow == "prepare" else ["b", "hurried"]]

    virtual_time.run(scenario, loop=loop)


async def test_lane_given_to_a_waiter_that_is_cancelled_at_once_goes_on_to_the_next() -> None:
    gate = Gate()
    async with calling(Batcher(gate)) as caller:
        await caller.submit("a", "b", "c")
        gate.open()
        # On asyncio the leader wakes first and makes "b" its heir; trio wakes them in any order.
        caller._scopes["b"].cancel()
    assert gate.batches == [["a"], ["c"]]
    assert caller.outcomes == {"a": "did a", "c": "did c"}


async def test_next_leader_is_the_waiter_with_the_latest_deadline() -> None:
    leaders: list[str | None] = []
    gate = Gate()

    async def flush(items: Sequence[object]) -> Sequence[object]:
        leaders.append(anyio.get_current_task().name)
        return await gate(items)

    batcher = Batcher(flush)

    async def submit(item: str, deadline: float) -> None:
        with anyio.CancelScope(deadline=deadline):
            await batcher.submit(item)

    now = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for item, seconds in (("a", 900), ("b", 600), ("c", 1200), ("d", 800)):
            tasks.start_soon(submit, item, now + seconds, name=item)
            await wait_all_tasks_blocked()
        gate.open()
    assert leaders == ["a", "c"]


@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_leader_out_of_time_cuts_only_itself(loop: str) -> None:
    async def scenario() -> None:
        gate = Gate()
        async with calling(Batcher(gate)) as caller:
            await caller.submit("a", deadline=anyio.current_time() + 2)
            await caller.submit("b", "c", deadline=anyio.current_time() + 40)
            await anyio.sleep(3)
            assert gate.cut == [["a"]]
            assert gate.batches == [["a"], ["b", "c"]]
            gate.open()
        assert caller.outcomes == {"b": "did b", "c": "did c"}

    virtual_time.run(scenario, loop=loop)


@pytest.mark.parametrize("loop", virtual_time.LOOPS)
def test_leader_out_of_time_keeps_the_outcome_it_has_and_done_items_stay_done(loop: str) -> None:
    async def scenario() -> None:
        batches: list[list[str]] = []
        rest = anyio.Event()

        async def flush(items: Sequence[str]) -> Sequence[str]:
            batches.append(list(items))
            if len(items) > 1:
                raise ValueError
            if items == ["c"] and len(batches) == 4:
                await anyio.sleep_forever()
            await (anyio.lowlevel.checkpoint() if batches != [["x"]] else rest.wait())
            return [item.upper() for item in items]

        async with calling(Batcher(flush)) as caller:
            await caller.submit("x", deadline=anyio.current_time() + 1)
            await caller.submit("b", deadline=anyio.current_time() + 8)
            await caller.submit("c", deadline=anyio.current_time() + 4)
            rest.set()
            await anyio.sleep(3)
            assert batches == [["x"], ["b", "c"], ["b"], ["c"]]
            await anyio.sleep(2)
            assert "c" not in caller.outcomes
        assert caller.outcomes == {"x": "X", "b": "B"}
        assert batches == [["x"], ["b", "c"], ["b"], ["c"]]

    virtual_time.run(scenario, loop=loop)


@pytest.mark.parametrize("shield", [True, False])
@pytest.mark.parametrize("how", ["cancel", "wait_for"])
def test_leader_killed_by_the_host_is_succeeded(how: str, *, shield: bool) -> None:
    async def scenario() -> None:
        gate = Gate()
        batcher = Batcher(gate, shield=shield)
        leading = batcher.submit("a")
        killed = asyncio.create_task(leading if how == "cancel" else asyncio.wait_for(leading, 1))
        await wait_all_tasks_blocked()
        others = [asyncio.create_task(batcher.submit(item)) for item in "bc"]
        await wait_all_tasks_blocked()
        if how == "cancel":
            killed.cancel()
        await asyncio.wait({killed})
        with pytest.raises(asyncio.CancelledError if how == "cancel" else TimeoutError):
            killed.result()
        gate.open()
        assert await asyncio.gather(*others) == ["did b", "did c"]
        assert gate.batches == [["a"], ["b", "c"]]
        assert gate.cut == [["a"]]

    virtual_time.run(scenario, loop="asyncio")


async def test_failing_flush_is_split_until_the_bad_item_is_alone() -> None:
    gate = Gate()

    async def flush(items: Sequence[object]) -> Sequence[object]:
        outcomes = await gate(items)
        if "bad" in items:
            raise ValueError("bad")
        return outcomes

    async with calling(Batcher(flush)) as caller:
        await caller.submit("first", "a", "b", "bad", "c")
        gate.open()
    assert isinstance(caller.outcomes.pop("bad"), ValueError)
    assert caller.outcomes == {item: f"did {item}" for item in ("first", "a", "b", "c")}
    assert gate.batches[1:] == [["a", "b", "bad", "c"], ["a", "b"], ["bad", "c"], ["bad"], ["c"]]


async def test_error_of_one_item_does_not_trail_the_errors_of_its_batch() -> None:
    gate = Gate()

    async def flush(items: Sequence[object]) -> Sequence[object]:
        await gate(items)
        raise ValueError(len(items))

    async with calling(Batcher(flush)) as caller:
        await caller.submit("first", "a", "b")
        gate.open()
    error = caller.outcomes["b"]
    assert isinstance(error, ValueError)
    assert error.args == (1,)
    assert error.__context__ is None


async def test_cancelled_submitter_is_left_out_when_its_batch_is_split() -> None:
    gate, failing = Gate(), Gate()

    async def flush(items: Sequence[object]) -> Sequence[object]:
        outcomes = await gate(items)
        if len(items) > 2:
            await failing(items)
            raise ValueError
        return outcomes

    async with calling(Batcher(flush)) as caller:
        await caller.submit("first", "a", "b", "c")
        gate.open()
        await wait_all_tasks_blocked()
        await caller.cancel("c")
        failing.open()
    assert gate.batches[1:] == [["a", "b", "c"], ["a"], ["b"]]


class Elsewhere(StoreUnavailable):
    """Of somebody's own store, with a constructor of its own."""

    def __init__(self, host: str, *, port: int) -> None:
        super().__init__(f"{host}:{port}")
        self.port = port


@pytest.mark.parametrize(
    "error", [OutcomeUnknown("k"), Elsewhere("localhost", port=1)], ids=["ours", "somebody's"]
)
async def test_try_later_goes_to_all_without_a_split_each_with_an_exception_of_its_own(
    error: TryLater,
) -> None:
    gate = Gate()

    async def flush(items: Sequence[object]) -> Sequence[object]:
        await gate(items)
        raise error from OSError("gone")

    async with calling(Batcher(flush)) as caller:
        await caller.submit("first", "a", "b", "c")
        gate.open()
    assert gate.batches == [["first"], ["a", "b", "c"]]
    raised = list(caller.outcomes.values())
    assert len({id(each) for each in raised}) == 4
    for each in raised:
        assert type(each) is type(error)
        assert isinstance(each, TryLater)
        assert (each.args, vars(each)) == (error.args, vars(error))
        assert isinstance(each.__cause__, OSError)


@pytest.mark.parametrize("answer", [[], ["one", "more"], None])
async def test_wrong_number_of_outcomes_is_nobody_elses_answer(answer: Sequence[object] | None) -> None:
    gate = Gate()

    async def flush(items: Sequence[object]) -> Sequence[object]:
        await gate(items)
        return answer  # type: ignore[return-value]

    async with calling(Batcher(flush)) as caller:
        await caller.submit("first", "a", "b", "c")
        gate.open()
    assert caller.outcomes["first"] not in ("one", "more")
    # Two answers for two items are right: the batch of three was split into one and two.
    assert [isinstance(caller.outcomes[item], ValueError | TypeError) for item in "abc"] == (
        [True, False, False] if answer else [True, True, True]
    )


async def test_item_that_cannot_be_weighed_fails_alone() -> None:
    gate = Gate(closed=False)
    batcher = Batcher(gate, weigh=len)
    with pytest.raises(TypeError):
        await batcher.submit(1)
    assert await batcher.submit("fine") == "did fine"
