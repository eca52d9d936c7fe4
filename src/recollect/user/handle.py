from types import TracebackType
from typing import Self

from .._checks import check_optional_id
from .._composition import Composition, Scope
from ..episodes import Episodes
from ..errors import ConfigurationError, LeaseError
from ..facts import Facts
from ..working import Blocks, Checkpoints, Scratchpad, Task, Variables, Working


class Handle:
    """What a handle stands for, and its lease."""

    def __init__(self, composition: Composition, scope: Scope) -> None:
        self._composition = composition
        self._scope = scope
        self._leases = 0
        self.episodes = Episodes(composition, scope)
        self.facts = Facts(composition, scope)
        self.blocks = Blocks(composition, scope)
        self.variables = Variables(composition, scope)
        self.task = Task(composition, scope)
        self.scratchpad = Scratchpad(composition, scope)
        self.checkpoints = Checkpoints(composition, scope)
        self.working = Working(composition, scope)

    @property
    def user_id(self) -> str | None:
        return self._scope.tenant.user_id

    @property
    def namespace(self) -> str:
        return self._scope.tenant.namespace

    @property
    def agent_id(self) -> str | None:
        return self._scope.agent_id

    @property
    def session_id(self) -> str | None:
        return self._scope.session_id

    @property
    def leases(self) -> int:
        """How often this handle was acquired and not released."""
        return self._leases

    @property
    def closed(self) -> bool:
        """Whether the memory is closed."""
        return self._composition.closed

    def __repr__(self) -> str:
        return f"<UserMemory user_id={self.user_id!r} namespace={self.namespace!r}>"

    def scope_in(self, composition: Composition) -> Scope:
        """Return what it stands for, for another handle of the same memory."""
        if self._composition is not composition:
            msg = "a parent must be a handle of the same memory"
            raise ConfigurationError(msg)
        return self._scope

    def at(self, *, agent_id: str | None = None, session_id: str | None = None) -> Self:
        """Return a narrower handle on the same tenant; what is not given stays as it is here."""
        self._composition.ensure_open()
        scope = Scope(
            self._scope.tenant,
            check_optional_id("agent_id", agent_id) or self._scope.agent_id,
            check_optional_id("session_id", session_id) or self._scope.session_id,
            self._scope.parents,
        )
        return type(self)(self._composition, scope)

    async def acquire(self) -> Self:
        """Lease the tenant until `release`; leases of one tenant add up.

        Raises:
            Overloaded: every place in the tenant map is leased.
        """
        self._composition.ensure_open()
        await self._composition.tenants.acquire(self._scope.tenant)
        self._leases += 1
        return self

    def release(self) -> None:
        """Give one lease of this handle back.

        Raises:
            LeaseError: it holds none.
        """
        if not self._leases:
            raise LeaseError
        self._leases -= 1
        self._composition.tenants.release(self._scope.tenant)

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
