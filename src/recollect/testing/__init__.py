"""Checks that any archive must pass, and the parts of a test: a clock, embedders, snapshots.

A check is an async function that raises AssertionError. It makes up tenants of its own, so that
all of them can run against one archive, one after the other:

    for check in EPISODE_CHECKS:
        await check(archive)

`FACT_CHECKS` and `TRANSFER_CHECKS` are alike; they declare predicates whose names begin with
"check". Those of
`CLOCK_CHECKS` take the clock as well that the archive was opened with, and those of
`EMBEDDER_CHECKS` need an archive that nobody has used before. `WORKING_CHECKS` take a store of
working memory; `WORKING_CLOCK_CHECKS` its clock, too, and have it drop sessions that are idle for
a week. Those whose names begin with `REMOTE` are for a `RemoteWorking`, which may get an edit
twice, or late. `Archive` and `WorkingStore` say what is promised;
the names of the checks say how a promise is broken.
"""

from ._clock import Clock
from ._concurrency import CONCURRENCY_CHECKS
from ._consolidation import CONSOLIDATION_CHECKS
from ._directory import DIRECTORY_CHECKS
from ._embedders import Fault, FaultyEmbedder, HashEmbedder
from ._embedding import EMBEDDER_CHECKS
from ._erasing import ERASING_CHECKS
from ._fact_branches import BRANCH_CHECKS
from ._fact_concurrency import FACT_CONCURRENCY_CHECKS
from ._fact_erasure import ERASURE_CHECKS
from ._fact_history import HISTORY_CHECKS
from ._fact_reading import FACT_READING_CHECKS
from ._fact_replacing import REPLACING_CHECKS
from ._fact_searching import FACT_SEARCHING_CHECKS
from ._fact_timelines import TIMELINE_CHECKS
from ._fact_writing import FACT_WRITING_CHECKS
from ._material import Check, ClockCheck
from ._reading import READING_CHECKS
from ._searching import SEARCHING_CHECKS
from ._snapshot import snapshot
from ._sweeping import SWEEPING_CHECKS
from ._tenancy import TENANCY_CHECKS
from ._transferring import TRANSFER_CHECKS
from ._working_blocks import BLOCK_CHECKS
from ._working_checkpoints import CHECKPOINT_CHECKS, CHECKPOINT_CLOCK_CHECKS
from ._working_concurrency import WORKING_CONCURRENCY_CHECKS
from ._working_erasing import WORKING_ERASING_CHECKS
from ._working_keys import KEY_CHECKS
from ._working_late import CONFLICT_CHECKS, LATE_CHECKS, REPETITION_CHECKS
from ._working_material import WorkingCheck, WorkingClockCheck
from ._working_task import TASK_CHECKS, TASK_CLOCK_CHECKS
from ._working_tenancy import WORKING_TENANCY_CHECKS
from ._working_transferring import WORKING_TRANSFER_CHECKS, WORKING_TRANSFER_CLOCK_CHECKS
from ._working_variables import VARIABLE_CHECKS, VARIABLE_CLOCK_CHECKS
from ._writing import CLOCK_CHECKS, WRITING_CHECKS

EPISODE_CHECKS: tuple[Check, ...] = (
    *WRITING_CHECKS,
    *READING_CHECKS,
    *SEARCHING_CHECKS,
    *TENANCY_CHECKS,
    *CONCURRENCY_CHECKS,
)

FACT_CHECKS: tuple[Check, ...] = (
    *TIMELINE_CHECKS,
    *FACT_WRITING_CHECKS,
    *REPLACING_CHECKS,
    *FACT_READING_CHECKS,
    *FACT_CONCURRENCY_CHECKS,
    *FACT_SEARCHING_CHECKS,
    *ERASURE_CHECKS,
    *BRANCH_CHECKS,
    *HISTORY_CHECKS,
    *ERASING_CHECKS,
    *CONSOLIDATION_CHECKS,
    *SWEEPING_CHECKS,
)

WORKING_CHECKS: tuple[WorkingCheck, ...] = (
    *BLOCK_CHECKS,
    *VARIABLE_CHECKS,
    *TASK_CHECKS,
    *CHECKPOINT_CHECKS,
    *KEY_CHECKS,
    *WORKING_TENANCY_CHECKS,
    *WORKING_CONCURRENCY_CHECKS,
    *WORKING_ERASING_CHECKS,
    *WORKING_TRANSFER_CHECKS,
)

REMOTE_WORKING_CHECKS: tuple[WorkingCheck, ...] = (*REPETITION_CHECKS, *CONFLICT_CHECKS)

REMOTE_WORKING_CLOCK_CHECKS: tuple[WorkingClockCheck, ...] = LATE_CHECKS

WORKING_CLOCK_CHECKS: tuple[WorkingClockCheck, ...] = (
    *VARIABLE_CLOCK_CHECKS,
    *TASK_CLOCK_CHECKS,
    *CHECKPOINT_CLOCK_CHECKS,
    *WORKING_TRANSFER_CLOCK_CHECKS,
)

__all__ = (
    "CLOCK_CHECKS",
    "DIRECTORY_CHECKS",
    "EMBEDDER_CHECKS",
    "EPISODE_CHECKS",
    "FACT_CHECKS",
    "REMOTE_WORKING_CHECKS",
    "REMOTE_WORKING_CLOCK_CHECKS",
    "TRANSFER_CHECKS",
    "WORKING_CHECKS",
    "WORKING_CLOCK_CHECKS",
    "Check",
    "Clock",
    "ClockCheck",
    "Fault",
    "FaultyEmbedder",
    "HashEmbedder",
    "WorkingCheck",
    "WorkingClockCheck",
    "snapshot",
)
