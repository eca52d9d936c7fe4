"""What PostgreSQL and its driver raise, in our words."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from ..errors import ConfigurationError, Overloaded, RecollectError, SchemaError, StoreUnavailable, TryLater

_POOLER = "the pooler mixes up prepared statements; use PgBouncer >= 1.21 or statement_cache_size=0"

LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises connecting, and by itself; the last one if a connection died while it was idle."""

BROKEN = (*LOST, asyncpg.PostgresError)
"""The same, and what it raises in the server's name."""

_BY_STATE: tuple[tuple[str, type[RecollectError], str], ...] = (
    # The first prefix of the SQLSTATE that matches wins.
    (
        "22000",
        ConfigurationError,
        "the archive was embedded anew with other dimensions; open it with that model",
    ),
    ("25006", StoreUnavailable, "PostgreSQL is read-only here; connect to the primary"),
    ("26000", ConfigurationError, _POOLER),
    ("42P05", ConfigurationError, _POOLER),
    ("28", ConfigurationError, "PostgreSQL refused the user or the password; correct the DSN"),
    ("3D000", ConfigurationError, "the database does not exist; create it or correct the DSN"),
    ("42501", ConfigurationError, "the database user lacks a privilege; grant it on our schema"),
    ("42P01", SchemaError, "a table is missing; run `recollect db migrate`"),
    ("42704", SchemaError, "a type is missing; install pgvector and run `recollect db migrate`"),
    ("53100", Overloaded, "PostgreSQL's disk is full; make room, nothing was written"),
    ("53", Overloaded, "PostgreSQL is out of connections or memory; try later"),
    ("55P03", Overloaded, "PostgreSQL did not get a lock in time; try later"),
    ("57014", Overloaded, "PostgreSQL cancelled the statement; try later"),
    ("40", Overloaded, "PostgreSQL aborted the transaction for another one; try later"),
    ("57P", StoreUnavailable, "PostgreSQL is starting up or shutting down; try later"),
    ("08", StoreUnavailable, "the connection to PostgreSQL broke; try later"),
)

_RETRYABLE = ("40001", "40P01", "25006")


def is_lost(exc: BaseException) -> bool:
    """Whether the connection broke, so that a statement that was sent may have been executed."""
    if isinstance(exc, asyncpg.PostgresError):
        state = exc.sqlstate or ""
        return state.startswith(("08", "57P"))
    # A ValueError is the driver's own no to an argument.
    return isinstance(exc, LOST) and not isinstance(exc, ValueError)


class ConnectionLost(StoreUnavailable):
    """The connection broke after something was sent that may have been executed."""


@dataclass(slots=True)
class Attempt:
    """What is known of a call when it fails.

    Attributes:
        sent: whether anything was sent that takes effect.
        unanswered: whether the connection broke after that, in an earlier attempt: so it may have taken
            effect, whatever became of this one.
    """

    sent: bool = False
    unanswered: bool = False

    def is_retryable(self, exc: Exception) -> bool:
        """Whether an idempotent transaction may be sent again as it is."""
        lost = is_lost(exc)
        self.unanswered = self.unanswered or (self.sent and lost)
        return lost or (isinstance(exc, asyncpg.PostgresError) and exc.sqlstate in _RETRYABLE)


@contextmanager
def translated() -> Generator[Attempt]:
    """Turn what the driver raises into our tree. Only around driver calls, never around other code."""
    attempt = Attempt()
    try:
        yield attempt
    except BROKEN as exc:
        if isinstance(exc, ValueError):
            raise
        known = _known(exc)
        if known is None:
            # Chained only if it is about names (class 42): the server's other words may quote a row.
            state = getattr(exc, "sqlstate", None) or ""
            msg = f"PostgreSQL refused a statement (SQLSTATE {state}); its log says why"
            raise ConfigurationError(msg) from (exc if state.startswith("42") else None)
        error, msg = known
        if issubclass(error, TryLater) and (attempt.unanswered or (attempt.sent and is_lost(exc))):
            error, msg = ConnectionLost, "the connection to PostgreSQL broke before it answered; try later"
        raise error(msg) from exc


def _known(exc: Exception) -> tuple[type[RecollectError], str] | None:
    if not isinstance(exc, asyncpg.PostgresError):
        return StoreUnavailable, "PostgreSQL did not answer; try later"
    state = exc.sqlstate or ""
    return next(((error, msg) for prefix, error, msg in _BY_STATE if state.startswith(prefix)), None)
