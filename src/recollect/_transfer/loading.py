"""An export as a tenant's memory: checked as a whole first, then stored as a whole."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint

from .._analysis import LONG_TEXT, analyze
from .._committing import text_of_fact
from .._composition import Composition, Scope
from .._dates import date_terms
from .._ids import uuid7
from .._workspace import (
    Contents,
    PublishScopes,
    ScopeName,
    StageCheckpoint,
    StageScope,
    Transfer,
    WithdrawScopes,
)
from ..errors import Conflict, OutcomeUnknown, RecollectError, StoreUnavailable, TryLater
from ..stores import Place, Stamp
from ..stores.transfer import OCCUPIED, Kept, KeptAssertion, KeptEpisode, Loading
from ..types import EmbeddingState, ExportHeader, text_of
from .reading import Reader, Staged

PAGE = 200
"""Records stored at once."""

PAGE_CHARS = 4_000_000
"""Characters of text in these, or one record."""

GRACE = 0.3
"""Seconds in which what was published may be taken back after a cancellation."""

Records = Callable[[], AsyncGenerator[object]]
"""Yields the records of an export, anew each time that it is called."""


async def check(composition: Composition, header: ExportHeader, records: Records) -> Reader:
    """Read all of it, keep nothing: what is wrong is found before anything is stored.

    Raises:
        InvalidInput: says what it is.
    """
    reader = Reader(header, composition.limits, composition.clock())
    async with aclosing(records()) as given:
        async for record in given:
            reader.check(record)
            await checkpoint()
    reader.finish()
    return reader


class Load:
    """One restoration on its way.

    Args:
        checked: who has read all of them.
    """

    def __init__(self, composition: Composition, scope: Scope, checked: Reader, records: Records) -> None:
        self._composition = composition
        self._tenant = scope.tenant
        self._checked = checked
        self._header = checked.header
        self._records = records
        self._id = uuid7()
        self._staged: dict[ScopeName, None] = {}
        self._published = False

    async def run(self) -> None:
        """Store what was checked.

        Raises:
            Conflict: the tenant holds something.
        """
        reader = self._checked
        if await self._is_occupied():
            raise Conflict(OCCUPIED)
        header, history = self._header, reader.history
        loading = Loading(
            tx=header.tx,
            at=header.at,
            rules=reader.rules(),
            consolidated=history.consolidated,
            passed_over=frozenset(seq for seq in history.unconsolidated if seq < history.consolidated),
            secret=None if header.erasure_key is None else bytes.fromhex(header.erasure_key),
            tombstones=reader.tombstones,
            pages=self._pages,
        )
        try:
            await self._composition.archive.transfers.load(self._tenant, loading)
        except OutcomeUnknown as exc:
            landed = await self._has_landed()
            if landed is None:
                raise
            if not landed:
                await self._withdraw()
                msg = "the connection broke before the memory was restored; nothing was stored, try later"
                raise StoreUnavailable(msg) from exc.__cause__
        except BaseException:
            with anyio.move_on_after(GRACE, shield=True):
                # A commit that was cut off may have happened: then the other half must not go.
                if not self._published or await self._has_landed() is False:
                    await self._withdraw()
            raise

    def _reader(self) -> Reader:
        return Reader(self._header, self._composition.limits, self._checked.now)

    async def _is_occupied(self) -> bool:
        held = await self._composition.archive.transfers.survey(self._tenant)
        working, local = self._composition.working, self._composition.tenants.held(self._tenant)
        return bool(held.episodes or held.transactions or await working.left(local, self._tenant, None))

    async def _pages(self) -> AsyncGenerator[Sequence[Kept]]:
        """Yield what goes into the archive; put the rest into working memory, in the end all at once."""
        reader = self._reader()
        self._staged.clear()
        page: list[Kept] = []
        size = 0
        async with aclosing(self._records()) as given:
            async for record in given:
                for item in reader.read(record):
                    if isinstance(item, Staged):
                        await self._stage(item)
                        continue
                    kept, length = await self._completed(item)
                    page.append(kept)
                    size += length
                if len(page) >= PAGE or size >= PAGE_CHARS:
                    yield page
                    page, size = [], 0
                await checkpoint()
        for item in reader.end():
            if isinstance(item, Staged):
                await self._stage(item)
        if page:
            yield page
        if self._staged:
            names = tuple(self._staged)
            self._published = True
            # In a session, if there is one: it brings along how long one lives, for those that have ended.
            name = next((name for name in names if name[1] is not None), names[0])
            await self._transfer(Place(self._tenant, *name), PublishScopes(self._id, names))

    async def _completed(self, item: Kept) -> tuple[Kept, int]:
        """Return what is to be stored, found by its words in the language of this memory; and its length."""
        match item:
            case KeptEpisode(new=new):
                text = text_of(new.input, new.output)
                terms = (*await self._analysed(text), *date_terms(new.occurred_at))
                length = len(text) + len(new.metadata) + len(new.transcript or "")
                new = replace(new, terms=terms)
                if not self._takes_vectors():
                    new = replace(new, vectors=None, embedding_state=self._unembedded())
                return replace(item, new=new), length
            case KeptAssertion(said=said, text=found) if found is not None:
                words = text_of_fact(said.subject, said.predicate, said.object or "null")
                found = replace(found, text=words, terms=tuple(await self._analysed(words)))
                if not self._takes_vectors():
                    found = replace(found, vectors=None, embedding_state=self._unembedded())
                return replace(item, text=found), len(said.object or "")
            case _:
                return item, 0

    async def _analysed(self, text: str) -> Sequence[str]:
        language = self._composition.language
        if len(text) > LONG_TEXT:
            return await to_thread.run_sync(analyze, text, language)
        return analyze(text, language)

    def _takes_vectors(self) -> bool:
        embedding, header = self._composition.embedding, self._header
        return embedding is not None and (embedding.model, embedding.dimensions) == (
            header.model,
            header.dimensions,
        )

    def _unembedded(self) -> EmbeddingState:
        return "none" if self._composition.embedding is None else "pending"

    async def _stage(self, item: Staged) -> None:
        self._staged[item.name] = None
        place = Place(self._tenant, *item.name)
        part = item.part
        if isinstance(part, Contents):
            await self._transfer(place, StageScope(self._id, part))
        else:
            await self._transfer(place, StageCheckpoint(self._id, part))

    async def _has_landed(self) -> bool | None:
        """Whether the archive has it; None if it does not say."""
        try:
            held = await self._composition.archive.transfers.survey(self._tenant)
        except TryLater:
            return None
        return (held.episodes, held.transactions) == (self._header.episodes, self._header.transactions)

    async def _withdraw(self) -> None:
        """Take back what was published: that nobody could store the rest of it must not leave a half."""
        if self._staged:
            with suppress(RecollectError):
                await self._transfer(Place(self._tenant), WithdrawScopes(self._id, tuple(self._staged)))

    async def _transfer(self, place: Place, edit: Transfer) -> None:
        """Make a part of the load; once more if nobody knows whether it was made: that is the same."""
        composition = self._composition
        local: Any = composition.tenants.held(self._tenant)
        try:
            await composition.working.apply(local, place, edit, Stamp(uuid7()))
        except OutcomeUnknown as exc:
            try:
                await composition.working.apply(local, place, edit, Stamp(uuid7()))
            except OutcomeUnknown:
                msg = "working memory could not be restored, and so nothing was; try later"
                raise StoreUnavailable(msg) from exc.__cause__
