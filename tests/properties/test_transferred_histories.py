"""Drawn histories, loaded into a store and taken out again: the same log, and the projection that it has."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import groupby
from uuid import uuid4

from hypothesis import given

from recollect import _json
from recollect._draft import digest, text_digest
from recollect._timeline import Assertion, replay
from recollect.stores import Archive, NewEpisode
from recollect.stores.changes import FactText, Rule
from recollect.stores.transfer import (
    BEGINNING,
    Kept,
    KeptAssertion,
    KeptEpisode,
    KeptTransaction,
    Loading,
)
from recollect.types import Tenant

from .histories import START, logs, recorded

EPISODES = ("x", "y", "z")
PREDICATE = "transferred-lives-in"


def kept_of(log: Sequence[Assertion]) -> list[Kept]:
    """Return a drawn log with its transactions, and the episodes that it names before them."""
    first = len(EPISODES)
    kept: list[Kept] = [
        KeptEpisode(
            NewEpisode(id, digest(id), None, None, id, "", START, "{}", None, (), "none", None),
            seq,
            recorded(seq),
        )
        for seq, id in enumerate(EPISODES, start=1)
    ]
    for tx, said in groupby(log, key=lambda each: each.tx):
        at = first + tx
        kept.append(
            KeptTransaction(
                at, recorded(at), "add", None, None, None, digest(f"{at}"), digest("content"), None
            )
        )
        kept += [KeptAssertion(_at(each, at), _text(each)) for each in said]
    return kept


def _at(said: Assertion, tx: int) -> Assertion:
    return replace(
        said,
        tx=tx,
        recorded_at=recorded(tx),
        predicate=PREDICATE,
        object=None if said.object is None else _json.dumps(said.object),
    )


def _text(said: Assertion) -> FactText | None:
    if said.op != "assert" or said.object is None:
        return None
    object = _json.dumps(said.object)
    return FactText(text_digest(said.subject, PREDICATE, object), object, (said.object,), "none")


@given(log=logs(episodes=EPISODES))
async def test_a_drawn_history_comes_out_as_it_went_in(log: list[Assertion], archive: Archive) -> None:
    await archive.adopt_predicates({PREDICATE: Rule("one")}, replace=False)
    kept, tenant = kept_of(log), Tenant(f"test-{uuid4()}", "ann")
    last = kept[-1].position[0]

    async def pages() -> AsyncGenerator[Sequence[Kept]]:
        for start in range(0, len(kept), 3):
            yield kept[start : start + 3]

    loading = Loading(last, recorded(last), {PREDICATE: Rule("one")}, 0, frozenset(), None, (), pages)
    await archive.transfers.load(tenant, loading)
    assert await archive.facts.verify(tenant) == 0
    held = await archive.transfers.survey(tenant)
    found = await archive.transfers.dump(tenant, basis=held.tx, after=BEGINNING, limit=100, vectors=False)
    assert [_plain(each) for each in found] == [_plain(each) for each in kept]
    said = [each.said for each in kept if isinstance(each, KeptAssertion)]
    slots = await archive.facts.slots(tenant, "ann", PREDICATE, branch=None)
    assert (list(slots.log), list(slots.pieces)) == (said, replay(said))


def _plain(kept: Kept) -> object:
    if isinstance(kept, KeptEpisode):
        return kept.seq, kept.recorded_at, repr(kept.new)
    return kept.said if isinstance(kept, KeptAssertion) else kept
