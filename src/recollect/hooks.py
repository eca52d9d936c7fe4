"""The user's code around a change: it may refuse one, and it is told of those that have happened."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from .errors import ConfigurationError, HookError
from .types import Fact, FactDraft

logger = logging.getLogger("recollect")

Event = Literal[
    "add", "update", "correct", "end", "deny", "retract", "transaction", "promote", "discard", "rollback"
]
Stage = Literal["before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """One operation of a proposal.

    Attributes:
        op: what it does.
        draft: what is to be added, or to be put in the place of something; of "end" and "deny" what is not
            true any more, with `...` as its object if that is every value. None for the other ones.
        fact_id: of "update", "correct" and "retract": what is to be replaced or retracted.
    """

    op: Event
    draft: FactDraft | None = None
    fact_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is about to be done; nothing is stored yet.

    Attributes:
        event: the call.
        session_id: of the handle; of "promote", "discard" and "rollback" the session that it is about.
        operations: in order; several of `add_many` and of a transaction.
    """

    event: Event
    user_id: str | None
    namespace: str
    session_id: str | None
    actor: str | None
    reason: str | None
    operations: tuple[Proposed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What has been done.

    Attributes:
        tx: the transaction.
        facts: what its operations have become, in order; those that were known before have `changed=False`.
    """

    proposal: Proposal
    tx: int
    facts: tuple[Fact, ...]


Before = Callable[[Proposal], Awaitable[None] | None]
After = Callable[[Commit], Awaitable[None] | None]


@dataclass(slots=True)
class Hooks:
    """What a memory calls, in the order in which it was added; never under a lock or with a connection."""

    before: list[tuple[frozenset[Event], Before]] = field(
        default_factory=list[tuple[frozenset[Event], Before]]
    )
    after: list[tuple[frozenset[Event], After]] = field(default_factory=list[tuple[frozenset[Event], After]])

    def add(self, hook: Before | After, events: Collection[Event] | None, stage: Stage) -> None:
        known: tuple[Event, ...] = get_args(Event)
        given = cast("object", known if events is None else events)
        # A string is a collection of strings, too.
        names = cast("Collection[object]", given) if isinstance(given, Collection) else ()
        listed = not isinstance(given, str) and isinstance(given, Collection)
        chosen = frozenset(each for each in known if each in names)
        if (
            not (listed and all(each in known for each in names))
            or stage not in get_args(Stage)
            or not callable(hook)
        ):
            msg = f'a hook is a function, its stage "before" or "after", its events of {", ".join(known)}'
            raise ConfigurationError(msg)
        if stage == "before":
            self.before.append((chosen, hook))  # type: ignore[arg-type]  # the stage says which it is
        else:
            self.after.append((chosen, hook))  # type: ignore[arg-type]

    async def propose(self, proposal: Proposal) -> None:
        """Ask every hook.

        Raises:
            HookError: one of them refused, or failed.
        """
        for events, hook in tuple(self.before):
            if proposal.event not in events:
                continue
            try:
                answer = hook(proposal)
                if inspect.isawaitable(answer):
                    await answer
            except HookError:
                raise
            except Exception as exc:  # boundary to user code: what cannot agree has refused
                msg = f"a before-hook failed ({type(exc).__name__}); nothing was stored"
                raise HookError(msg) from exc

    async def tell(self, commit: Commit) -> None:
        """Tell every hook. What is committed stays, whatever they do."""
        for events, hook in tuple(self.after):
            if commit.proposal.event not in events:
                continue
            try:
                answer = hook(commit)
                if inspect.isawaitable(answer):
                    await answer
            except Exception as exc:  # noqa: BLE001  # boundary to user code
                # Only the type: the message may quote a fact.
                logger.error("an after-hook failed (%s); the change stays", type(exc).__name__)  # noqa: TRY400
