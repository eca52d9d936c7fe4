"""What a memory can do, and how it is."""

from collections.abc import Awaitable, Callable

import anyio

from ._composition import Composition
from .errors import ConfigurationError, TryLater
from .stores import Archive
from .stores.traits import Examined, traits_of
from .types import Health
from .types.capabilities import Capabilities, MemoryHealth


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
        semantic_recall=composition.embedding is not None,
        reranked_recall=composition.reranker is not None,
    )


async def examined(composition: Composition, namespace: str) -> MemoryHealth:
    """Ask every store whether it answers, all at once."""
    archive, working = composition.archive, composition.working
    found: dict[str, Health] = {}

    async def ask(part: str, name: str, question: Callable[[], Awaitable[Health]]) -> None:
        found[part] = await _answer(name, question, composition.deadline)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "archive", traits_of(archive).name, lambda: _asked(archive, namespace))
        tasks.start_soon(ask, "working", traits_of(working).name, working.health)
    return MemoryHealth(ok=all(each.ok for each in found.values()), **found)


async def _asked(archive: Archive, namespace: str) -> Health:
    if isinstance(archive, Examined):
        return await archive.health()
    started = anyio.current_time()
    await archive.directory.has_named_users(namespace)  # of all that an archive answers, the least
    return Health(ok=True, source=traits_of(archive).name, latency=anyio.current_time() - started)


async def _answer(name: str, question: Callable[[], Awaitable[Health]], deadline: float | None) -> Health:
    with anyio.move_on_after(deadline):
        try:
            return await question()
        except (TryLater, ConfigurationError) as exc:
            return Health(ok=False, source=name, latency=None, error=str(exc))
    return Health(ok=False, source=name, latency=None, error=f"no answer within {deadline:g} s")
