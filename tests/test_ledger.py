"""What a change costs grows with what it says, not with its square."""

import sys
from datetime import UTC, datetime, timedelta

import pytest

from recollect import Tenant
from recollect._draft import State
from recollect._ledger import Ledger
from recollect.stores.changes import Assert, Change, Claim, Committed, Rule

START = datetime(2026, 1, 1, tzinfo=UTC)


def calls_of(ledger: Ledger, change: Change) -> int:
    """Apply a change; return how many functions of Python were called."""
    calls = 0

    def count(_frame: object, event: str, _value: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        outcome = ledger.apply(change)
    finally:
        sys.setprofile(before)
    assert isinstance(outcome, Committed)
    return calls


@pytest.mark.parametrize("cardinality", ["one", "many"])
def test_a_statement_is_as_much_work_however_many_come_with_it(cardinality: str) -> None:
    def work(size: int) -> int:
        state = State(tx=0, at=START, now=START, rules={"mood": Rule(cardinality)})  # type: ignore[arg-type]
        ledger, tenant = Ledger(state), Tenant("n", "alice")
        said = tuple(
            Assert(f"f{i}", "alice", "mood", f'"{i}"', Claim(START + timedelta(days=i), None, onset=True))
            for i in range(size)
        )
        return calls_of(ledger, Change(tenant, "key", b"digest", "add", said))

    assert work(400) < 8 * 2 * work(50)
