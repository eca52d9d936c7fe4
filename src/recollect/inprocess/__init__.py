"""Stores that live and die with the process. They run on asyncio and on trio."""

from .archive import InProcessArchive, InProcessDirectory
from .episodes import InProcessEpisodes
from .facts import InProcessFacts
from .working import Desk, InProcessWorking

__all__ = (
    "Desk",
    "InProcessArchive",
    "InProcessDirectory",
    "InProcessEpisodes",
    "InProcessFacts",
    "InProcessWorking",
)
