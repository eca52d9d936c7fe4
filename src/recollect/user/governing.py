from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

from .._checks import check_id, check_instant, check_optional_id
from ..errors import InvalidInput, RecollectError, StoreUnavailable
from ..stores import Erased, Erasure, Wiped
from ..types import Receipt
from .handle import Handle

MAX_IDS = 10_000


class Governing(Handle):
    """Decides what may not exist any more."""

    async def forget(
        self,
        *,
        everything: bool = False,
        session_id: str | None = None,
        episode_ids: Sequence[str] | None = None,
        fact_ids: Sequence[str] | None = None,
        before: datetime | None = None,
        verify: bool = False,
    ) -> Receipt:
        """Erase what passes all filters, or the whole tenant, as if it had never been.

        From every layer: episodes with their vectors and transcripts; the facts that come from nothing
        else; facts without sources, what was ended or retracted, and what a session staged; with
        `everything`, or with `session_id` alone, working memory; and what this process keeps of it. What
        comes from episodes goes with them, and only then. Facts that are left are what they would be
        without it. Other users keep what they have.

        It does not come back: not by a `remember` that is repeated under its id, not by a fact whose
        source it was, not by a write that is repeated with its key, and not from what another process
        kept while Redis was away. A write under way at the same time is ordered before it, and erased, or
        after it, and stays; so stop writing first. What another service was told is not taken back.

        Each store is erased at once or not at all, working memory first; after an error forget again.

        Args:
            everything: all of the user; only on a handle without an agent and a session, and alone.
            session_id: what was said in this session.
            episode_ids: at most 10000. Those that do not exist are kept out from now on, if this is the
                only filter.
            fact_ids: at most 10000, of facts without sources. Those that do not exist are passed over.
            before: recorded earlier than this; aware.
            verify: look for it again afterwards, in every store, however long it takes.

        Raises:
            InvalidInput: there is no filter, or they contradict each other; a fact has sources. Nothing
                was erased.
            StoreUnavailable, Overloaded: not all of it was erased.
        """
        erasure = self._erasure(everything, session_id, episode_ids, fact_ids, before)
        composition, tenant = self._composition, self._scope.tenant
        working = None
        if erasure in (Erasure(everything=True), Erasure(session_id=session_id)):
            working = composition.working

        async def erase() -> tuple[Wiped, Erased]:
            wiped = Wiped()
            if working is not None:
                local = composition.tenants.held(tenant)
                wiped = await working.erase(local, tenant, erasure.session_id)
            erased = await composition.archive.erase(tenant, erasure)
            if composition.embedding is not None:
                composition.embedding.forget()
            return wiped, erased

        async def is_gone() -> bool:
            left = Wiped()
            if working is not None:
                left = await working.left(composition.tenants.held(tenant), tenant, erasure.session_id)
            return not left and await composition.archive.left(tenant, erasure) == 0

        wiped, erased = await composition.call(tenant, erase, late=_late)
        verified = None
        if verify:
            async with composition.tenants.lease(tenant):
                verified = await is_gone()
        return Receipt(
            episodes=erased.episodes,
            facts=erased.facts,
            blocks=wiped.blocks,
            variables=wiped.variables,
            notes=wiped.notes,
            checkpoints=wiped.checkpoints,
            tasks=wiped.tasks,
            generation=erased.generation,
            verified=verified,
        )

    def _erasure(
        self,
        everything: object,
        session_id: object,
        episode_ids: object,
        fact_ids: object,
        before: object,
    ) -> Erasure:
        filters = (session_id, episode_ids, fact_ids, before)
        given = any(each is not None for each in filters)
        if not isinstance(everything, bool):
            raise InvalidInput("everything", f"expected a bool, got {type(everything).__name__}")
        if everything and given:
            raise InvalidInput("everything", "goes without filters; leave one of them out")
        if everything and (self._scope.agent_id or self._scope.session_id):
            raise InvalidInput("everything", "only on a handle without an agent and a session")
        if not everything and not given:
            raise InvalidInput("everything", "say what to forget, or everything=True")
        if episode_ids is not None and fact_ids is not None:
            raise InvalidInput(
                "fact_ids", "nothing is an episode and a fact; forget them one after the other"
            )
        return Erasure(
            everything=everything,
            session_id=check_optional_id("session_id", session_id),
            episode_ids=_checked_ids("episode_ids", episode_ids),
            fact_ids=_checked_ids("fact_ids", fact_ids),
            before=None if before is None else check_instant("before", before),
        )


def _checked_ids(field: str, given: object) -> frozenset[str] | None:
    if given is None:
        return None
    if not isinstance(given, list | tuple | set | frozenset):
        raise InvalidInput(field, f"expected a list or tuple, got {type(given).__name__}")
    ids = cast("Collection[object]", given)
    if len(ids) > MAX_IDS:
        raise InvalidInput(field, f"more than {MAX_IDS}; forget them in parts")
    return frozenset(check_id(f"{field}[{i}]", id) for i, id in enumerate(ids))


def _late(seconds: float) -> RecollectError:
    return StoreUnavailable(f"not all was erased within {seconds:g} s; forget again, with a longer deadline")
