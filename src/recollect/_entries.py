"""What statements have become: for who made them, and for who was too late."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from ._timeline import Assertion, Piece, Slot, supporters, visible
from .stores.changes import Entry


class SlotReader(Protocol):
    """Slots with all that was said in them so far."""

    def log(self, place: Slot) -> Sequence[Assertion]: ...

    def current(self, place: Slot) -> Sequence[Piece]: ...


def entries(noted: Iterable[tuple[Assertion, bool]], slots: SlotReader) -> list[Entry]:
    """Return what assertions have become, each given with whether it is changed.

    Each slot is looked at once, however many of them are in it.
    """
    noted = list(noted)
    said: dict[tuple[Slot, str | None], list[Assertion]] = {}
    pieces: dict[str, Piece] = {}
    for place in {each.place for each, _ in noted}:
        for each in visible(slots.log(place)):
            said.setdefault((place, each.object), []).append(each)
        for piece in reversed(slots.current(place)):  # of several the first
            pieces[piece.assertion.id] = piece
    return [
        _entry(each, said.get((each.place, each.object), ()), pieces.get(each.id), changed=changed)
        for each, changed in noted
    ]


def _entry(assertion: Assertion, said: Sequence[Assertion], piece: Piece | None, *, changed: bool) -> Entry:
    """Return what an assertion has become, given all of its slot that has its object."""
    held = supporters(said, assertion.object, assertion.claimed_from) if assertion.op == "assert" else []
    return Entry(
        assertion=assertion,
        piece=piece,
        changed=changed,
        support=len(held),
        sources=tuple(dict.fromkeys(source for each in held for source in each.sources)),
        confidence=max((each.confidence for each in held), default=assertion.confidence),
    )
