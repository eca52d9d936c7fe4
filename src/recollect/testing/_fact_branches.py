"""What a session stages, and what it undoes."""

from ..errors import FactConflict, NotFound, RollbackConflict
from ..stores import Archive
from ..stores.changes import Discard, Entry, Promote, Rollback
from ..types import Tenant
from ._fact_material import (
    ALWAYS,
    BADGE,
    BORN,
    CITY,
    LIKES,
    change,
    check_projection,
    commit,
    correct,
    during,
    end,
    everything,
    find,
    fresh,
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
from ._material import Check


async def promote(archive: Archive, tenant: Tenant, session: str, *only: str) -> list[Entry]:
    chosen = frozenset(only) if only else None
    return await say(archive, tenant, Promote(f"p {session} {only}", session, chosen), name="promote")


async def discard(archive: Archive, tenant: Tenant, session: str) -> list[Entry]:
    return await say(archive, tenant, Discard(f"d {session}", session), name="discard")


async def rollback(
    archive: Archive, tenant: Tenant, session: str | None, *, steps: int = 1, id: str = "r"
) -> None:
    await say(archive, tenant, Rollback(id, session, steps), name="rollback", session_id=session)


async def what_is_staged_is_seen_only_through_its_session(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2019), since("pizza", 2020, predicate=LIKES))
    staged = [since("Rome", 2023, staged=True), since("sushi", 2020, predicate=LIKES, staged=True)]
    await commit(archive, tenant, *staged, session_id="s")
    for branch in (None, "t"):
        assert await objects(archive, tenant, branch=branch) == ["Paris", "pizza"]
    assert await objects(archive, tenant, branch="s") == ["Rome", "pizza", "sushi"]
    laid = [("Paris", 2019, 2023), ("Rome", 2023, None)]
    assert await timeline(archive, tenant, branch="s") == spans(laid)
    assert await timeline(archive, tenant) == spans([("Paris", 2019, None)])
    (fact,) = await find(archive, tenant, branch="s", subject="anna", predicate=CITY)
    assert (fact.piece.assertion.branch, fact.support) == ("s", 1)
    both = await archive.facts.slots(tenant, "anna", CITY, branch="s")
    main = await archive.facts.slots(tenant, "anna", CITY, branch=None)
    assert ([each.branch for each in both.log], [each.branch for each in main.log]) == (["", "s"], [""])
    await check_projection(archive, tenant)


async def staged_facts_lie_over_the_main_ones_slot_by_slot(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, during("Paris", 2010, 2012), during("Rome", 2014, 2018))
    await commit(archive, tenant, during("Oslo", 2011, 2015, staged=True), session_id="s")
    await commit(archive, tenant, during("Bonn", 2016, 2017, staged=True), session_id="s")
    laid = [
        *(("Paris", 2010, 2011), ("Oslo", 2011, 2015), ("Rome", 2015, 2016)),
        *(("Bonn", 2016, 2017), ("Rome", 2017, 2018)),
    ]
    assert await timeline(archive, tenant, branch="s") == spans(laid)
    at_each = {2010: ["Paris"], 2014: ["Oslo"], 2015: ["Rome"], 2016: ["Bonn"], 2017: ["Rome"]}
    for at, expected in at_each.items():
        assert await objects(archive, tenant, branch="s", valid_at=year(at)) == expected, at
    (fact,) = await find(archive, tenant, branch="s", valid_at=year(2015))
    assert (fact.piece.valid_from, fact.piece.valid_to) == (year(2015), year(2016))


async def a_staged_object_hides_the_one_it_takes_the_place_of_from_a_search(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2019))
    await commit(archive, tenant, since("Rome", 2020, staged=True), session_id="s")
    assert await objects(archive, tenant, branch="s", object='"Paris"') == []
    assert await objects(archive, tenant, branch="s", object='"Rome"') == ["Rome"]
    assert await objects(archive, tenant, branch="s", during=ALWAYS, object='"Paris"') == ["Paris"]


async def promotion_moves_all_that_is_staged_to_everybody(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2019))
    staged = [since("Rome", 2023, staged=True), since("sushi", 2020, predicate=LIKES, staged=True)]
    before = (await commit(archive, tenant, *staged, session_id="s")).tx
    entries = await promote(archive, tenant, "s")
    assert [each.assertion.replaces for each in entries] == [each.id for each in staged]
    assert await objects(archive, tenant) == ["Rome", "sushi"]
    assert await timeline(archive, tenant) == spans([("Paris", 2019, 2023), ("Rome", 2023, None)])
    assert await objects(archive, tenant, known=before) == ["Paris"]
    found = await find(archive, tenant, branch="s")
    assert {fact.piece.assertion.branch for fact in found} == {""}
    await check_projection(archive, tenant)


async def promotion_of_some_leaves_the_others_staged(archive: Archive) -> None:
    tenant = await fresh(archive)
    pizza, sushi = (since(food, 2020, predicate=LIKES, staged=True) for food in ("pizza", "sushi"))
    await commit(archive, tenant, pizza, sushi, session_id="s")
    await promote(archive, tenant, "s", pizza.id)
    assert await objects(archive, tenant) == ["pizza"]
    assert await objects(archive, tenant, branch="s") == ["pizza", "sushi"]
    error = await refused(archive, tenant, Promote("again", "s", frozenset({pizza.id})))
    assert isinstance(error, NotFound)


async def what_was_promoted_outlives_a_discard(archive: Archive) -> None:
    tenant = await fresh(archive)
    pizza, sushi = (since(food, 2020, predicate=LIKES, staged=True) for food in ("pizza", "sushi"))
    await commit(archive, tenant, pizza, sushi, session_id="s")
    await promote(archive, tenant, "s", pizza.id)
    await discard(archive, tenant, "s")
    assert await objects(archive, tenant) == await objects(archive, tenant, branch="s") == ["pizza"]
    before = await everything(archive, tenant)
    assert await discard(archive, tenant, "s") == await promote(archive, tenant, "s") == []
    assert await everything(archive, tenant) == before


async def a_discard_touches_no_other_session(archive: Archive) -> None:
    tenant = await fresh(archive)
    for session in ("s", "t"):
        await commit(archive, tenant, since(f"of {session}", 2020, staged=True), session_id=session)
    await discard(archive, tenant, "s")
    assert await objects(archive, tenant, branch="s") == []
    assert await objects(archive, tenant, branch="t") == ["of t"]
    await check_projection(archive, tenant)


async def what_is_staged_can_be_corrected_and_retracted_where_it_is(archive: Archive) -> None:
    tenant, staged = await fresh(archive), since("Rome", 2023, staged=True)
    await commit(archive, tenant, since("Paris", 2019))
    await commit(archive, tenant, staged, session_id="s")
    (new,) = await say(archive, tenant, correct(staged.id, "Oslo"), session_id="s")
    assert new.assertion.branch == "s"
    assert await timeline(archive, tenant, branch="s") == spans([("Paris", 2019, 2023), ("Oslo", 2023, None)])
    await commit(archive, tenant, retract(new.assertion.id))
    assert await timeline(archive, tenant, branch="s") == spans([("Paris", 2019, None)])


async def rollback_undoes_the_newest_transactions_of_its_session(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2019), session_id="s")
    await commit(archive, tenant, since("pizza", 2020, predicate=LIKES), session_id="t")
    await commit(archive, tenant, since("Rome", 2023), session_id="s")
    await commit(archive, tenant, end(2024), session_id="s")
    await rollback(archive, tenant, "s")
    assert await timeline(archive, tenant) == spans([("Paris", 2019, 2023), ("Rome", 2023, None)])
    await rollback(archive, tenant, "s", id="again")
    assert await timeline(archive, tenant) == spans([("Paris", 2019, None)])
    headers, _ = await archive.facts.headers(tenant, session_id="s", before=None, limit=10)
    undone = {6: None, 5: None, 4: 5, 3: 6, 1: None}
    assert {each.tx: each.undone_by for each in headers} == undone
    assert await objects(archive, tenant, known=4, valid_at=year(2023)) == ["Rome", "pizza"]
    await rollback(archive, tenant, "s", steps=5, id="the rest")
    assert await objects(archive, tenant) == ["pizza"]
    await check_projection(archive, tenant)


async def several_steps_are_undone_together(archive: Archive) -> None:
    tenant, fact = await fresh(archive), since("Rome", 2023)
    await commit(archive, tenant, since("Paris", 2019))
    await commit(archive, tenant, fact, session_id="s")
    await commit(archive, tenant, retract(fact.id), session_id="s")
    (moved,) = await say(archive, tenant, since("Oslo", 2024), session_id="s")
    await commit(archive, tenant, update(moved.assertion.id, "Bonn"), session_id="s")
    await rollback(archive, tenant, "s", steps=4)
    assert await timeline(archive, tenant) == spans([("Paris", 2019, None)])
    await check_projection(archive, tenant)


async def rollbacks_of_one_call_go_further_back_each(archive: Archive) -> None:
    tenant = await fresh(archive)
    for food in ("pizza", "sushi", "curry"):
        await commit(archive, tenant, since(food, 2020, predicate=LIKES), session_id="s")
    changes = [
        change(tenant, Rollback(id, "s", 1), name="rollback", session_id="s") for id in ("first", "second")
    ]
    await archive.facts.commit(changes)
    assert await objects(archive, tenant) == ["pizza"]


async def rollback_of_no_session_undoes_what_had_none(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("pizza", 2020, predicate=LIKES))
    await commit(archive, tenant, since("sushi", 2020, predicate=LIKES), session_id="s")
    await rollback(archive, tenant, None)
    assert await objects(archive, tenant) == ["sushi"]


async def what_another_session_changed_since_is_not_rolled_back(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2019), since("pizza", 2020, predicate=LIKES), session_id="s")
    (theirs,) = await say(archive, tenant, since("Rome", 2023), session_id="t")
    error = await refused(archive, tenant, Rollback("r", "s", 1), name="rollback", session_id="s")
    assert isinstance(error, RollbackConflict)
    await rollback(archive, tenant, "t", id="theirs")
    await rollback(archive, tenant, "s")
    assert await objects(archive, tenant) == []
    assert theirs.changed


async def promotion_and_discard_can_be_rolled_back(archive: Archive) -> None:
    for name, operation in (("promote", Promote("p", "s")), ("discard", Discard("d", "s"))):
        tenant = await fresh(archive)
        await commit(archive, tenant, since("Paris", 2019))
        await commit(archive, tenant, since("Rome", 2023, staged=True), session_id="s")
        await say(archive, tenant, operation, name=name, session_id="s")
        await rollback(archive, tenant, "s")
        assert await timeline(archive, tenant) == spans([("Paris", 2019, None)])
        laid = [("Paris", 2019, 2023), ("Rome", 2023, None)]
        assert await timeline(archive, tenant, branch="s") == spans(laid), name
        await check_projection(archive, tenant)


async def a_repeated_rollback_with_the_same_key_goes_no_further_back(archive: Archive) -> None:
    tenant = await fresh(archive)
    for food in ("pizza", "sushi", "curry"):
        await commit(archive, tenant, since(food, 2020, predicate=LIKES), session_id="s")
    given = {"name": "rollback", "session_id": "s", "key": "once"}
    first = await commit(archive, tenant, Rollback("r", "s", 2), **given)
    assert await commit(archive, tenant, Rollback("r", "s", 2), **given) == first
    assert len(first.entries[0]) == 2
    assert await objects(archive, tenant) == ["pizza"]


async def an_immutable_predicate_keeps_its_object_through_every_path(archive: Archive) -> None:
    tenant, born = await fresh(archive), since("May", 1990, predicate=BORN)
    await commit(archive, tenant, since("May", 1985, predicate=BORN), born)
    hidden = since("June", 1990, predicate=BORN, subject="bob")
    hide = retract(hidden.id)
    await commit(archive, tenant, hidden)
    await commit(archive, tenant, hide)
    other = since("July", 1990, predicate=BORN, subject="bob")
    await commit(archive, tenant, other)  # retract, then say something else
    error = await refused(
        archive, tenant, correct(other.id, "June")
    )  # the only one: it is to be retracted first
    assert isinstance(error, FactConflict)
    for operation in (
        since("July", 1990, predicate=BORN),
        during("July", 2001, 2002, predicate=BORN),
        since("July", 1990, predicate=BORN, staged=True),
        correct(born.id, "July"),
        update(born.id, "July"),
        retract(hide.id),
    ):
        error = await refused(archive, tenant, operation, session_id="s")
        assert isinstance(error, FactConflict), operation
    await commit(archive, tenant, since("May", 1992, predicate=BORN))
    await commit(archive, tenant, *(since(i, 1990, predicate=BADGE) for i in range(3)))


async def an_immutable_predicate_keeps_its_object_through_branches_and_rollbacks(archive: Archive) -> None:
    tenant = await fresh(archive)
    staged = since("May", 1990, predicate=BORN, staged=True)
    await commit(archive, tenant, staged, session_id="s")
    other = since("July", 1990, predicate=BORN)
    await commit(archive, tenant, other)
    error = await refused(archive, tenant, Promote("p", "s"), name="promote")
    assert isinstance(error, FactConflict)
    await commit(archive, tenant, retract(other.id), session_id="t")
    await promote(archive, tenant, "s")
    for error in (
        await refused(archive, tenant, Rollback("r", "t", 1), name="rollback", session_id="t"),
        await refused(archive, tenant, since("July", 1990, predicate=BORN), session_id="t"),
    ):
        assert isinstance(error, FactConflict | RollbackConflict)
    assert await objects(archive, tenant) == ["May"]


BRANCH_CHECKS: tuple[Check, ...] = (
    what_is_staged_is_seen_only_through_its_session,
    staged_facts_lie_over_the_main_ones_slot_by_slot,
    a_staged_object_hides_the_one_it_takes_the_place_of_from_a_search,
    promotion_moves_all_that_is_staged_to_everybody,
    promotion_of_some_leaves_the_others_staged,
    what_was_promoted_outlives_a_discard,
    a_discard_touches_no_other_session,
    what_is_staged_can_be_corrected_and_retracted_where_it_is,
    rollback_undoes_the_newest_transactions_of_its_session,
    several_steps_are_undone_together,
    rollbacks_of_one_call_go_further_back_each,
    rollback_of_no_session_undoes_what_had_none,
    what_another_session_changed_since_is_not_rolled_back,
    promotion_and_discard_can_be_rolled_back,
    a_repeated_rollback_with_the_same_key_goes_no_further_back,
    an_immutable_predicate_keeps_its_object_through_every_path,
    an_immutable_predicate_keeps_its_object_through_branches_and_rollbacks,
)
