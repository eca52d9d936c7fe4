"""What is true when, after what was said in which order: the definition, case by case."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

from ..stores import Archive
from ..stores.changes import Operation
from ._fact_material import (
    LIKES,
    Span,
    check_projection,
    commit,
    deny,
    during,
    end,
    fresh,
    objects,
    retract,
    say,
    since,
    spans,
    timeline,
    year,
)
from ._material import Check

MICROSECOND = timedelta(microseconds=1)
MARCH, APRIL, SEPTEMBER = (
    datetime(at, month, 1, tzinfo=UTC) for at, month in ((2022, 3), (2022, 4), (2026, 9))
)

PLANNED = [since("Paris", 2020), since("Rome", SEPTEMBER)]
VISIT = [since("Paris", 2020), during("Rome", MARCH, APRIL)]

CASES: dict[str, tuple[Sequence[Operation], Operation, Sequence[Span]]] = {
    "what_starts_later_ends_what_was_there": (
        [since("Paris", 2020)],
        since("Rome", 2023),
        [("Paris", 2020, 2023), ("Rome", 2023, None)],
    ),
    "what_arrives_late_ends_where_the_later_one_starts": (
        [since("Rome", 2023)],
        since("Paris", 2019),
        [("Paris", 2019, 2023), ("Rome", 2023, None)],
    ),
    "what_arrives_late_finds_its_place_between_two": (
        [since("Paris", 2019), since("Rome", 2023)],
        since("Oslo", 2021),
        [("Paris", 2019, 2021), ("Oslo", 2021, 2023), ("Rome", 2023, None)],
    ),
    "what_is_planned_keeps_its_ground": (
        PLANNED,
        since("Oslo", 2025),
        [("Paris", 2020, 2025), ("Oslo", 2025, SEPTEMBER), ("Rome", SEPTEMBER, None)],
    ),
    "what_lasts_for_ever_takes_the_ground_of_what_is_planned": (
        PLANNED,
        during("Oslo", 2025, None),
        [("Paris", 2020, 2025), ("Oslo", 2025, None)],
    ),
    "what_has_an_end_leaves_both_sides_of_what_was_there": (
        [since("Paris", 2020)],
        during("Rome", MARCH, APRIL),
        [("Paris", 2020, MARCH), ("Rome", MARCH, APRIL), ("Paris", APRIL, None)],
    ),
    "what_arrives_late_goes_around_what_has_an_end": (
        VISIT,
        since("Oslo", 2021),
        [("Paris", 2020, 2021), ("Oslo", 2021, MARCH), ("Rome", MARCH, APRIL), ("Oslo", APRIL, None)],
    ),
    "what_was_ended_is_not_resurrected_by_what_arrives_late": (
        [since("Rome", 2019), end(2022)],
        since("Paris", 2015),
        [("Paris", 2015, 2019), ("Rome", 2019, 2022)],
    ),
    "of_two_that_start_together_the_later_word_wins": (
        [since("Paris", 2020)],
        since("Rome", 2020),
        [("Rome", 2020, None)],
    ),
    "an_end_that_arrives_late_stops_where_something_starts": (
        [since("Paris", 2019), since("Rome", 2023)],
        end(2021),
        [("Paris", 2019, 2021), ("Rome", 2023, None)],
    ),
    "what_is_denied_is_a_hole": (
        [since("Paris", 2019)],
        deny(2020, 2021),
        [("Paris", 2019, 2020), ("Paris", 2021, None)],
    ),
    "a_later_word_fills_a_hole_that_was_denied_before": (
        [since("Paris", 2019), deny(2020, 2023)],
        during("Rome", 2021, 2022),
        [("Paris", 2019, 2020), ("Rome", 2021, 2022), ("Paris", 2023, None)],
    ),
    "what_covers_all_replaces_all": (
        [during("Paris", 2010, 2012), during("Rome", 2014, 2016)],
        during("Oslo", 2009, 2017),
        [("Oslo", 2009, 2017)],
    ),
    "what_only_touches_changes_nothing": (
        [during("Paris", 2010, 2012), during("Rome", 2014, 2016)],
        during("Oslo", 2012, 2014),
        [("Paris", 2010, 2012), ("Oslo", 2012, 2014), ("Rome", 2014, 2016)],
    ),
    "the_same_object_again_is_one_stretch": (
        [during("Paris", 2010, 2012)],
        during("Paris", 2012, 2014),
        [("Paris", 2010, 2014)],
    ),
}


def _worked(name: str, before: Sequence[Operation], arrives: Operation, after: Sequence[Span]) -> Check:
    async def check(archive: Archive) -> None:
        apart, together = await fresh(archive), await fresh(archive)
        for operation in (*before, arrives):
            await commit(archive, apart, operation)
        await commit(archive, together, *before, arrives)
        for tenant in (apart, together):
            assert await timeline(archive, tenant) == spans(after)
            await check_projection(archive, tenant)

    check.__name__ = check.__qualname__ = name
    return check


async def likes_do_not_end_each_other(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("pizza", 2020, predicate=LIKES))
    await commit(archive, tenant, since("sushi", 2021, predicate=LIKES))
    both = [("pizza", 2020, None), ("sushi", 2021, None)]
    assert await timeline(archive, tenant, predicate=LIKES) == spans(both)


async def a_retraction_brings_back_what_was_displaced_from_then_on(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2020))
    wrong = since("Rome", 2023)
    before = (await commit(archive, tenant, wrong)).tx
    await commit(archive, tenant, retract(wrong.id))
    assert await timeline(archive, tenant) == spans([("Paris", 2020, None)])
    history = [("Paris", 2020, 2023), ("Rome", 2023, None)]
    assert await timeline(archive, tenant, known=before) == spans(history)
    await check_projection(archive, tenant)


async def a_retracted_retraction_restores_what_it_hid(archive: Archive) -> None:
    tenant, fact = await fresh(archive), since("Rome", 2023)
    await commit(archive, tenant, since("Paris", 2020), fact)
    first = retract(fact.id)
    await commit(archive, tenant, first)
    second = retract(first.id)
    await commit(archive, tenant, second)
    restored = spans([("Paris", 2020, 2023), ("Rome", 2023, None)])
    assert await timeline(archive, tenant) == restored
    await commit(archive, tenant, retract(second.id))
    assert await timeline(archive, tenant) == spans([("Paris", 2020, None)])
    await check_projection(archive, tenant)


async def a_retracted_end_is_as_if_there_had_been_none(archive: Archive) -> None:
    tenant, ending = await fresh(archive), end(2022)
    await commit(archive, tenant, since("Rome", 2019))
    await commit(archive, tenant, ending)
    assert await timeline(archive, tenant) == spans([("Rome", 2019, 2022)])
    await commit(archive, tenant, retract(ending.id))
    assert await timeline(archive, tenant) == spans([("Rome", 2019, None)])


async def starts_that_differ_give_one_timeline_in_any_order(archive: Archive) -> None:
    said = [since("Paris", 2019), since("Rome", 2021), since("Oslo", 2023)]
    after = spans([("Paris", 2019, 2021), ("Rome", 2021, 2023), ("Oslo", 2023, None)])
    for order in permutations(said):
        tenant = await fresh(archive)
        for operation in order:
            await commit(archive, tenant, operation)
        assert await timeline(archive, tenant) == after, [each.object for each in order]


async def a_fact_holds_from_its_beginning_and_not_at_its_end(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2020), during("Rome", 2022, 2023))
    for at, expected in (
        (year(2020) - MICROSECOND, []),
        (year(2020), ["Paris"]),
        (year(2022) - MICROSECOND, ["Paris"]),
        (year(2022), ["Rome"]),
        (year(2023) - MICROSECOND, ["Rome"]),
        (year(2023), ["Paris"]),
    ):
        assert await objects(archive, tenant, valid_at=at) == expected, at


async def what_is_said_of_one_slot_changes_no_other(archive: Archive) -> None:
    tenant = await fresh(archive)
    others = [since("Paris", 2020, subject="bob"), since("Paris", 2020, predicate=LIKES)]
    await commit(archive, tenant, since("Paris", 2020), *others)
    await commit(archive, tenant, since("Rome", 2021), end(2022))
    for subject, predicate in (("bob", others[0].predicate), ("anna", LIKES)):
        slots = await archive.facts.slots(tenant, subject, predicate, branch=None)
        assert [(each.tx_from, each.tx_to) for each in slots.pieces] == [(1, None)]


async def pieces_that_only_touch_are_not_written_again(archive: Archive) -> None:
    tenant = await fresh(archive)
    (first,) = await say(archive, tenant, during("Paris", 2010, 2012))
    await commit(archive, tenant, during("Rome", 2012, 2014))
    slots = await archive.facts.slots(tenant, "anna", first.assertion.predicate, branch=None)
    assert first.piece in slots.pieces


async def the_first_and_the_last_year_can_be_claimed_to_the_microsecond(archive: Archive) -> None:
    tenant = await fresh(archive)
    first = datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC)
    await commit(archive, tenant, during("Paris", first, last), during("Rome", last, None))
    assert await timeline(archive, tenant) == [("Paris", first, last), ("Rome", last, None)]
    assert await objects(archive, tenant, valid_at=last) == ["Rome"]
    assert await objects(archive, tenant, valid_at=first) == ["Paris"]


TIMELINE_CHECKS: tuple[Check, ...] = (
    *(_worked(name, *case) for name, case in CASES.items()),
    likes_do_not_end_each_other,
    a_retraction_brings_back_what_was_displaced_from_then_on,
    a_retracted_retraction_restores_what_it_hid,
    a_retracted_end_is_as_if_there_had_been_none,
    starts_that_differ_give_one_timeline_in_any_order,
    a_fact_holds_from_its_beginning_and_not_at_its_end,
    what_is_said_of_one_slot_changes_no_other,
    pieces_that_only_touch_are_not_written_again,
    the_first_and_the_last_year_can_be_claimed_to_the_microsecond,
)
