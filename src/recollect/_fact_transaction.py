from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._checks import check_instant
from ._committing import commit
from ._requests import Asked, checked_claim, given_sources
from .errors import ConfigurationError
from .stores.changes import Claim
from .types import Episode, Fact, FactDraft, Forever


@dataclass(frozen=True, slots=True)
class Reference:
    """What an operation of a transaction will be.

    Attributes:
        fact_id: of its assertion, unless the same was said before: then the result names that one.
        position: of its result in `FactTransaction.results`.
    """

    fact_id: str
    position: int


class FactTransaction:
    """Operations that take effect together, when the block ends. See `Facts.transaction`."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._results: tuple[Fact, ...] | None = None

    @property
    def results(self) -> tuple[Fact, ...]:
        """What the operations have become, in order; there are none before the block has ended.

        Raises:
            ConfigurationError: it has not.
        """
        if self._results is None:
            msg = "the results of a transaction are there after its `async with` block has ended"
            raise ConfigurationError(msg)
        return self._results

    def add(
        self,
        subject: str,
        predicate: str,
        object: Any,
        *,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = (),
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
    ) -> Reference:
        """As `Facts.add`."""
        draft = FactDraft(
            subject, predicate, object, valid_from=valid_from, valid_to=valid_to, confidence=confidence,
            sources=given_sources(sources, source), id=id, staged=staged,
        )  # fmt: skip
        return self._referred(self._asked.add(draft))

    def end(
        self, subject: str, predicate: str, object: Any = ..., *, at: datetime | None = None
    ) -> Reference:
        """As `Facts.end`."""
        claim = Claim(None if at is None else check_instant("at", at), None, onset=True)
        return self._referred(self._asked.void(subject, predicate, object, claim))

    def deny(
        self,
        subject: str,
        predicate: str,
        object: Any = ...,
        *,
        valid_from: datetime,
        valid_to: datetime | Forever | None,
    ) -> Reference:
        """As `Facts.deny`."""
        check_instant("valid_from", valid_from)
        claim = checked_claim(valid_from, Forever.FOREVER if valid_to is None else valid_to)
        return self._referred(self._asked.void(subject, predicate, object, claim))

    def retract(self, fact: Reference | str) -> Reference:
        """As `Facts.retract`; also of what this transaction does."""
        fact_id = fact.fact_id if isinstance(fact, Reference) else fact
        return self._referred(self._asked.retract(fact_id))

    async def commit(self) -> None:
        """Do it; called when the block ends."""
        asked = self._asked
        if not asked.operations:
            self._results = ()
            return
        results = await commit(asked.composition, asked.scope, asked.request())
        self._results = tuple(facts[0] for facts in results)

    def _referred(self, fact_id: str) -> Reference:
        if self._results is not None:
            msg = "this transaction has ended; begin another one"
            raise ConfigurationError(msg)
        return Reference(fact_id, len(self._asked.operations) - 1)
