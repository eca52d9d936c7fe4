"""Lines that come once, checked as they come, and kept to be read again."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from anyio import SpooledTemporaryFile
from anyio.lowlevel import checkpoint

from .. import _json
from .._composition import Composition
from ..errors import InvalidInput
from .fields import Fields
from .loading import Records
from .reading import Reader, parsed, read_header

CHUNK = 262_144
"""Bytes that are written, or read, at once."""


async def spooled(
    composition: Composition, lines: AsyncIterable[str], spool: SpooledTemporaryFile[bytes]
) -> tuple[Reader, Records]:
    """Read lines to the end; return who has checked them, and the records as they can be read from `spool`.

    Raises:
        InvalidInput: one is wrong, or they are not complete.
    """
    try:
        reader = await _read(composition, lines, spool)
    finally:
        if isinstance(lines, AsyncGenerator):  # made for this call, as a rule, and of no use to anybody now
            await lines.aclose()

    async def records() -> AsyncGenerator[object]:
        await spool.seek(0)
        rest = b""
        while chunk := await spool.read(CHUNK):
            *texts, rest = (rest + chunk).split(b"\n")
            for text in texts:
                yield _json.loads(text.decode())

    return reader, records


async def _read(
    composition: Composition, lines: AsyncIterable[str], spool: SpooledTemporaryFile[bytes]
) -> Reader:
    reader: Reader | None = None
    ended = False
    waiting = bytearray()  # a write may be a trip to a thread and back
    async for text in lines:
        path = "header" if reader is None else f"records[{reader.records}]"
        given = parsed(text, path)
        fields = Fields(path, given)
        if ended:
            raise InvalidInput(path, "comes after the end")
        if reader is None:
            reader = _begun(composition, fields, given)
        elif given.get("kind") == "end":
            _end(reader, fields)
            ended = True
        else:
            reader.check(given)
            # Spelled by us: however it came, it is a line now.
            waiting += _json.dumps(given).encode() + b"\n"
            if len(waiting) >= CHUNK:
                await spool.write(bytes(waiting))
                waiting.clear()
        await checkpoint()
    if reader is None or not ended:
        raise InvalidInput("records", "end before the last line; the export is not complete")
    await spool.write(bytes(waiting))
    return reader


def _begun(composition: Composition, fields: Fields, given: dict[str, Any]) -> Reader:
    if fields.take("kind") != "header":
        raise InvalidInput("header.kind", "is not that of a header; the first line is missing")
    header = read_header({name: value for name, value in given.items() if name != "kind"})
    return Reader(header, composition.limits, composition.clock())


def _end(reader: Reader, fields: Fields) -> None:
    fields.take("kind")
    if fields.count("records") != reader.records:
        raise InvalidInput("records", "are not as many as the last line says")
    fields.end()
    reader.finish()
