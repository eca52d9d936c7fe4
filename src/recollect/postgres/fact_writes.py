"""A commit: what is read before changes are applied, and what is stored afterwards."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import asyncpg
import numpy as np

from .._draft import State, digest, text_digest
from .._ledger import Written, places, wanted
from .._timeline import Assertion, Piece, Slot
from .._tombstones import tombstone
from ..stores.changes import Change, FactText, Rule
from ._pool import Connection
from .fact_rows import Read, assertion_of, columns

if TYPE_CHECKING:
    from ..stores import Vectors

    Given = Callable[[Vectors], Sequence[object]]


async def read_state(
    conn: Connection, sql: Mapping[str, str], changes: Sequence[Change], clock: asyncpg.Record
) -> State:
    """Read what the changes need to know of their tenant, whose clock row is held."""
    tenant = changes[0].tenant.key
    state = State(tx=clock["tx"], at=clock["at"], now=clock["now"], rules={})
    want = wanted(changes)
    secret: bytes | None = clock["secret"]
    tombstones: dict[bytes, str | bytes] = {}
    if secret is not None:
        ids: tuple[str | bytes, ...] = (*want.sources, *want.keys)
        tombstones = {tombstone(secret, each): each for each in ids}
    txs = set[int]()
    rows = await conn.fetch(
        sql["known"], tenant, list(want.keys), list(want.sources), list(tombstones),
        *columns(list(want.steps.items()), 2),
    )  # fmt: skip
    for row in sorted(rows, key=lambda row: -(row["tx"] or 0)):
        match row["kind"]:
            case "key":
                state.keys[row["digest"]] = (row["tx"], row["content"])
                txs.add(row["tx"])
            case "source":
                state.sources[row["name"]] = row["at"]
            case "erased":
                _note_erased(state, tombstones[row["digest"]])
            case _:
                state.undoable.setdefault(row["name"], []).append(row["tx"])
                txs.add(row["tx"])
    asked = (list(txs), list(want.ids), *columns(list(want.subjects), 2), list(want.branches))
    named: Sequence[asyncpg.Record] = ()
    if any(asked):
        named = await conn.fetch(sql["wanted"], tenant, *asked)
    if want.marks:
        unmarked = await conn.fetch(sql["unmarked"], tenant, list(want.marks))
        state.unconsolidated = {row["id"]: row["seq"] for row in unmarked}
    needed = places(changes, map(assertion_of, named))
    if needed:
        await _read_slots(conn, sql, tenant, needed, state)
    return state


def _note_erased(state: State, erased: str | bytes) -> None:
    if isinstance(erased, str):
        state.erased |= {erased}
    else:
        state.erased_keys |= {erased}


async def _read_slots(
    conn: Connection, sql: Mapping[str, str], tenant: str, needed: set[Slot], state: State
) -> None:
    read = Read()
    for row in await conn.fetch(sql["places"], tenant, *columns(list(needed), 4)):
        read.add(row)
        if row["cardinality"] is not None:
            state.rules[row["of_predicate"]] = rule_of(row)
    state.logs, state.pieces, state.by_id = read.logs, read.pieces, read.by_id
    for pieces in state.pieces.values():
        pieces.sort(key=lambda piece: piece.valid_from)


def rule_of(row: asyncpg.Record) -> Rule:
    return Rule(row["cardinality"], row["key"], row["immutable"])


def arguments(
    tenant: str,
    written: Written,
    given: "Given",
    embedder: tuple[str | None, int | None],
) -> Sequence[object]:
    """Return the parameters of the statement `commit`."""
    new = {each.id for each in written.assertions}
    undone = dict(written.undone)
    stored = {tx for tx, _, _ in written.headers}
    hidden: dict[str, list[int]] = {}
    for id, tx in written.hidden:
        hidden.setdefault(id, []).append(tx)
    texts = _texts(written)
    ready = [(text.digest, text.vectors) for text in texts if text.vectors is not None]
    headers = [
        (
            tx, at, change.name, change.session_id, change.actor, change.reason, digest(change.key),
            change.digest, undone.get(tx),
        )
        for tx, at, change in written.headers
    ]  # fmt: skip
    return (
        tenant, written.tx, written.at,
        *columns(headers, 9),
        *columns([each for each in written.undone if each[0] not in stored], 2),
        *columns([assertion_row(each, hidden.get(each.id, ())) for each in written.assertions], 22),
        *columns([each for each in written.hidden if each[0] not in new], 2),
        *columns(list(map(_closed_row, written.closed)), 7),
        *columns(list(map(piece_row, written.opened)), 16),
        *columns([(each.digest, each.text, array(each.terms), each.embedding_state) for each in texts], 4),
        [digest for digest, _ in ready],
        given(np.concatenate([vectors for _, vectors in ready])) if ready else [],
        *embedder,
    )  # fmt: skip


def _texts(written: Written) -> Sequence[FactText]:
    """Return each text that is said once; of two, the one that is ready."""
    said = {digest for each in written.assertions if (digest := text_digest_of(each)) is not None}
    texts: dict[bytes, FactText] = {}
    for _, _, change in written.headers:
        for text in change.texts:
            if text.digest in said and (text.vectors is not None or text.digest not in texts):
                texts[text.digest] = text
    return list(texts.values())


def text_digest_of(assertion: Assertion) -> bytes | None:
    if assertion.op != "assert" or assertion.object is None:
        return None
    return text_digest(assertion.subject, assertion.predicate, assertion.object)


def assertion_row(each: Assertion, hidden: Sequence[int]) -> tuple[object, ...]:
    return (
        each.tx, each.seq, each.id, each.recorded_at, each.op, each.branch, each.subject, each.predicate,
        each.slot, each.object, each.claimed_from, each.claimed_to, each.onset, each.ref, each.confidence,
        array(each.sources), each.session_id, each.actor, each.reason, each.replaces, text_digest_of(each),
        array(hidden),
    )  # fmt: skip


def _closed_row(piece: Piece) -> tuple[object, ...]:
    each = piece.assertion
    return (
        each.tx, each.seq, piece.valid_from, piece.tx_from, piece.tx_to, piece.superseded_at,
        piece.superseded_by,
    )  # fmt: skip


def piece_row(piece: Piece) -> tuple[object, ...]:
    """Return the columns of `fact` but the tenant."""
    each = piece.assertion
    return (
        each.tx, each.seq, piece.valid_from, piece.valid_to, piece.tx_from, piece.tx_to, piece.recorded_at,
        piece.superseded_at, piece.superseded_by, each.branch, each.subject, each.predicate, each.slot,
        each.session_id, None if each.object is None else digest(each.object), each.op == "void",
    )  # fmt: skip


def array(items: Sequence[object]) -> str:
    """Spell an array as PostgreSQL reads it: arrays that differ in length are no array together."""
    quoted = (str(item).replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"
