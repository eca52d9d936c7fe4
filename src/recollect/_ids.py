import os
import re
import time
from hashlib import blake2b

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def derived(first: str, position: int) -> str:
    """Return the id of an item of a batch from that of its first: a UUID version 8 (RFC 9562).

    So that a batch that is repeated with its first id is the same batch.
    """
    digest = blake2b(f"{first}\0{position}".encode(), digest_size=16)
    return _uuid(digest.hexdigest(), version=8)


def is_uuid7(text: str) -> bool:
    """Whether it looks like one of ours."""
    return _UUID7.fullmatch(text) is not None


def uuid7() -> str:
    """Return a UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits.

    Ids made later sort later, to the millisecond, which keeps index pages of new rows together.
    """
    return _uuid(f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}", version=7)


def _uuid(digits: str, *, version: int) -> str:
    """Spell 32 hexadecimal digits as a UUID; version and variant take the place of some."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
