"""Working memory of several processes whose server comes and goes: nothing is lost, and nothing doubled.

A story is a list of steps, each of one process. All processes share one server and one scope; a step of time
passes with each, so that what happens has an order. Afterwards everybody can reach the server again, and
calls once more.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recollect import Block, BlockConflict, OutcomeUnknown, StoreUnavailable, TaskState, Tenant, _standby
from recollect._fallback import FallbackWorking, Local
from recollect._ids import uuid7
from recollect._workspace import (
    AppendBlock,
    AppendNote,
    DeleteBlock,
    Edit,
    GetBlock,
    GetTask,
    GetVariables,
    ListBlocks,
    ListConflicts,
    ListNotes,
    ListVariables,
    Look,
    MoveBlock,
    SetBlock,
    SetTask,
    SetVariable,
    UpdateTask,
)
from recollect.errors import IdempotencyConflict, NotFound, VersionConflict
from recollect.stores import Place, Stamp
from recollect.testing._clock import Clock
from recollect.testing._outages import Outage, SwitchedServer

PLACE = Place(Tenant("n", "alice"))
PROCESSES = 2
NAMES = ("persona", "plan")

BIG = 1_000

Steps = list[tuple[int, str, Any]]


@pytest.fixture(autouse=True, scope="module")
def nobody_at_hand() -> Iterator[None]:
    """Pack what is known whenever nobody uses it: nothing may come of that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_standby, "AT_HAND", 0)
        yield


@dataclass(eq=False)
class Process:
    client: Any
    store: FallbackWorking
    local: Local


@dataclass(eq=False)
class World:
    """The processes, their clock, and what each was told of its edits.

    Attributes:
        server: has `connect()`, which returns a client whose `outage` can be set.
        place: the scope.
        sure: texts of edits that were acknowledged, in order; `unsure` of those whose outcome is unknown.
    """

    server: Any = None
    place: Place = PLACE
    clock: Clock = field(default_factory=Clock)
    seconds: float = 0.0
    count: int = 0
    sure: list[str] = field(default_factory=list[str])
    unsure: list[str] = field(default_factory=list[str])
    unread: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self.server = self.server or SwitchedServer(clock=self.clock)
        self.processes = [self._process() for _ in range(PROCESSES)]

    def _process(self) -> Process:
        client = self.server.connect()
        store = FallbackWorking(client, clock=self.clock, now=lambda: self.seconds)
        return Process(client, store, store.local())

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.clock.advance(seconds)

    def text(self, process: int) -> str:
        self.count += 1
        return f"<{process}.{self.count}>"

    async def make(self, process: int, edit: Edit[Any], text: str = "") -> Any:
        """Make an edit; note what its caller knows of it afterwards."""
        each = self.processes[process]
        try:
            result = await each.store.apply(each.local, self.place, edit, Stamp(uuid7()))
        except OutcomeUnknown:
            self.unsure.append(text)
        except (StoreUnavailable, NotFound, VersionConflict):
            return None
        else:
            self.sure.append(text)
            return result
        finally:
            self._tells_of_an_outage(each)

    async def ask(self, process: int, look: Look[Any]) -> Any:
        """Return an answer; None if the process does not know."""
        each = self.processes[process]
        try:
            (found,) = await each.store.look(each.local, (self.place,), look)
        except StoreUnavailable:
            return None
        finally:
            self._tells_of_an_outage(each)
        return found

    def _tells_of_an_outage(self, each: Process) -> None:
        if each.client.outage == "away" and each.local.unsaved:
            assert each.store.status(each.local).degraded

    async def heal(self) -> None:
        for each in self.processes:
            each.client.outage = None
        self.pass_time(60)
        for i in range(PROCESSES):
            await self.ask(i, GetTask())
            assert self.processes[i].local.unsaved == 0

    async def truth(self, look: Look[Any]) -> Any:
        client = self.server.connect()
        (found,) = await client.look(client.local(), (self.place,), look)
        return found

    async def forget(self, process: int, session_id: str | None) -> bool:
        """Forget everything, or a session; return whether that was done."""
        each = self.processes[process]
        try:
            await each.store.erase(each.local, self.place.tenant, session_id)
        except StoreUnavailable:
            return False
        return True


def story(*actions: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[Steps]:
    world = st.one_of(
        st.tuples(st.just("outage"), st.sampled_from([None, "away", "read-only", "reply lost"])),
        st.tuples(st.just("wait"), st.sampled_from([0.3, 3.0, 30.0])),
    )
    step = st.tuples(st.integers(0, PROCESSES - 1), st.one_of(world, *actions))
    return st.lists(step.map(lambda each: (each[0], *each[1])), max_size=30)


def action(name: str, values: st.SearchStrategy[Any] = st.none()) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.just(name), values)


async def turn(world: World, process: int, what: str, value: Any) -> None:
    """Let the world turn; nothing if the step is not about it."""
    world.pass_time(0.01)
    if what == "outage":
        world.processes[process].client.outage = value
    elif what == "wait":
        world.pass_time(value)


def once(world: World, kept: str) -> None:
    """Every acknowledged text is there once, one of unknown outcome at most once, and no other."""
    counts = Counter({text: kept.count(text) for text in {*world.sure, *world.unsure}})
    assert all(counts[text] == 1 for text in world.sure), (kept, world.sure)
    assert all(counts[text] <= 1 for text in world.unsure)
    assert len(kept) == sum(len(text) * counts[text] for text in counts)


notes = story(action("note"), action("entries", st.sampled_from([None, 2])))


async def live_notes(world: World, steps: Steps) -> None:
    for process, what, value in steps:
        await turn(world, process, what, value)
        if what == "note":
            text = world.text(process)
            await world.make(process, AppendNote(text, BIG), text)
        elif what == "entries":
            found = await world.ask(process, ListNotes(value))
            if found is not None and value is None:
                texts = [note.text for note in found]
                own = [text for text in world.sure if text.startswith(f"<{process}.")]
                assert not set(own) - set(texts), "a process does not see what it wrote"
                assert len(texts) == len(set(texts))
    await world.heal()
    once(world, "".join(note.text for note in await world.truth(ListNotes(None))))


@given(steps=notes)
@settings(max_examples=300)
@example(
    [(0, "outage", "reply lost"), (0, "note", None), (0, "wait", 3.0), (0, "outage", None), (0, "note", None)]
)
def test_every_note_that_was_acknowledged_is_there_once(steps: Steps) -> None:
    anyio.run(live_notes, World(), steps)


appends = story(
    action("append", st.sampled_from(NAMES)), action("list"), action("get", st.sampled_from(NAMES))
)


async def kept_texts(world: World) -> str:
    """Return what is in place, and what is kept as a conflict."""
    blocks: tuple[Block, ...] = await world.truth(ListBlocks())
    conflicts: tuple[BlockConflict, ...] = await world.truth(ListConflicts())
    return "".join([*(block.text for block in blocks), *(each.ours or "" for each in conflicts)])


async def live_appends(world: World, steps: Steps) -> None:
    for process, what, value in steps:
        await turn(world, process, what, value)
        if what == "append":
            text = world.text(process)
            await world.make(process, AppendBlock(value, text, 10**6, BIG), text)
        elif what in ("list", "get"):
            await world.ask(process, ListBlocks() if what == "list" else GetBlock(value))
    await world.heal()
    once(world, await kept_texts(world))


@given(steps=appends)
@settings(max_examples=300)
def test_every_piece_that_was_appended_is_there_once(steps: Steps) -> None:
    anyio.run(live_appends, World(), steps)


blocks = story(
    action("set", st.sampled_from(NAMES)),
    action("append", st.sampled_from(NAMES)),
    action("delete", st.sampled_from(NAMES)),
    action("move", st.sampled_from(NAMES)),
    action("list"),
)


async def live_blocks(world: World, steps: Steps) -> None:
    """The newest acknowledged text of a block is in place, or kept as a conflict; unless deleted later."""
    newest: dict[str, tuple[str, int]] = {}
    for process, what, value in steps:
        await turn(world, process, what, value)
        match what:
            case "set":
                text = world.text(process)
                if await world.make(process, SetBlock(value, text, None, BIG), text) is not None:
                    newest[value] = text, process
            case "append":
                text = world.text(process)
                if await world.make(process, AppendBlock(value, text, 10**6, BIG), text) is not None:
                    newest[value] = text, process
            case "delete":
                await world.make(process, DeleteBlock(value))
                newest.pop(value, None)
            case "move":
                await world.make(process, MoveBlock(value, 0))
            case _:
                await world.ask(process, ListBlocks())
    await world.heal()
    kept = await kept_texts(world)
    for text, _ in newest.values():
        assert text in kept, (newest, kept)
    orders = [block.order for block in await world.truth(ListBlocks())]
    assert len(orders) == len(set(orders))


@given(steps=blocks)
@settings(max_examples=300)
def test_no_text_of_a_block_goes_but_by_an_edit_that_came_after_it(steps: Steps) -> None:
    anyio.run(live_blocks, World(), steps)


variables = story(action("set", st.sampled_from("ab")), action("get", st.sampled_from("ab")), action("items"))


async def live_variables(world: World, steps: Steps) -> None:
    latest: dict[str, str] = {}
    own: dict[tuple[int, str], int] = {}
    for process, what, value in steps:
        await turn(world, process, what, value)
        if what == "set":
            world.count += 1
            await world.make(process, SetVariable(value, f"{world.count}", None, BIG))
            latest[value] = f"{world.count}"
            own[process, value] = world.count
        elif what in ("get", "items"):
            look = GetVariables((value,)) if what == "get" else ListVariables()
            found = await world.ask(process, look)
            if found is None:
                continue
            for key in [value] if what == "get" else "ab":
                mine = own.get((process, key))
                if mine is not None:
                    assert int(found[key].value) >= mine, "a process does not see what it wrote"
    await world.heal()
    assert {key: each.value for key, each in (await world.truth(ListVariables())).items()} == latest


@given(steps=variables)
@settings(max_examples=300)
def test_the_latest_write_of_a_variable_stays(steps: Steps) -> None:
    anyio.run(live_variables, World(), steps)


tasks = story(action("set"), action("update"), action("get"))


async def live_task(world: World, steps: Steps) -> None:
    latest: str | None = None
    for process, what, value in steps:
        await turn(world, process, what, value)
        if what == "set":
            latest = world.text(process)
            await world.make(process, SetTask(TaskState(task_id="t", status=latest)))
        elif what == "update":
            status = world.text(process)
            if await world.make(process, UpdateTask(None, None, status)) is not None:
                latest = status
        elif what == "get":
            await world.ask(process, GetTask())
    unsure = bool(world.unsure)
    await world.heal()
    task = await world.truth(GetTask())
    assert unsure or (task and task.status) == latest


@given(steps=tasks)
@settings(max_examples=300)
def test_the_latest_state_of_a_task_stays(steps: Steps) -> None:
    anyio.run(live_task, World(), steps)


forgets = story(
    action("append", st.sampled_from(NAMES)),
    action("set", st.sampled_from(NAMES)),
    action("note"),
    action("list"),
    action("entries"),
    action("forget", st.sampled_from(["everything", "session", "another session"])),
)


async def live_forgets(world: World, steps: Steps) -> None:
    before: set[str] = set()
    sessions = {"everything": None, "session": world.place.session_id, "another session": "other"}
    for process, what, value in steps:
        await turn(world, process, what, value)
        text = world.text(process)
        match what:
            case "append":
                await world.make(process, AppendBlock(value, text, 10**6, BIG), text)
            case "set":
                await world.make(process, SetBlock(value, text, None, BIG), text)
            case "note":
                await world.make(process, AppendNote(text, BIG), text)
            case "forget" if await world.forget(process, sessions[value]) and value != "another session":
                before = {*world.sure, *world.unsure}
            case "list" | "entries":
                await world.ask(process, ListBlocks() if what == "list" else ListNotes(None))
            case _:
                pass
    await world.heal()
    kept = await kept_texts(world) + "".join(note.text for note in await world.truth(ListNotes(None)))
    assert not [text for text in before if text in kept], (before, kept)
    for i in range(PROCESSES):
        shown = "".join(block.text for block in await world.ask(i, ListBlocks()))
        assert not [text for text in before if text in shown], (before, shown)


@given(steps=forgets)
@settings(max_examples=400)
@example(
    [
        (1, "set", "plan"), (1, "outage", "away"), (1, "append", "plan"), (0, "forget", "everything"),
        (1, "append", "plan"), (1, "outage", None), (1, "wait", 30.0), (1, "list", None),
    ]
)  # fmt: skip
@example([(1, "outage", "away"), (1, "set", "plan"), (0, "forget", "session"), (1, "append", "plan")])
@example(
    [
        (0, "set", "plan"), (0, "outage", "away"), (0, "append", "plan"), (0, "outage", None),
        (0, "wait", 30.0), (0, "forget", "session"), (0, "list", None),
    ]
)  # fmt: skip
@example([(1, "outage", "read-only"), (1, "set", "plan"), (0, "forget", "session"), (1, "entries", None)])
def test_nothing_that_was_said_before_it_was_forgotten_is_there_afterwards(steps: Steps) -> None:
    anyio.run(live_forgets, World(place=Place(PLACE.tenant, "agent", "s")), steps)


async def test_forgetting_while_the_server_is_away_is_refused_and_forgets_nothing() -> None:
    world = World()
    await world.make(0, SetBlock("persona", "terse", None, BIG))
    world.processes[0].client.outage = "away"
    assert not await world.forget(0, None)
    assert (await world.ask(0, GetBlock("persona"))).text == "terse"
    world.processes[0].client.outage = None
    world.pass_time(60)
    assert await world.forget(0, None)
    assert await world.ask(0, ListBlocks()) == ()


async def test_another_session_that_is_forgotten_costs_nobody_what_is_unsaved() -> None:
    world = World(place=Place(PLACE.tenant, None, "s"))
    await world.make(1, SetBlock("plan", "one", None, BIG))
    world.processes[1].client.outage = "away"
    await world.make(1, AppendBlock("plan", " two", 10**6, BIG))
    await world.make(1, AppendNote("kept", BIG))
    assert await world.forget(0, "other")
    await world.heal()
    assert [block.text for block in await world.truth(ListBlocks())] == ["one two"]
    assert [note.text for note in await world.truth(ListNotes(None))] == ["kept"]


async def test_what_was_never_seen_is_unavailable_and_not_empty() -> None:
    world = World()
    world.processes[0].client.outage = "away"
    each = world.processes[0]
    looks: list[Look[Any]] = [
        ListBlocks(),
        GetBlock("a"),
        ListVariables(),
        GetVariables(("k",)),
        GetTask(),
        ListNotes(None),
    ]
    for look in looks:
        with pytest.raises(StoreUnavailable):
            await each.store.look(each.local, (PLACE,), look)
    await world.make(0, SetVariable("k", "1", None, BIG))
    assert (await world.ask(0, GetVariables(("k",))))["k"].value == "1"
    assert await world.ask(0, ListVariables()) is None


async def test_an_emptied_server_gets_back_what_the_process_knows_and_says_so_of_the_rest() -> None:
    world = World()
    edits: list[Edit[Any]] = [
        SetBlock("persona", "terse", None, BIG),
        SetBlock("plan", "first", None, BIG),
        SetVariable("k", "1", None, BIG),
        SetVariable("brief", "2", 100.0, BIG),
        SetTask(TaskState(task_id="t")),
        AppendNote("one", BIG),
        AppendNote("two", BIG),
    ]
    for i, edit in enumerate(edits):
        await world.make(i % 2, edit)
    for i in range(PROCESSES):
        looks: list[Look[Any]] = [ListBlocks(), ListVariables(), GetTask(), ListNotes(None)]
        for look in looks:
            await world.ask(i, look)
    world.pass_time(10)
    world.server.empty()
    assert [block.text for block in await world.ask(0, ListBlocks())] == ["terse", "first"]
    assert [note.text for note in await world.ask(1, ListNotes(None))] == ["one", "two"]
    await world.heal()
    assert [block.text for block in await world.truth(ListBlocks())] == ["terse", "first"]
    assert [note.text for note in await world.truth(ListNotes(None))] == ["one", "two"]
    found = await world.truth(ListVariables())
    assert {key: each.value for key, each in found.items()} == {"k": "1", "brief": "2"}
    assert (await world.truth(GetTask())).task_id == "t"
    assert await world.truth(ListConflicts()) == ()


async def test_an_emptied_server_is_not_read_as_empty_by_who_had_seen_it() -> None:
    world = World()
    await world.make(1, SetBlock("persona", "terse", None, BIG))
    await world.make(0, SetVariable("k", "1", None, BIG))
    world.server.empty()
    each = world.processes[0]
    with pytest.raises(StoreUnavailable):
        await each.store.look(each.local, (PLACE,), ListBlocks())
    assert await world.ask(0, ListBlocks()) == ()  # said once; by now it is a server like any other
    assert (await world.truth(GetVariables(("k",))))["k"].value == "1"


@pytest.mark.parametrize("outage", [None, "away", "reply lost"])
async def test_a_key_counts_once_on_both_sides_of_an_outage(outage: Outage | None) -> None:
    world = World()
    each = world.processes[0]
    edit, stamp = AppendBlock("log", "more", 10**6, BIG), Stamp("key", digest="d")
    first = await each.store.apply(each.local, PLACE, edit, stamp)
    each.client.outage = outage
    assert await each.store.apply(each.local, PLACE, edit, stamp) == first
    await world.heal()
    assert [block.text for block in await world.truth(ListBlocks())] == ["more"]
    with pytest.raises(IdempotencyConflict):
        await each.store.apply(each.local, PLACE, edit, Stamp("key", digest="e"))


async def test_a_key_returns_nothing_that_was_forgotten_meanwhile() -> None:
    world = World()
    one, other = world.processes
    edit, stamp = SetBlock("persona", "secret", None, BIG), Stamp("key", digest="d")
    await one.store.apply(one.local, PLACE, edit, stamp)
    await other.store.erase(other.local, PLACE.tenant, None)
    world.pass_time(1)
    said = await one.store.apply(one.local, PLACE, edit, stamp)
    assert await world.truth(GetBlock("persona")) == said  # made anew: who says it again wants it again
