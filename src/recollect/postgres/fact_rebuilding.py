"""Slots derived from their logs again: after an erasure, under another rule, and to compare."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import asyncpg
from anyio.lowlevel import checkpoint

from .._draft import digest, slot_of
from .._repetition import without
from .._timeline import Assertion, Slot, replay, visible
from .._tombstones import SECRET_BYTES, tombstone
from ..stores.changes import Rule
from ._pool import Connection
from .fact_rows import assertion_of, columns, read_of
from .fact_writes import array, piece_row, text_digest_of


async def erased(conn: Connection, sql: Mapping[str, str], tenant: str, episodes: frozenset[str]) -> int:
    """Make the facts what they were without the episodes, under the tenant's clock; return what is gone."""
    secret: bytes = await conn.fetchval(sql["forget"], tenant, os.urandom(SECRET_BYTES))
    await bury(conn, sql, tenant, secret, episodes)
    return await unsay(conn, sql, tenant, episodes, frozenset())


async def bury(
    conn: Connection, sql: Mapping[str, str], tenant: str, secret: bytes, episodes: Iterable[str]
) -> None:
    """Keep episodes from coming back, whether they exist or not."""
    await conn.execute(sql["bury"], tenant, [tombstone(secret, id) for id in episodes])


async def unsay(
    conn: Connection, sql: Mapping[str, str], tenant: str, episodes: frozenset[str], unsaid: frozenset[str]
) -> int:
    """Make the facts what they were without these episodes and assertions; return how many are gone."""
    rows = await conn.fetch(sql["touched"], tenant, list(episodes), list(unsaid))
    log = [assertion_of(row) for row in rows]
    kept = [each for of_slot in _by_place(log).values() for each in without(of_slot, episodes, unsaid)]
    left = {each.id: set(each.sources) for each in kept}
    gone = [each for each in log if each.id not in left]
    ids = {each.id for each in gone}
    kept = [replace(each, replaces=None) if each.replaces in ids else each for each in kept]
    sources = [
        (source, each.tx, each.seq) for each in log for source in set(each.sources) - left.get(each.id, set())
    ]
    await conn.execute(sql["remove"], tenant, list(ids), *columns(sources, 3))
    await rebuild(conn, sql, tenant, log, kept)
    texts = [(each.subject, each.predicate, text_digest_of(each)) for each in gone if each.op == "assert"]
    txs = list({each.tx for each in gone})
    unused = await conn.fetch(sql["drop_texts"], tenant, *columns(texts, 3))
    await conn.execute(sql["drop_vectors"], tenant, [each["digest"] for each in unused])
    await conn.execute(sql["empty_headers"], tenant, txs)
    return len(gone)


async def divided(conn: Connection, sql: Mapping[str, str], tenant: str, rules: Mapping[str, Rule]) -> None:
    """Put what was said with some predicates into the slots that their rules give it, with writes stopped."""
    log = [assertion_of(row) for row in await conn.fetch(sql["log"], tenant, list(rules))]
    slots: dict[str, str] = {}
    moved: list[Assertion] = []
    for each in log:
        # A retraction is where what it hides is.
        slot = slots[each.ref] if each.ref is not None else slot_of(rules[each.predicate], each.object)
        slots[each.id] = slot
        moved.append(each if each.slot == slot else replace(each, slot=slot))
    await rebuild(conn, sql, tenant, log, moved)


async def rebuild(
    conn: Connection,
    sql: Mapping[str, str],
    tenant: str,
    before: Sequence[Assertion],
    after: Iterable[Assertion],
) -> None:
    """Derive slots again.

    Args:
        before: what is stored of them, and now may not be.
        after: what their logs are to be, in order.
    """
    logs = _by_place(after)
    revised: list[tuple[object, ...]] = []
    pieces: list[tuple[object, ...]] = []
    for log in logs.values():
        hidden = hidden_in(log)
        revised += [
            (each.id, each.slot, array(each.sources), each.replaces, array(hidden.get(each.id, ())))
            for each in log
        ]
        pieces += map(piece_row, replay(log))
    await conn.execute(sql["clear"], tenant, *columns([(each.tx, each.seq) for each in before], 2))
    await conn.execute(sql["revise"], tenant, *columns(revised, 5))
    await conn.execute(sql["open"], tenant, *columns(pieces, 16))


def hidden_in(log: Sequence[Assertion]) -> Mapping[str, Sequence[int]]:
    """Return the transactions that hid each assertion of a slot and showed it again, in turn."""
    hidden: dict[str, list[int]] = {}
    done: list[Assertion] = []
    before = set[str]()
    for tx, of_one in groupby(log, key=lambda each: each.tx):
        new = list(of_one)
        done.extend(new)
        if any(each.ref is not None for each in new):
            now = {each.id for each in done} - {each.id for each in visible(done)}
            for id in before ^ now:
                hidden.setdefault(id, []).append(tx)
            before = now
    return hidden


async def differing_slots(rows: Sequence[asyncpg.Record]) -> int:
    """Return how many slots are not what their logs say, given every assertion with every piece."""
    differing = {
        tuple(row["piece_place"]) for row in rows if row["assertion_tx"] is not None and not _agrees(row)
    }
    read = read_of(rows)
    stored = {row["id"]: row["hidden"] for row in rows if row["id"] is not None}
    for place, log in read.logs.items():
        await checkpoint()
        pieces = sorted(read.pieces.get(place, ()), key=lambda piece: (piece.tx_from, piece.valid_from))
        hidden = hidden_in(log)
        if pieces != replay(log) or any(stored[each.id] != hidden.get(each.id, []) for each in log):
            differing.add(place)
    return len(differing)


def _agrees(row: asyncpg.Record) -> bool:
    """Whether a piece repeats what its assertion says; there may be none."""
    said = row["object"]
    return bool(row["agrees"]) and row["object_digest"] == (None if said is None else digest(said))


def _by_place(log: Iterable[Assertion]) -> Mapping[Slot, list[Assertion]]:
    logs: dict[Slot, list[Assertion]] = {}
    for each in log:
        logs.setdefault(each.place, []).append(each)
    return logs
