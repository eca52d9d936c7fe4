import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
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
class _Slot(Generic[K, S]):
    tenant: K
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
        now: Callable[[], float] = monotonic,
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
        self._slots: dict[K, _Slot[K, S]] = {}
        self._leased = 0  # of them, those that somebody holds
        # Those that may be evicted: longest idle first, so both the expired and the least recently used are
        # at the front. Slots are told apart by what they are, which costs less than to hash a tenant.
        self._idle: OrderedDict[_Slot[K, S], None] = OrderedDict()
        self._room: anyio.Event | None = None  # exists while somebody waits; set when room appears

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def leased(self) -> int:
        """Tenants that somebody holds."""
        return self._leased

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
        return self._slots[tenant].state

    def peek(self, tenant: K) -> S | None:
        """Return the state of a tenant, if there is one, without using it."""
        slot = self._slots.get(tenant)
        return None if slot is None else slot.state

    def known(self) -> list[K]:
        """Return the tenants that the map holds, those that were idle for too long among them."""
        return [*self._slots]

    # The rest runs without an await: the map is consistent whenever another task can look at it.

    def _has_room_for(self, tenant: K) -> bool:
        if len(self._slots) - len(self._idle) < self._capacity:
            return True
        slot = self._slots.get(tenant)
        return slot is not None and slot not in self._idle

    def admit(self, tenant: K) -> S:
        """Lease at once, whether there is room or not; `acquire` is the polite way."""
        slot = self._slots.get(tenant)
        if slot is not None and slot.leases == 0 and slot in self._idle:
            if self._is_over(slot):  # and only nobody had looked
                self._evict(slot)
                slot = None
            else:
                del self._idle[slot]
        if slot is None:
            slot = self._slots[tenant] = _Slot(tenant, self._make(tenant))
            self._make_room(self._now())
        self._leased += slot.leases == 0
        slot.leases += 1
        return slot.state

    def is_over(self, tenant: K) -> bool:
        """Whether a tenant was idle for too long, so that what is held of it will not be used again."""
        slot = self._slots.get(tenant)
        return slot is not None and slot in self._idle and self._is_over(slot)

    def expire(self, tenant: K) -> bool:
        """Evict a tenant that was idle for too long; return whether it was."""
        if not self.is_over(tenant):
            return False
        self._evict(self._slots[tenant])
        return True

    def _is_over(self, slot: _Slot[K, S]) -> bool:
        return slot.idle_since <= self._now() - self._ttl

    def release(self, tenant: K) -> None:
        """Give one lease back.

        Raises:
            LeaseError: nobody holds this tenant.
        """
        slot = self._slots.get(tenant)
        if slot is None or slot.leases == 0:
            raise LeaseError
        slot.leases -= 1
        if slot.leases == 0:
            self._leased -= 1
            slot.idle_since = self._now()
            if not self._is_pinned(slot.state):
                self._idle[slot] = None
            self._make_room(slot.idle_since)
            if self._room is not None:
                self._room.set()
                self._room = None

    def _make_room(self, now: float) -> None:
        horizon = now - self._ttl
        for _ in range(SWEEP):
            if not self._idle:
                return
            longest = next(iter(self._idle))
            if longest.idle_since > horizon and len(self._slots) <= self._capacity:
                return
            self._evict(longest)

    def _evict(self, slot: _Slot[K, S]) -> None:
        del self._idle[slot]
        del self._slots[slot.tenant]
        if self._on_evict is None:
            return
        try:
            self._on_evict(slot.tenant, slot.state)
        except Exception as exc:  # noqa: BLE001  # boundary to user code: no other tenant's call may fail
            # Only the type: the message may quote what was evicted.
            logger.error("on_evict failed (%s); the tenant is gone", type(exc).__name__)  # noqa: TRY400
