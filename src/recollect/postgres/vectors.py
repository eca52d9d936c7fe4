"""Vectors as text that PostgreSQL reads back bit for bit: "[+0x123456p-149,...]".

A driver encodes an array of floats one Python object at a time, which costs more than all the rest of
storing an episode. pgvector reads hexadecimal floats, whose digits are those of the bits: numpy spells a
whole batch by looking them up. And text needs no codec, so it works on any pool and through any pooler.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..stores import Vectors

_FLOAT = np.dtype(
    [("sign", "V3"), ("high", "V2"), ("middle", "V2"), ("low", "V2"), ("exponent", "V5"), ("end", "V1")]
)


def _words(words: "Sequence[str]") -> "NDArray[np.void]":
    return np.array([word.encode() for word in words]).view(f"V{len(words[0])}")


# A float32 is a significand of 24 bits times a power of two, and 0x... p-149 is the smallest there is.
_SIGNS = _words(["+0x", "-0x"])
_BYTES = _words([f"{byte:02x}" for byte in range(256)])
_EXPONENTS = _words([f"p{max(biased, 1) - 150:+04d}" for biased in range(256)])
_COMMA = _words([","])


def spelled(vectors: "Vectors") -> list[str]:
    """Return each row of a finite matrix, shape (n, dimensions), as pgvector reads it."""
    bits = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    biased = bits >> 23 & 0xFF
    significand = bits & 0x7FFFFF | (biased > 0).astype(np.uint32) << 23
    floats = np.empty(bits.shape, dtype=_FLOAT)
    floats["sign"] = _SIGNS[bits >> 31]
    floats["high"] = _BYTES[significand >> 16]
    floats["middle"] = _BYTES[significand >> 8 & 0xFF]
    floats["low"] = _BYTES[significand & 0xFF]
    floats["exponent"] = _EXPONENTS[biased]
    floats["end"] = _COMMA
    return [f"[{row.tobytes()[:-1].decode('ascii')}]" for row in floats]
