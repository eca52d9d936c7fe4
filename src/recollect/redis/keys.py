"""The names of all keys.

    prefix:{tenant}                     hash: e = epoch, s<scope> = created at, for each scope;
                                        g = what was forgotten, the last times: "number instant what",
                                        separated by ";", where what is "*" or a digest of a session
    prefix:{tenant}:s:<scope>:b         root of a scope; lua/common.lua says what else belongs to it
    prefix:{tenant}:s:<scope>:o:<id>    what the edit with this id returned, for an hour

Each part is percent-encoded, so that no two of anything share a key, and no id can be mistaken for the braces
around the tenant: they have all keys of a tenant share a slot of a cluster.
"""

from functools import lru_cache
from urllib.parse import quote

from ..stores import Place
from ..types import Tenant


class Keys:
    """Names keys.

    Args:
        prefix: what all of them begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = quote(prefix, safe=":")

    def tenant(self, tenant: Tenant) -> bytes:
        # The key of a tenant is encoded already.
        return f"{self._prefix}:{{{tenant.key}}}".encode()

    def root(self, place: Place) -> bytes:
        return b"%b:s:%b:b" % (self.tenant(place.tenant), scope_name(place.agent_id, place.session_id))

    def operation(self, place: Place, id: str) -> bytes:
        scope = scope_name(place.agent_id, place.session_id)
        return b"%b:s:%b:o:%b" % (self.tenant(place.tenant), scope, quote(id, safe="").encode())


@lru_cache(maxsize=1024)
def scope_name(agent_id: str | None, session_id: str | None) -> bytes:
    """Return a name for a scope of a tenant. An id is never empty: that is None."""
    return f"{quote(agent_id or '', safe='')}/{quote(session_id or '', safe='')}".encode()
