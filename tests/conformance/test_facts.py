"""The published checks of facts, over every back end on every event loop that it runs on."""

import anyio
import pytest

from recollect import Archive
from recollect.testing import FACT_CHECKS, TRANSFER_CHECKS, Check

HANGS = 60


def _name(check: Check) -> str:
    return check.__name__


@pytest.mark.parametrize("check", FACT_CHECKS, ids=_name)
async def test_facts(check: Check, archive: Archive) -> None:
    with anyio.fail_after(HANGS):
        await check(archive)


@pytest.mark.parametrize("check", TRANSFER_CHECKS, ids=_name)
async def test_transfers(check: Check, archive: Archive) -> None:
    with anyio.fail_after(HANGS):
        await check(archive)
