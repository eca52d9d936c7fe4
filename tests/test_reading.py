"""What connections take for a read, on the event loop that takes much."""

import asyncio
import gc
from typing import Any
from uuid import uuid4

import pytest

from recollect import open_memory
from recollect._loop import PIECE, read_in_pieces

pytestmark = pytest.mark.one_loop


def _connections() -> list[Any]:
    found = (each for each in gc.get_objects() if isinstance(each, asyncio.Transport))
    return [each for each in found if each.get_extra_info("socket") is not None and not each.is_closing()]


async def test_connections_to_servers_read_in_pieces(
    postgres_dsn: str, shared_schema: str, redis_url: str
) -> None:
    others = {id(each) for each in _connections()}
    servers = {"postgres": postgres_dsn, "schema": shared_schema, "redis": redis_url}
    async with open_memory(**servers, namespace=uuid4().hex) as memory:
        user = memory.user("alice")
        text = "word " * (PIECE // 4)
        await user.remember(text)
        await user.blocks.set("long", text)
        (block,) = await user.blocks.list()
        (episode,) = (await user.episodes.list()).items
        assert block.text == episode.input == text  # which takes several reads
        ours = [each for each in _connections() if id(each) not in others]
        assert len(ours) >= 2
        assert {each.max_size for each in ours} == {PIECE}


async def test_what_has_no_such_setting_is_left_alone() -> None:
    read_in_pieces(None)
    read_in_pieces(object())
