"""A commit: what is read before changes are applied, and what is stored afterwards."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg
import numpy as np

from .._draft import UNDECLARED, State, digest, text_digest
from .._ledger import Wanted, Written, grounds, places, wanted
from .._timeline import Assertion, Piece
from ..stores.changes import Change, FactText, Rule
from ._pool import Connection
from .fact_rows import Read, assertion_of, columns, piece_of

if TYPE_CHECKING:
    from ..stores import Vectors

    Given = Callable[[Vectors], Sequence[object]]


Changes = Mapping[str, Sequence[Change]]
"""By the key of their tenant."""


@dataclass(slots=True)
class _Reading:
    """What is read for one tenant, whose clock row is held.

    Attributes:
        txs: transactions of which all assertions are wanted.
        said: what of that which is to be said was said before.
    """

    tenant: str
    changes: Sequence[Change]
    want: Wanted
    state: State
    txs: set[int] = field(default_factory=set[int])
    said: set[bytes] = field(default_factory=set[bytes])

    def note(self, row: asyncpg.Record) -> None:
        """Take in what was known of a name."""
        state = self.state
        match row["kind"]:
            case "key":
                state.keys[row["digest"]] = (row["tx"], row["content"])
                self.txs.add(row["tx"])
            case "source":
                state.sources[row["name"]] = row["at"]
            case "said":
                self.said.add(row["digest"])
            case "erased" if row["digest"] is None:
                state.erased |= {row["name"]}
            case "erased":
                state.erased_keys |= {row["digest"]}
            case _:
                state.undoable.setdefault(row["name"], []).append(row["tx"])
                self.txs.add(row["tx"])


async def read_state(
    conn: Connection, sql: Mapping[str, str], changes: Changes, clock: asyncpg.Record
) -> Mapping[str, State]:
    """Read what changes need to know of their tenant, whose clock row is held."""
    wants = {tenant: wanted(of_one) for tenant, of_one in changes.items()}
    rows = await conn.fetch(sql["known"], *_asked(wants))
    return await _read_states(conn, sql, [_reading(clock, changes, wants)], rows)


async def take_states(
    conn: Connection, sql: Mapping[str, str], changes: Changes, now: datetime | None
) -> Mapping[str, State]:
    """Take the clock rows that are free, and read what changes need to know of these tenants."""
    wants = {tenant: wanted(of_one) for tenant, of_one in changes.items()}
    rows = await conn.fetch(sql["free_clocks"], *_asked(wants), list(changes), now)
    readings = [_reading(row, changes, wants) for row in rows if row["kind"] == "clock"]
    return await _read_states(conn, sql, readings, [row for row in rows if row["kind"] != "clock"])


def _reading(clock: asyncpg.Record, changes: Changes, wants: Mapping[str, Wanted]) -> _Reading:
    tenant = clock["tenant"]
    state = State(clock["tx"], clock["at"], clock["now"], rules={})
    return _Reading(tenant, changes[tenant], wants[tenant], state)


def _asked(wants: Mapping[str, Wanted]) -> Sequence[object]:
    """Return the parameters of the statement `known`."""

    def asked(kind: Callable[[Wanted], Iterable[object]]) -> Sequence[Sequence[object]]:
        return columns([(tenant, name) for tenant, want in wants.items() for name in kind(want)], 2)

    return (
        list({name for want in wants.values() for name in want.predicates}),
        *asked(lambda want: want.keys),
        *asked(lambda want: want.sources),
        *asked(lambda want: want.said),
        *columns([(tenant, *step) for tenant, want in wants.items() for step in want.steps.items()], 3),
    )


async def _read_states(
    conn: Connection,
    sql: Mapping[str, str],
    readings: Sequence[_Reading],
    known: Sequence[asyncpg.Record],
) -> Mapping[str, State]:
    """Read what is left to be read, after what is known of names."""
    by_tenant = {each.tenant: each for each in readings}
    rules: dict[str, Rule] = {}
    for row in sorted(known, key=lambda row: -(row["tx"] or 0)):
        if row["kind"] == "rule":
            rules[row["name"]] = rule_of(row)
        elif row["tenant"] in by_tenant:
            by_tenant[row["tenant"]].note(row)
    whole: list[tuple[object, ...]] = []
    ends: list[tuple[object, ...]] = []
    for each in readings:
        each.state.rules = {name: rules.get(name, UNDECLARED) for name in each.want.predicates}
        named = await _read_named(conn, sql, each)
        each.state.by_id = {said.id: said for said in named}
        needed = places(each.changes, named, each.state.rules)
        starts = grounds(each.changes, needed, each.state, each.said)
        whole += [(each.tenant, *place) for place in needed if place not in starts]
        ends += [(each.tenant, *place, start) for place, start in starts.items()]
    states = {each.tenant: each.state for each in readings}
    if whole:
        await _read_logs(conn, sql["logs"], whole, states)
    if ends:
        for row in await conn.fetch(sql["grounds"], *columns(ends, 6)):
            piece = piece_of(row, assertion_of(row))
            states[row["of_tenant"]].pieces.setdefault(piece.assertion.place, []).append(piece)
    for state in states.values():
        for pieces in state.pieces.values():
            pieces.sort(key=lambda piece: piece.valid_from)
    return states


async def _read_named(conn: Connection, sql: Mapping[str, str], reading: _Reading) -> Sequence[Assertion]:
    """Read the assertions that are wanted, whatever slot they are in, and what is to be consolidated."""
    tenant, want = reading.tenant, reading.want
    if want.marks:
        unmarked = await conn.fetch(sql["unmarked"], tenant, list(want.marks))
        reading.state.unconsolidated = {row["id"]: row["seq"] for row in unmarked}
    asked = (list(reading.txs), list(want.ids), *columns(list(want.subjects), 2), list(want.branches))
    if not any(asked):
        return ()
    return [assertion_of(row) for row in await conn.fetch(sql["wanted"], tenant, *asked)]


async def _read_logs(
    conn: Connection, statement: str, whole: Sequence[tuple[object, ...]], states: Mapping[str, State]
) -> None:
    read = {tenant: Read() for tenant in states}
    for row in await conn.fetch(statement, *columns(whole, 5)):
        read[row["of_tenant"]].add(row)
        if row["cardinality"] is not None:
            states[row["of_tenant"]].rules[row["of_predicate"]] = rule_of(row)
    for tenant, state in states.items():
        state.logs, state.pieces = read[tenant].logs, read[tenant].pieces
        state.by_id.update(read[tenant].by_id)


def rule_of(row: asyncpg.Record) -> Rule:
    return Rule(row["cardinality"], row["key"], row["immutable"])


def arguments(
    written: Mapping[str, Written],
    given: "Given",
    embedder: tuple[str | None, int | None],
) -> Sequence[object]:
    """Return the parameters of the statement `commit`, for what was written of each tenant."""
    rows = _Rows()
    for tenant, of_one in written.items():
        rows.add(tenant, of_one)
    vectors = [text.vectors for _, text in rows.ready if text.vectors is not None]
    return (
        *columns(rows.clocks, 3),
        *columns(rows.headers, 10),
        *columns(rows.undone, 3),
        *columns(rows.assertions, 23),
        *columns(rows.hidden, 3),
        *columns(rows.closed, 8),
        *columns(rows.opened, 17),
        *columns(rows.texts, 5),
        *columns([(tenant, text.digest) for tenant, text in rows.ready], 2),
        given(np.concatenate(vectors)) if vectors else [],
        *embedder,
    )  # fmt: skip


@dataclass(slots=True)
class _Rows:
    """What a commit stores, in rows that begin with their tenant."""

    clocks: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    headers: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    undone: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    assertions: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    hidden: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    closed: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    opened: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    texts: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    ready: list[tuple[str, FactText]] = field(default_factory=list[tuple[str, FactText]])

    def add(self, tenant: str, written: Written) -> None:
        new = {each.id for each in written.assertions}
        undone = dict(written.undone)
        stored = {tx for tx, _, _ in written.headers}
        hidden: dict[str, list[int]] = {}
        for id, tx in written.hidden:
            hidden.setdefault(id, []).append(tx)
        texts = _texts(written)
        self.clocks.append((tenant, written.tx, written.at))
        self.headers += [
            (
                tenant, tx, at, change.name, change.session_id, change.actor, change.reason,
                digest(change.key), change.digest, undone.get(tx),
            )
            for tx, at, change in written.headers
        ]  # fmt: skip
        self.undone += [(tenant, *each) for each in written.undone if each[0] not in stored]
        self.assertions += [
            (tenant, *assertion_row(each, hidden.get(each.id, ()))) for each in written.assertions
        ]
        self.hidden += [(tenant, *each) for each in written.hidden if each[0] not in new]
        self.closed += [(tenant, *_closed_row(piece)) for piece in written.closed]
        self.opened += [(tenant, *piece_row(piece)) for piece in written.opened]
        self.texts += [
            (tenant, each.digest, each.text, array(each.terms), each.embedding_state) for each in texts
        ]
        self.ready += [(tenant, each) for each in texts if each.vectors is not None]


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
