"""The same statement again, and erasure: what is not stored is missed by nobody, now and later."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recollect._repetition import repeated, without
from recollect._timeline import Assertion, fold, replay

from . import oracle
from .histories import KINDS, claims, drawn, during, logs, record, retraction, since

MANY = settings(max_examples=200)
EPISODES = ("x", "y", "z")
SUBSETS = [frozenset(each for i, each in enumerate(EPISODES) if n >> i & 1) for n in range(8)]


@st.composite
def statements(draw: st.DrawFn, *, max_size: int = 8) -> list[Assertion | tuple[int, int]]:
    """Draw what is said of a slot, much of it again; a pair (tx, i) takes back what statement i became."""
    used, said = [], []
    for tx in range(1, draw(st.integers(2, max_size)) + 1):
        choice = draw(st.integers(0, 9))
        earlier = [i for i, each in enumerate(said) if isinstance(each, Assertion)]
        sources = tuple(draw(st.lists(st.sampled_from(EPISODES), unique=True, max_size=2)))
        if earlier and choice < 5:
            again = said[draw(st.sampled_from(earlier))]
            same = again.sources if draw(st.booleans()) else sources
            said.append(
                record(
                    tx,
                    again.object,
                    again.claimed_from,
                    again.claimed_to,
                    onset=again.onset,
                    op=again.op,
                    sources=same,
                )
            )
        elif earlier and choice == 5:
            said.append((tx, draw(st.sampled_from(earlier))))
        else:
            op, kind = draw(st.sampled_from([kind for kind in KINDS if kind[0] != "retract"]))
            start, end = draw(claims(used, kind))
            object = draw(st.sampled_from("ab")) if op == "assert" else None
            said.append(record(tx, object, start, end, onset=kind == "onset", op=op, sources=sources))
    return said


def remembered(
    said: Sequence[Assertion | tuple[int, int]], never: frozenset[str] = frozenset()
) -> tuple[list[Assertion], dict[int, str]]:
    """Store statements one after the other, but what only these episodes say; return what each became."""
    log: list[Assertion] = []
    became: dict[int, str] = {}
    for i, each in enumerate(said):
        if isinstance(each, tuple):
            target = next((r for r in log if r.id == became.get(each[1])), None)
            if target is not None and target in oracle.known(log, each[0]):
                log.append(retraction(each[0], target))
            continue
        left = tuple(source for source in each.sources if source not in never)
        if each.sources and not left:
            continue
        known = repeated(log, replace(each, sources=left))
        became[i] = (known or each).id
        if known is None:
            log.append(replace(each, sources=left))
    return log, became


@MANY
@given(statements())
def test_what_is_not_stored_would_have_changed_nothing(said):
    log: list[Assertion] = []
    for each in said:
        if isinstance(each, tuple):
            continue
        known = repeated(log, each)
        if known is None:
            log.append(each)
        else:
            assert known in oracle.known(log, each.tx)
            assert oracle.says_nothing_new(log, each)


@MANY
@given(logs(), st.data())
def test_what_is_said_twice_at_once_is_stored_once(log, data):
    again = data.draw(st.sampled_from(log))
    assume(again.op != "retract")
    first = replace(again, id="first", tx=log[-1].tx + 1)
    second = replace(first, id="second", tx=first.tx + 1)
    known = repeated(log, first)
    assert repeated([*log, first], second) is first
    if known is not None:
        assert repeated(log, second) is known


@MANY
@given(statements(), st.sampled_from(SUBSETS))
def test_erasing_leaves_what_there_would_be_had_it_never_been_remembered(said, episodes):
    stored, became = remembered(said)
    expected, otherwise = remembered(said, episodes)
    # What is taken back must be the statement itself in both worlds, else they are different stories.
    taken_back = [each[1] for each in said if isinstance(each, tuple)]
    assume(all(said[i].id == became[i] == otherwise.get(i, became[i]) for i in taken_back))
    left = without(stored, episodes)
    vs = oracle.moments(stored)
    for k in oracle.counters(stored):
        assert [tells(w) for w in oracle.winners(left, vs, k)] == [
            tells(w) for w in oracle.winners(expected, vs, k)
        ]
        for object in "ab":
            for v in vs:
                ours, theirs = (oracle.support(log, object, v, k) for log in (left, expected))
                assert len(ours) == len(theirs)
                assert oracle.sources(ours) == oracle.sources(theirs)


def tells(winner: Assertion | None) -> tuple[object, ...] | None:
    return None if winner is None else (winner.op, winner.object, winner.claimed_from)


@MANY
@given(statements(), st.sampled_from(SUBSETS))
def test_after_erasing_every_point_answers_as_if_the_records_were_deleted(said, episodes):
    # Without retractions: they would reveal whether a statement was stored again beside the one they hide.
    stored, _ = remembered([each for each in said if isinstance(each, Assertion)])
    left, deleted = without(stored, episodes), oracle.never_remembered(stored, episodes)
    vs = oracle.moments(stored)
    for k in oracle.counters(stored):
        assert [oracle.held(w) for w in oracle.winners(left, vs, k)] == [
            oracle.held(w) for w in oracle.winners(deleted, vs, k)
        ]


@MANY
@given(statements(), st.sampled_from(SUBSETS))
def test_erasing_leaves_no_trace(said, episodes):
    stored, _ = remembered(said)
    left = without(stored, episodes)
    ids = {each.id for each in left}
    assert not episodes & oracle.sources(left)
    assert all(each.ref is None or each.ref in ids for each in left)
    assert {each.id for each in stored if not each.sources and each.op != "retract"} >= {
        each.id for each in left if not each.sources and each.op != "retract"
    }
    assert without(left, episodes) == left
    assert [(each.id, each.tx, each.seq, each.recorded_at) for each in left] == [
        (each.id, each.tx, each.seq, each.recorded_at) for each in stored if each.id in ids
    ]


@MANY
@given(statements(), st.sampled_from(SUBSETS), st.sampled_from(SUBSETS))
def test_erasing_bit_by_bit_is_erasing_at_once(said, first, second):
    stored, _ = remembered(said)
    assert without(without(stored, first), second) == without(stored, first | second)


@MANY
@given(statements())
def test_erasing_nothing_changes_nothing(said):
    stored, _ = remembered(said)
    assert without(stored, frozenset()) == stored


def test_what_ended_an_earlier_fact_gives_it_back_when_it_is_erased():
    log = [since(1, "Paris", 20), since(2, "Rome", 23, sources=("x",))]
    left = without(log, frozenset("x"))
    assert [(p.tx_from, p.tx_to, drawn([p])) for p in replay(left)] == [(1, None, "Paris 20-")]


A = during(1, "Paris", 20, 30)

# Said again after something else: is there anything to store?
AGAIN: dict[str, tuple[list[Assertion], Assertion, bool]] = {
    "at once": ([A], during(9, "Paris", 20, 30), False),
    "with another end": ([A], during(9, "Paris", 20, 29), True),
    "with another beginning": ([A], during(9, "Paris", 21, 30), True),
    "for ever, after since": ([since(1, "Paris", 20)], during(9, "Paris", 20, None), True),
    "another object": ([A], during(9, "Rome", 20, 30), True),
    "nothing, after something": ([A], during(9, "Paris", 20, 30, op="void"), True),
    "after it was taken back": ([A, retraction(2, A)], during(9, "Paris", 20, 30), True),
    "after it lost ground": ([A, during(2, "Rome", 22, 23)], during(9, "Paris", 20, 30), True),
    "after something beside it": ([A, during(2, "Rome", 30, 31)], during(9, "Paris", 20, 30), False),
    "after what lost its ground already": (
        [A, during(2, "Rome", 22, 23), during(3, "Paris", 20, 30)],
        during(9, "Paris", 20, 30),
        False,
    ),
    "since, before what is known to start later": (
        [since(1, "Paris", 20), since(2, "Rome", 23)],
        since(9, "Paris", 20),
        False,
    ),
    "since, over a stay from before": (
        [since(1, "Paris", 20), during(2, "Rome", 19, 21)],
        since(9, "Paris", 20),
        True,
    ),
    # Oslo takes nothing from what began on day 20, but all from what is claimed since day 18.
    "after a wider claim of the same lost ground": (
        [A, during(2, "Paris", 18, 30), since(3, "Oslo", 19)],
        during(9, "Paris", 20, 30),
        True,
    ),
    "from a source that said it": (
        [during(1, "Paris", 20, 30, sources=("x", "y"))],
        during(9, "Paris", 20, 30, sources=("y",)),
        False,
    ),
    "from another source": (
        [during(1, "Paris", 20, 30, sources=("x",))],
        during(9, "Paris", 20, 30, sources=("y",)),
        True,
    ),
    # If x were erased, what was said without a source would have to be there still.
    "without a source, after one with": (
        [during(1, "Paris", 20, 30, sources=("x",))],
        during(9, "Paris", 20, 30),
        True,
    ),
    "with a source, after one without": ([A], during(9, "Paris", 20, 30, sources=("x",)), True),
}


@pytest.mark.parametrize("case", AGAIN)
def test_a_statement_is_stored_again_only_if_it_says_something_new(case):
    log, new, stores = AGAIN[case]
    assert (repeated(log, new) is None) == stores
    if not stores:
        assert drawn(fold(log)) == drawn(fold([*log, replace(new, object=new.object)])).replace("r9", "r1")
