"""What is known of a tenant's scopes, as bytes, for as long as nobody uses it.

A process knows some twenty small objects of a tenant, and Python's garbage collector looks at every one of
them, over and over. Bytes it never looks at, and they take less room.
"""

import pickle
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ._clock import instant, micros
from ._unsaved import Replica
from ._values import made
from ._workspace import Variable, Workspace
from .stores import Place
from .types import Block, Note, Tenant


def packed(replicas: Iterable[Replica]) -> bytes:
    """Return replicas of which nothing is unsaved or under way."""
    return pickle.dumps([_flat(replica) for replica in replicas], pickle.HIGHEST_PROTOCOL)


def unpacked(found: bytes, tenant: Tenant) -> dict[Place, Replica]:
    """Return what was packed of a tenant by this process."""
    replicas = [_replica(tenant, flat) for flat in pickle.loads(found)]  # noqa: S301  # nobody else's
    return {replica.place: replica for replica in replicas}


def _flat(replica: Replica) -> tuple[Any, ...]:
    """Return a replica as atoms, as far as there may be many of a kind: those are packed in no time."""
    place, space = replica.place, replica.space
    blocks, variables = space.blocks.values(), space.variables.items()
    return (
        (place.agent_id, place.session_id),
        (replica.bases, replica.done, replica.touched_at),
        [(each.name, each.text, each.order, each.version, micros(each.updated_at)) for each in blocks],
        [(key, each.value, _number(each.expires_at), _number(each.written_at)) for key, each in variables],
        [(note.text, micros(note.at)) for note in space.notes],
        (space.newest, space.task, space.task_at),
        [*space.known],
    )


def _replica(tenant: Tenant, flat: tuple[Any, ...]) -> Replica:
    name, (bases, done, touched_at), blocks, variables, notes, (newest, task, task_at), known = flat
    space = Workspace(
        blocks={
            name: made(Block, name=name, text=text, order=order, version=version, updated_at=instant(at))
            for name, text, order, version, at in blocks
        },
        newest=newest,
        variables={
            key: Variable(value, _instant(expires), _instant(written))
            for key, value, expires, written in variables
        },
        task=task,
        task_at=task_at,
        notes=[made(Note, text=text, at=instant(at)) for text, at in notes],
        known=set(known),
    )
    return Replica(Place(tenant, *name), space, bases=bases, done=done, touched_at=touched_at)


def _number(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _instant(number: int | None) -> datetime | None:
    return None if number is None else instant(number)
