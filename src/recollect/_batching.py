"""Group commit: concurrent single submissions become one flush, led by one of the submitters.

A submission joins the queue. If a lane is free, its task leads: it takes what is waiting, in
order of arrival and party by party, and flushes it. Otherwise it waits; while flushes are in flight the next
submissions gather, and when one ends it hands its lane to a waiter, who leads the next. So
nothing waits for a timer, nothing runs in a task of its own, and an idle batcher adds no delay.

* The next leader is the waiter with the latest deadline: a flush lives no longer than its
  leader, so the one with the most time left cuts the fewest others short.
* A shielded flush outlives the cancellation of its leader, but not the leader's deadline.
* A leader that ends without an outcome (its deadline passed, or it was killed) puts what it
  had taken back at the head of the queue; the next waiter leads it again. Submissions must
  therefore be idempotent.
* Callers who submit again and again fall into step: all wait for one flush, and then the store waits for all
  of them. With a `share` of a half they make two groups, one at work while the other is in flight.
* What may take long, and may be done twice, is not part of a flush: `prepare` is never shielded, so that a
  cancelled leader ends at once. Who waits for it, and has less time than the leader, waits for half of its
  own: then its item is done `unprepared`. Nobody loses all of its time to a preparation that hangs.
* A flush that fails is split until the submission at fault is alone with its error. Only a
  `TryLater` is not split: it says nothing about any submission.
"""

import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from ._turns import Turns
from .errors import Overloaded, TryLater

Item = TypeVar("Item")
Result = TypeVar("Result")
Failure = TypeVar("Failure", bound=Exception)


@dataclass(slots=True, eq=False)
class _Entry(Generic[Item, Result]):
    item: Item
    party: Hashable
    weight: int
    deadline: float
    patience: float = math.inf  # until when its task waits to be prepared
    woken: anyio.Event | None = None  # exists while its task waits for an outcome, or for a lane to lead
    leads: bool = False
    in_flight: bool = False  # prepared, and being flushed
    abandoned: bool = False  # its task is gone: not flushed again
    outcome: Result | Exception | None = None
    done: bool = False

    def wake(self) -> None:
        if self.woken is not None:
            self.woken.set()


@dataclass(frozen=True, slots=True)
class BatcherStatistics:
    """What a batcher holds and has done.

    Attributes:
        waiting: submissions gathered for the next flush.
        flushes: flushes so far.
        items: submissions that they carried.
    """

    waiting: int
    flushes: int
    items: int


class Batcher(Generic[Item, Result]):
    """Coalesces concurrent submissions.

    Args:
        flush: does the work for several items; returns one outcome for each, in their order.
            An exception among the outcomes is raised to that submitter alone.
        prepare: runs before a flush, over the same items, in the task that leads it. Must not raise.
        unprepared: does the work for an item that was not prepared in half of its submitter's time.
        party: whose item it is; parties take turns.
        weigh: size of an item, >= 1.
        max_weight: size of one flush, >= 1; a single item may be heavier.
        share: how many one flush takes at most of those that wait and those just served, > 0 to 1.
        max_waiting: submissions that may wait before `Overloaded`, >= 1.
        max_each: those of one party, None for as many as of all.
        lanes: flushes in flight at once, >= 1.
        shield: whether a flush outlives the cancellation of its leader.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        prepare: Callable[[Sequence[Item]], Awaitable[None]] | None = None,
        unprepared: Callable[[Item], Awaitable[Result]] | None = None,
        party: Callable[[Item], Hashable] = lambda item: None,
        weigh: Callable[[Item], int] = lambda item: 1,
        max_weight: int = 256,
        share: float = 1.0,
        max_waiting: int = 10_000,
        max_each: int | None = None,
        lanes: int = 1,
        shield: bool = True,
    ) -> None:
        self._flush = flush
        self._prepare = prepare
        self._preparing = 0  # leaders
        self._unprepared = unprepared
        self._party = party
        self._weigh = weigh
        self._max_weight = max_weight
        self._share = share
        self._served = 0  # submissions in the last flush
        self._max_waiting = max_waiting
        self._max_each = max_waiting if max_each is None else max_each
        self._lanes = lanes
        self._free_lanes = lanes
        self._shield = shield
        self._queue = Turns[_Entry[Item, Result]]()
        self._flushes = 0
        self._items = 0

    @property
    def busy(self) -> bool:
        """Whether anybody waits, or leads."""
        return bool(self._queue) or self._free_lanes < self._lanes

    def statistics(self) -> BatcherStatistics:
        return BatcherStatistics(waiting=len(self._queue), flushes=self._flushes, items=self._items)

    async def submit(self, item: Item) -> Result:
        """Flush `item` together with what others submit meanwhile; return its outcome.

        Cancelled while it waits, the item is withdrawn; cancelled in flight, it may have been done.

        Args:
            item: must be idempotent: it is flushed again if the first time was cut off.

        Raises:
            Overloaded: too many are waiting.
        """
        await checkpoint_if_cancelled()
        party = self._party(item)
        if len(self._queue) >= self._max_waiting or self._queue.of(party) >= self._max_each:
            msg = f"{len(self._queue)} submissions are waiting already; try later"
            raise Overloaded(msg)
        entry = _Entry[Item, Result](item, party, self._weigh(item), anyio.current_effective_deadline())
        if self._unprepared is not None:
            entry.patience = (anyio.current_time() + entry.deadline) / 2
        self._enqueue(entry)
        try:
            while not entry.done:
                if entry.leads:
                    await self._lead(entry)
                elif not await self._woken(entry):
                    break
        finally:
            self._leave(entry)
        if not entry.done and self._unprepared is not None:
            return await self._unprepared(item)
        if isinstance(entry.outcome, Exception):
            raise entry.outcome
        return entry.outcome  # type: ignore[return-value]  # an entry that is done has an outcome

    async def _woken(self, entry: _Entry[Item, Result]) -> bool:
        """Wait for an outcome, or for a lane; return False if it takes too long to prepare."""
        entry.woken = anyio.Event()
        if entry.patience < math.inf:
            with anyio.CancelScope(deadline=entry.patience):
                await entry.woken.wait()
            if entry.woken.is_set():
                return True
            if self._preparing and not entry.in_flight:
                return False
            entry.patience = math.inf  # it is the flush that takes long
        await entry.woken.wait()
        return True

    async def _lead(self, leader: _Entry[Item, Result]) -> None:
        """Flush what is waiting; the leader's own entry is among it, or will be in the next turn."""
        batch = self._take(leader)
        try:
            await self._prepared(batch)
            for entry in batch:
                entry.in_flight = True
            if not self._shield:
                await self._settle(batch)
                return
            with anyio.CancelScope(deadline=anyio.current_effective_deadline(), shield=True) as scope:
                await self._settle(batch)
        finally:
            self._put_back(batch)
            self._wake(batch, leader)
        if scope.cancelled_caught and not leader.done:
            await checkpoint()  # the deadline was the caller's own, and reaches it here

    async def _prepared(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        if self._prepare is not None:
            self._preparing += 1
            try:
                await self._prepare([entry.item for entry in batch])
            finally:
                self._preparing -= 1

    async def _settle(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        """Give every entry an outcome, splitting the batch around the one that makes it fail."""
        batch = [entry for entry in batch if not entry.abandoned]
        if not batch:
            return
        outcomes = await self._outcomes(batch)
        if outcomes is None:
            middle = len(batch) // 2
            await self._settle(batch[:middle])
            await self._settle(batch[middle:])
            return
        self._flushes += 1
        self._items += len(batch)
        for entry, outcome in zip(batch, outcomes, strict=True):
            entry.outcome = outcome
            entry.done = True

    async def _outcomes(self, batch: Sequence[_Entry[Item, Result]]) -> Sequence[Result | Exception] | None:
        """Return an outcome for each entry; None if one of several made the flush fail."""
        try:
            outcomes = await self._flush([entry.item for entry in batch])
            if len(outcomes) != len(batch):
                raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} items")
        except Exception as exc:  # noqa: BLE001  # boundary to user code: an embedder raises what it likes
            if isinstance(exc, TryLater):
                return [own_copy(exc) for _ in batch]
            return [exc] if len(batch) == 1 else None
        return outcomes

    # The rest runs without an await: lanes and queue are consistent whenever another task can look.

    def _enqueue(self, entry: _Entry[Item, Result]) -> None:
        self._queue.join(entry.party, entry)
        if self._free_lanes:
            self._free_lanes -= 1
            entry.leads = True

    def _next(self, leader: _Entry[Item, Result] | None = None) -> list[_Entry[Item, Result]]:
        """Return what the next flush would take."""
        batch: list[_Entry[Item, Result]] = []
        weight = 0
        most = math.ceil(self._share * (len(self._queue) + self._served))
        for entry in self._queue:
            # Who holds another lane stays: without its own entry it would lead for nothing, and for ever.
            if entry.leads and entry is not leader:
                continue
            weight += entry.weight
            if batch and (weight > self._max_weight or len(batch) >= most):
                break
            batch.append(entry)
        return batch

    def _take(self, leader: _Entry[Item, Result]) -> list[_Entry[Item, Result]]:
        batch = self._next(leader)
        self._served = len(batch)
        for entry in batch:
            self._queue.leave(entry.party, entry)
        return batch

    def _put_back(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        for entry in reversed(batch):
            entry.in_flight = False
            if not (entry.done or entry.abandoned):
                self._queue.join(entry.party, entry, first=True)

    def _wake(self, batch: Sequence[_Entry[Item, Result]], leader: _Entry[Item, Result]) -> None:
        """Wake the next leader before those who were served: what they do next is done while it flushes."""
        if leader.done:
            leader.leads = False
            self._pass_on()
        for entry in batch:
            if entry.done:
                entry.wake()

    def _leave(self, entry: _Entry[Item, Result]) -> None:
        entry.abandoned = True
        self._queue.leave(entry.party, entry)
        if entry.leads:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the lane to who can use it best, of those without one; free it if there is nobody."""
        waiting = self._next()
        if not waiting:
            self._free_lanes += 1
            return
        heir = max(waiting, key=lambda entry: entry.deadline)
        heir.leads = True
        heir.wake()


def own_copy(exc: Failure) -> Failure:
    """Return an exception for one submitter: a shared one would gather everybody's traceback."""
    cls = type(exc)
    own = cls.__new__(cls, *exc.args)  # not its constructor, which may take other arguments
    own.__dict__.update(exc.__dict__)
    own.__cause__ = exc.__cause__
    return own.with_traceback(exc.__traceback__)
