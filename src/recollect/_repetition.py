"""Saying the same again: when there is nothing to store, now and after whatever may be erased."""

from collections.abc import Container, Sequence
from dataclasses import replace

from ._timeline import Assertion, Piece, visible
from .stores.changes import Claim


def repeated(log: Sequence[Assertion], new: Assertion) -> Assertion | None:
    """Return the assertion that says what `new` says, so that there is nothing to store.

    It has the same object and claim, its sources are among those of the other, and it would change nobody's
    winner. Both hold whatever is erased later: so erasing makes no difference but what it erases. Therefore
    one without sources is repeated only by one of its session that has none either, and something else that
    took ground in between, of which it may lose some again, makes `new` worth storing.
    """
    if new.object not in [old.object for old in log]:
        return None
    shown, claim = visible(log), claim_of(new)
    for i in reversed(range(len(shown))):
        old = shown[i]
        if (
            (old.op, old.object) == (new.op, new.object)
            and claim_of(old) == claim
            and bool(old.sources) == bool(new.sources)
            and (old.sources or old.session_id == new.session_id)
            and set(new.sources) <= set(old.sources)
        ):
            return None if any(_takes_ground(each, new) for each in shown[i + 1 :]) else old
    return None


def _takes_ground(other: Assertion, new: Assertion) -> bool:
    """Whether something else between two equal assertions can hold what the later one would take back."""
    if other.op == "retract":
        return False
    if (other.op, other.object, other.claimed_from) == (new.op, new.object, new.claimed_from):
        return False  # with another beginning it may lose ground that this one would have kept
    keeps_it = new.onset and other.claimed_from > new.claimed_from
    never_had_it = other.onset and other.claimed_from < new.claimed_from
    if keeps_it or never_had_it:
        return False
    piece = Piece(other, other.claimed_from, other.claimed_to, 0, other.recorded_at)
    return piece.overlaps(new.claimed_from, new.claimed_to)


def without(
    log: Sequence[Assertion], episodes: Container[str], unsaid: Container[str] = ()
) -> list[Assertion]:
    """Return what the log of a slot would be if these episodes had never been, and `unsaid` were never said.

    What has no source left is gone, with the retractions of it; and so is what was worth storing only
    because of something that is gone. Numbers and instants stay what they were.
    """
    kept: list[Assertion] = []
    gone: set[str] = set()
    retracted = {each.ref for each in log}
    for each in log:
        left = tuple(source for source in each.sources if source not in episodes)
        same = replace(each, sources=left, replaces=None if each.replaces in gone else each.replaces)
        if (
            (each.sources and not left)
            or each.id in unsaid
            or each.ref in gone
            or (each.op != "retract" and each.id not in retracted and repeated(kept, same) is not None)
        ):
            gone.add(each.id)
        else:
            kept.append(same)
    return kept


def same_content(stored: Assertion, new: Assertion, *, started: bool) -> bool:
    """Compare what a caller passed under an id that is taken; `valid_from` only if it was given."""
    if not started:
        new = replace(new, claimed_from=stored.claimed_from)
    return (stored.op, stored.place, stored.object, claim_of(stored), stored.confidence, stored.sources) == (
        new.op, new.place, new.object, claim_of(new), new.confidence, new.sources,
    )  # fmt: skip


def claim_of(assertion: Assertion) -> Claim:
    return Claim(assertion.claimed_from, assertion.claimed_to, assertion.onset)
