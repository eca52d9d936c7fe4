from dataclasses import dataclass
from datetime import datetime

from ..types import Note
from .space import NOTES, Edit, Look, Part, Workspace


@dataclass(frozen=True, slots=True)
class ListNotes(Look[tuple[Note, ...]]):
    """The newest notes, oldest first.

    Attributes:
        limit: None for all.
    """

    limit: int | None

    @property
    def needs(self) -> tuple[Part, ...]:
        return (NOTES,)

    def look(self, space: Workspace, now: datetime) -> tuple[Note, ...]:
        first = 0 if self.limit is None else max(len(space.notes) - self.limit, 0)
        return tuple(space.notes[first:])

    def learn(self, space: Workspace, found: tuple[Note, ...], now: datetime) -> None:
        if self.limit is None or len(found) < self.limit:
            space.notes = list(found)
            space.known.add(NOTES)


@dataclass(frozen=True, slots=True)
class AppendNote(Edit[Note]):
    """Add a note; the oldest go.

    Attributes:
        at_most: notes in the scope.
    """

    text: str
    at_most: int

    def apply(self, space: Workspace, now: datetime) -> Note:
        note = Note.model_construct(text=self.text, at=now)
        self._add(space, note)
        return note

    def learn(self, space: Workspace, result: Note, now: datetime) -> None:
        if space.knows((NOTES,)):
            self._add(space, result)

    def _add(self, space: Workspace, note: Note) -> None:
        space.notes.append(note)
        del space.notes[: -self.at_most]


@dataclass(frozen=True, slots=True)
class ClearNotes(Edit[int]):
    """Drop all notes; returns how many there were."""

    @property
    def needs(self) -> tuple[Part, ...]:
        return (NOTES,)

    def apply(self, space: Workspace, now: datetime) -> int:
        count = len(space.notes)
        space.notes.clear()
        return count

    def apply_late(self, space: Workspace, made_at: datetime) -> int:
        newer = [note for note in space.notes if note.at > made_at]
        count = len(space.notes) - len(newer)
        space.notes = newer
        return count

    def learn(self, space: Workspace, result: int, now: datetime) -> None:
        space.notes.clear()
        space.known.add(NOTES)
