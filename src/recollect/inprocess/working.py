from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from anyio.lowlevel import checkpoint

from .._clock import Clock, utc_now
from .._workspace import (
    Edit,
    ListScopes,
    Look,
    PublishScopes,
    Taking,
    Transfer,
    WithdrawScopes,
    Workspace,
)
from .._workspace.space import is_alive
from ..errors import IdempotencyConflict
from ..stores.garbage import Expired, Expiring
from ..stores.traits import Traits
from ..stores.working import Place, Stamp, Wiped, WorkingStore
from ..types import Health, Tenant, WorkingStatus
from ._staging import Staging, is_empty

T = TypeVar("T")

KEYS = 1_000
"""Operations of a scope that are remembered by the key that a user gave them; the oldest go."""

SWEEP = 4
"""Scopes that are looked at, at most, whenever one is used."""

Name = tuple[str | None, str | None]


@dataclass(slots=True, eq=False)
class _Scope:
    used_at: datetime
    space: Workspace = field(default_factory=Workspace)
    done: dict[str, tuple[str, Any]] = field(default_factory=dict[str, tuple[str, Any]])


@dataclass(slots=True, eq=False)
class Desk:
    """The scopes of a tenant. The one that was used last comes last."""

    scopes: dict[Name, _Scope] = field(default_factory=dict[Name, _Scope])
    staging: Staging | None = None


class InProcessWorking(WorkingStore, Expiring):
    """Working memory that lives in the tenant map, and goes with its tenant's place in there.

    No lock: each method checkpoints first and then runs without an await.

    Args:
        session_ttl: seconds after which a scope with a session is dropped unless it is used; None for never.
    """

    traits = Traits("inprocess", durable=False)

    def __init__(self, *, clock: Clock = utc_now, session_ttl: float | None = None) -> None:
        self._clock = clock
        self._idle = None if session_ttl is None else timedelta(seconds=session_ttl)

    def local(self) -> Desk:
        return Desk()

    def unsaved(self, local: Desk) -> int:
        return 0

    def status(self, local: Desk) -> WorkingStatus:
        return WorkingStatus(source="local")

    async def look(self, local: Desk, places: Sequence[Place], look: Look[T]) -> tuple[T, ...]:
        await checkpoint()
        now = self._clock()
        if isinstance(look, ListScopes):
            listed = [name for name, scope in local.scopes.items() if not self._is_over(name, scope, now)]
            return tuple(cast("T", tuple(listed)) for _ in places)
        scope = self._kept if isinstance(look, Taking) else self._scope
        return tuple(look.look(scope(local, place, now).space, now) for place in places)

    async def apply(self, local: Desk, place: Place, edit: Edit[T], stamp: Stamp) -> T:
        await checkpoint()
        now = self._clock()
        if isinstance(edit, Transfer):
            return cast("T", self._transfer(local, place, edit, now))
        scope = self._scope(local, place, now)
        if stamp.digest and stamp.id in scope.done:
            digest, result = scope.done[stamp.id]
            if digest != stamp.digest:
                raise IdempotencyConflict(stamp.id)
            return cast("T", result)
        if stamp.age:
            result = edit.apply_late(scope.space, now - timedelta(seconds=stamp.age))
        else:
            result = edit.apply(scope.space, now)
        scope.space.created_at = scope.space.created_at or now
        local.scopes[place.agent_id, place.session_id] = scope
        if stamp.digest:
            scope.done[stamp.id] = (stamp.digest, result)
            if len(scope.done) > KEYS:
                del scope.done[next(iter(scope.done))]
        return result

    async def erase(self, local: Desk, tenant: Tenant, session_id: str | None) -> Wiped:
        wiped = await self.left(local, tenant, session_id)
        for name in _names(local, session_id):
            del local.scopes[name]
        return wiped

    async def left(self, local: Desk, tenant: Tenant, session_id: str | None) -> Wiped:
        await checkpoint()
        now = self._clock()
        spaces = [(name, local.scopes[name]) for name in _names(local, session_id)]
        held = [_held(scope.space, now) for name, scope in spaces if not self._is_over(name, scope, now)]
        return sum(held, Wiped())

    def expire(self, local: Desk, *, dry_run: bool) -> Expired:
        now = self._clock()
        over = {name for name, scope in local.scopes.items() if self._is_over(name, scope, now)}
        spaces = [scope.space for name, scope in local.scopes.items() if name not in over]
        ended = sum(not is_alive(each, now) for space in spaces for each in space.variables.values())
        if not dry_run:
            for name in over:
                del local.scopes[name]
            for space in spaces:
                space.sweep(now)
        return Expired(len(over), ended)

    async def health(self) -> Health:
        await checkpoint()
        return Health(ok=True, source="local", latency=0.0)

    def _kept(self, desk: Desk, place: Place, now: datetime) -> _Scope:
        """Return a scope, which is not used by that."""
        name = place.agent_id, place.session_id
        scope = desk.scopes.get(name)
        return _Scope(now) if scope is None or self._is_over(name, scope, now) else scope

    def _transfer(self, desk: Desk, place: Place, edit: Transfer, now: datetime) -> None:
        staging = desk.staging = desk.staging or Staging()
        if isinstance(edit, PublishScopes):
            there = (scope for name, scope in desk.scopes.items() if not self._is_over(name, scope, now))
            occupied = any(not is_empty(scope.space, now) for scope in there)
            spaces = staging.publish(edit, occupied=occupied)
            if spaces is not None:
                desk.scopes = {name: _Scope(now, space) for name, space in spaces.items()}
        elif isinstance(edit, WithdrawScopes):
            if staging.withdraw(edit):
                desk.scopes.clear()
        else:
            staging.stage((place.agent_id, place.session_id), edit, now)

    def _scope(self, desk: Desk, place: Place, now: datetime) -> _Scope:
        """Return a scope, which is kept only once something is in it."""
        self._sweep(desk, now)
        name = place.agent_id, place.session_id
        scope = desk.scopes.get(name)
        if scope is None or self._is_over(name, scope, now):
            desk.scopes.pop(name, None)
            return _Scope(now)
        scope.used_at = now
        if len(desk.scopes) > 1:
            desk.scopes[name] = desk.scopes.pop(name)
        return scope

    def _sweep(self, desk: Desk, now: datetime) -> None:
        # Those that never end go to the back, and come round again.
        for _ in range(min(SWEEP, len(desk.scopes)) if self._idle is not None else 0):
            name, scope = next(iter(desk.scopes.items()))
            if self._is_over(name, scope, now):
                del desk.scopes[name]
            elif name[1] is None:
                desk.scopes[name] = desk.scopes.pop(name)
            else:
                return

    def _is_over(self, name: Name, scope: _Scope, now: datetime) -> bool:
        return self._idle is not None and name[1] is not None and now - scope.used_at >= self._idle


def _names(desk: Desk, session_id: str | None) -> list[Name]:
    return [name for name in desk.scopes if session_id in (None, name[1])]


def _held(space: Workspace, now: datetime) -> Wiped:
    return Wiped(
        blocks=len(space.blocks),
        variables=len(space.sweep(now)),
        notes=len(space.notes),
        checkpoints=len(space.checkpoints),
        tasks=int(space.task is not None),
        conflicts=len(space.conflicts),
    )
