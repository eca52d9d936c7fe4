"""A text's terms as bytes, and back to what BM25 needs.

A term is stored as the first 8 bytes of its BLAKE2b hash: fixed width, so that the terms of all
of a tenant's episodes come as one string of bytes and are counted by comparing arrays. Two of a
million different terms share a hash with a probability of about 3e-8.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..stores import Integers

WIDTH = 8


@lru_cache(maxsize=65_536)
def code(term: str) -> bytes:
    return blake2b(term.encode(), digest_size=WIDTH).digest()


def packed(terms: Sequence[str]) -> bytes:
    return b"".join(map(code, terms))


def postings(
    terms: Sequence[str], stream: bytes, lengths: "Integers"
) -> "Mapping[str, tuple[Integers, Integers]]":
    """Return, per term that occurs, the indices of the episodes it occurs in and how often.

    Args:
        terms: what to look for.
        stream: the packed terms of all episodes, one after the other.
        lengths: number of terms of each episode, shape (n,).
    """
    codes = np.frombuffer(stream, dtype=np.int64)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    found: dict[str, tuple[Integers, Integers]] = {}
    for term, wanted in zip(terms, np.frombuffer(packed(terms), dtype=np.int64).tolist(), strict=True):
        counts = np.bincount(owners[codes == wanted])
        if len(counts):
            at = np.flatnonzero(counts)
            found[term] = (at, counts[at])
    return found
