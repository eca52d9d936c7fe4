"""What PostgreSQL and its driver raise, in our words."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from ..errors import ConfigurationError, Overloaded, RecollectError, SchemaError, StoreUnavailable

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


def is_retryable(exc: BaseException) -> bool:
    """Whether an idempotent transaction may be sent again as it is."""
    if isinstance(exc, asyncpg.PostgresError) and exc.sqlstate in _RETRYABLE:
        return True
    return is_lost(exc)


class ConnectionLost(StoreUnavailable):
    """The connection broke after something was sent that may have been executed."""


@dataclass(slots=True)
class Attempt:
    """What is known of a call when it fails: whether anything was sent that takes effect."""

    sent: bool = False


@contextmanager
def translated() -> Generator[Attempt]:
    """Turn what the driver raises into our tree. Only around driver calls, never around other code."""
    attempt = Attempt()
    try:
        yield attempt
    except BROKEN as exc:
        if is_lost(exc) and attempt.sent:
            msg = "the connection to PostgreSQL broke before it answered; try later"
            raise ConnectionLost(msg) from exc
        if isinstance(exc, ValueError):
            raise
        if not isinstance(exc, asyncpg.PostgresError):
            msg = "PostgreSQL did not answer; try later"
            raise StoreUnavailable(msg) from exc
        for state, error, message in _BY_STATE:
            if (exc.sqlstate or "").startswith(state):
                raise error(message) from exc
        # Chained only if it is about names (class 42): the server's other words may quote a row.
        msg = f"PostgreSQL refused a statement (SQLSTATE {exc.sqlstate}); its log says why"
        raise ConfigurationError(msg) from (exc if (exc.sqlstate or "").startswith("42") else None)
