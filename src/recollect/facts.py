from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anyio.lowlevel import checkpoint

from ._fact_history import FactHistory
from ._fact_transaction import FactTransaction
from ._fact_writes import FactWrites
from ._requests import asked


class Facts(FactHistory, FactWrites):
    """The facts of one tenant, in valid time and in known time. Semantics: `recollect._timeline`."""

    @asynccontextmanager
    async def transaction(
        self, *, actor: str | None = None, reason: str | None = None, key: str | None = None
    ) -> AsyncGenerator[FactTransaction]:
        """Gather operations in the block, and do them together when it ends; nothing if it raises.

        They see each other in their order. No lock is held and nothing is sent before the end. Arguments
        and errors as described at `FactWrites`; what is no valid input raises at once, what the facts say
        against it at the end of the block. At most `Limits.max_batch` operations.
        """
        self._composition.ensure_open()
        await checkpoint()
        transaction = FactTransaction(
            asked(self._composition, self._scope, "transaction", actor=actor, reason=reason, key=key)
        )
        try:
            yield transaction
        except BaseException:
            transaction.abandon()
            raise
        await transaction.commit()
