"""Parties take turns: whoever waits, whatever others do."""

from itertools import zip_longest

from hypothesis import given
from hypothesis import strategies as st

from recollect._turns import Turns

# Whether somebody joins or leaves, of which party, and whether as the first of all.
steps = st.lists(st.tuples(st.sampled_from(("joins", "joins", "leaves")), st.integers(0, 3), st.booleans()))


@given(steps)
def test_everybody_waits_in_turn_and_in_order_of_arrival(steps: list[tuple[str, int, bool]]) -> None:
    turns = Turns[int]()
    parties: list[tuple[int, list[int]]] = []  # in the order in which it is their turn
    for each, (step, party, first) in enumerate(steps):
        waiting = next((waiting for name, waiting in parties if name == party), [])
        others = [(name, theirs) for name, theirs in parties if name != party]
        if step == "joins":
            turns.join(party, each, first=first)
            if first:
                parties = [(party, [each, *waiting]), *others]
            elif waiting:
                waiting.append(each)
            else:
                parties = [*others, (party, [each])]
        elif waiting:
            gone = waiting[len(waiting) // 2]
            left = [other for other in waiting if other != gone]
            turns.leave(party, gone)
            turns.leave(party, gone)  # who does not wait cannot leave
            parties = [*others, (party, left)] if left else others
        rounds = zip_longest(*(waiting for _, waiting in parties))
        assert list(turns) == [each for turn in rounds for each in turn if each is not None]
        assert len(turns) == sum(len(waiting) for _, waiting in parties)
        assert [turns.of(name) for name, _ in parties] == [len(waiting) for _, waiting in parties]
