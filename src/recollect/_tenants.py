import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from .errors import ConfigurationError, LeaseError, Overloaded

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")

SWEEP = 8
"""Expired tenants dropped per admission at most: two would keep up, eight catch up."""

logger = logging.getLogger("recollect")


@dataclass(slots=True, eq=False)
class _Slot(Generic[S]):
    state: S
    leases: int = 0
    idle_since: float = 0.0


class TenantMap(Generic[K, S]):
    """Per-tenant state, for at most `capacity` tenants at any moment.

    State exists while it is leased; after the last lease it stays as a cache until it is the
    least recently used one and room is needed, or until it has been idle for `ttl` seconds.
    Leased state and pinned state are never evicted. Admitting, retiring and evicting are O(1).

    Args:
        make: builds the state of a tenant that is not in the map; must not block.
        capacity: upper bound on the number of tenants held, >= 1; None for no bound.
        ttl: seconds an idle tenant is kept, > 0; None for ever.
        patience: seconds a lease may wait for room before `Overloaded`.
        pinned: whether idle state must be kept all the same, because it holds unsaved writes.
        on_evict: called with tenant and state when idle state is dropped; must not block.
        now: monotonic clock, in seconds.
    """

    def __init__(
        self,
        make: Callable[[K], S],
        *,
        capacity: int | None = None,
        ttl: float | None = None,
        patience: float = 10.0,
        pinned: Callable[[S], bool] = lambda state: False,
        on_evict: Callable[[K, S], None] | None = None,
        now: Callable[[], float] = anyio.current_time,
    ) -> None:
        if (capacity is not None and capacity < 1) or (ttl is not None and ttl <= 0):
            msg = f"need capacity >= 1 and ttl > 0, got {capacity} and {ttl}"
            raise ConfigurationError(msg)
        self._make = make
        self._capacity = float("inf") if capacity is None else capacity
        self._ttl = float("inf") if ttl is None else ttl
        self._patience = patience
        self._is_pinned = pinned
        self._on_evict = on_evict
        self._now = now
        self._leased: dict[K, _Slot[S]] = {}
        self._pinned: dict[K, _Slot[S]] = {}
        # Longest idle first, so both the expired and the least recently used are at the front.
        self._idle: OrderedDict[K, _Slot[S]] = OrderedDict()
        self._room: anyio.Event | None = None  # exists while somebody waits; set when room appears

    def __len__(self) -> int:
        return len(self._leased) + len(self._pinned) + len(self._idle)

    @property
    def leased(self) -> int:
        """Tenants that somebody holds."""
        return len(self._leased)

    @asynccontextmanager
    async def lease(self, tenant: K) -> AsyncGenerator[S]:
        """Hold the tenant's state. Concurrent leases of one tenant share it.

        Do not nest leases of different tenants: two tasks doing so in opposite order can wait
        for each other.

        Raises:
            Overloaded: no room within `patience` seconds.
        """
        await checkpoint_if_cancelled()  # a lease is for what awaits by itself: no pause is added to it
        await self.room(tenant)
        state = self.admit(tenant)
        try:
            yield state
        finally:
            self.release(tenant)

    async def acquire(self, tenant: K) -> S:
        """Lease without a block; every `acquire` needs its `release`.

        Raises:
            Overloaded: no room within `patience` seconds.
        """
        await checkpoint()
        await self.room(tenant)
        return self.admit(tenant)

    async def room(self, tenant: K) -> None:
        """Wait until the tenant can be admitted; without a pause if it can be now.

        Raises:
            Overloaded: not within `patience` seconds.
        """
        if self._has_room_for(tenant):
            return
        with anyio.move_on_after(self._patience):
            while not self._has_room_for(tenant):
                if self._room is None:
                    self._room = anyio.Event()
                await self._room.wait()
            return
        msg = f"all {self._capacity} tenants of the map are in use; raise Limits.max_users or try later"
        raise Overloaded(msg)

    def held(self, tenant: K) -> S:
        """Return the state of a tenant that the caller leases."""
        return self._leased[tenant].state

    def peek(self, tenant: K) -> S | None:
        """Return the state of a tenant, if there is one, without using it."""
        for held in (self._leased, self._pinned, self._idle):
            if tenant in held:
                return held[tenant].state
        return None

    def known(self) -> list[K]:
        """Return the tenants that the map holds, those that were idle for too long among them."""
        return [*self._leased, *self._pinned, *self._idle]

    # The rest runs without an await: the map is consistent whenever another task can look at it.

    def _has_room_for(self, tenant: K) -> bool:
        held = len(self._leased) + len(self._pinned)
        return held < self._capacity or tenant in self._leased or tenant in self._pinned

    def admit(self, tenant: K) -> S:
        """Lease at once, whether there is room or not; `acquire` is the polite way."""
        slot = self._leased.get(tenant)
        if slot is None:
            slot = self._revived(tenant) or _Slot(self._make(tenant))
            self._leased[tenant] = slot
            if self._idle:
                self._make_room(self._now())
        slot.leases += 1
        return slot.state

    def _revived(self, tenant: K) -> _Slot[S] | None:
        """Take what is kept of a tenant, unless it was idle for too long and only nobody had looked."""
        slot = self._idle.pop(tenant, None)
        if slot is None:
            return self._pinned.pop(tenant, None)
        if not self._is_over(slot):
            return slot
        self._evicted(tenant, slot.state)
        return None

    def is_over(self, tenant: K) -> bool:
        """Whether a tenant was idle for too long, so that what is held of it will not be used again."""
        slot = self._idle.get(tenant)
        return slot is not None and self._is_over(slot)

    def expire(self, tenant: K) -> bool:
        """Evict a tenant that was idle for too long; return whether it was."""
        if not self.is_over(tenant):
            return False
        self._evicted(tenant, self._idle.pop(tenant).state)
        return True

    def _is_over(self, slot: _Slot[S]) -> bool:
        return slot.idle_since <= self._now() - self._ttl

    def release(self, tenant: K) -> None:
        """Give one lease back.

        Raises:
            LeaseError: nobody holds this tenant.
        """
        slot = self._leased.get(tenant)
        if slot is None:
            raise LeaseError
        slot.leases -= 1
        if slot.leases == 0:
            del self._leased[tenant]
            slot.idle_since = self._now()
            target = self._pinned if self._is_pinned(slot.state) else self._idle
            target[tenant] = slot
            self._make_room(slot.idle_since)
            if self._room is not None:
                self._room.set()
                self._room = None

    def _make_room(self, now: float) -> None:
        horizon = now - self._ttl
        for _ in range(SWEEP):
            if not self._idle:
                return
            tenant, slot = next(iter(self._idle.items()))
            if len(self) <= self._capacity and slot.idle_since > horizon:
                return
            del self._idle[tenant]
            self._evicted(tenant, slot.state)

    def _evicted(self, tenant: K, state: S) -> None:
        if self._on_evict is None:
            return
        try:
            self._on_evict(tenant, state)
        except Exception as exc:  # noqa: BLE001  # boundary to user code: no other tenant's call may fail
            # Only the type: the message may quote what was evicted.
            logger.error("on_evict failed (%s); the tenant is gone", type(exc).__name__)  # noqa: TRY400
