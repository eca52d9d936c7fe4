"""The published checks of working memory, over every store on every event loop that it runs on."""

import random
from collections.abc import AsyncIterator

import anyio
import pytest

from recollect import OutcomeUnknown, StoreUnavailable
from recollect.inprocess import InProcessWorking
from recollect.stores import WorkingStore
from recollect.testing import (
    REMOTE_WORKING_CHECKS,
    REMOTE_WORKING_CLOCK_CHECKS,
    WORKING_CHECKS,
    WORKING_CLOCK_CHECKS,
    Clock,
    WorkingCheck,
    WorkingClockCheck,
)
from recollect.testing._working_late import CONFLICT_CHECKS

from ..conftest import open_remote
from ..faults.proxy import open_proxy
from ..redis_servers import unused_url

HANGS = 120

WHOLE = {
    "a_block_may_be_empty",
    "a_task_comes_back_as_it_was_set",
    "the_argument_is_not_changed",
    "an_update_changes_what_is_given_and_nothing_else",
    "of_concurrent_edits_under_one_key_one_applies",
    "concurrent_edits_of_a_task_do_not_mix",
    "a_time_to_live_says_when_a_variable_ends",
}
"""Checks that read nothing but what they have written: an outage changes nothing for them."""

REPEATABLE = [
    check
    for check in (*WORKING_CHECKS, *WORKING_CLOCK_CHECKS)
    # Who asks again is told of the block as it is by then.
    if check.__name__ != "concurrent_appends_have_versions_of_their_own"
]


def _name(check: WorkingCheck | WorkingClockCheck) -> str:
    return check.__name__


@pytest.mark.parametrize("check", WORKING_CHECKS, ids=_name)
async def test_working(check: WorkingCheck, working: WorkingStore) -> None:
    with anyio.fail_after(HANGS):
        await check(working)


@pytest.mark.parametrize("check", WORKING_CLOCK_CHECKS, ids=_name)
async def test_clock(check: WorkingClockCheck, working: WorkingStore, clock: Clock) -> None:
    with anyio.fail_after(HANGS):
        await check(working, clock)


@pytest.fixture
async def abandoned(redis_url: str, anyio_backend: object, clock: Clock) -> AsyncIterator[WorkingStore]:
    """A store whose server was away when it was opened, and stays away."""
    async with open_remote(unused_url(), clock, fallback=True) as opened:
        yield opened


@pytest.mark.parametrize("check", [*WORKING_CHECKS, *WORKING_CLOCK_CHECKS], ids=_name)
async def test_outage(check: WorkingCheck | WorkingClockCheck, abandoned: WorkingStore, clock: Clock) -> None:
    """While the server is away a check may end with `StoreUnavailable`, but not with a wrong answer."""
    refused = False
    with anyio.fail_after(HANGS):
        try:
            await (check(abandoned, clock) if check in WORKING_CLOCK_CHECKS else check(abandoned))
        except* StoreUnavailable:
            refused = True
    assert refused is not (check.__name__ in WHOLE)


@pytest.mark.parametrize("share", [0.03, 0.2])
@pytest.mark.parametrize("check", REPEATABLE, ids=_name)
async def test_lost_replies(
    check: WorkingCheck | WorkingClockCheck, share: float, redis_url: str, anyio_backend: object, clock: Clock
) -> None:
    """However many replies are lost, what comes through is no wrong answer, and nothing is made twice."""
    chance = random.Random(f"{check.__name__} {share}")
    with anyio.fail_after(HANGS):
        async with (
            open_proxy(redis_url) as proxy,
            open_remote(proxy.dsn, clock, fallback=False) as store,
        ):
            proxy.loses = lambda: chance.random() < share
            try:
                await (check(store, clock) if check in WORKING_CLOCK_CHECKS else check(store))
            except* (StoreUnavailable, OutcomeUnknown):
                pass


@pytest.mark.parametrize("check", CONFLICT_CHECKS, ids=_name)
async def test_conflicts_in_process(check: WorkingCheck, clock: Clock) -> None:
    await check(InProcessWorking(clock=clock))


@pytest.mark.parametrize("check", [*REMOTE_WORKING_CHECKS, *REMOTE_WORKING_CLOCK_CHECKS], ids=_name)
async def test_remote(
    check: WorkingCheck | WorkingClockCheck, redis_url: str, anyio_backend: object, clock: Clock
) -> None:
    async with open_remote(redis_url, clock, fallback=False) as store:
        await (check(store, clock) if check in REMOTE_WORKING_CLOCK_CHECKS else check(store))
