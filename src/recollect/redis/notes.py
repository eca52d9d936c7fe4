from .._clock import instant
from .._workspace import AppendNote, ClearNotes, ListNotes
from ..types import Note
from . import scripts
from .calls import Asking, Edits, Making, Questions
from .encoding import number


def _note(found: bytes) -> Note:
    at, text = found.split(b" ", 1)
    return Note.model_construct(text=text.decode(), at=instant(at))


QUESTIONS: Questions = {
    ListNotes: Asking(
        scripts.look("list_notes"),
        lambda _, found: tuple(map(_note, found)),
        lambda look: (b"" if look.limit is None else number(look.limit),),
    )
}

EDITS: Edits = {
    AppendNote: Making(
        scripts.edit("append_note"),
        lambda edit, found: Note.model_construct(text=edit.text, at=instant(found[0])),
        lambda edit: (edit.text.encode(), number(edit.at_most)),
    ),
    ClearNotes: Making(scripts.edit("clear_notes"), lambda _, found: int(found[0])),
}
