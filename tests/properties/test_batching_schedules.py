"""Random schedules of group commit in virtual time: on asyncio, with native cancellation too, and on trio."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.lowlevel import checkpoint_if_cancelled
from hypothesis import event, given, settings
from hypothesis import strategies as st

from recollect import Overloaded, TryLater
from recollect._batching import Batcher

from . import virtual_time


class Poisoned(Exception):
    """Raised by every flush that carries a poisoned item."""


class Refused(Exception):
    """The outcome of one item of a flush that went well."""


class Broken(Exception):
    """Raised by a flush for reasons of its own."""


class Killed(BaseException):
    """Ends the task that leads."""


class Violated(BaseException):
    """A broken promise seen in a flush: it must not become somebody's outcome."""


@dataclass(frozen=True)
class Submission:
    """Times are ticks; `patience` and `cancelled` count from the arrival."""

    arrives: int
    weight: int
    patience: int
    cancelled: int | None
    kind: str


@dataclass(frozen=True)
class Schedule:
    """What happens: who submits what, and how the first flushes end; the others end well.

    `preparing` are the ticks that it takes to prepare each of the first flushes, None for nothing to prepare.
    """

    submissions: tuple[Submission, ...]
    flushes: tuple[tuple[int, str], ...]
    preparing: tuple[int, ...] | None
    lanes: int
    max_weight: int
    share: float
    max_waiting: int
    shield: bool


HORIZON = 60
"""Ticks: by then every submission is served or out of patience."""

# Flushes take longer than it takes to arrive, and are large: schedules in which nobody meets prove nothing.
submissions = st.builds(
    Submission,
    arrives=st.integers(0, 3),
    weight=st.integers(1, 3),
    patience=st.sampled_from((2, 4, 40, 40, 40)),
    cancelled=st.sampled_from((None, None, None, 0, 1, 2, 3, 5)),
    kind=st.sampled_from(("good", "good", "good", "poisoned", "refused")),
)
endings = st.sampled_from(("returns", "returns", "returns", "breaks", "later", "hangs", "short", "dies"))
schedules = st.builds(
    Schedule,
    submissions=st.lists(submissions, min_size=4, max_size=12).map(
        lambda drawn: tuple(sorted(drawn, key=lambda each: each.arrives))
    ),
    flushes=st.lists(st.tuples(st.integers(0, 3), endings), min_size=2, max_size=8).map(tuple),
    preparing=st.none() | st.lists(st.integers(0, 3), max_size=4).map(tuple),
    lanes=st.sampled_from((1, 1, 2, 3)),
    max_weight=st.sampled_from((1, 3, 8, 100)),
    share=st.sampled_from((0.5, 1.0, 1.0)),
    max_waiting=st.sampled_from((2, 100, 100, 100)),
    shield=st.booleans(),
)


@dataclass
class Scenario:
    """Plays a schedule, and complains at the moment at which a promise is broken."""

    schedule: Schedule
    native: bool
    arrived: list[int] = field(default_factory=list)  # in order of submission
    outcomes: dict[int, object] = field(default_factory=dict)  # what the flush gave
    results: dict[int, object] = field(default_factory=dict)  # what the submitter got
    gone: set[int] = field(default_factory=set)  # whose task has left
    excused: set[int] = field(default_factory=set)  # cancelled, killed or out of patience
    prepared: set[int] = field(default_factory=set)
    calls: int = 0
    in_flight: int = 0

    async def play(self) -> None:
        schedule = self.schedule
        self.preparing = iter(schedule.preparing or ())
        self.batcher = Batcher[int, object](
            self.flush,
            prepare=None if schedule.preparing is None else self.prepare,
            weigh=lambda item: schedule.submissions[item].weight,
            max_weight=schedule.max_weight,
            share=schedule.share,
            max_waiting=schedule.max_waiting,
            lanes=schedule.lanes,
            shield=schedule.shield,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.watch)
            for item in range(len(schedule.submissions)):
                tasks.start_soon(self.natively_submit if self.native else self.submit_in_scope, item)
        self.check_results()
        await self.check_lanes()

    async def prepare(self, items: Sequence[int]) -> None:
        try:
            self.check_flush(items)
        except AssertionError as exc:
            raise Violated from exc
        self.in_flight += 1
        try:
            await anyio.sleep(next(self.preparing, 0))
        finally:
            self.in_flight -= 1
        self.prepared.update(items)

    async def flush(self, items: Sequence[int]) -> Sequence[object]:
        try:
            self.check_flush(items)
            assert self.schedule.preparing is None or self.prepared.issuperset(items)
        except AssertionError as exc:
            raise Violated from exc
        ticks, ending = self.script()
        self.in_flight += 1
        try:
            await anyio.sleep(ticks)
            if ending == "hangs":
                await anyio.sleep(2 * HORIZON)
                raise Violated  # everybody is out of patience by now
            if ending == "dies":
                raise Killed
        finally:
            self.in_flight -= 1
        return self.finish(items, ending)

    def script(self) -> tuple[int, str]:
        self.calls += 1
        flushes = self.schedule.flushes
        return flushes[self.calls - 1] if self.calls <= len(flushes) else (1, "returns")

    def finish(self, items: Sequence[int], ending: str) -> Sequence[object]:
        """Return or raise what the flush ends with, and note whose outcome that is."""
        kinds = {item: self.schedule.submissions[item].kind for item in items}
        if ending == "later":
            self.outcomes |= dict.fromkeys(items, TryLater)
            raise TryLater("later")
        failure: Exception | None = None
        if ending == "breaks":
            failure = Broken("broken")
        elif poisoned := [item for item in items if kinds[item] == "poisoned"]:
            failure = Poisoned(poisoned[0])
        if failure is not None:
            if len(items) == 1:
                self.outcomes[items[0]] = failure
            raise failure
        if ending == "short":
            if len(items) == 1:
                self.outcomes[items[0]] = ValueError
            return []
        given = [Refused(item) if kinds[item] == "refused" else ("done", item) for item in items]
        self.outcomes |= dict(zip(items, given, strict=True))
        return given

    async def submit_in_scope(self, item: int) -> None:
        submission = self.schedule.submissions[item]
        with anyio.CancelScope() as scope:
            if submission.cancelled is not None:
                scope.deadline = submission.arrives + submission.cancelled
            await self.submit(item)
        if scope.cancelled_caught:
            self.excused.add(item)

    async def natively_submit(self, item: int) -> None:
        submission = self.schedule.submissions[item]
        task = asyncio.create_task(self.submit(item))
        if submission.cancelled is not None:
            asyncio.get_running_loop().call_at(submission.arrives + submission.cancelled, task.cancel)
        await asyncio.wait({task})
        if task.cancelled():
            self.excused.add(item)
        else:
            task.result()

    async def submit(self, item: int) -> None:
        submission = self.schedule.submissions[item]
        await anyio.sleep_until(submission.arrives)
        with anyio.move_on_after(submission.patience) as scope:
            await checkpoint_if_cancelled()
            self.arrived.append(item)
            try:
                self.results[item] = await self.batcher.submit(item)
            except Overloaded as exc:
                assert self.batcher.statistics().waiting >= self.schedule.max_waiting
                self.outcomes[item] = self.results[item] = exc
            except Exception as exc:  # noqa: BLE001
                self.results[item] = exc
            except Killed:
                self.excused.add(item)
            finally:
                self.gone.add(item)
        if scope.cancelled_caught:
            self.excused.add(item)

    async def watch(self) -> None:
        """Look between the ticks, when nobody can move: who waits, waits for a flush."""
        for tick in range(HORIZON):
            await anyio.sleep_until(tick + 0.5)
            waiting = self.batcher.statistics().waiting
            assert not waiting or self.in_flight, f"{waiting} wait for nothing"

    def check_flush(self, items: Sequence[int]) -> None:
        schedule = self.schedule
        assert items, "a flush of nothing"
        assert self.calls < 1_000, "led over and over"
        assert self.in_flight < schedule.lanes
        weight = sum(schedule.submissions[item].weight for item in items)
        assert weight <= schedule.max_weight or len(items) == 1
        assert not self.gone.intersection(items), "flushed after its submitter has left"
        assert not self.outcomes.keys() & set(items), "flushed although it has an outcome"
        places = [self.arrived.index(item) for item in items]
        if schedule.lanes == 1:
            pending = [
                place
                for place, item in enumerate(self.arrived[: max(places) + 1])
                if item not in self.gone and item not in self.outcomes
            ]
            assert places == pending, "not the first ones that wait, in order"

    def check_results(self) -> None:
        for item in range(len(self.schedule.submissions)):
            if item not in self.results:
                assert item in self.excused, "neither served nor cancelled"
                continue
            outcome, result = self.outcomes[item], self.results[item]
            if isinstance(outcome, type):
                assert type(result) is outcome
            else:
                assert result is outcome
        later = [result for result in self.results.values() if type(result) is TryLater]
        assert len({id(each) for each in later}) == len(later), "submitters share an exception"

    async def check_lanes(self) -> None:
        """Every lane is free: as many flushes as there are lanes can be in flight at once."""
        assert self.batcher.statistics().waiting == 0
        everybody = anyio.Event()

        async def gather(items: Sequence[int]) -> Sequence[object]:
            self.in_flight += 1
            if self.in_flight == self.schedule.lanes:
                everybody.set()
            await everybody.wait()
            return items

        self.batcher._flush = gather
        self.batcher._prepare = None
        async with anyio.create_task_group() as tasks:
            for _ in range(self.schedule.lanes):
                tasks.start_soon(self.batcher.submit, 0)


@pytest.mark.parametrize("cell", [*virtual_time.LOOPS, "asyncio-native"])
def test_every_schedule_keeps_the_promises(cell: str) -> None:
    loop, _, native = cell.partition("-")

    @settings(max_examples=200)
    @given(schedules)
    def check(schedule: Schedule) -> None:
        scenario = Scenario(schedule, native=bool(native))
        virtual_time.run(scenario.play, loop=loop)
        event(f"cut off: {bool(scenario.excused)}")

    check()
