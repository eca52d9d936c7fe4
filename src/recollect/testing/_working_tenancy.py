"""Tenants and scopes never meet, whatever they are called, and whatever is written in them comes back."""

from itertools import product

from .._workspace import (
    CountAll,
    DeleteBlock,
    DeleteVariable,
    GetBlock,
    GetTask,
    GetVariables,
    ListBlocks,
    SetTask,
)
from ..stores import Place, WorkingStore
from ..types import TaskState, Tenant
from ._material import HOSTILE, fresh_namespace
from ._tenancy import neighbouring_tenants
from ._working_material import Seat, WorkingCheck, empty, furnish, move, seated

TEXTS = (
    *HOSTILE,
    "",
    " ",
    "\n",
    "\r\n and \r",
    "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "e\u0301 is not é",
    "\u2028\u2029\u200b\u200d\ufffd\ufffe\uffff",
    "\U0001f469\u200d\U0001f469 \U0010ffff \U00010000",
    "<block name='x'></block>]]>&amp;",
    "redis.call('FLUSHALL')",
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "0",
    "-1",
    "1e309",
    "nan",
    "true",
    '"json"',
    "\\u0000 \\ud800",
)


async def tenants_never_meet(store: WorkingStore) -> None:
    namespace = fresh_namespace()
    tenants = [*neighbouring_tenants(), *(Tenant(namespace, name) for name in HOSTILE)]
    seats = [seated(store, tenant=tenant) for tenant in tenants]
    await _check_apart(seats)


async def scopes_never_meet(store: WorkingStore) -> None:
    seat = seated(store)
    names = (None, "a", "b", "a:b", "b:c", "c", "a/b", "a%3Ab", "None", "%", "*", " ", "A")
    await _check_apart([seat.at(agent_id=a, session_id=s) for a, s in product(names, names)])


async def scopes_of_any_name_never_meet(store: WorkingStore) -> None:
    seat = seated(store)
    agents = [seat.at(agent_id=name) for name in HOSTILE]
    sessions = [seat.at(session_id=name) for name in HOSTILE]
    await _check_apart([seat, *agents, *sessions])


async def _check_apart(seats: list[Seat]) -> None:
    for i, seat in enumerate(seats):
        await seat.put("b", f"of {i}")
        await seat.store_value("v", i)
        await seat.note(f"of {i}")
        await seat.make(SetTask(TaskState(task_id=str(i))))
    for i, seat in enumerate(seats):
        where = seat.place
        assert await seat.blocks() == [("b", f"of {i}")], where
        assert await seat.values() == {"v": i}, where
        assert await seat.notes() == [f"of {i}"], where
        task = await seat.ask(GetTask())
        assert task is not None
        assert task.task_id == str(i), where


async def what_one_scope_deletes_the_others_keep(store: WorkingStore) -> None:
    seat, stranger = seated(store), seated(store)
    others = [stranger, seat.at(agent_id="a"), seat.at(session_id="s"), seat.at(agent_id="a", session_id="s")]
    for each in (seat, *others):
        await furnish(each)
        await each.checkpoint()
    before = [await each.everything() for each in others]
    await seat.make(DeleteVariable("city"))
    await empty(seat)
    assert [await each.everything() for each in others] == before


async def several_scopes_are_looked_at_in_one_call(store: WorkingStore) -> None:
    seat = seated(store)
    agent, session = seat.at(agent_id="a"), seat.at(agent_id="a", session_id="s")
    await seat.put("a", "of the tenant")
    await session.put("a", "of the session")
    await session.store_value("v", 1)
    places = [session.place, agent.place, seat.place, session.place, Place(seat.place.tenant, None, "s")]
    found = await store.look(seat.local, places, GetBlock("a"))
    texts = [None if block is None else block.text for block in found]
    assert texts == ["of the session", None, "of the tenant", "of the session", None]
    values = await store.look(seat.local, places, GetVariables(("v",)))
    assert [list(each) for each in values] == [["v"], [], [], ["v"], []]
    listed = await store.look(seat.local, places, ListBlocks())
    assert [len(each) for each in listed] == [1, 0, 1, 1, 0]
    counted = await store.look(seat.local, places, CountAll())
    assert [each.variables for each in counted] == [1, 0, 0, 1, 0]


async def a_look_leaves_nothing_behind(store: WorkingStore) -> None:
    seat = seated(store, session_id="s")
    before = await seat.everything()
    assert await seat.everything() == before
    assert (await seat.ask(CountAll())).created_at is None


async def names_of_blocks_and_variables_never_meet(store: WorkingStore) -> None:
    seat = seated(store)
    names = (*HOSTILE, "n" * 256, "é" * 128, "order", "version", "created_at", "0")
    for i, name in enumerate(names):
        await seat.put(name, f"block {i}")
        await seat.store_value(name, f"variable {i}")
    assert await seat.blocks() == [(name, f"block {i}") for i, name in enumerate(names)]
    assert await seat.values() == {name: f"variable {i}" for i, name in enumerate(names)}
    assert sorted(await seat.keys()) == sorted(names)
    moved = await move(seat, names[-1], 0)
    assert await seat.block(names[-1]) == moved
    for name in names[::2]:
        assert await seat.make(DeleteBlock(name)) is True
        assert await seat.make(DeleteVariable(name)) is True
    assert {name for name, _ in await seat.blocks()} == {*names[1::2]} == (await seat.values()).keys()


async def any_text_comes_back_equal(store: WorkingStore) -> None:
    seat = seated(store)
    for text in TEXTS:
        assert (await seat.put("a", text)).text == text
        assert await seat.blocks() == [("a", text)]
        await seat.put("a", "")
        assert (await seat.append("a", text)).text == text
        await seat.store_value("v", {text: [text]})
        assert await seat.values() == {"v": {text: [text]}}
        await seat.make(SetTask(TaskState(task_id="t", description=text, context={text: text})))
        task = await seat.ask(GetTask())
        assert task is not None
        assert (task.description, task.context) == (text, {text: text})
        assert (await seat.checkpoint(text)).description == text
        await seat.note(text)
    assert await seat.notes() == [*TEXTS]


WORKING_TENANCY_CHECKS: tuple[WorkingCheck, ...] = (
    tenants_never_meet,
    scopes_never_meet,
    scopes_of_any_name_never_meet,
    what_one_scope_deletes_the_others_keep,
    several_scopes_are_looked_at_in_one_call,
    a_look_leaves_nothing_behind,
    names_of_blocks_and_variables_never_meet,
    any_text_comes_back_equal,
)
