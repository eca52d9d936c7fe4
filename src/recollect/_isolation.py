import warnings

from ._composition import Composition
from .errors import IsolationWarning
from .types import Tenant


async def warn_if_shared(composition: Composition, tenant: Tenant) -> None:
    """Warn who reads the anonymous tenant of a namespace that also holds named users.

    To be called by what `Composition.call` does for a public method.
    """
    if tenant.user_id is None and await composition.archive.directory.has_named_users(tenant.namespace):
        msg = (
            "reading the anonymous tenant of a namespace that also holds named users; "
            "use memory.user(user_id), or a namespace of its own"
        )
        # Up through the work, `Composition.call` and the public method, to who called that.
        warnings.warn(msg, IsolationWarning, stacklevel=5)
