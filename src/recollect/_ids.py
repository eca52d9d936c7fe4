import os
import re
import time
from hashlib import blake2b

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def derived(first: str, position: int) -> str:
    """Return the id of an item of a batch from that of its first: a UUID version 8 (RFC 9562).

    So that a batch that is repeated with its first id is the same batch.
    """
    digest = blake2b(f"{first}\0{position}".encode(), digest_size=16).digest()
    return _uuid(int.from_bytes(digest), version=8)


def is_uuid7(text: str) -> bool:
    """Whether it looks like one of ours."""
    return _UUID7.fullmatch(text) is not None


def uuid7() -> str:
    """Return a UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits.

    Ids made later sort later, to the millisecond, which keeps index pages of new rows together.
    """
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return _uuid(value, version=7)


def _uuid(value: int, *, version: int) -> str:
    value = value & ~(0xF << 76) | version << 76
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
