"""What a memory can do, and how it is."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

import anyio

from ._composition import Composition
from ._together import both
from .errors import ConfigurationError, TryLater
from .stores import Archive
from .stores.traits import Examined, Replicating, traits_of
from .types import Health
from .types.capabilities import Capabilities, MemoryHealth

H = TypeVar("H", Health, Health | None)


def capabilities(composition: Composition) -> Capabilities:
    """Return what a memory made of these parts can do."""
    archive, working = traits_of(composition.archive), traits_of(composition.working)
    return Capabilities(
        archive=archive.name,
        working=working.name,
        durable_episodes=archive.durable,
        durable_facts=archive.durable,
        durable_working=working.durable,
        local_fallback=working.falls_back,
        read_replica=archive.replicated,
        semantic_recall=composition.embedding is not None,
        reranked_recall=composition.reranker is not None,
        extraction=composition.extractor is not None,
    )


async def examined(composition: Composition, namespace: str) -> MemoryHealth:
    """Ask every store whether it answers, all at once."""
    archive, working = composition.archive, composition.working
    name, seconds = traits_of(archive).name, composition.deadline
    (kept, replica), at_hand = await both(
        lambda: both(
            lambda: _answer(name, lambda: _asked(archive, namespace), seconds),
            lambda: _answer("replica", lambda: _asked_replica(archive), seconds),
        ),
        lambda: _answer(traits_of(working).name, working.health, seconds),
    )
    return MemoryHealth(ok=kept.ok and at_hand.ok, archive=kept, working=at_hand, replica=replica)


async def _asked(archive: Archive, namespace: str) -> Health:
    if isinstance(archive, Examined):
        return await archive.health()
    started = perf_counter()
    await archive.directory.has_named_users(namespace)  # of all that an archive answers, the least
    return Health(ok=True, source=traits_of(archive).name, latency=perf_counter() - started)


async def _asked_replica(archive: Archive) -> Health | None:
    return await archive.replica_health() if isinstance(archive, Replicating) else None


async def _answer(name: str, question: Callable[[], Awaitable[H]], deadline: float | None) -> H | Health:
    with anyio.move_on_after(deadline):
        try:
            return await question()
        except (TryLater, ConfigurationError) as exc:
            return Health(ok=False, source=name, latency=None, error=str(exc))
    return Health(ok=False, source=name, latency=None, error=f"no answer within {deadline:g} s")
