from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any, cast

from anyio import SpooledTemporaryFile
from anyio.lowlevel import checkpoint_if_cancelled

from .._transfer.dumping import Dump
from .._transfer.loading import Load, check
from .._transfer.reading import read_header
from .._transfer.spooling import spooled
from ..errors import InvalidInput
from ..types import Export
from ..types.transfer import line
from .handle import Handle

IN_MEMORY = 4_194_304
"""Bytes of lines that are kept in memory before they go to a temporary file."""


class Transferring(Handle):
    """Takes all of a tenant's memory out, and puts it back."""

    async def export(self, *, vectors: bool = False) -> Export:
        """Return everything that the tenant owns, with both time axes, whatever the handle is narrowed to.

        Working memory is that of each scope at one moment. What is left out is what a store derives, or what
        only makes sense where it is: the projection of the facts, since when a session is idle, and keys of
        edits of working memory. Not bounded by the deadline; all of it is held in memory: of a large
        tenant take `export_lines`.

        Args:
            vectors: those of the embedder as well; without them they are made again by `embed_pending`.

        Raises:
            Conflict: something was forgotten meanwhile; export again.
            StoreUnavailable: a store is away; what this process knows of it would be a part at most.
        """
        self._composition.ensure_open()
        await checkpoint_if_cancelled()
        async with self._composition.tenants.lease(self._scope.tenant):
            dump = Dump(self._composition, self._scope, vectors=vectors)
            header = await dump.open()
            records: list[dict[str, Any]] = []
            async with aclosing(dump.pages()) as pages:
                async for page in pages:
                    records += page
        return Export.model_construct(header=header, records=tuple(records))

    async def export_lines(self, *, vectors: bool = False) -> AsyncGenerator[str]:
        """Yield what `export` returns as lines of JSON, holding a page of them at a time.

        The first one is the header, the last one says that it is complete. Errors are those of `export`: what
        came before one is no use.
        """
        self._composition.ensure_open()
        await checkpoint_if_cancelled()
        count = 0
        async with self._composition.tenants.lease(self._scope.tenant):
            dump = Dump(self._composition, self._scope, vectors=vectors)
            header = await dump.open()
            yield line({"kind": "header", **header.model_dump(mode="json")})
            async with aclosing(dump.pages()) as pages:
                async for page in pages:
                    count += len(page)
                    for record in page:
                        yield line(record)
            yield line({"kind": "end", "records": count})

    async def restore(self, export: Export) -> None:
        """Make an export the memory of this tenant, which must not have any.

        Facts are known since when they were, answers at any (valid, known) are what they were, and an export
        of it is equal. Episodes are found by words at once; by meaning after `embed_pending`, unless the
        vectors were exported and are of the same model. Erased episodes stay erased. Nothing of it is
        visible before all of it is there. Not bounded by the deadline.

        Raises:
            InvalidInput: says what is wrong with which record; nothing was stored.
            Conflict: the tenant has a memory already, or something that was forgotten here would come back.
            ConfigurationError: a predicate has another rule here; declare it as it was.
            FactConflict: two objects are held of an immutable predicate.
            OutcomeUnknown: it may have been stored; if it was, restoring it again is a `Conflict`.
            StoreUnavailable, Overloaded: nothing was stored; try later.
        """
        if not isinstance(cast("object", export), Export):
            raise InvalidInput("export", f"expected an Export, got {type(export).__name__}")

        async def records() -> AsyncGenerator[object]:
            for record in export.records:
                yield record

        header = read_header(export.header.model_dump(mode="json"))
        self._composition.ensure_open()
        await checkpoint_if_cancelled()
        async with self._composition.tenants.lease(self._scope.tenant):
            reader = await check(self._composition, header, records)
            await Load(self._composition, self._scope, reader, records).run()

    async def restore_lines(self, lines: AsyncIterable[str]) -> None:
        """Do what `restore` does, with the lines of `export_lines`.

        They are read to the end first, into a temporary file without a name if they are long: nothing is
        stored, and nobody waits for this user's memory, before the last line has come.

        Args:
            lines: as they were exported, with or without line breaks.
        """
        self._composition.ensure_open()
        await checkpoint_if_cancelled()
        async with (
            SpooledTemporaryFile[bytes](max_size=IN_MEMORY) as spool,
            self._composition.tenants.lease(self._scope.tenant),
        ):
            reader, records = await spooled(self._composition, lines, spool)
            await Load(self._composition, self._scope, reader, records).run()
