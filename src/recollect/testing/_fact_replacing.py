"""What takes the place of facts: retractions, corrections, updates and ends."""

from ..errors import (
    NotFound,
    VersionConflict,
)
from ..stores import Archive
from ..stores.changes import Entry
from ._fact_material import (
    CITY,
    LIKES,
    check_projection,
    commit,
    correct,
    deny,
    during,
    end,
    everything,
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


async def what_is_to_be_retracted_or_replaced_must_exist(archive: Archive) -> None:
    tenant, theirs = await fresh(archive), await fresh(archive)
    (secret,) = await say(archive, theirs, since("Rome", 2020))
    for id in ("nobody", secret.assertion.id):
        for operation in (retract(id), correct(id, "Oslo"), update(id, "Oslo")):
            assert isinstance(await refused(archive, tenant, operation), NotFound)


async def retracting_twice_changes_nothing(archive: Archive) -> None:
    tenant, fact = await fresh(archive), since("Rome", 2020)
    await commit(archive, tenant, fact)
    (first,) = await say(archive, tenant, retract(fact.id))
    before = await everything(archive, tenant)
    (again,) = await say(archive, tenant, retract(fact.id))
    assert (again.assertion, again.changed) == (first.assertion, False)
    assert await everything(archive, tenant) == before


async def a_correction_hides_what_it_corrects_and_says_what_that_was(archive: Archive) -> None:
    tenant, fact = await fresh(archive), since("Rome", 2020)
    (old,) = await say(archive, tenant, fact)
    (new,) = await say(archive, tenant, correct(fact.id, "Oslo"))
    assert new.assertion.replaces == old.assertion.id
    assert await timeline(archive, tenant) == spans([("Oslo", 2020, None)])
    assert await timeline(archive, tenant, known=old.assertion.tx) == spans([("Rome", 2020, None)])
    moved = correct(new.assertion.id, start=year(2021), end=year(2023), bounded=True)
    await commit(archive, tenant, moved)
    assert await timeline(archive, tenant) == spans([("Oslo", 2021, 2023)])


async def an_update_leaves_what_was_true_until_then(archive: Archive) -> None:
    tenant = await fresh(archive)
    for predicate in (CITY, LIKES):
        (old,) = await say(archive, tenant, since({"n": 1}, 2020, predicate=predicate))
        (new,) = await say(archive, tenant, update(old.assertion.id, {"n": 2}))
        at = new.assertion.recorded_at
        expected = spans([({"n": 1}, 2020, at), ({"n": 2}, at, None)])
        assert await timeline(archive, tenant, predicate=predicate) == expected
        assert new.assertion.replaces == old.assertion.id
    await check_projection(archive, tenant)


async def a_stale_replacement_is_refused_with_what_is_held(archive: Archive) -> None:
    tenant, old = await fresh(archive), since("Rome", 2020)
    await commit(archive, tenant, old)
    (new,) = await say(archive, tenant, correct(old.id, "Oslo"))
    for operation in (correct(old.id, "Paris"), update(old.id, "Paris")):
        error = await refused(archive, tenant, operation)
        assert isinstance(error, VersionConflict)
        assert isinstance(error.current, Entry)
        assert (error.current.assertion, error.current.piece) == (new.assertion, new.piece)
    await commit(archive, tenant, retract(new.assertion.id))
    error = await refused(archive, tenant, correct(new.assertion.id, "Paris"))
    assert isinstance(error, VersionConflict)
    assert error.current is None


async def what_was_superseded_is_not_updated_but_can_be_corrected(archive: Archive) -> None:
    tenant, old = await fresh(archive), since("Rome", 2010)
    await commit(archive, tenant, old)
    (new,) = await say(archive, tenant, since("Oslo", 2015))
    error = await refused(archive, tenant, update(old.id, "Paris"))
    assert isinstance(error, VersionConflict)
    assert isinstance(error.current, Entry)
    assert error.current.assertion == new.assertion
    await commit(archive, tenant, correct(old.id, "Paris"))
    assert await timeline(archive, tenant) == spans([("Paris", 2010, 2015), ("Oslo", 2015, None)])


async def an_end_without_an_object_ends_every_one_that_is_true(archive: Archive) -> None:
    tenant = await fresh(archive)
    food = [since("pizza", 2020, predicate=LIKES), during("sushi", 2020, 2021, predicate=LIKES)]
    await commit(archive, tenant, *food, since("curry", 2021, predicate=LIKES))
    entries = await say(archive, tenant, end(2022, predicate=LIKES))
    assert sorted(each.assertion.object or "" for each in entries) == ['"curry"', '"pizza"']
    assert await objects(archive, tenant, valid_at=year(2022)) == []
    left = [("pizza", 2020, 2022), ("sushi", 2020, 2021), ("curry", 2021, 2022)]
    assert await timeline(archive, tenant, predicate=LIKES) == spans(left)
    error = await refused(archive, tenant, end(2022, predicate=LIKES))
    assert isinstance(error, NotFound)


async def an_end_of_one_object_leaves_the_others(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, *(since(food, 2020, predicate=LIKES) for food in ("pizza", "sushi")))
    await commit(archive, tenant, end(2022, "pizza", predicate=LIKES))
    await commit(archive, tenant, deny(2021, 2022, "sushi", predicate=LIKES))
    left = [("pizza", 2020, 2022), ("sushi", 2020, 2021), ("sushi", 2022, None)]
    assert await timeline(archive, tenant, predicate=LIKES) == spans(left)


REPLACING_CHECKS: tuple[Check, ...] = (
    what_is_to_be_retracted_or_replaced_must_exist,
    retracting_twice_changes_nothing,
    a_correction_hides_what_it_corrects_and_says_what_that_was,
    an_update_leaves_what_was_true_until_then,
    a_stale_replacement_is_refused_with_what_is_held,
    what_was_superseded_is_not_updated_but_can_be_corrected,
    an_end_without_an_object_ends_every_one_that_is_true,
    an_end_of_one_object_leaves_the_others,
)
