"""The published checks, over every back end on every event loop that it runs on."""

import anyio
import pytest

from recollect import Archive
from recollect.testing import (
    CLOCK_CHECKS,
    DIRECTORY_CHECKS,
    EMBEDDER_CHECKS,
    EPISODE_CHECKS,
    Check,
    Clock,
    ClockCheck,
)

HANGS = 60


def _name(check: Check | ClockCheck) -> str:
    return check.__name__


@pytest.mark.parametrize("check", EPISODE_CHECKS, ids=_name)
async def test_episodes(check: Check, archive: Archive) -> None:
    with anyio.fail_after(HANGS):
        await check(archive)


@pytest.mark.parametrize("check", CLOCK_CHECKS, ids=_name)
async def test_clock(check: ClockCheck, archive: Archive, clock: Clock) -> None:
    with anyio.fail_after(HANGS):
        await check(archive, clock)


@pytest.mark.parametrize("check", DIRECTORY_CHECKS, ids=_name)
async def test_directory(check: Check, archive: Archive) -> None:
    with anyio.fail_after(HANGS):
        await check(archive)


@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=_name)
async def test_embedder(check: Check, unused_archive: Archive) -> None:
    with anyio.fail_after(HANGS):
        await check(unused_archive)
