"""Working memory on a Redis Cluster: each node of it is away, or comes back empty, for its tenants alone."""

from collections.abc import Iterator

import anyio
import pytest

from recollect import Memory, StoreUnavailable, Tenant, UserMemory
from recollect.redis.keys import Keys
from recollect.testing import WORKING_CHECKS, Clock, WorkingCheck

from ..conftest import open_remote
from ..redis_servers import RedisCluster, RedisServer
from .interruption import HANGS
from .redis_memories import TEXT, heal, opened, texts


@pytest.fixture(scope="module")
def running() -> Iterator[RedisCluster]:
    """One whose nodes go on without each other, and keep nothing."""
    cluster = RedisCluster({"cluster-require-full-coverage": "no"})
    yield cluster
    cluster.close()


@pytest.fixture
def redis_cluster(running: RedisCluster) -> Iterator[RedisCluster]:
    yield running
    running.mend()


@pytest.mark.parametrize("check", WORKING_CHECKS, ids=lambda check: check.__name__)
async def test_working(check: WorkingCheck, redis_cluster: RedisCluster, clock: Clock) -> None:
    with anyio.fail_after(HANGS * 3):
        async with open_remote(redis_cluster.url, clock, fallback=True) as working:
            await check(working)


def spread(cluster: RedisCluster, memory: Memory, namespace: str) -> list[UserMemory]:
    """Return a user on each node, in the order of the nodes."""
    found: dict[RedisServer, UserMemory] = {}
    for i in range(1_000):
        tenant = Tenant(namespace, f"user {i}")
        found.setdefault(
            cluster.node_of(Keys("recollect").tenant(tenant).decode()), memory.user(tenant.user_id)
        )
        if len(found) == len(cluster.nodes):
            break
    return [found[node] for node in cluster.nodes]


@pytest.mark.parametrize("dead", [0, 1])
async def test_dead_node_is_away_for_its_tenants_alone_and_comes_back(
    redis_cluster: RedisCluster, namespace: str, dead: int
) -> None:
    async with opened(redis_cluster.url, namespace) as memory, opened(redis_cluster.url, namespace) as other:
        users = spread(redis_cluster, memory, namespace)
        for user in users:
            await user.blocks.set("persona", TEXT)
            await user.blocks.list()
        node = redis_cluster.nodes[dead]
        node.kill()
        for _ in range(3):
            for user in users:
                await user.blocks.append("persona", "!")
        for user in users:
            assert await texts(user) == [f"{TEXT}!!!"]
            assert user.working.status.degraded is (user is users[dead])
            assert (user.working.status.unsaved > 0) is (user is users[dead])
            if user is not users[dead]:
                assert await texts(other.user(user.user_id)) == [f"{TEXT}!!!"]
        with pytest.raises(StoreUnavailable):
            await other.user(users[dead].user_id).blocks.list()
        node.restart()
        await heal(users[dead])
        for user in users:
            assert await texts(user) == [f"{TEXT}!!!"]


@pytest.mark.parametrize("empty", [0, 1])
async def test_node_that_came_back_empty_is_noticed_for_its_tenants_alone(
    redis_cluster: RedisCluster, namespace: str, empty: int
) -> None:
    async with opened(redis_cluster.url, namespace, on_outage="error") as memory:
        users = spread(redis_cluster, memory, namespace)
        for user in users:
            await user.blocks.set("persona", TEXT)
        redis_cluster.nodes[empty].restart()
        for user in users:
            if user is not users[empty]:
                assert await texts(user) == [TEXT]
                continue
            told = ""
            while "has lost" not in told:  # first it has to be part of the cluster again
                with pytest.raises(StoreUnavailable) as caught:
                    await user.blocks.list()
                told = str(caught.value)
                await anyio.sleep(0.02)
            assert await user.blocks.list() == ()


async def test_what_an_empty_node_has_lost_is_put_back(redis_cluster: RedisCluster, namespace: str) -> None:
    async with opened(redis_cluster.url, namespace) as memory:
        users = spread(redis_cluster, memory, namespace)
        for user in users:
            await user.blocks.set("persona", TEXT)
            await user.blocks.list()
        redis_cluster.nodes[1].restart()
        for user in users:
            assert await texts(user) == [TEXT]
            await heal(user)
    async with opened(redis_cluster.url, namespace) as other:
        for user in users:
            assert await texts(other.user(user.user_id)) == [TEXT]
