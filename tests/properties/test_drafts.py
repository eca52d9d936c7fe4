"""What a change adds to the log: the cases where the border cannot know better."""

import pytest

from recollect._draft import State
from recollect._ledger import Ledger
from recollect.errors import InvalidInput
from recollect.stores.changes import Assert, Change, Claim, Void
from recollect.types import Tenant

from .histories import day


@pytest.mark.parametrize("void", [False, True])
def test_what_would_end_before_it_begins_is_refused(void):
    claim = Claim(None, day(9), onset=False)  # it begins when it is learned
    operation = Void("v", "ann", "likes", '"a"', claim) if void else Assert("a", "ann", "likes", '"a"', claim)
    ledger = Ledger(State(0, day(10), day(10), {}))
    outcome = ledger.apply(Change(Tenant("test", "ann"), "key", b"", "deny", (operation,)))
    assert isinstance(outcome, InvalidInput)
    assert not ledger.written.headers
