"""Working memory kept in Redis, or in what speaks its protocol. Needs asyncio."""

from .opening import Client, open_redis
from .working import RedisWorking

__all__ = ("Client", "RedisWorking", "open_redis")
