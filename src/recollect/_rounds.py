"""Consolidating one tenant after the other, round after round. It ends when it is cancelled."""

import logging
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from ._composition import Composition
from ._consolidation import consolidate, required_extractor
from ._deadline import bounded
from .errors import ConfigurationError, TryLater
from .types import Episode, Tenant
from .types.consolidation import ConsolidationReport

LONGEST = 32
"""Rounds that an episode is put off for, at most."""

REMEMBERED = 10_000
"""Episodes that failed, of all tenants together; of more, those that failed first are tried again sooner."""

OUTAGE = 3
"""Tenants in a row whose store did not answer, after which it is the store, and the round is over."""

logger = logging.getLogger("recollect")


@dataclass(slots=True)
class Delays:
    """Which episodes are put off: those that fail, for twice as many rounds each time."""

    _round: int = 0
    _failed: OrderedDict[tuple[Tenant, str], tuple[int, int]] = field(
        default_factory=OrderedDict[tuple[Tenant, str], tuple[int, int]]
    )

    def begin(self) -> None:
        """Begin another round."""
        self._round += 1

    def are_over(self, tenant: Tenant) -> Callable[[Episode], bool]:
        """Return what says whether it is the turn of an episode."""
        return lambda episode: self._failed.get((tenant, episode.id), (0, 0))[1] <= self._round

    def note(self, tenant: Tenant, report: ConsolidationReport) -> None:
        for failure in report.failures:
            key = tenant, failure.episode_id
            wait = min(2 * self._failed.pop(key, (0, 0))[0], LONGEST) or 1
            self._failed[key] = wait, self._round + wait
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)


async def consolidate_in_rounds(composition: Composition, namespace: str, interval: float) -> NoReturn:
    """Go round the tenants of a namespace that have something to consolidate, with `interval` in between."""
    required_extractor(composition)
    delays, answers = Delays(), True
    while True:
        composition.ensure_open()
        await checkpoint_if_cancelled()
        delays.begin()
        answered = await _go_round(composition, namespace, delays)
        if answered != answers:
            logger.warning(
                "consolidation goes on" if answered else "consolidation waits: the store does not answer"
            )
        answers = answered
        await anyio.sleep(interval)


async def _go_round(composition: Composition, namespace: str, delays: Delays) -> bool:
    """Consolidate every tenant once; return whether the store answers."""
    after: str | None = None
    failed = 0
    while True:
        try:
            with bounded(composition.deadline):
                users = list(
                    await composition.archive.directory.unconsolidated(namespace, after=after, limit=100)
                )
        except TryLater:
            return False
        if not users:
            return True
        after = users[-1] or ""
        # So that several processes do not go through them side by side, extracting everything twice.
        random.shuffle(users)
        for user in users:
            answered = await _consolidate_one(composition, Tenant(namespace, user), delays)
            failed = 0 if answered else failed + 1
            if failed == OUTAGE:
                return False


async def _consolidate_one(composition: Composition, tenant: Tenant, delays: Delays) -> bool:
    """Consolidate a tenant, whatever comes of it; return whether its store answered."""
    try:
        report = await consolidate(composition, tenant, is_due=delays.are_over(tenant))
    except ConfigurationError:
        raise
    except Exception as exc:  # noqa: BLE001  # boundary to user code: the archive may be the user's own
        # Only the type: a message may quote what was said.
        logger.error(  # noqa: TRY400
            "consolidating user %r in namespace %r failed (%s); it is tried again in the next round",
            tenant.user_id,
            tenant.namespace,
            type(exc).__name__,
        )
        return not isinstance(exc, TryLater)
    delays.note(tenant, report)
    if report.failures:
        logger.warning(
            "of user %r in namespace %r, %d of %d episodes could not be consolidated; they are tried again",
            tenant.user_id,
            tenant.namespace,
            len(report.failures),
            report.considered,
        )
    return True
