"""The directory knows who has stored something, and nobody else."""

from ..stores import Archive
from ..types import Tenant
from ._material import HOSTILE, Check, episode, fresh_namespace, fresh_tenant, store


async def users_come_in_byte_order_with_the_anonymous_one_first(archive: Archive) -> None:
    namespace = fresh_namespace()
    # In UTF-16 the last two change places, in a dictionary's order the cases meet.
    names = ["z", "Z", "a", "é", "b", "a b", "a-b", "\U0001f600", "\uffee", *HOSTILE]
    for name in [*names, None]:
        await store(archive, Tenant(namespace, name), episode())
    expected = [None, *sorted(set(names), key=str.encode)]
    for limit in (1, 3, 100):
        found: list[str | None] = []
        while True:
            after = found[-1] or "" if found else None
            page = await archive.directory.users(namespace, after=after, limit=limit)
            assert len(page) <= limit
            found += page
            if not page:
                break
        assert found == expected


async def users_of_another_namespace_are_not_listed(archive: Archive) -> None:
    namespace = fresh_namespace()
    for other in (namespace.upper(), f"{namespace}x", f"{namespace}/a", f"{namespace}%", namespace[:-1]):
        await store(archive, Tenant(other, "theirs"), episode())
    assert list(await archive.directory.users(namespace, after=None, limit=10)) == []
    await store(archive, Tenant(namespace, "ours"), episode())
    assert list(await archive.directory.users(namespace, after=None, limit=10)) == ["ours"]
    assert list(await archive.directory.users("%", after=None, limit=10)) == []


async def reading_does_not_make_a_user(archive: Archive) -> None:
    tenant = fresh_tenant()
    await archive.episodes.count(tenant)
    await archive.episodes.get(tenant, "e")
    assert list(await archive.directory.users(tenant.namespace, after=None, limit=10)) == []


async def only_the_anonymous_user_is_not_a_named_one(archive: Archive) -> None:
    namespace = fresh_namespace()
    assert not await archive.directory.has_named_users(namespace)
    await store(archive, Tenant(namespace, None), episode())
    assert not await archive.directory.has_named_users(namespace)
    await store(archive, Tenant(namespace, "\x01"), episode())
    assert await archive.directory.has_named_users(namespace)


DIRECTORY_CHECKS: tuple[Check, ...] = (
    users_come_in_byte_order_with_the_anonymous_one_first,
    users_of_another_namespace_are_not_listed,
    reading_does_not_make_a_user,
    only_the_anonymous_user_is_not_a_named_one,
)
