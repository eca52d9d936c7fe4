"""Every exception this package raises, by what to do about it.

RecollectError
├── ConfigurationError       fix the code
│   ├── SchemaError              the database's tables are not the ones this version reads
│   ├── EmbeddingMismatch        stored vectors come from another model
│   ├── MissingExtra             an optional package is not installed
│   ├── UnsupportedOperation     this composition cannot do that
│   ├── MemoryClosed             the owner closed it
│   └── LeaseError               released more often than acquired
├── InvalidInput             fix the input (also a ValueError)
├── NotFound                 read again
├── Conflict                 read again
│   ├── VersionConflict          somebody wrote a newer version
│   ├── EpisodeConflict          the id is taken by other content, or was erased
│   ├── FactConflict             an immutable predicate or a key is taken
│   ├── RollbackConflict         a later transaction changed the same slot
│   └── IdempotencyConflict      the key was used for another write
├── TryLater                 the same call may work later
│   ├── StoreUnavailable         the back end did not answer
│   ├── Overloaded               a bound of ours or of the server is reached
│   ├── DeadlineExceeded         not done in time, nothing was written
│   └── OutcomeUnknown           handed over, never confirmed: repeat it with the same key
└── HookError                a before-hook refused

Constructors take facts and word the message, so that every message says what to do next.
The facts are the exception's `args`: that is what makes each of them picklable. None of them
carries text, metadata, facts or passwords.
"""


class RecollectError(Exception):
    """Root of the tree: catch this to catch everything we raise."""


class ConfigurationError(RecollectError):
    """Objects were wired in a way that can never work; fix the code."""


class SchemaError(ConfigurationError):
    """The tables in the database are not the ones this version of the package reads."""


class EmbeddingMismatch(ConfigurationError):
    """The stored vectors were made by another model.

    Attributes:
        stored: model and dimensions of the vectors in the archive.
        given: model and dimensions of the embedder.
    """

    def __init__(self, stored: tuple[str, int], given: tuple[str, int]) -> None:
        super().__init__(stored, given)
        self.stored = stored
        self.given = given

    def __str__(self) -> str:
        stored, given = (f"{model} ({size} dimensions)" for model, size in (self.stored, self.given))
        return (
            f"the archive holds vectors of {stored}, the embedder is {given}; open it with that model, "
            'or with on_embedding_mismatch="reembed" and then run embed_pending'
        )


class MissingExtra(ConfigurationError):
    """An optional package is needed.

    Attributes:
        extra: name of the extra that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.extra = extra

    def __str__(self) -> str:
        return f'{self.args[0]} needs an optional package: pip install "recollect[{self.extra}]"'


class UnsupportedOperation(ConfigurationError):
    """This composition of stores cannot do that."""


class MemoryClosed(ConfigurationError):
    """The memory was used after its owner closed it."""

    def __str__(self) -> str:
        return "this memory is closed; use it inside the block of its open_memory(...)"


class LeaseError(ConfigurationError):
    """A handle was released more often than it was acquired."""

    def __str__(self) -> str:
        return "release() without a matching acquire() on this handle"


class InvalidInput(RecollectError, ValueError):
    """An argument cannot be accepted; nothing was stored.

    Attributes:
        field: the argument, as a path: `input`, `drafts[3].metadata.a`.
        reason: what is wrong with it, without its value.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class NotFound(RecollectError):
    """A mutation names something this tenant does not have.

    Attributes:
        kind: what was looked for, such as "episode".
        key: its id; None if it was not looked for by an id.
    """

    def __init__(self, kind: str, key: str | None = None) -> None:
        super().__init__(kind, key)
        self.kind = kind
        self.key = key

    def __str__(self) -> str:
        named = "" if self.key is None else f" {self.key!r}"
        return f"no {self.kind}{named}; read again"


class Conflict(RecollectError):
    """Somebody else wrote first; read again and decide."""


class VersionConflict(Conflict):
    """A conditional write lost.

    Attributes:
        current: the version found in the store, as the value a read would return; None if absent.
    """

    def __init__(self, what: str, current: object = None) -> None:
        super().__init__(what)  # not the version: it holds the user's words, and `repr` shows what is here
        self.current = current

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (*self.args, self.current)

    def __str__(self) -> str:
        return f"{self.args[0]} has changed; read again, or use .current"


class EpisodeConflict(Conflict):
    """The id is taken by an episode with other content, or by one that was erased; nothing was stored.

    Attributes:
        id: the episode's id.
        erased: there was an episode with this id, whatever its content, and it must not come back.
    """

    def __init__(self, id: str, *, erased: bool = False) -> None:
        super().__init__(id)
        self.id = id
        self.erased = erased

    def __reduce__(self) -> tuple[type, tuple[object, ...], dict[str, object]]:
        return type(self), self.args, {"erased": self.erased}

    def __str__(self) -> str:
        if self.erased:
            return f"episode {self.id!r} was erased and does not come back; to say it anew, use another id"
        return f"episode {self.id!r} exists with other content; episodes never change, use another id"


class FactConflict(Conflict):
    """The fact contradicts an immutable predicate or a taken key; nothing was stored."""


class RollbackConflict(Conflict):
    """A later transaction changed the same slot; nothing was rolled back."""


class IdempotencyConflict(Conflict):
    """The key was used before, for a write with other content; nothing was stored.

    Attributes:
        key: the idempotency key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"key {self.key!r} belongs to another write; use a new key"


class TryLater(RecollectError):
    """The same call may work later."""


class StoreUnavailable(TryLater):
    """The back end did not answer; `__cause__` holds the driver's exception."""


class Overloaded(TryLater):
    """A bound is reached: of the tenant map, a queue, a pool, or the server."""


class DeadlineExceeded(TryLater):
    """Not done in time; nothing was written.

    Attributes:
        seconds: the deadline of the call.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"not done within {self.seconds:g} s; nothing was written, the same call may work later"


class OutcomeUnknown(TryLater):
    """A write was handed over and never confirmed: it may or may not have landed.

    Attributes:
        key: repeat the same call with this key (for an episode: this id); it is applied once.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"the write may or may not have landed; repeat it with key {self.key!r}, it is applied once"


class HookError(RecollectError):
    """A before-hook refused the operation; nothing was stored."""


class IsolationWarning(UserWarning):
    """The anonymous tenant is read in a namespace that also holds named users."""
