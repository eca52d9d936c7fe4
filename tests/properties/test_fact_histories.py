"""Histories that others tell of two times: answered alike by the algebra and by the stores."""

import json
from datetime import UTC, datetime
from itertools import groupby
from uuid import uuid4

import pytest

from recollect._ids import derived
from recollect._timeline import replay
from recollect.stores import Archive
from recollect.stores.changes import Assert, Change, Claim, Rule, Void
from recollect.stores.facts import FactFilter
from recollect.testing import Clock
from recollect.types import Tenant

from .histories import record
from .stories import STORIES, Story, Told


def at(date: str) -> datetime:
    return datetime.fromisoformat(date).replace(tzinfo=UTC)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_algebra_answers_as_the_story_does(story):
    log = [
        record(tx, each.value, at(each.start), each.end and at(each.end), onset=each.onset, op=each.op)
        for tx, each in enumerate(story.told, 1)
    ]
    pieces = replay(log)
    answers = {
        on: {
            date: next(
                (p.assertion.object for p in pieces if p.known(known(story, on)) and p.covers(at(date))), None
            )
            for date in dates
        }
        for on, dates in story.asked.items()
    }
    assert answers == story.asked


def known(story: Story, on: str) -> int:
    """Return the newest transaction on a day, each statement being one."""
    return sum(each.on <= on for each in story.told)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_a_store_answers_as_the_story_does(story, archive, clock):
    for together in (False, True):  # what is said on one day, in a transaction each or in one
        await assert_answers(story, archive, clock, together=together)


async def assert_answers(story: Story, archive: Archive, clock: Clock, *, together: bool) -> None:
    tenant, predicate = Tenant(f"test-{uuid4()}", "ann"), f"story-{uuid4()}"
    await archive.adopt_predicates({predicate: Rule("one")}, replace=False)
    for _, told in groupby(story.told, key=lambda each: each.on if together else id(each)):
        said = list(told)
        clock.now = at(said[0].on)
        outcome = await archive.facts.commit([change(tenant, predicate, said)])
        assert not isinstance(outcome[0], Exception)
    answers: dict[str, dict[str, str | None]] = {}
    for on, dates in story.asked.items():
        tx, _ = await archive.facts.known_at(tenant, at(on).replace(hour=23))
        answers[on] = {}
        for date in dates:
            filter = FactFilter(
                now=clock.now, subject="ann", predicate=predicate, valid_at=at(date), known=tx
            )
            found, _ = await archive.facts.find(tenant, filter, after=None, limit=10)
            answers[on][date] = json.loads(found[0].piece.assertion.object) if found else None
            assert len(found) < 2
    assert answers == story.asked
    assert await archive.facts.verify(tenant) == 0


def change(tenant: Tenant, predicate: str, said: list[Told]) -> Change:
    key = str(uuid4())
    operations = []
    for i, each in enumerate(said):
        id, claim = derived(key, i), Claim(at(each.start), each.end and at(each.end), each.onset)
        if each.value is None:
            operations.append(Void(id, "ann", predicate, None, claim))
        else:
            operations.append(Assert(id, "ann", predicate, f'"{each.value}"', claim))
    return Change(tenant, key, key.encode(), "add", tuple(operations))
