"""What changed, in which transaction, and what was known when."""

from datetime import timedelta
from itertools import pairwise

from .._timeline import Assertion, Piece
from ..stores import Archive
from ..stores.facts import Header
from ..types import Tenant
from ._fact_material import (
    CITY,
    LIKES,
    commit,
    correct,
    during,
    end,
    filtered,
    fresh,
    retract,
    say,
    since,
    year,
)
from ._material import Check, episode, store

MICROSECOND = timedelta(microseconds=1)


async def _settled(archive: Archive) -> Tenant:
    tenant, wrong = await fresh(archive), since("Oslo", 2021, subject="bob")
    await commit(archive, tenant, since("Paris", 2019), wrong, session_id="s")
    await store(archive, tenant, episode())
    await commit(archive, tenant, since("Rome", 2023), name="move", actor="me", reason="because")
    await commit(archive, tenant, since("draft", 2019, staged=True), session_id="s")
    await commit(archive, tenant, correct(wrong.id, "Bonn"), session_id="t")
    hide = retract(wrong.id)
    await commit(archive, tenant, during("Rome", 2020, 2021), end(2024), hide, session_id="s")
    await commit(archive, tenant, *(since(f"food {i}", 2020 + i, predicate=LIKES) for i in range(3)))
    return tenant


def _key(piece: Piece) -> tuple[object, ...]:
    return piece.assertion.id, piece.valid_from, piece.tx_from


async def _pieces(archive: Archive, tenant: Tenant) -> list[Piece]:
    pairs = [("anna", CITY), ("anna", LIKES), ("bob", CITY)]
    slots = [await archive.facts.slots(tenant, *pair, branch=None) for pair in pairs]
    return [piece for each in slots for piece in each.pieces]


async def the_feed_of_changes_is_complete_and_in_order(archive: Archive) -> None:
    tenant = await _settled(archive)
    whole, basis = await archive.facts.changes(tenant, after=(0, 0), limit=1_000)
    assert (len(whole), basis) == (11, 7)
    assert all((a.tx, a.seq) < (b.tx, b.seq) for a, b in pairwise(whole))
    assert [each.op for each in whole].count("retract") == 1
    for limit in (1, 2, 5, 100):
        found: list[Assertion] = []
        while True:
            after = (found[-1].tx, found[-1].seq) if found else (0, 0)
            page, _ = await archive.facts.changes(tenant, after=after, limit=limit)
            assert len(page) <= limit
            if not page:
                break
            found += page
        assert found == list(whole)


async def the_journal_says_what_each_transaction_did(archive: Archive) -> None:
    tenant = await _settled(archive)
    headers, basis = await archive.facts.headers(tenant, session_id=None, before=None, limit=100)
    assert ([each.tx for each in headers], basis) == ([7, 6, 5, 4, 3, 1], 7)
    moved = headers[4]
    assert (moved.name, moved.session_id, moved.actor, moved.reason) == ("move", None, "me", "because")
    assert moved.undone_by is None
    log, _ = await archive.facts.changes(tenant, after=(0, 0), limit=100)
    instants = {each.tx: each.recorded_at for each in log}
    assert {each.tx: each.recorded_at for each in headers} == instants
    pieces = await _pieces(archive, tenant)
    for header in headers:
        if header.tx != 4:  # the one that only staged something
            closed = {_key(piece) for piece in pieces if piece.tx_to == header.tx}
            opened = {_key(piece) for piece in pieces if piece.tx_from == header.tx}
            assert {_key(piece) for piece in header.before} == closed
            assert {_key(piece) for piece in header.after} == opened


async def the_journal_comes_newest_first_page_by_page_and_by_session(archive: Archive) -> None:
    tenant = await _settled(archive)
    for session, expected in ((None, [7, 6, 5, 4, 3, 1]), ("s", [6, 4, 1]), ("t", [5]), ("nobody", [])):
        for limit in (1, 2, 100):
            found: list[Header] = []
            while True:
                before = found[-1].tx if found else None
                page, _ = await archive.facts.headers(tenant, session_id=session, before=before, limit=limit)
                assert len(page) <= limit
                if not page:
                    break
                found += page
            assert [each.tx for each in found] == expected


async def an_instant_is_known_at_the_newest_transaction_before_it(archive: Archive) -> None:
    tenant = await fresh(archive)
    entries = [
        (await say(archive, tenant, since(f"food {i}", 2020, predicate=LIKES)))[0].assertion for i in range(4)
    ]
    for before, after in pairwise([None, *entries]):
        assert after is not None
        earlier = 0 if before is None else before.tx
        assert await archive.facts.known_at(tenant, after.recorded_at) == (after.tx, True)
        just_before = after.recorded_at - MICROSECOND
        assert await archive.facts.known_at(tenant, just_before) == (earlier, True)
    assert await archive.facts.known_at(tenant, year(1990)) == (0, True)
    late, stable = await archive.facts.known_at(tenant, year(2100))
    assert (late, stable) == (entries[-1].tx, False)


async def an_episode_does_not_change_what_is_known_of_facts(archive: Archive) -> None:
    tenant = await fresh(archive)
    (entry,) = await say(archive, tenant, since("Rome", 2020))
    (stored,) = await store(archive, tenant, episode())
    tx, stable = await archive.facts.known_at(tenant, stored.recorded_at)
    assert tx in (entry.assertion.tx, stored.seq)
    assert stable
    found, basis = await archive.facts.find(tenant, filtered(known=tx), after=None, limit=5)
    assert ([each.piece.assertion.id for each in found], basis) == ([entry.assertion.id], stored.seq)


HISTORY_CHECKS: tuple[Check, ...] = (
    the_feed_of_changes_is_complete_and_in_order,
    the_journal_says_what_each_transaction_did,
    the_journal_comes_newest_first_page_by_page_and_by_session,
    an_instant_is_known_at_the_newest_transaction_before_it,
    an_episode_does_not_change_what_is_known_of_facts,
)
