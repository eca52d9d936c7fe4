"""What the assistant of the demo has at hand: blocks in its prompt, a variable, and the task it is at."""

from dataclasses import dataclass
from datetime import datetime

from ...types import Health, TaskState
from ...user import UserMemory

WEEK = 7 * 86_400.0
ERRAND = "next_week"

PERSONA = "Short answers, no bullet points."
DATES = "dates"
NOTED = {
    "2026-03-15-sister": "12 September: Ines marries Tomasz",
    "2026-04-02-lens": "\n28 May: The Patient Light opens",
    "2026-05-13-trieste": "\n1 July: first day at the museum",
}
"""What a session adds to the block of dates."""

WRONG, RIGHT = "12 September", "19 September"


@dataclass(frozen=True, slots=True)
class AtHand:
    """What is at hand when the conversation is over.

    Attributes:
        prompt: the blocks, as they would stand in it.
        version: of the block of dates.
        errand: what the variable said as long as it lived, and what it says in the end.
        noted_at: when it was set.
        health: where all this lives.
    """

    prompt: str
    version: int
    task: TaskState
    errand: tuple[str, str | None]
    noted_at: datetime
    health: Health


class Desk:
    """Keeps what is at hand while the sessions go by.

    Args:
        user: whose it is.
        sessions: how many there will be.
    """

    def __init__(self, user: UserMemory, *, sessions: int) -> None:
        self._user = user
        self._sessions = sessions
        self._done = 0
        self._errand: tuple[str, datetime] | None = None

    async def begin(self) -> None:
        """Clear what a demo before this one has left, and begin."""
        for block in await self._user.blocks.list():
            await self._user.blocks.delete(block.name)
        await self._user.variables.clear()
        await self._user.blocks.set("persona", PERSONA)
        await self._user.task.set(
            TaskState(
                task_id="remember",
                description="Remember five months",
                status="at it",
                total_steps=self._sessions,
            )
        )

    async def after(self, session: str | None, *, now: datetime) -> None:
        """Note what a session has brought."""
        user = self._user
        if session in NOTED:
            await user.blocks.append(DATES, NOTED[session])
        if session == "2026-06-05-boxes" and (dates := await user.blocks.get(DATES)) is not None:
            # Told wrong before. Whoever had appended in between would not be overwritten.
            await user.blocks.set(DATES, dates.text.replace(WRONG, RIGHT), if_version=dates.version)
        if session == "2026-06-24-kitchen-floor":
            await user.variables.set(ERRAND, "audition with a choir", ttl=WEEK)
            self._errand = await user.variables.get(ERRAND), now
        self._done += 1
        await user.task.update(
            current_step=self._done,
            progress_percent=100 * self._done / self._sessions,
            status="done" if self._done == self._sessions else "at it",
        )

    async def look(self) -> AtHand:
        """Return what is at hand now."""
        user = self._user
        dates, task = await user.blocks.get(DATES), await user.task.get()
        assert dates is not None  # noqa: S101 - the sessions have been
        assert task is not None  # noqa: S101
        assert self._errand is not None  # noqa: S101
        then, noted_at = self._errand
        return AtHand(
            prompt=await user.blocks.render(),
            version=dates.version,
            task=task,
            errand=(then, await user.variables.get(ERRAND)),
            noted_at=noted_at,
            health=await user.working.health(),
        )
