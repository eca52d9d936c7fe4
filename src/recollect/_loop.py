import asyncio

from .errors import ConfigurationError


def require_asyncio(what: str) -> None:
    """Fail early, and in words, where the driver would fail late."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        msg = f"{what} needs asyncio: its driver does not run on trio; run in process there"
        raise ConfigurationError(msg) from None
