"""Vectors as PostgreSQL reads them back bit for bit, a batch at a time.

A driver encodes an array of floats one Python object at a time, which costs more than all the rest of
storing an episode. So there are two ways:

* in pgvector's binary format, which needs a codec, hence a pool of our own;
* as text, "[+0x123456p-149,...]": pgvector reads hexadecimal floats, whose digits are those of the bits, and
  numpy spells them by looking them up. Text needs no codec, so it works on a pool of the caller's as it is.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..stores import Vectors

_FLOAT = np.dtype([("head", "V5"), ("low", "V4"), ("exponent", "V6")])


def _tables() -> "tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void]]":
    """Return sign and first byte of the significand, and the exponent, by upper half; the rest by lower half.

    A float32 is a significand of 24 bits times a power of two, and 2 ** -149 is the smallest there is.
    """
    halves = np.arange(1 << 16)
    biased = halves >> 7 & 0xFF
    significand = halves & 0x7F | np.where(biased > 0, 0x80, 0)
    heads = _words(f"{sign}0x{byte:02x}" for sign in "+-" for byte in range(256))
    exponents = _words(f"p{max(power, 1) - 150:+04d}," for power in range(256))
    digits = _words(f"{byte:02x}" for byte in range(256))
    lows = np.empty(len(halves), dtype=[("high", digits.dtype), ("low", digits.dtype)])
    lows["high"], lows["low"] = digits[halves >> 8], digits[halves & 0xFF]
    return heads[(halves >> 15 << 8) + significand], lows.view("V4"), exponents[biased]


def _words(words: "Iterable[str]") -> "NDArray[np.void]":
    raw = np.array([word.encode() for word in words])
    return raw.view(f"V{raw.itemsize}")


_HEADS, _LOWS, _EXPONENTS = _tables()


def packed(vectors: "Vectors") -> list[bytes]:
    """Return each row of a matrix, shape (n, dimensions), in binary: dimensions, an unused int16, floats."""
    header = vectors.shape[1].to_bytes(2) + bytes(2)
    return [header + row.tobytes() for row in vectors.astype(">f4")]


def spelled(vectors: "Vectors") -> list[str]:
    """Return each row of a finite matrix, shape (n, dimensions), as pgvector reads it."""
    bits = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    upper = bits >> 16
    floats = np.empty(bits.shape, dtype=_FLOAT)
    floats["head"] = _HEADS[upper]
    floats["low"] = _LOWS[bits & 0xFFFF]
    floats["exponent"] = _EXPONENTS[upper]
    return [f"[{row.tobytes()[:-1].decode('ascii')}]" for row in floats]
