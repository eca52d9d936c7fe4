"""Values as Redis holds them, which is bytes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

_MICROSECOND = timedelta(microseconds=1)


def number(value: float) -> bytes:
    return b"%d" % value


def unpacked(reply: bytes, start: int) -> tuple[list[Any], int]:
    """Return values that a script has added to a reply, and where they end; None for what is not there."""
    end = reply.index(b"\n", start)
    lengths = reply[start:end].split()
    end += 1
    values: list[Any] = []
    for length in lengths:
        if length == b"-":
            values.append(None)
        else:
            start, end = end, end + int(length)
            values.append(reply[start:end])
    return values, end


def packed(command: Sequence[bytes]) -> bytes:
    """Return a command as the protocol has it."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        parts += (b"$%d\r\n" % len(word), word, b"\r\n")
    return b"".join(parts)


def lifetime(seconds: float | None) -> bytes:
    """Return a time to live in microseconds; b"" for ever, or for longer than any calendar reaches."""
    try:
        return b"" if seconds is None else number(timedelta(seconds=seconds) // _MICROSECOND)
    except OverflowError:
        return b""
