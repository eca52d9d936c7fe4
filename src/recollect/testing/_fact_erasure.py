"""After erasure it is as if the erased episodes had never been; what is derived stays derivable."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from uuid import uuid4

from ..errors import ConfigurationError, Conflict, NotFound
from ..stores import Archive
from ..stores.changes import Assert, Committed, Operation, Retract, Rollback, Rule, Void
from ..types import Tenant
from ._fact_material import (
    ALWAYS,
    BORN,
    CITY,
    LIKES,
    change,
    check_projection,
    commit,
    correct,
    deny,
    during,
    end,
    everything,
    find,
    fresh,
    object_of,
    objects,
    refused,
    retract,
    say,
    since,
    spans,
    timeline,
    update,
    year,
)
from ._material import Check, episode, store

_EPISODES = ("a", "b", "c")


def _histories() -> Sequence[Sequence[Operation]]:
    """Return operations, each for a transaction of its own, with sources here and there."""
    wrong = since("Oslo", 2021, sources=("b",))
    paris, bonn = since("Paris", 2020, sources=("a",)), since("Bonn", 2022, sources=("c",))
    pizza = since("pizza", 2020, sources=("a", "b"), predicate=LIKES)
    return (
        [since("Paris", 2020), since("Rome", 2023, sources=("a",))],
        [paris, since("Paris", 2020, sources=("b",)), end(2022, sources=("c",))],
        [bonn, wrong, retract(wrong.id), since("Rome", 2020, sources=("a", "c"))],
        [paris, during("Rome", 2021, 2022, sources=("b",)), since("Paris", 2020, sources=("a",))],
        [
            pizza,
            since("pizza", 2020, sources=("b",), predicate=LIKES),
            deny(2021, 2022, "pizza", sources=("c",), predicate=LIKES),
        ],
        [
            bonn,
            since("Rome", 2022, sources=("a",)),
            since("Bonn", 2022, sources=("c",)),
            since("Bonn", 2022, sources=("b", "c")),
        ],
    )


def _without(operation: Operation, erased: frozenset[str], gone: set[str]) -> Operation | None:
    """Return what would have been said if these episodes had never been; None for nothing."""
    left: tuple[str, ...] = ()
    if isinstance(operation, Assert | Void):
        left = tuple(each for each in operation.sources if each not in erased)
    match operation:
        case Assert(sources=(_, *_)) | Void(sources=(_, *_)) if left:
            return replace(operation, sources=left)
        case Assert(sources=()) | Void(sources=()):
            return operation
        case Retract(ref=ref) if ref not in gone:
            return operation
        case _:
            gone.add(operation.id)
            return None


async def _seen(archive: Archive, tenant: Tenant) -> list[object]:
    """Return what is answered at every known time, but for its numbers."""
    seen: list[object] = []
    for known in range(1, 9):
        for predicate in (CITY, LIKES):
            found = await find(archive, tenant, predicate=predicate, during=ALWAYS, known=known)
            answer = [(object_of(each), each.piece.valid_from, each.support, each.sources) for each in found]
            seen.append((await timeline(archive, tenant, predicate=predicate, known=known), answer))
    return seen


async def erasure_leaves_what_never_having_been_told_would_have_left(archive: Archive) -> None:
    for history in _histories():
        for erased in (frozenset(some) for n in (1, 2, 3) for some in combinations(_EPISODES, n)):
            told, untold = await fresh(archive), await fresh(archive)
            gone: set[str] = set()
            for tenant in (told, untold):
                await store(archive, tenant, *(episode(id=id) for id in _EPISODES))
            for operation in history:
                await commit(archive, told, operation)
                kept = _without(operation, erased, gone)
                if kept is not None:
                    await commit(archive, untold, kept)
                # A transaction that said nothing still takes its number, so that both can be compared.
                await _pad(archive, told, untold)
            await archive.facts.erase(told, sorted(erased))
            assert await _seen(archive, told) == await _seen(archive, untold), (history, erased)
            await check_projection(archive, told)


async def _pad(archive: Archive, *tenants: Tenant) -> None:
    """Store episodes until the counters of these tenants agree."""
    bases = [(await archive.facts.changes(each, after=(0, 0), limit=1))[1] for each in tenants]
    for tenant, basis in zip(tenants, bases, strict=True):
        for _ in range(max(bases) - basis):
            await store(archive, tenant, episode())


async def what_an_erased_fact_had_ended_is_open_again(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"), episode(id="b"))
    (paris,) = await say(archive, tenant, since("Paris", 2020, sources=("b",)))
    await commit(archive, tenant, since("Rome", 2023, sources=("a",)))
    assert await archive.facts.erase(tenant, ["a"]) == 1
    slots = await archive.facts.slots(tenant, "anna", CITY, branch=None)
    assert (list(slots.log), list(slots.pieces)) == ([paris.assertion], [paris.piece])
    assert await archive.facts.erase(tenant, ["a"]) == 0
    assert await archive.facts.erase(tenant, []) == 0


async def an_update_of_an_erased_fact_ends_nothing_of_others(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"), episode(id="b"))
    await commit(archive, tenant, since({"n": 1}, 2010, sources=("b",), predicate=LIKES))
    (first,) = await say(archive, tenant, since({"n": 1}, 2020, sources=("a",), predicate=LIKES))
    await commit(archive, tenant, update(first.assertion.id, {"n": 2}))
    await archive.facts.erase(tenant, ["a"])
    assert await timeline(archive, tenant, predicate=LIKES) == spans([({"n": 1}, 2010, None)])


async def erasure_takes_retractions_and_corrections_with_it(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"))
    (wrong,) = await say(archive, tenant, since("Rome", 2020, sources=("a",)))
    await commit(archive, tenant, since("Paris", 2019))
    (new,) = await say(archive, tenant, correct(wrong.assertion.id, "Oslo"))
    await commit(archive, tenant, retract(new.assertion.id))
    assert await archive.facts.erase(tenant, ["a"]) == 4
    log, _ = await archive.facts.changes(tenant, after=(0, 0), limit=10)
    assert [each.object for each in log] == ['"Paris"']
    found = await archive.facts.get(tenant, [wrong.assertion.id, new.assertion.id])
    assert found == {}
    assert not await find(archive, tenant, object='"Rome"', during=ALWAYS)
    await check_projection(archive, tenant)


async def erasure_keeps_to_its_tenant_and_leaves_other_sources(archive: Archive) -> None:
    tenant, other = await fresh(archive), await fresh(archive)
    for each in (tenant, other):
        await store(archive, each, episode(id="a"), episode(id="b"))
        await commit(archive, each, since("Rome", 2020, sources=("a", "b")))
    before = await everything(archive, other)
    assert await archive.facts.erase(tenant, ["a"]) == 0
    (fact,) = await find(archive, tenant)
    assert (fact.sources, fact.piece.assertion.sources) == (("b",), ("b",))
    assert await everything(archive, other) == before
    await commit(archive, other, since("Oslo", 2021, sources=("a",)))


async def an_erased_transaction_does_not_stand_in_the_way_of_a_rollback(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"))
    await commit(archive, tenant, since("Paris", 2019), session_id="s")
    await commit(archive, tenant, since("pizza", 2020, sources=("a",), predicate=LIKES), session_id="s")
    await archive.facts.erase(tenant, ["a"])
    await commit(archive, tenant, Rollback("r", "s", 1), name="rollback", session_id="s")
    assert await objects(archive, tenant) == []


async def the_journal_keeps_an_erased_transaction_without_what_was_said(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"))
    await commit(
        archive, tenant, since("Rome", 2020, sources=("a",)),
        session_id="s", actor="me", reason="they told me of Rome",
    )  # fmt: skip
    await commit(archive, tenant, since("pizza", 2020, predicate=LIKES), reason="dinner")
    await archive.facts.erase(tenant, ["a"])
    (kept, emptied), _ = await archive.facts.headers(tenant, session_id=None, before=None, limit=5)
    assert (kept.reason, len(kept.after)) == ("dinner", 1)
    assert (emptied.tx, emptied.session_id, emptied.actor, emptied.reason) == (2, None, None, None)
    assert (emptied.before, emptied.after) == ((), ())


async def what_was_undone_by_a_rollback_that_never_was_is_not_undone(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"))
    for said in (since("Rome", 2020, sources=("a",)), since("pizza", 2020, predicate=LIKES)):
        await commit(archive, tenant, said, session_id="s")
    await commit(archive, tenant, Rollback("r", "s", 2), name="rollback", session_id="s")
    before, _ = await archive.facts.headers(tenant, session_id=None, before=None, limit=5)
    assert [each.undone_by for each in before] == [None, 4, 4]
    await archive.facts.erase(tenant, ["a"])
    after, _ = await archive.facts.headers(tenant, session_id=None, before=None, limit=5)
    assert [each.undone_by for each in after] == [None, 4, 4], "it undid the other one"

    other = await fresh(archive)
    await store(archive, other, episode(id="a"))
    await commit(archive, other, since("Rome", 2020, sources=("a",)), session_id="s")
    await commit(archive, other, Rollback("r", "s", 1), name="rollback", session_id="s")
    await archive.facts.erase(other, ["a"])
    after, _ = await archive.facts.headers(other, session_id=None, before=None, limit=5)
    assert [each.undone_by for each in after] == [None, None]


async def a_repeated_key_does_not_bring_back_what_was_erased(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="a"))
    given = change(tenant, since("Rome", 2020, sources=("a",)))
    (first,) = await archive.facts.commit([given])
    assert isinstance(first, Committed)
    await archive.facts.erase(tenant, ["a"])
    (again,) = await archive.facts.commit([given])
    assert isinstance(again, Conflict | NotFound)
    assert await objects(archive, tenant) == []


async def a_predicate_has_one_rule_until_it_is_replaced(archive: Archive) -> None:
    name, rule = f"check {uuid4()}", Rule("one", key="email", immutable=True)
    adopted = await archive.adopt_predicates({name: rule}, replace=False)
    assert adopted[name] == rule
    assert await archive.adopt_predicates({name: rule}, replace=False) == adopted
    others = Rule("many", key="email", immutable=True), Rule("one", immutable=True), Rule("one", "email")
    for other in others:
        message = ""
        try:
            await archive.adopt_predicates({name: other}, replace=False)
        except ConfigurationError as exc:
            message = str(exc)
        assert name in message, other
        assert (await archive.adopt_predicates({}, replace=False))[name] == rule
    assert (await archive.adopt_predicates({name: Rule()}, replace=True))[name] == Rule()


async def facts_follow_their_predicate_when_its_rule_is_replaced(archive: Archive) -> None:
    tenant, name = await fresh(archive), f"check {uuid4()}"
    await archive.adopt_predicates({name: Rule("one")}, replace=False)
    wrong = since("Oslo", 2021, predicate=name)
    for operation in (
        since("Paris", 2019, predicate=name),
        wrong,
        since("Rome", 2023, predicate=name),
        retract(wrong.id),
    ):
        await commit(archive, tenant, operation)
    await commit(archive, tenant, since("Bonn", 2022, predicate=name, staged=True), session_id="s")
    single = [("Paris", 2019, 2023), ("Rome", 2023, None)]
    assert await timeline(archive, tenant, predicate=name) == spans(single)
    await archive.adopt_predicates({name: Rule("many")}, replace=True)
    apart = [("Paris", 2019, None), ("Rome", 2023, None)]
    assert await timeline(archive, tenant, predicate=name) == spans(apart)
    assert await objects(archive, tenant, valid_at=year(2021), known=3) == ["Oslo", "Paris"]
    assert await objects(archive, tenant, branch="s") == ["Bonn", "Paris", "Rome"]
    await check_projection(archive, tenant)
    await archive.adopt_predicates({name: Rule("one")}, replace=True)
    assert await timeline(archive, tenant, predicate=name) == spans(single)
    await commit(archive, tenant, since("Turin", 2024, predicate=name))
    assert await objects(archive, tenant) == ["Turin"]
    await check_projection(archive, tenant)


async def facts_follow_a_rule_that_their_predicate_is_given_later(archive: Archive) -> None:
    tenant, name = await fresh(archive), f"check {uuid4()}"
    await commit(archive, tenant, since("Paris", 2019, predicate=name))
    await archive.adopt_predicates({name: Rule("one")}, replace=False)
    await commit(archive, tenant, since("Rome", 2023, predicate=name))
    assert await objects(archive, tenant) == ["Rome"]
    await check_projection(archive, tenant)


async def a_rule_that_is_replaced_changes_no_other_predicate(archive: Archive) -> None:
    tenant, name = await fresh(archive), f"check {uuid4()}"
    await archive.adopt_predicates({name: Rule("one")}, replace=False)
    await commit(archive, tenant, since("Paris", 2019), since("May", 1990, predicate=BORN))
    await commit(archive, tenant, since("Rome", 2023), since("x", 2020, predicate=name))
    before = await timeline(archive, tenant)
    await archive.adopt_predicates({name: Rule("many")}, replace=True)
    assert await timeline(archive, tenant) == before
    error = await refused(archive, tenant, since("June", 1990, predicate=BORN))
    assert isinstance(error, Conflict)


ERASURE_CHECKS: tuple[Check, ...] = (
    erasure_leaves_what_never_having_been_told_would_have_left,
    what_an_erased_fact_had_ended_is_open_again,
    an_update_of_an_erased_fact_ends_nothing_of_others,
    erasure_takes_retractions_and_corrections_with_it,
    erasure_keeps_to_its_tenant_and_leaves_other_sources,
    an_erased_transaction_does_not_stand_in_the_way_of_a_rollback,
    the_journal_keeps_an_erased_transaction_without_what_was_said,
    what_was_undone_by_a_rollback_that_never_was_is_not_undone,
    a_repeated_key_does_not_bring_back_what_was_erased,
    a_predicate_has_one_rule_until_it_is_replaced,
    facts_follow_their_predicate_when_its_rule_is_replaced,
    facts_follow_a_rule_that_their_predicate_is_given_later,
    a_rule_that_is_replaced_changes_no_other_predicate,
)
