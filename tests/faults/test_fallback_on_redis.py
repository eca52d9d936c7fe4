"""The stories of `tests/properties/test_fallback.py`, told to a real Redis."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import anyio
import pytest
from hypothesis import Phase, given, settings

from recollect import Tenant, WorkingStatus
from recollect._workspace import Edit, Look
from recollect.redis import RedisWorking, open_redis
from recollect.stores import Away, Place, RemoteWorking, ReplyLost, Stamp, Wiped
from recollect.testing import Clock
from recollect.testing._outages import Outage
from recollect.types import Health

from ..properties import test_fallback as stories
from ..properties.test_fallback import Steps, World

T = TypeVar("T")


class Cut(RemoteWorking):
    """A client of a Redis, with a switch in the wire.

    Attributes:
        outage: "away"; "read-only"; or "reply lost": edits arrive, and nobody is told.
    """

    def __init__(self, redis: RedisWorking) -> None:
        self._redis = redis
        self.outage: Outage | None = None

    def local(self) -> object:
        return self._redis.local()

    def unsaved(self, local: object) -> int:
        return 0

    def status(self, local: object) -> WorkingStatus:
        return WorkingStatus(source="redis")

    def server(self, tenant: Tenant) -> Hashable:
        return self._redis.server(tenant)

    async def look(self, local: object, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        if self.outage == "away":
            raise Away("away")
        return await self._redis.look(local, places, look)  # type: ignore[arg-type]

    async def apply(self, local: object, place: Place, edit: Edit[T], stamp: Stamp) -> T:
        if self.outage in ("away", "read-only"):
            raise Away("away", writes_only=self.outage == "read-only")
        result = await self._redis.apply(local, place, edit, stamp)  # type: ignore[arg-type]
        if self.outage == "reply lost":
            raise ReplyLost(stamp.id)
        return result

    async def erase(self, local: object, tenant: Tenant, session_id: str | None) -> Wiped:
        if self.outage in ("away", "read-only"):
            raise Away("away", writes_only=self.outage == "read-only")
        wiped = await self._redis.erase(local, tenant, session_id)  # type: ignore[arg-type]
        if self.outage == "reply lost":
            raise Away("away")
        return wiped

    async def left(self, local: object, tenant: Tenant, session_id: str | None) -> Wiped:
        return await self._redis.left(local, tenant, session_id)  # type: ignore[arg-type]

    async def health(self) -> Health:
        return await self._redis.health()


class Switched:
    """A Redis whose clients can be cut off."""

    def __init__(self, redis: RedisWorking) -> None:
        self._redis = redis

    def connect(self) -> Cut:
        return Cut(self._redis)


async def tell(url: str, live: Callable[[World, Steps], Awaitable[None]], steps: Steps) -> None:
    clock = Clock()
    async with open_redis(url, session_ttl=None, deadline=30.0, clock=clock) as redis:
        place = Place(Tenant(f"test-{uuid4()}", "alice"), None, "s")
        await live(World(server=Switched(redis), place=place, clock=clock), steps)


STORIES = [
    (stories.live_notes, stories.notes),
    (stories.live_appends, stories.appends),
    (stories.live_blocks, stories.blocks),
    (stories.live_variables, stories.variables),
    (stories.live_task, stories.tasks),
    (stories.live_forgets, stories.forgets),
]


@pytest.mark.parametrize(("live", "steps"), STORIES, ids=lambda each: getattr(each, "__name__", ""))
def test_what_was_acknowledged_is_in_redis_once(redis_url: str, live: Any, steps: Any) -> None:
    @given(steps=steps)
    @settings(max_examples=150, phases=[Phase.explicit, Phase.generate])
    def told(steps: Steps) -> None:
        anyio.run(tell, redis_url, live, steps)

    told()
