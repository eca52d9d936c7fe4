from pydantic import Field

from .memory import Value


class ExtractionFailure(Value):
    """An episode that could not be consolidated; the next run tries it again."""

    episode_id: str
    error: str = Field(
        description="class of the error, such as TimeoutError: its message may quote the episode"
    )


class ConsolidationReport(Value):
    """What a run of `consolidate` has done."""

    considered: int = Field(description="episodes that were looked at: the sum of the four kinds")
    consolidated: int = Field(description="of these, now marked, whether they said anything or not")
    facts: int = Field(description="facts that were added; what was known already is not counted")
    failures: tuple[ExtractionFailure, ...] = Field(description="in order of the episodes")
    skipped: int = Field(description="consolidated by somebody else meanwhile: nothing of ours was stored")
    forgotten: int = Field(description="erased meanwhile: nothing was stored")
    remaining: int = Field(
        description="not consolidated when the run was over: failures, and what came since"
    )
