from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import EllipsisType
from typing import Any

from pydantic import BaseModel

from ._committing import commit
from ._requests import Asked, given_sources
from .errors import ConfigurationError
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
        self._ended = False
        self._results: tuple[Fact, ...] | None = None

    @property
    def results(self) -> tuple[Fact, ...]:
        """What the operations have become, in order; there are none before the block has ended.

        Raises:
            ConfigurationError: it has not.
        """
        if self._results is None:
            msg = "the results of a transaction are there after its block has ended"
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
        return self._referred(self._open().add(draft))

    def add_model(
        self,
        model: BaseModel,
        *,
        predicate: str | None = None,
        subject: str | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | Forever | None = None,
        confidence: float = 1.0,
        sources: Sequence[str] = (),
        source: Episode | str | None = None,
        id: str | None = None,
        staged: bool = False,
    ) -> Reference:
        """As `Facts.add_model`."""
        name, about, value = self._open().composition.predicates.placed(model, predicate, subject)
        return self.add(
            about, name, value, valid_from=valid_from, valid_to=valid_to, confidence=confidence,
            sources=sources, source=source, id=id, staged=staged,
        )  # fmt: skip

    async def update(self, fact: Reference | str, patch: dict[str, Any]) -> Reference:
        """As `Facts.update`; also of what this transaction adds. Looks up the fact, hence `await`."""
        return self._referred(await self._open().update(_id_of(fact), patch))

    async def correct(
        self,
        fact: Reference | str,
        *,
        object: Any = ...,
        valid_from: datetime | EllipsisType = ...,
        valid_to: datetime | Forever | EllipsisType | None = ...,
    ) -> Reference:
        """As `Facts.correct`; also of what this transaction adds. Looks up the fact, hence `await`."""
        return self._referred(await self._open().correct(_id_of(fact), object, valid_from, valid_to))

    def end(
        self, subject: str, predicate: str, object: Any = ..., *, at: datetime | None = None
    ) -> Reference:
        """As `Facts.end`."""
        return self._referred(self._open().end(subject, predicate, object, at))

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
        operation = self._open().deny(subject, predicate, object, valid_from=valid_from, valid_to=valid_to)
        return self._referred(operation)

    def retract(self, fact: Reference | str) -> Reference:
        """As `Facts.retract`; also of what this transaction does."""
        return self._referred(self._open().retract(_id_of(fact)))

    async def commit(self) -> None:
        """Do it; called when the block ends."""
        asked = self._open()
        self._ended = True
        results: Sequence[Sequence[Fact]] = ()
        if asked.operations:
            results = await commit(asked.composition, asked.scope, asked.request())
        self._results = tuple(facts[0] for facts in results)

    def abandon(self) -> None:
        """Refuse whatever is still asked of it; called when the block has raised."""
        self._ended = True

    def _open(self) -> Asked:
        if self._ended:
            msg = "this transaction has ended; begin another one"
            raise ConfigurationError(msg)
        return self._asked

    def _referred(self, fact_id: str) -> Reference:
        return Reference(fact_id, len(self._asked.operations) - 1)


def _id_of(fact: Reference | str) -> str:
    return fact.fact_id if isinstance(fact, Reference) else fact
