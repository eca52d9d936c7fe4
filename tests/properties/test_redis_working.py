"""Working memory in Redis and in process say the same, answer for answer and error for error."""

from dataclasses import astuple, dataclass
from typing import Any
from uuid import uuid4

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect import RecollectError
from recollect._workspace import (
    AppendBlock,
    AppendNote,
    ClearNotes,
    ClearTask,
    ClearVariables,
    CountAll,
    CreateCheckpoint,
    DeleteBlock,
    DeleteCheckpoint,
    DeleteVariable,
    Edit,
    GetBlock,
    GetTask,
    GetVariables,
    ListBlocks,
    ListCheckpoints,
    ListConflicts,
    ListKeys,
    ListNotes,
    ListVariables,
    Look,
    MoveBlock,
    ResolveConflict,
    RestoreCheckpoint,
    SaveBlock,
    SetBlock,
    SetTask,
    SetVariable,
    UpdateTask,
)
from recollect.errors import VersionConflict
from recollect.inprocess import InProcessWorking
from recollect.redis import open_redis
from recollect.stores import Place, Stamp, WorkingStore
from recollect.testing import Clock
from recollect.types import TaskState, Tenant

SESSION_TTL = 100.0
NAMES = ("a", "b", "{d}:\n*")
names = st.sampled_from(NAMES)
ids = st.sampled_from(("one", "two", "fo ur"))
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
versions = st.none() | st.integers(0, 4)
tasks = st.builds(
    TaskState,
    task_id=names,
    description=texts,
    status=texts,
    current_step=st.integers(0, 2**53 - 1),
    total_steps=st.integers(0, 9),
    progress_percent=st.floats(0, 100),
    context=st.dictionaries(
        texts, st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts, max_size=2
    ),
    started_at=st.none() | st.datetimes(timezones=st.just(Clock().now.tzinfo)),
)

edits: st.SearchStrategy[Edit[Any]] = st.one_of(
    st.builds(SetBlock, names, texts, versions, st.just(2)),
    st.builds(AppendBlock, names, texts, st.just(12), st.just(2)),
    st.builds(DeleteBlock, names),
    st.builds(MoveBlock, names, st.integers(0, 4)),
    st.builds(SaveBlock, ids, names, st.none() | texts, versions, st.integers(0, 9)),
    st.builds(ResolveConflict, ids, st.sampled_from(("ours", "theirs")), st.none() | texts),
    st.builds(SetVariable, names, texts, st.none() | st.sampled_from((0.5, 10.0, 1e300)), st.just(2)),
    st.builds(DeleteVariable, names),
    st.builds(ClearVariables),
    st.builds(SetTask, tasks),
    st.builds(
        UpdateTask,
        st.none() | st.integers(0, 9),
        st.none() | st.floats(0, 100),
        st.none() | texts,
    ),
    st.builds(ClearTask),
    st.builds(AppendNote, texts, st.just(4)),
    st.builds(ClearNotes),
    # Often enough that something comes between the one and the other.
    *[st.builds(SetBlock, names, texts, st.none(), st.just(3))] * 3,
    *[st.builds(CreateCheckpoint, ids, texts, st.integers(1, 2))] * 3,
    *[st.builds(RestoreCheckpoint, ids)] * 4,
    st.builds(DeleteCheckpoint, ids),
)
LOOKS: tuple[Look[Any], ...] = (
    ListBlocks(),
    *map(GetBlock, NAMES),
    ListVariables(),
    GetVariables(NAMES),
    GetTask(),
    ListNotes(None),
    ListNotes(2),
    ListNotes(0),
    ListCheckpoints(),
    ListConflicts(),
    CountAll(),
)


@dataclass(frozen=True)
class Step:
    """What is done, where, how often under one key, and how many seconds after the last one."""

    edit: Edit[Any]
    scope: tuple[str | None, str | None]
    times: int
    after: float


steps = st.builds(
    Step,
    edits,
    st.sampled_from((*[(None, None)] * 5, (None, "s"), ("s", None), ("a", "s"))),
    st.sampled_from((1, 1, 2)),
    st.sampled_from((0.0, 0.000_001, 1.0, 9.0, 60.0, 101.0)),
)


async def _outcome(store: WorkingStore, local: Any, place: Place, edit: Edit[Any], stamp: Stamp) -> object:
    try:
        return await store.apply(local, place, edit, stamp)
    except VersionConflict as exc:
        return type(exc), exc.args, exc.current
    except RecollectError as exc:
        return type(exc), exc.args


async def _told(store: WorkingStore, local: Any, places: list[Place]) -> object:
    found: list[object] = [await store.look(local, places, look) for look in LOOKS]
    return found, [{*keys} for keys in await store.look(local, places, ListKeys())]


@settings(max_examples=100)
@given(st.lists(steps, min_size=20, max_size=60))
def test_redis_and_process_say_the_same(redis_url: str, story: list[Step]) -> None:
    async def compare() -> None:
        clock, tenant = Clock(), Tenant(uuid4().hex, None)
        expected = InProcessWorking(clock=clock, session_ttl=SESSION_TTL)
        async with open_redis(redis_url, clock=clock, session_ttl=SESSION_TTL, deadline=60.0) as found:
            here, there = expected.local(), found.local()
            places: dict[Place, None] = {}
            for step in story:
                clock.advance(step.after)
                place = Place(tenant, *step.scope)
                places[place] = None
                stamp = Stamp(uuid4().hex, "0" * 32)
                for _ in range(step.times):
                    outcome = await _outcome(found, there, place, step.edit, stamp)
                    assert outcome == await _outcome(expected, here, place, step.edit, stamp), astuple(step)
            if places:
                assert await _told(found, there, [*places]) == await _told(expected, here, [*places])

    anyio.run(compare)
