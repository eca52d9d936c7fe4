"""The algebra of one slot, case by case: where two intervals can lie, and the cases of the definition."""

import pytest

from recollect._timeline import Assertion, fold, replay

from .histories import drawn, during, retraction, since

# An existing record holds from day 10 to day 20. Where can a bounded one lie? Allen's thirteen relations.
BOUNDED = {
    "before": ((2, 8), "new 2-8 old 10-20"),
    "meets": ((2, 10), "new 2-10 old 10-20"),
    "overlaps": ((5, 15), "new 5-15 old 15-20"),
    "finished by": ((5, 20), "new 5-20"),
    "contains": ((5, 25), "new 5-25"),
    "starts": ((10, 15), "new 10-15 old 15-20"),
    "equals": ((10, 20), "new 10-20"),
    "started by": ((10, 25), "new 10-25"),
    "during": ((12, 15), "old 10-12 new 12-15 old 15-20"),
    "finishes": ((15, 20), "old 10-15 new 15-20"),
    "overlapped by": ((15, 25), "old 10-15 new 15-25"),
    "met by": ((20, 25), "old 10-20 new 20-25"),
    "after": ((22, 25), "old 10-20 new 22-25"),
}


@pytest.mark.parametrize("relation", BOUNDED)
@pytest.mark.parametrize("op", ["assert", "void"])
def test_a_bounded_record_takes_what_it_claims_and_leaves_both_remainders(relation, op):
    (start, end), expected = BOUNDED[relation]
    log = [during(1, "old", 10, 20), during(2, "new", start, end, op=op)]
    assert drawn(fold(log)) == expected.replace("new", "new" if op == "assert" else "--")


# The same against what has no end: eight places are left.
FOREVER = {
    "before": ((2, 8), "new 2-8 old 10-"),
    "meets": ((2, 10), "new 2-10 old 10-"),
    "overlaps": ((5, 15), "new 5-15 old 15-"),
    "finished by": ((5, None), "new 5-"),
    "starts": ((10, 15), "new 10-15 old 15-"),
    "equals": ((10, None), "new 10-"),
    "during": ((12, 15), "old 10-12 new 12-15 old 15-"),
    "finishes": ((15, None), "old 10-15 new 15-"),
}


@pytest.mark.parametrize("relation", FOREVER)
@pytest.mark.parametrize("op", ["assert", "void"])
@pytest.mark.parametrize("onset", [False, True])
def test_a_bounded_record_leaves_remainders_of_what_has_no_end(relation, op, onset):
    (start, end), expected = FOREVER[relation]
    old = since(1, "old", 10) if onset else during(1, "old", 10, None)
    new = during(2, "new", start, end, op=op)
    assert drawn(fold([old, new])) == expected.replace("new", "new" if op == "assert" else "--")


# An onset has no end of its own: its beginning alone decides, and what starts later keeps its ground.
ONSET = {
    "contains, starting earlier": (5, "new 5-10 old 10-20 new 20-", "new 5-10 old 10-"),
    "started by, at the same instant": (10, "new 10-", "new 10-"),
    "overlapped by": (15, "old 10-15 new 15-", "old 10-15 new 15-"),
    "met by": (20, "old 10-20 new 20-", "old 10-20 new 20-"),
    "after": (22, "old 10-20 new 22-", "old 10-22 new 22-"),
}


@pytest.mark.parametrize("relation", ONSET)
@pytest.mark.parametrize("op", ["assert", "void"])
def test_an_onset_holds_until_something_else_is_known(relation, op):
    start, bounded, endless = ONSET[relation]
    new = since(2, "new", start, op=op)
    for old, expected in (
        (during(1, "old", 10, 20), bounded),
        (since(1, "old", 10), endless),
        (during(1, "old", 10, None), endless),
        (during(1, "old", 10, 20, op="void"), bounded.replace("old", "--")),
        (since(1, "old", 10, op="void"), endless.replace("old", "--")),
    ):
        assert drawn(fold([old, new])) == expected.replace("new", "new" if op == "assert" else "--")


# A remainder may begin later than its record claims to: old is claimed from day 10, and holds 10-12 and 15-.
REMAINDERS = {
    "since before the claim": (since(3, "new", 8), "new 8-10 old 10-12 gap 12-15 old 15-"),
    "since the claim": (since(3, "new", 10), "new 10-12 gap 12-15 new 15-"),
    "since within the left remainder": (since(3, "new", 11), "old 10-11 new 11-12 gap 12-15 new 15-"),
    "since the gap": (since(3, "new", 12), "old 10-12 new 12-"),
    "since within the gap": (since(3, "new", 13), "old 10-12 gap 12-13 new 13-"),
    "since the right remainder": (since(3, "new", 15), "old 10-12 gap 12-15 new 15-"),
    "since within the right remainder": (since(3, "new", 17), "old 10-12 gap 12-15 old 15-17 new 17-"),
    "the gap again": (during(3, "new", 12, 15), "old 10-12 new 12-15 old 15-"),
    "across all of them": (during(3, "new", 11, 17), "old 10-11 new 11-17 old 17-"),
}


@pytest.mark.parametrize("case", REMAINDERS)
def test_a_remainder_keeps_the_claim_of_its_record(case):
    new, expected = REMAINDERS[case]
    log = [since(1, "old", 10), during(2, "gap", 12, 15), new]
    assert drawn(fold(log)) == expected


def test_a_remainder_keeps_object_and_lineage_and_is_known_from_the_transaction_that_made_it():
    old, new = during(1, "old", 10, 20, sources=("x",)), during(2, "new", 12, 15)
    whole, left, taken, right = replay([old, new])
    assert (whole.assertion, whole.tx_from, whole.tx_to, whole.superseded_by) == (old, 1, 2, new.id)
    assert [(p.assertion, p.tx_from, p.tx_to) for p in (left, right)] == [(old, 2, None)] * 2
    assert (left.recorded_at, taken.assertion) == (new.recorded_at, new)


def test_a_piece_that_is_only_touched_is_not_written_again():
    old, left, right = during(1, "old", 10, 20), during(2, "left", 5, 10), during(3, "right", 20, 25)
    assert [(p.assertion, p.tx_from, p.tx_to) for p in replay([old, left, right])] == [
        (old, 1, None),
        (left, 2, None),
        (right, 3, None),
    ]


PARIS, ROME = since(1, "Paris", 20), since(2, "Rome", 23)

# The cases that come with the definition, years as days.
CASES: list[tuple[str, list[Assertion], str]] = [
    ("a move", [PARIS, ROME], "Paris 20-23 Rome 23-"),
    ("learned late", [since(1, "Rome", 23), since(2, "Paris", 19)], "Paris 19-23 Rome 23-"),
    (
        "learned late, between",
        [since(1, "Paris", 19), since(2, "Rome", 23), since(3, "Oslo", 21)],
        "Paris 19-21 Oslo 21-23 Rome 23-",
    ),
    (
        "before what is planned",
        [PARIS, since(2, "Rome", 26.75), since(3, "Oslo", 25)],
        "Paris 20-25 Oslo 25-26.75 Rome 26.75-",
    ),
    (
        "for ever, over what is planned",
        [PARIS, since(2, "Rome", 26.75), during(3, "Oslo", 25, None)],
        "Paris 20-25 Oslo 25-",
    ),
    ("a stay", [PARIS, during(2, "Rome", 22, 22.5)], "Paris 20-22 Rome 22-22.5 Paris 22.5-"),
    (
        "late, around a stay",
        [PARIS, during(2, "Rome", 22, 22.5), since(3, "Oslo", 21)],
        "Paris 20-21 Oslo 21-22 Rome 22-22.5 Oslo 22.5-",
    ),
    (
        "late, before what was ended",
        [since(1, "Rome", 19), since(2, None, 22, op="void"), since(3, "Paris", 15)],
        "Paris 15-19 Rome 19-22 -- 22-",
    ),
    ("since the same", [PARIS, since(2, "Rome", 20)], "Rome 20-"),
    ("an error taken back", [PARIS, ROME, retraction(3, ROME)], "Paris 20-"),
]


@pytest.mark.parametrize(("log", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_cases_of_the_definition_come_out_as_written(log, expected):
    assert drawn(fold(log)) == expected
    assert drawn(sorted((p for p in replay(log) if p.known(None)), key=lambda p: p.valid_from)) == expected


def test_an_error_that_was_taken_back_still_shows_at_the_time_it_was_believed():
    pieces = replay([PARIS, ROME, retraction(3, ROME)])
    assert drawn(p for p in pieces if p.known(2)) == "Paris 20-23 Rome 23-"
    assert drawn(p for p in pieces if p.known(1)) == "Paris 20-"


def test_a_retraction_that_is_taken_back_hides_nothing_and_can_be_repeated():
    first = retraction(3, ROME)
    again = retraction(4, first)
    log = [PARIS, ROME, first, again]
    assert drawn(fold(log)) == "Paris 20-23 Rome 23-"
    assert drawn(fold([*log, retraction(5, ROME)])) == "Paris 20-"
    assert drawn(fold([*log, retraction(5, again)])) == "Paris 20-"
