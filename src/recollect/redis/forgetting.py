"""How a process learns what others have forgotten: from the epoch of a tenant, and from a list beside it.

An epoch is `<id>` until something is forgotten, and `<id>.<n>` after the n-th time. Who knows another n than
the server is told nothing else: he asks for the list, and drops what it names. So does who knows no epoch,
but he drops only what may be older than the time it was forgotten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha1
from urllib.parse import quote

from ..stores import Place
from . import scripts

ERASE = scripts.plain("erase")
FORGOTTEN = scripts.plain("forgotten")


def suffix(session_id: str | None) -> bytes:
    """Return what the names of a session's scopes end with; b"" for those of all."""
    return b"" if session_id is None else b"/" + quote(session_id, safe="").encode()


def is_later(epoch: bytes, known: bytes) -> bool:
    """Whether something was forgotten since an epoch, and nothing was lost; of none that is not known."""
    return epoch != known and (not known or _parted(epoch)[0] == _parted(known)[0])


@dataclass(frozen=True, slots=True)
class News:
    """What was forgotten since an epoch.

    Attributes:
        sessions: digests of their names; None for everything.
    """

    base: bytes
    sessions: frozenset[bytes] | None

    def __bool__(self) -> bool:
        return self.sessions is None or bool(self.sessions)

    def covers(self, place: Place) -> bool:
        if self.sessions is None or place.session_id is None:
            return self.sessions is None
        name = sha1(self.base + suffix(place.session_id), usedforsecurity=False).hexdigest()
        return name.encode() in self.sessions


def news(epoch: bytes, listed: bytes, *, known: bytes, is_older: Callable[[int], bool]) -> News:
    """Return what was forgotten since `known`.

    Args:
        listed: of the last times: number, instant in microseconds, and "*" or the digest of a session.
        is_older: whether what is known may be older than an instant, if no epoch is known.
    """
    base, last = _parted(epoch)
    seen = _parted(known)[1]
    times = [(int(n), int(at), what) for n, at, what in (each.split() for each in listed.split(b";") if each)]
    missed = [(n, what) for n, at, what in times if (n > seen if known else is_older(at))]
    first = times[0][0] if times else last + 1
    is_complete = first <= seen + 1 if known else first <= 1 or not is_older(times[0][1])
    if not is_complete or any(what == b"*" for _, what in missed):
        return News(base, None)
    return News(base, frozenset(what for _, what in missed))


def _parted(epoch: bytes) -> tuple[bytes, int]:
    base, _, times = epoch.partition(b".")
    return base, int(times or 0)
