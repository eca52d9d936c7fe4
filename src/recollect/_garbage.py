"""Collecting what nothing can ask for any more: tenant by tenant, in parts, and cancelled between any two."""

from dataclasses import asdict

from anyio.lowlevel import checkpoint

from ._composition import Composition
from .stores.garbage import Expired, Expiring, Leftovers
from .types import Tenant
from .types.governing import Garbage

PAGE = 100
"""Tenants that are asked for at once."""


async def collect(composition: Composition, *, dry_run: bool) -> Garbage:
    users, expired = await _of_process(composition, dry_run=dry_run)
    left = await _of_archive(composition, dry_run=dry_run)
    return Garbage(dry_run=dry_run, users=users, **asdict(expired), **asdict(left))


async def _of_process(composition: Composition, *, dry_run: bool) -> tuple[int, Expired]:
    tenants, working = composition.tenants, composition.working
    known = tenants.known()
    users, expired = 0, Expired()
    for tenant in known:
        await checkpoint()
        composition.ensure_open()
        if tenants.is_over(tenant) if dry_run else tenants.expire(tenant):
            users += 1
            continue
        local = tenants.peek(tenant)
        if local is not None and isinstance(working, Expiring):
            expired += working.expire(local, dry_run=dry_run)
    return users, expired


async def _of_archive(composition: Composition, *, dry_run: bool) -> Leftovers:
    archive = composition.archive
    left = Leftovers()
    after: Tenant | None = None
    while page := await archive.directory.tenants(after=after, limit=PAGE):
        for tenant in page:
            composition.ensure_open()
            left += await archive.sweep(tenant, dry_run=dry_run)
        after = page[-1]
    return left
