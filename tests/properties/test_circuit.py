"""The circuit breaker, lived through at random by callers who come, succeed, fail and go away."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recollect._circuit import FIRST_PAUSE, LONGEST_PAUSE, Circuit


class Callers(RuleBasedStateMachine):
    """Every pass that was given, and is not given back; passes of the present state are `current`."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.now = 0.0
        self.current: list[int] = []
        self.stale: list[int] = []

    def _turned(self) -> None:
        self.stale += self.current
        self.current = []

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def somebody_comes(self) -> None:
        state, due = self.circuit.state, self.now >= self.circuit.retry_at
        given_pass = self.circuit.admit(self.now)
        assert (given_pass is not None) == (state == "closed" or (state == "open" and due))
        if given_pass is not None:
            if state == "open":
                assert self.circuit.state == "half-open"
                self._turned()
            self.current.append(given_pass)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def the_server_answers(self, data: st.DataObject) -> None:
        mine = data.draw(st.sampled_from(self.current))
        self.current.remove(mine)
        was = self.circuit.state
        assert self.circuit.succeeded(mine) == (was == "half-open")
        assert self.circuit.state == "closed"
        if was == "half-open":
            self._turned()

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def the_server_is_away(self, data: st.DataObject) -> None:
        mine = data.draw(st.sampled_from(self.current))
        self.current.remove(mine)
        was, pause = self.circuit.state, self.circuit.pause
        assert self.circuit.failed(mine, self.now) == (was == "closed")
        assert self.circuit.state == "open"
        assert self.circuit.retry_at == self.now + pause
        assert self.circuit.pause == min(2 * pause, LONGEST_PAUSE)
        self._turned()

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def a_caller_goes_away(self, data: st.DataObject) -> None:
        mine = data.draw(st.sampled_from(self.current))
        self.current.remove(mine)
        was = self.circuit.state
        self.circuit.gave_up(mine, self.now)
        if was == "half-open":
            assert self.circuit.state == "open"
            assert self.circuit.retry_at == self.now
            self._turned()
        else:
            assert self.circuit.state == was

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "gave up"]))
    def somebody_of_an_earlier_state_returns(self, data: st.DataObject, how: str) -> None:
        old = data.draw(st.sampled_from(self.stale))
        before = (self.circuit.state, self.circuit.retry_at, self.circuit.pause)
        if how == "succeeded":
            assert not self.circuit.succeeded(old)
        elif how == "failed":
            assert not self.circuit.failed(old, self.now)
        else:
            self.circuit.gave_up(old, self.now)
        assert before == (self.circuit.state, self.circuit.retry_at, self.circuit.pause)

    @invariant()
    def a_half_open_circuit_has_one_probe_out_at_most(self) -> None:
        if self.circuit.state == "half-open":
            assert len(self.current) <= 1
        if self.circuit.state == "open":
            assert not self.current

    @invariant()
    def a_pause_has_its_bounds(self) -> None:
        assert FIRST_PAUSE <= self.circuit.pause <= LONGEST_PAUSE
        if self.circuit.state == "closed":
            assert self.circuit.pause == FIRST_PAUSE


TestCallers = Callers.TestCase


@given(failures=st.integers(1, 40))
def test_a_server_that_stays_away_is_asked_less_and_less_often(failures: int) -> None:
    circuit, now, asked = Circuit(), 0.0, []
    for _ in range(failures):
        given_pass = circuit.admit(now)
        assert given_pass is not None
        circuit.failed(given_pass, now)
        asked.append(circuit.retry_at - now)
        now = circuit.retry_at
    assert asked == [min(FIRST_PAUSE * 2**i, LONGEST_PAUSE) for i in range(failures)]
