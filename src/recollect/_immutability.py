"""What holds of immutable predicates, whoever brings a log. Pure."""

from collections.abc import Mapping, Sequence

from ._draft import IMMUTABLE, MAIN
from ._timeline import Assertion, Slot, visible
from .errors import FactConflict
from .stores.changes import Rule


def check_immutable(logs: Mapping[Slot, Sequence[Assertion]], rules: Mapping[str, Rule]) -> None:
    """Pass if no slot of an immutable predicate has two objects, that of a session and the main one together.

    Args:
        logs: of all slots of some subjects and predicates.

    Raises:
        FactConflict: one has.
    """
    for place in logs:
        rule = rules.get(place[2])
        if rule is None or not rule.immutable:
            continue
        shown = [each for at in {place, (MAIN, *place[1:])} for each in visible(logs.get(at, ()))]
        if len({each.object for each in shown if each.op == "assert"}) > 1:
            raise FactConflict(IMMUTABLE)
