"""The algebra of one slot against its definition, at every instant where anything could change."""

from dataclasses import replace
from itertools import pairwise, permutations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recollect._timeline import (
    Assertion,
    Piece,
    advance,
    fold,
    overlay,
    replay,
    supporters,
    visible,
)

from . import oracle
from .histories import KINDS, claims, logs, record, retraction

MANY = settings(max_examples=200)
WITHOUT_RETRACTIONS = [kind for kind in KINDS if kind[0] != "retract"]


def holders(pieces: list[Piece], v, k: int | None) -> list[Assertion]:
    return [piece.assertion for piece in pieces if piece.known(k) and piece.covers(v)]


def assert_defined(pieces: list[Piece], log: list[Assertion], ks: list[int]) -> None:
    """Check that at each point the one piece there, or none, is that of the winner."""
    vs = oracle.moments(log)
    for k in ks:
        for v, winner in zip(vs, oracle.winners(log, vs, k), strict=True):
            assert holders(pieces, v, k) == ([] if winner is None else [winner]), (v, k)


@MANY
@given(logs())
def test_the_projection_of_a_log_is_what_the_definition_says_at_every_point(log):
    assert_defined(replay(log), log, oracle.counters(log))


@MANY
@given(logs())
def test_what_is_current_is_the_fold_of_the_log(log):
    now = [piece for piece in replay(log) if piece.known(None)]
    extents = [(piece.assertion, piece.valid_from, piece.valid_to) for piece in fold(log)]
    assert sorted(((p.assertion, p.valid_from, p.valid_to) for p in now), key=lambda e: e[1]) == extents
    vs, k = oracle.moments(log), log[-1].tx
    for v, winner in zip(vs, oracle.winners(log, vs, k), strict=True):
        assert holders(fold(log), v, None) == ([] if winner is None else [winner])


@MANY
@given(logs())
def test_current_pieces_are_disjoint_in_order_and_never_empty(log):
    for n in range(1, len(log) + 1):
        pieces = fold(log[:n])
        assert all(piece.valid_to is None or piece.valid_from < piece.valid_to for piece in pieces)
        assert all(a.valid_to is not None and a.valid_to <= b.valid_from for a, b in pairwise(pieces))


@MANY
@given(logs())
def test_a_piece_is_named_by_its_assertion_its_beginning_and_its_transaction(log):
    names = [(piece.assertion.id, piece.valid_from, piece.tx_from) for piece in replay(log)]
    assert len(set(names)) == len(names)


@MANY
@given(logs())
def test_each_transaction_adds_to_the_past_and_never_edits_it(log):
    for earlier, later in pairwise(oracle.counters(log)):
        old = replay([each for each in log if each.tx <= earlier])
        new = replay([each for each in log if each.tx <= later])
        as_it_was = [
            replace(piece, tx_to=None, superseded_at=None, superseded_by=None)
            if piece.tx_to == later
            else piece
            for piece in new
            if piece.tx_from != later
        ]
        assert as_it_was == old


@MANY
@given(logs())
def test_instants_of_a_piece_are_those_of_its_transactions(log):
    at = {each.tx: each.recorded_at for each in log}
    ids = {each.tx: {e.id for e in log if e.tx == each.tx} for each in log}
    for piece in replay(log):
        assert piece.recorded_at == at[piece.tx_from]
        assert piece.superseded_at == (None if piece.tx_to is None else at[piece.tx_to])
        if piece.tx_to is None:
            assert piece.superseded_by is None
        else:
            assert piece.tx_from < piece.tx_to
            assert piece.superseded_by in ids[piece.tx_to]


@MANY
@given(logs())
def test_a_step_takes_and_gives_only_what_changes(log):
    current: list[Piece] = []
    for tx in oracle.counters(log)[1:]:
        before = [each for each in log if each.tx < tx]
        step = advance(current, before, [each for each in log if each.tx == tx])
        closed = {(p.assertion.id, p.valid_from, p.valid_to) for p in step.closed}
        opened = {(p.assertion.id, p.valid_from, p.valid_to) for p in step.opened}
        assert not closed & opened
        assert closed <= {(p.assertion.id, p.valid_from, p.valid_to) for p in current}
        gone = {replace(p, tx_to=None, superseded_at=None, superseded_by=None) for p in step.closed}
        assert {*step.current} == {*current} - gone | {*step.opened}
        current = step.current
        assert current == sorted(current, key=lambda piece: piece.valid_from)


@MANY
@given(logs(kinds=WITHOUT_RETRACTIONS), st.data())
def test_no_ground_is_lost_and_only_what_is_claimed_is_won(log, data):
    new = data.draw(additions(log))
    vs = oracle.moments(log, [new])
    before, later = fold(log), fold([*log, new])
    for v in vs:
        claimed = new.claimed_from <= v and (new.claimed_to is None or v < new.claimed_to)
        assert len(holders(later, v, None)) == (1 if claimed else len(holders(before, v, None)))
        if not claimed:
            assert holders(later, v, None) == holders(before, v, None)


@MANY
@given(logs(), st.data())
def test_a_bounded_record_holds_from_its_beginning_to_just_before_its_end(log, data):
    new = data.draw(additions(log, "bounded"))
    before, later = fold(log), fold([*log, new])
    ends = (new.claimed_from, new.claimed_to - oracle.MICROSECOND)
    assert [holders(later, v, None) for v in ends] == [[new], [new]]
    for v in (new.claimed_from - oracle.MICROSECOND, new.claimed_to):
        assert holders(later, v, None) == holders(before, v, None)


@MANY
@given(logs(), st.data())
def test_what_starts_later_keeps_its_ground_against_an_onset(log, data):
    new = data.draw(additions(log, "onset"))
    before, later = fold(log), fold([*log, new])
    for v in oracle.moments(log, [new]):
        keeps = [each for each in holders(before, v, None) if each.claimed_from > new.claimed_from]
        if v < new.claimed_from or keeps:
            assert holders(later, v, None) == holders(before, v, None)
        else:
            assert holders(later, v, None) == [new]


@st.composite
def additions(draw: st.DrawFn, log: list[Assertion], kind: str | None = None) -> Assertion:
    """Draw what may be said next."""
    used = [bound for each in log for bound in (each.claimed_from, each.claimed_to) if bound is not None]
    kind = kind or draw(st.sampled_from(["onset", "bounded", "forever"]))
    start, end = draw(claims(used, kind))
    op = draw(st.sampled_from(["assert", "void"]))
    return record(
        log[-1].tx + 1, "new" if op == "assert" else None, start, end, onset=kind == "onset", op=op, id="new"
    )


def renumbered(log) -> list[Assertion]:
    return [replace(each, tx=i, seq=0) for i, each in enumerate(log, 1)]


def told(log, vs) -> list[str | None]:
    pieces = fold(log)
    return [next((each.id for each in holders(pieces, v, None)), None) for v in vs]


@settings(max_examples=100)
@given(logs(max_size=4, kinds=[("assert", "onset"), ("void", "onset")]))
def test_onsets_with_distinct_beginnings_tell_the_same_in_every_order_of_arrival(log):
    assume(len({each.claimed_from for each in log}) == len(log))
    vs = oracle.moments(log)
    expected = told(renumbered(sorted(log, key=lambda each: each.claimed_from)), vs)
    for order in permutations(log):
        assert told(renumbered(order), vs) == expected


@settings(max_examples=100)
@given(logs(max_size=4, kinds=[("assert", "bounded"), ("void", "bounded")]), logs(max_size=3))
def test_disjoint_bounded_records_tell_the_same_in_every_order_of_arrival(drawn, ground):
    log: list[Assertion] = []
    for each in drawn:
        if all(
            each.claimed_to <= other.claimed_from or other.claimed_to <= each.claimed_from for other in log
        ):
            log.append(replace(each, id=f"n{len(log)}"))
    vs = oracle.moments(log, ground)
    orders = [told(renumbered([*visible(ground), *order]), vs) for order in permutations(log)]
    assert all(order == orders[0] for order in orders)


@MANY
@given(logs(), st.data())
def test_a_retraction_leaves_what_there_would_be_without_the_record(log, data):
    shown = [each for each in visible(log) if each.op != "retract"]
    assume(shown)
    target = data.draw(st.sampled_from(shown))
    later = [*log, retraction(log[-1].tx + 1, target, id="q")]
    without = [each for each in visible(log) if each.id != target.id]
    vs = oracle.moments(log)
    assert told(later, vs) == told(without, vs)
    again = [*later, retraction(log[-1].tx + 2, later[-1], id="qq")]
    assert told(again, vs) == told(log, vs)
    assert_defined(replay(again), again, oracle.counters(again))


@MANY
@given(logs())
def test_what_is_visible_is_what_no_retraction_hides(log):
    assert visible(log) == oracle.known(log, log[-1].tx)


@MANY
@given(logs())
def test_support_is_every_visible_record_of_the_object_that_covers_the_instant(log):
    for object in ("a", "b", None):
        for v in oracle.moments(log):
            assert supporters(log, object, v) == oracle.support(log, object, v, log[-1].tx)


@MANY
@given(logs(max_size=6), logs(max_size=6))
def test_a_session_sees_its_branch_where_that_says_anything_and_the_main_one_elsewhere(main, staged):
    branch = [
        replace(each, branch="s", id=f"s-{each.id}", ref=each.ref and f"s-{each.ref}") for each in staged
    ]
    laid = overlay(fold(main), fold(branch))
    assert laid == sorted(laid, key=lambda piece: piece.valid_from)
    k = max(main[-1].tx, branch[-1].tx)
    for v in oracle.moments(main, branch):
        winner = oracle.laid_over(main, branch, v, k)
        assert holders(laid, v, None) == ([] if winner is None else [winner])


@MANY
@given(logs(max_size=5), logs(max_size=5))
def test_a_branch_covers_nothing_of_another_slot(main, staged):
    elsewhere = [replace(each, branch="s", slot="other") for each in staged]
    laid = overlay(fold(main), fold(elsewhere))
    assert [piece for piece in laid if piece.assertion.branch == ""] == fold(main)
    assert [piece for piece in laid if piece.assertion.branch == "s"] == fold(elsewhere)
