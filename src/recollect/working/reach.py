"""How the parts of working memory reach their scope in the store."""

from contextlib import AbstractContextManager
from hashlib import blake2b
from itertools import groupby
from typing import TypeVar

from .. import _json
from .._checks import check_optional_id
from .._composition import Composition, Scope
from .._deadline import bounded
from .._ids import uuid7
from .._workspace import Edit, Look
from ..errors import DeadlineExceeded, OutcomeUnknown, RecollectError
from ..stores import Place, Stamp

T = TypeVar("T")


class Reach:
    """One scope of working memory; what `Blocks`, `Variables` and the others are made of."""

    def __init__(self, composition: Composition, scope: Scope) -> None:
        self._composition = composition
        self._scope = scope
        self._place = Place(scope.tenant, scope.agent_id, scope.session_id)

    async def _look(self, look: Look[T]) -> T:
        (found,) = await self._look_in((self._place,), look)
        return found

    async def _look_in(self, places: tuple[Place, ...], look: Look[T]) -> tuple[T, ...]:
        """Look into scopes of one tenant."""
        composition, tenant = self._composition, places[0].tenant

        async def work() -> tuple[T, ...]:
            return await composition.working.look(composition.tenants.held(tenant), places, look)

        return await composition.call(tenant, work)

    async def _edit(self, edit: Edit[T], *, key: str | None = None, content: object = None) -> T:
        """Make an edit.

        Args:
            key: of the user's, for what may be repeated.
            content: JSON that the edit of a key is known by.
        """
        composition, tenant, place = self._composition, self._scope.tenant, self._place
        if check_optional_id("key", key) is None:
            stamp = Stamp(uuid7())
        else:
            stamp = Stamp(key or "", digest=_digest(type(edit).__name__, content))
        handed_over = False

        async def work() -> T:
            nonlocal handed_over
            local = composition.tenants.held(tenant)
            handed_over = True
            return await composition.working.apply(local, place, edit, stamp)

        def late(seconds: float) -> RecollectError:
            return OutcomeUnknown(stamp.id) if handed_over else DeadlineExceeded(seconds)

        return await composition.call(tenant, work, late=late)

    def _as_one_call(self) -> AbstractContextManager[None]:
        """Bound the looks within the block, one for each tenant, as one call is."""
        return bounded(self._composition.deadline)

    def _lineage(self) -> list[tuple[Place, ...]]:
        """Return the scopes that this one inherits from, itself first, by tenant: one look for each."""
        return [tuple(places) for _, places in groupby(_lineage(self._scope), lambda place: place.tenant)]


def _lineage(scope: Scope) -> list[Place]:
    own = (
        Place(scope.tenant, scope.agent_id, scope.session_id),
        Place(scope.tenant, scope.agent_id),
        Place(scope.tenant),
    )
    inherited = (place for parent in scope.parents for place in _lineage(parent))
    return list(dict.fromkeys((*own, *inherited)))


def _digest(name: str, content: object) -> str:
    return blake2b(_json.canonical([name, content]).encode(), digest_size=16).hexdigest()
