"""What a back end must provide. Implement these and nothing else.

Stores are thin: policy (validation, embedding, ranking, deadlines) is above them, once. Ids and
instants are arguments, which makes writes idempotent, hence retryable. Every method takes the
tenant first, and nothing of another tenant is ever read, counted or locked with it; only the
`Directory` looks across tenants.

Every method is a checkpoint. A read that is cancelled has changed nothing; a write that is
cancelled has either landed as a whole or not at all.
"""

from typing import TYPE_CHECKING

from .archive import Archive, Directory
from .episodes import Candidates, EpisodeStore, Filters, NewEpisode, Query, Write
from .erasure import Erased, Erasure
from .facts import FactStore
from .plugs import Embedder, Extractor, Reranker, TextKind
from .working import Away, Emptied, Forgotten, Place, RemoteWorking, ReplyLost, Stamp, Wiped, WorkingStore

if TYPE_CHECKING:
    from .vectors import Booleans as Booleans
    from .vectors import Floats as Floats
    from .vectors import Integers as Integers
    from .vectors import Vector as Vector
    from .vectors import Vectors as Vectors

__all__ = (
    "Archive",
    "Away",
    "Candidates",
    "Directory",
    "Embedder",
    "Emptied",
    "EpisodeStore",
    "Erased",
    "Erasure",
    "Extractor",
    "FactStore",
    "Filters",
    "Forgotten",
    "NewEpisode",
    "Place",
    "Query",
    "RemoteWorking",
    "ReplyLost",
    "Reranker",
    "Stamp",
    "TextKind",
    "Wiped",
    "WorkingStore",
    "Write",
)
