"""The published checks of working memory, over every store on every event loop that it runs on."""

import anyio
import pytest

from recollect.stores import WorkingStore
from recollect.testing import (
    WORKING_CHECKS,
    WORKING_CLOCK_CHECKS,
    Clock,
    WorkingCheck,
    WorkingClockCheck,
)

HANGS = 120


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
