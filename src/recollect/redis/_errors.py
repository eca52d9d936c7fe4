"""What Redis and its driver raise, in our words.

    the connection broke, or nothing came in time    Broken: the caller asks again, or says what it means
    the server cannot be used                        Away
    it cannot be written to                          Away(writes_only=True)
    it never will do that                            ConfigurationError

The driver's classes do not tell these apart: a wrong password and a server that is loading are among its
`ConnectionError`s, and what a script ran into is an error of no class of its own.
"""

import re

from redis import exceptions as driver

from ..errors import ConfigurationError, RecollectError
from ..stores import Away

FAILURES = (OSError, driver.RedisError, driver.RedisClusterException, RuntimeError)
"""What the driver raises. A RuntimeError is uvloop's, for a connection that is closed already."""

_PASSWORD = "Redis refused the user or the password; correct the URL"  # noqa: S105
_PERMISSION = "the Redis user may not do what is needed; it takes scripts, and all commands on our keys"
_TYPE = "a key of ours holds something else; give `open_redis` another prefix, or Redis another database"
_REFUSED = "Redis refused a command; its version must be 6.2 or higher, and its log may say why"

_CONFIGURATION = {
    "WRONGPASS": _PASSWORD,
    "NOAUTH": "Redis wants a password; add it to the URL",
    "WRONGTYPE": _TYPE,
}
_AWAY = {
    "LOADING": "Redis is loading its data; try later",
    "MASTERDOWN": "this replica of Redis is cut off from its master; try later",
    "BUSY": "Redis is busy with somebody's script; try later",
    "CLUSTERDOWN": "the Redis Cluster is down; try later",
    "TRYAGAIN": "the Redis Cluster is moving this tenant; try later",
    "MAXCLIENTS": "Redis takes no more connections; try later",
}
_READ_ONLY = {
    "READONLY": "this Redis is a replica, which cannot be written to; connect to the master",
    "OOM": "Redis is out of memory; try later",
    "MISCONF": "Redis cannot write to its disk, and takes no writes; try later",
    "NOREPLICAS": "Redis has too few replicas to take a write; try later",
}

_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    # The first that matches wins. The driver takes the code off the words of these.
    (driver.AuthenticationWrongNumberOfArgsError, "WRONGPASS"),
    (driver.ExternalAuthProviderError, "WRONGPASS"),
    (driver.AuthorizationError, "NOPERM"),
    (driver.NoPermissionError, "NOPERM"),
    (driver.BusyLoadingError, "LOADING"),
    (driver.MasterDownError, "MASTERDOWN"),
    (driver.ClusterDownError, "CLUSTERDOWN"),
    (driver.TryAgainError, "TRYAGAIN"),
    (driver.ClusterError, "TRYAGAIN"),  # sent from one node to the other and back, until it gave up
    (driver.AskError, "TRYAGAIN"),
    (driver.ReadOnlyError, "READONLY"),
    (driver.OutOfMemoryError, "OOM"),
)

# An error in a script has the code somewhere in its words: "... @user_script: 3: -OOM command not ...".
_CODE = re.compile(rf"(?:^|[ :-])({'|'.join(('NOPERM', *_CONFIGURATION, *_AWAY, *_READ_ONLY))})\b")


class NotPermitted(ConfigurationError):
    """The user of Redis may not do that."""


class Broken(Exception):
    """The connection broke, or the server did not answer in time.

    Attributes:
        sent: what was asked may have arrived.
        silent: nothing came in time; to ask again would take as long.
    """

    def __init__(self, *, sent: bool, silent: bool = False) -> None:
        super().__init__()
        self.sent = sent
        self.silent = silent


def answered(exc: BaseException) -> RecollectError | None:
    """Return what it means that the server, or a proxy of it, answered with this; None if nobody did."""
    code = _code(exc)
    if code == "NOPERM":
        return NotPermitted(_PERMISSION)
    if code in _CONFIGURATION:
        return ConfigurationError(_CONFIGURATION[code])
    if code in _AWAY:
        return Away(_AWAY[code])
    if code in _READ_ONLY:
        return Away(_READ_ONLY[code], writes_only=True)
    if isinstance(exc, driver.ResponseError | driver.DataError):
        return ConfigurationError(_REFUSED)
    return None


def _code(exc: BaseException) -> str:
    for kind, code in _BY_CLASS:
        if isinstance(exc, kind):
            return code
    words = str(exc)
    if isinstance(exc, driver.AuthenticationError):
        return "WRONGPASS" if "invalid" in words else "NOAUTH"
    if isinstance(exc, driver.ConnectionError) and "max number of clients" in words:
        return "MAXCLIENTS"
    if "The user executing the script can't" in words:  # in 6.2, which has no code for it
        return "NOPERM"
    found = _CODE.search(words) if isinstance(exc, driver.ResponseError) else None
    return found[1] if found is not None else ""
