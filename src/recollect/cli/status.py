"""`recollect status`: where the working memory of a user lives, how that is, and what is in it."""

import json
from typing import Annotated, Any

import typer

from ..connect import open_memory
from ..errors import StoreUnavailable
from ..user import UserMemory
from .options import AsJson, Namespace, Redis, Schema, User
from .running import DEADLINE, output, run
from .working import Contents, Report, show_report

AWAY = 3
"""Exit code: Redis was asked, and is away. 1 is for what is wrong with the command, 2 with its options."""


def status(
    *,
    user: User,
    agent: Annotated[str | None, typer.Option(help="Agent whose part of it to look at.")] = None,
    session: Annotated[str | None, typer.Option(help="Session whose part of it to look at.")] = None,
    redis: Redis = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            metavar="DSN|embedded:PATH",
            help="PostgreSQL that keeps the memories, to count these as well.",
        ),
    ] = None,
    namespace: Namespace = "default",
    schema: Schema = "recollect",
    as_json: AsJson = False,
) -> None:
    """Show where working memory lives and how that is: its blocks, its task, conflicts, and counts.

    Exits with 3 if Redis is away.
    """

    async def ask() -> Report:
        async with open_memory(
            postgres=postgres, redis=redis, namespace=namespace, schema=schema, deadline=DEADLINE
        ) as memory:
            handle = memory.user(user, agent_id=agent, session_id=session)
            async with handle:
                return await _report(handle, count=postgres is not None)
        raise AssertionError  # the block returns, or has failed

    report = run(ask)
    if as_json:
        typer.echo(json.dumps(_document(report), ensure_ascii=False, indent=2))
    else:
        show_report(output(), report)
    if not report.health.ok or report.contents is None:
        raise typer.Exit(AWAY)


async def _report(handle: UserMemory, *, count: bool) -> Report:
    contents = await _contents(handle)
    remembered = (await handle.episodes.count(), await handle.facts.count()) if count else None
    scope = {
        "namespace": handle.namespace,
        "user": handle.user_id,
        "agent": handle.agent_id,
        "session": handle.session_id,
    }
    # The status is what this process knows: last, for then it has asked.
    health = await handle.working.health()
    return Report(scope, handle.working.status, health, contents, remembered)


async def _contents(handle: UserMemory) -> Contents | None:
    try:
        blocks = await handle.blocks.list()
        in_place = {block.name: block for block in blocks}
        conflicts = await handle.working.conflicts()
        return Contents(
            stats=await handle.working.stats(),
            blocks=blocks,
            task=await handle.task.get(),
            conflicts=[(each, in_place.get(each.name)) for each in conflicts],
        )
    except StoreUnavailable:
        return None


def _document(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = {
        **report.scope,
        "status": report.status.model_dump(mode="json"),
        "health": report.health.model_dump(mode="json"),
        "stats": None,
        "blocks": None,
        "task": None,
        "conflicts": None,
    }
    if report.contents is not None:
        found = report.contents
        document |= {
            "stats": found.stats.model_dump(mode="json"),
            "blocks": [
                {**block.model_dump(mode="json", exclude={"text"}), "bytes": size(block.text)}
                for block in found.blocks
            ],
            "task": None if found.task is None else found.task.model_dump(mode="json"),
            "conflicts": [
                {
                    **conflict.model_dump(mode="json", exclude={"ours"}),
                    "ours_bytes": size(conflict.ours),
                    "theirs_bytes": size(None if theirs is None else theirs.text),
                }
                for conflict, theirs in found.conflicts
            ],
        }
    if report.remembered is not None:
        document["remembered"] = dict(zip(("episodes", "facts"), report.remembered, strict=True))
    return document


def size(text: str | None) -> int | None:
    """Return the bytes of a text; None of none."""
    return None if text is None else len(text.encode())
