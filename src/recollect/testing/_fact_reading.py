"""Reads of facts are complete, in order, and filter as plain Python would."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from .. import _json
from .._timeline import Piece
from ..stores import Archive
from ..stores.changes import Assert, Operation, Void
from ..stores.facts import FoundFact
from ..types import Tenant
from ._fact_material import (
    ALWAYS,
    CITY,
    LIKES,
    NOW,
    commit,
    correct,
    during,
    end,
    filtered,
    find,
    fresh,
    object_of,
    objects,
    retract,
    since,
    year,
)
from ._material import HOSTILE, Check, episode, fresh_tenant, store

_PAIRS = [("anna", CITY), ("anna", LIKES), ("bob", CITY), ("bob", LIKES)]


async def _settled(archive: Archive) -> Tenant:
    """Return a tenant with a history: moves, likes, an error that was put right, an end."""
    tenant, wrong = await fresh(archive), since("Oslo", 2021, subject="bob")
    await commit(archive, tenant, since("Paris", 2019), wrong, session_id="s")
    await commit(archive, tenant, since("Rome", 2023), since("Rome", 2018, subject="bob"))
    await commit(archive, tenant, *(since(f"food {i}", 2020 + i, predicate=LIKES) for i in range(3)))
    await commit(archive, tenant, correct(wrong.id, "Bonn"), session_id="t")
    await commit(archive, tenant, during("Rome", 2020, 2021), end(2023, "food 1", predicate=LIKES))
    await commit(archive, tenant, since("Rome", 2019, subject="bob", predicate=LIKES), session_id="s")
    await commit(archive, tenant, end(2025, subject="bob"))
    return tenant


async def _all_pieces(archive: Archive, tenant: Tenant) -> list[Piece]:
    slots = [await archive.facts.slots(tenant, *pair, branch=None) for pair in _PAIRS]
    return [piece for each in slots for piece in each.pieces]


def _position(piece: Piece) -> tuple[object, ...]:
    return piece.assertion.tx, piece.assertion.seq, piece.valid_from


def _expected(pieces: Iterable[Piece], filters: Mapping[str, Any]) -> list[Piece]:
    """Return the pieces that pass, as the contract says it."""
    start, stop = filters.get("during") or ALWAYS
    at = None if "during" in filters else filters.get("valid_at", NOW)
    passing = [
        piece
        for piece in pieces
        if piece.assertion.op == "assert"
        and piece.known(filters.get("known"))
        and (at is None or piece.covers(at))
        and piece.overlaps(start, stop)
        and filters.get("subject") in (None, piece.assertion.subject)
        and filters.get("predicate") in (None, piece.assertion.predicate)
        and filters.get("object") in (None, piece.assertion.object)
        and filters.get("session_id") in (None, piece.assertion.session_id)
    ]
    return sorted(passing, key=_position)


_SELECTORS: Mapping[str, Sequence[Any]] = {
    "subject": ("anna", "carl"),
    "predicate": (CITY, LIKES),
    "object": ('"Rome"', '"food 1"'),
    "session_id": ("s",),
}
_WHEN: Sequence[Mapping[str, Any]] = (
    {},
    {"valid_at": year(2020)},
    {"valid_at": year(2022)},
    {"during": ALWAYS},
    {"during": (year(2020), year(2021))},
    {"during": (None, year(2019))},
    {"during": (year(2023), None)},
)


async def any_selectors_together_select_what_passes_each(archive: Archive) -> None:
    tenant = await _settled(archive)
    pieces = await _all_pieces(archive, tenant)
    chosen = [[(name, value) for value in (None, *values)] for name, values in _SELECTORS.items()]
    for selectors in product(*chosen):
        for when in (_WHEN[0], _WHEN[3]):
            filters: dict[str, Any] = {name: value for name, value in selectors if value is not None}
            filters |= when
            found = await find(archive, tenant, **filters)
            assert [fact.piece for fact in found] == _expected(pieces, filters), filters


async def any_point_and_range_of_either_time_selects_what_was_there(archive: Archive) -> None:
    tenant = await _settled(archive)
    pieces = await _all_pieces(archive, tenant)
    _, basis = await archive.facts.changes(tenant, after=(0, 0), limit=1)
    for known, when, selector in product((None, *range(basis + 1)), _WHEN, ({}, {"subject": "bob"})):
        filters: dict[str, Any] = {"known": known, **when, **selector}
        found = await find(archive, tenant, **filters)
        assert [fact.piece for fact in found] == _expected(pieces, filters), filters
        assert all(fact.support >= 1 for fact in found)


async def a_range_of_time_has_its_start_and_not_its_end(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, during("Rome", 2020, 2021))
    for start, stop, there in (
        (2019, 2020, False),
        (2020, 2021, True),
        (2021, 2022, False),
        (2018, 2023, True),
    ):
        found = await objects(archive, tenant, during=(year(start), year(stop)))
        assert found == (["Rome"] if there else []), (start, stop)


async def where_follows_a_path_and_compares_as_json_does(archive: Archive) -> None:
    tenant = await fresh(archive)
    values: list[Any] = [
        {"a": {"b": 1}}, {"a": {"b": 1.0, "c": []}}, {"a": {"b": True}}, {"a": {"b": "1"}}, {"a.b": 1},
        {"a": []}, {"a": {"b": None}}, {"a": {}}, [{"a": 1}], "a", None, 1,
        {"a": {"b": {"y": 1, "x": [1, 2]}}},
        *({text: {text: text}} for text in HOSTILE),
    ]  # fmt: skip
    await commit(archive, tenant, *(since(value, 2020, predicate=LIKES) for value in values))
    wanted: list[dict[tuple[str, ...], Any]] = [
        {("a", "b"): 1}, {("a", "b"): True}, {("a", "b"): "1"}, {("a", "b"): None}, {("a.b",): 1},
        {("a", "b"): {"x": [1, 2], "y": 1}}, {("a", "b"): 1, ("a", "c"): []}, {("a",): {}}, {("0",): 1},
    ]  # fmt: skip
    wanted += [{(text, text): text} for text in HOSTILE]
    for where in wanted:
        expected = [value for value in values if _passes(value, where)]
        found = [object_of(fact) for fact in await find(archive, tenant, where=where)]
        assert _json.canonical(found) == _json.canonical(expected), where


def _passes(value: Any, where: Mapping[tuple[str, ...], Any]) -> bool:
    there = [(_json.at_path(value, path), wanted) for path, wanted in where.items()]
    return all(exists and _json.equal(found, wanted) for (exists, found), wanted in there)


async def an_object_is_found_by_its_value(archive: Archive) -> None:
    tenant = await fresh(archive)
    values: list[Any] = [None, "null", "", 1, 1.0, True, "1", [], {}, {"a": 1, "b": [2]}, *HOSTILE]
    await commit(archive, tenant, *(since(value, 2020, predicate=LIKES) for value in values))
    for value in values:
        found = await find(archive, tenant, object=_json.canonical(value))
        assert [fact.piece.assertion.object for fact in found] == [_json.canonical(value)]


async def pages_reach_every_fact_once_and_in_order(archive: Archive) -> None:
    tenant = await fresh(archive)
    for i in range(5):
        await commit(archive, tenant, *(since(f"food {i} {j}", 2020, predicate=LIKES) for j in range(3)))
    await commit(archive, tenant, since("Paris", 2010))
    await commit(archive, tenant, during("Rome", 2012, 2013), during("Rome", 2015, 2016))
    # Three pieces of Paris have one assertion: a page may end between them.
    everything: list[tuple[dict[str, Any], int]] = [
        ({"during": ALWAYS}, 20),
        ({"during": ALWAYS, "subject": "anna", "predicate": CITY}, 5),
        ({}, 16),
    ]
    for filters, count in everything:
        whole = await find(archive, tenant, **filters)
        assert len(whole) == count
        assert [_position(each.piece) for each in whole] == sorted(_position(each.piece) for each in whole)
        for limit in (1, 2, 7, 100):
            assert await _paged(archive, tenant, limit, **filters) == whole


async def _paged(archive: Archive, tenant: Tenant, limit: int, **filters: Any) -> list[FoundFact]:
    found: list[FoundFact] = []
    while True:
        after = found[-1].position if found else None
        page = await find(archive, tenant, after=after, limit=limit, **filters)
        assert len(page) <= limit
        if not page:
            return found
        found += page


async def an_answer_replays_at_its_basis(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e"))
    said: list[Assert | Void] = [
        since("Paris", 2019),
        since("Rome", 2023, sources=("e",)),
        since("Paris", 2019, sources=("e",)),
        end(2024),
        since("Oslo", 2021, confidence=0.5),
        during("Oslo", 2019, None),
    ]
    answers: dict[int, Sequence[tuple[str, int, float]]] = {}
    operations: tuple[Operation, ...] = (*said, retract(said[4].id), retract(said[1].id))
    for operation in operations:
        await commit(archive, tenant, operation)
        found, basis = await archive.facts.find(tenant, filtered(during=ALWAYS), after=None, limit=100)
        answers[basis] = _said(found)
    assert len(answers) == 8
    for basis, answer in answers.items():
        assert _said(await find(archive, tenant, during=ALWAYS, known=basis)) == answer


def _said(found: Sequence[FoundFact]) -> list[Any]:
    return [
        (fact.position, fact.piece.valid_to, fact.support, fact.sources, fact.confidence) for fact in found
    ]


async def now_is_the_later_of_two_clocks(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Rome", None), since("pizza", 2090, predicate=LIKES))
    assert await objects(archive, tenant, now=year(2000)) == ["Rome"]
    assert await objects(archive, tenant, now=year(2095)) == ["Rome", "pizza"]
    assert await archive.facts.count(tenant, year(2000)) == 1
    assert await archive.facts.count(tenant, year(2095)) == 2


async def count_is_of_what_is_true_now_in_the_main_branch(archive: Archive) -> None:
    tenant = await fresh(archive)
    foods = [since(f"food {i}", 2020, predicate=LIKES) for i in range(4)]
    await commit(archive, tenant, *foods, since("Paris", 2019), since("Rome", 2023))
    await commit(archive, tenant, end(2021, "food 0", predicate=LIKES), retract(foods[1].id))
    await commit(archive, tenant, since("Oslo", 2024, staged=True), session_id="s")
    assert await archive.facts.count(tenant, NOW) == 3


async def slots_hold_all_that_was_ever_said(archive: Archive) -> None:
    tenant = await _settled(archive)
    log, basis = await archive.facts.changes(tenant, after=(0, 0), limit=100)
    for subject, predicate in _PAIRS:
        slots = await archive.facts.slots(tenant, subject, predicate, branch=None)
        mine = [each for each in log if (each.subject, each.predicate) == (subject, predicate)]
        assert list(slots.log) == mine
        order = [(piece.tx_from, piece.valid_from) for piece in slots.pieces]
        assert order == sorted(order)
        assert (slots.basis, slots.at) == (basis, log[-1].recorded_at)
    assert not (await archive.facts.slots(tenant, "carl", CITY, branch=None)).log


async def get_returns_the_slot_of_each_that_exists(archive: Archive) -> None:
    tenant = await fresh(archive)
    pizza, sushi = since("pizza", 2020, predicate=LIKES), since("sushi", 2020, predicate=LIKES)
    hide = retract(pizza.id)
    await commit(archive, tenant, pizza, sushi, hide)
    found = await archive.facts.get(tenant, [pizza.id, "nobody", sushi.id, hide.id])
    assert {id: [each.id for each in slots.log] for id, slots in found.items()} == {
        pizza.id: [pizza.id, hide.id],
        sushi.id: [sushi.id],
        hide.id: [pizza.id, hide.id],
    }
    assert await archive.facts.get(tenant, []) == {}


async def linked_facts_have_a_node_at_either_end(archive: Archive) -> None:
    tenant = await fresh(archive)
    said = [
        since("bob", 2020, predicate="knows"),
        since("carl", 2020, subject="bob", predicate="knows"),
        since("anna", 2020, subject="dora", predicate="knows"),
        since("dora", 2020, subject="emil", predicate="knows"),
        since(["anna"], 2020, subject="fred", predicate="knows"),
        during("gone", 2020, 2021, predicate="knows"),
    ]
    await commit(archive, tenant, *said)
    looked_for: list[tuple[list[str], set[int]]] = [
        (["anna"], {0, 2}),
        (["bob", "dora"], {0, 1, 2, 3}),
        (["nobody"], set()),
        ([], set()),
    ]
    for nodes, expected in looked_for:
        found = await archive.facts.linked(tenant, nodes, filtered())
        assert {fact.piece.assertion.id for fact in found} == {said[i].id for i in expected}
        assert len(found) == len(expected)


async def a_tenant_that_said_nothing_reads_as_empty(archive: Archive) -> None:
    facts, known, other = archive.facts, fresh_tenant(), fresh_tenant()
    await store(archive, known, episode())
    for tenant, basis in ((other, 0), (known, 1)):
        assert await facts.get(tenant, ["f"]) == {}
        for filters in ({}, {"subject": "anna"}, {"known": 5}, {"during": ALWAYS}, {"branch": "s"}):
            found, at = await facts.find(tenant, filtered(**filters), after=None, limit=5)
            assert (list(found), at) == ([], basis)
        assert await facts.count(tenant, NOW) == 0
        slots = await facts.slots(tenant, "anna", CITY, branch="s")
        assert (list(slots.log), list(slots.pieces), slots.basis) == ([], [], basis)
        assert (slots.at is None) == (basis == 0)
        assert not await facts.linked(tenant, ["anna"], filtered())
        changes, at = await facts.changes(tenant, after=(0, 0), limit=5)
        assert (list(changes), at) == ([], basis)
        headers, at = await facts.headers(tenant, session_id=None, before=None, limit=5)
        assert (list(headers), at) == ([], basis)
        assert (await facts.known_at(tenant, year(2000)))[0] == 0
        assert not await facts.unembedded(tenant, limit=5)
        assert len((await facts.candidates(tenant, filtered(), None)).facts) == 0
        assert await facts.verify(tenant) == 0


FACT_READING_CHECKS: tuple[Check, ...] = (
    any_selectors_together_select_what_passes_each,
    any_point_and_range_of_either_time_selects_what_was_there,
    a_range_of_time_has_its_start_and_not_its_end,
    where_follows_a_path_and_compares_as_json_does,
    an_object_is_found_by_its_value,
    pages_reach_every_fact_once_and_in_order,
    an_answer_replays_at_its_basis,
    now_is_the_later_of_two_clocks,
    count_is_of_what_is_true_now_in_the_main_branch,
    slots_hold_all_that_was_ever_said,
    get_returns_the_slot_of_each_that_exists,
    linked_facts_have_a_node_at_either_end,
    a_tenant_that_said_nothing_reads_as_empty,
)
