"""What is kept of what was forgotten, so that it does not come back: the same in every store."""

from hashlib import sha256

SECRET_BYTES = 32


def tombstone(secret: bytes, of: str | bytes) -> bytes:
    """Return what is kept of an episode's id, or of the hash of a key.

    Args:
        secret: the tenant's own, so that nobody else can find out whether an id was ever there.
    """
    content = b"episode" + of.encode() if isinstance(of, str) else b"key" + of
    return sha256(secret + content).digest()  # which a database can work out as well
