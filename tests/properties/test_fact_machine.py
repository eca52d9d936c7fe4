"""Random lives of facts: every store and the definition agree after each step."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from recollect._ids import derived
from recollect._repetition import without
from recollect._timeline import Assertion
from recollect.inprocess import InProcessArchive
from recollect.postgres import open_postgres
from recollect.stores import Archive
from recollect.stores.changes import (
    Assert,
    Change,
    Claim,
    Committed,
    Discard,
    Operation,
    Promote,
    Replace,
    Retract,
    Rollback,
    Rule,
    Void,
)
from recollect.testing import Clock
from recollect.types import Tenant

from . import oracle
from .fact_expectations import Expectation, assert_ordered, by_place
from .fact_stores import EPISODES, Stores, Told
from .histories import START, claims, day, instants

LIVES = int(os.environ.get("RECOLLECT_TEST_LIVES", "12"))
"""Lives of both stores at once; the in-process store by itself, which is quicker, lives ten times as many."""

SUBJECTS = ("ann", "bob")
SESSIONS = (None, "p", "q")
NAMES = count()


class FactMachine(RuleBasedStateMachine):
    """Lives of two tenants who use the same ids, in all stores at once."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        super().__init__()
        self.stores, self.clock = stores, clock
        clock.now = day(10)
        self.used: list[datetime] = [day(10)]
        self.ids = (derived("life", i) for i in count())
        life = next(NAMES)
        self.rules = {
            f"lives-in-{life}": Rule("one"),
            f"likes-{life}": Rule(),
            f"born-{life}": Rule("one", immutable=True),
        }
        self.tenants = [Told(Tenant(f"test-{uuid4()}", user)) for user in ("one", "two")]

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.stores.adopt(self.rules, replace=False)
        for told in self.tenants:
            self.stores.open_tenant(told.tenant)
        for _ in range(4):
            self.state(data)

    # What is done.

    @rule(seconds=st.sampled_from([0, 0, 1, -5, 86_400, 400_000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(data=st.data())
    def state(self, data: st.DataObject) -> None:
        told = self.tenant(data)
        said = self.statement(data, told)
        self.tell(told, data, [said])
        if data.draw(st.booleans()):  # somebody else says the same, under the same id
            self.tell(self.tenants[told is self.tenants[0]], data, [said])

    @rule(data=st.data())
    def state_again(self, data: st.DataObject) -> None:
        told = self.tenant(data)
        said = [each for each in told.log if each.op == "assert"]
        if not said:
            return
        old = data.draw(st.sampled_from(said))
        claim = Claim(old.claimed_from, old.claimed_to, old.onset)
        sources = data.draw(st.sampled_from([old.sources, (), ("e1",), ("e1", "e2")]))
        again = Assert(next(self.ids), old.subject, old.predicate, old.object or "", claim, 1.0, sources)
        self.tell(told, data, [again])

    @rule(data=st.data())
    def end_or_deny(self, data: st.DataObject) -> None:
        self.tell(self.tenant(data), data, [self.void(data)])

    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        told = self.tenant(data)
        self.tell(told, data, [Retract(next(self.ids), self.some_id(data, told))])

    @rule(data=st.data(), correct=st.booleans())
    def put_in_its_place(self, data: st.DataObject, correct: bool) -> None:
        told = self.tenant(data)
        self.tell(told, data, [self.replacement(data, told, correct)])

    @rule(data=st.data(), session=st.sampled_from(["p", "q"]), some=st.booleans())
    def promote(self, data: st.DataObject, session: str, some: bool) -> None:
        told = self.tenant(data)
        staged = [each.id for each in told.log if each.branch == session and each.op != "retract"]
        only = (
            frozenset(data.draw(st.lists(st.sampled_from(staged), max_size=2))) if some and staged else None
        )
        self.tell(told, data, [Promote(next(self.ids), session, only)], session, "promote")

    @rule(data=st.data(), session=st.sampled_from(["p", "q"]))
    def discard(self, data: st.DataObject, session: str) -> None:
        self.tell(self.tenant(data), data, [Discard(next(self.ids), session)], session, "discard")

    @rule(data=st.data(), session=st.sampled_from(SESSIONS), steps=st.integers(1, 3))
    def roll_back(self, data: st.DataObject, session: str | None, steps: int) -> None:
        operation = Rollback(next(self.ids), session, steps)
        self.tell(self.tenant(data), data, [operation], session, "rollback")

    @rule(data=st.data())
    def several_at_once(self, data: st.DataObject) -> None:
        told = self.tenant(data)
        operations: list[Operation] = [self.statement(data, told)]
        for kind in data.draw(
            st.lists(st.sampled_from(["state", "void", "retract", "replace"]), min_size=1, max_size=3)
        ):
            earlier = [each.id for each in operations]
            if kind == "state":
                said = self.statement(data, told)
                if data.draw(st.integers(0, 4)) == 0:
                    said = replace(said, id=data.draw(st.sampled_from(earlier)), chosen=True)
                operations.append(said)
            elif kind == "void":
                operations.append(self.void(data))
            elif kind == "retract":
                target = (
                    data.draw(st.sampled_from(earlier))
                    if data.draw(st.booleans())
                    else self.some_id(data, told)
                )
                operations.append(Retract(next(self.ids), target))
            else:
                operations.append(self.replacement(data, told, data.draw(st.booleans())))
        self.tell(told, data, operations)

    @rule(data=st.data())
    def a_batch(self, data: st.DataObject) -> None:
        """Several changes that a store gets in one call: as if it had got them one after the other."""
        told = self.tenant(data)
        changes = [
            self.change(told, [self.statement(data, told)], data.draw(st.sampled_from(SESSIONS)))
            for _ in range(data.draw(st.integers(2, 3)))
        ]
        before = told.log
        outcomes = self.stores.commit(changes)
        told.log = self.stores.log(told.tenant)
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(outcome, Committed):
                self.use(told, change, outcome)
        self.check(data, told, before)

    @rule(data=st.data(), other=st.booleans())
    def the_same_key_again(self, data: st.DataObject, other: bool) -> None:
        told = self.tenant(data)
        if not told.used:
            return
        change, outcome = data.draw(st.sampled_from(told.used))
        if other:
            change = replace(change, digest=b"other")
        (again,) = self.stores.commit([change])
        if other:
            assert again[0].__name__ == "IdempotencyConflict"
        else:
            assert again.tx == outcome.tx
            assert [[e.assertion.id for e in part] for part in again.entries] == [
                [e.assertion.id for e in part] for part in outcome.entries
            ]
        assert self.stores.log(told.tenant) == told.log

    @rule(data=st.data(), episodes=st.lists(st.sampled_from(sorted(EPISODES)), min_size=1, max_size=2))
    def erase(self, data: st.DataObject, episodes: list[str]) -> None:
        told = self.tenant(data)
        chosen = frozenset(episodes)
        left = [each for log in by_place(told.log).values() for each in touched(log, chosen)]
        gone = self.stores.erase(told.tenant, episodes)
        before = told.log
        told.log = self.stores.log(told.tenant)
        assert told.log == sorted(left, key=lambda each: (each.tx, each.seq))
        assert gone == len(before) - len(told.log)
        assert not chosen & oracle.sources(told.log)
        told.erased |= chosen
        told.used = []
        self.check(data, told, told.log)

    @rule(data=st.data(), predicate=st.integers(0, 2), cardinality=st.sampled_from(["one", "many"]))
    def change_cardinality(self, data: st.DataObject, predicate: int, cardinality: Any) -> None:
        name = list(self.rules)[predicate]
        self.rules[name] = replace(self.rules[name], cardinality=cardinality)
        self.stores.adopt({name: self.rules[name]}, replace=True)
        for told in self.tenants:
            before, told.log = told.log, self.stores.log(told.tenant)
            assert [replace(each, slot="") for each in told.log] == [
                replace(each, slot="") for each in before
            ]
            for each in told.log:
                if each.predicate == name and each.op != "retract":
                    alone = cardinality == "one" or each.object is None
                    assert (each.slot == "") == alone
            told.used = []
        for told in self.tenants:
            self.check(data, told, told.log)

    # How it is drawn.

    def tenant(self, data: st.DataObject) -> Told:
        return self.tenants[data.draw(st.sampled_from([0, 0, 0, 1]))]

    def some_id(self, data: st.DataObject, told: Told) -> str:
        newest = [each.id for each in told.log[-12:]]
        if not newest or data.draw(st.integers(0, 19)) == 0:
            return derived("nobody", 0)
        return data.draw(st.sampled_from(newest))

    def claim(self, data: st.DataObject) -> Claim:
        kind = data.draw(st.sampled_from(["onset", "onset", "bounded", "forever"]))
        start, end = data.draw(claims(self.used, kind))
        given = data.draw(st.integers(0, 4)) > 0
        return Claim(start if given else None, end, kind == "onset")

    def sources(self, data: st.DataObject) -> tuple[str, ...]:
        some = st.lists(st.sampled_from(sorted(EPISODES)), unique=True, max_size=2)
        sources = tuple(data.draw(some)) if data.draw(st.booleans()) else ()
        return (*sources, "missing") if data.draw(st.integers(0, 29)) == 0 else sources

    def statement(self, data: st.DataObject, told: Told) -> Assert:
        chosen = bool(told.log) and data.draw(st.integers(0, 9)) == 0
        return Assert(
            id=self.some_id(data, told) if chosen else next(self.ids),
            subject=data.draw(st.sampled_from(SUBJECTS)),
            predicate=data.draw(st.sampled_from(list(self.rules))),
            object=data.draw(st.sampled_from(['"a"', '"b"', "null", '{"k":1}'])),
            claim=self.claim(data),
            confidence=data.draw(st.sampled_from([1.0, 0.5])),
            sources=self.sources(data),
            staged=data.draw(st.integers(0, 3)) == 0,
            chosen=chosen,
        )

    def void(self, data: st.DataObject) -> Void:
        object = data.draw(st.sampled_from([None, None, '"a"', '"b"']))
        subject, predicate = (
            data.draw(st.sampled_from(SUBJECTS)),
            data.draw(st.sampled_from(list(self.rules))),
        )
        return Void(next(self.ids), subject, predicate, object, self.claim(data), self.sources(data))

    def replacement(self, data: st.DataObject, told: Told, correct: bool) -> Replace:
        end = data.draw(st.one_of(st.none(), instants(self.used)))
        start = data.draw(st.one_of(st.none(), st.none(), instants(self.used)))
        object = data.draw(st.sampled_from([None, '"a"', '"b"', '"c"']))
        kind = data.draw(st.sampled_from(["kept", "kept", "bounded", "opened"]))
        return Replace(
            next(self.ids), self.some_id(data, told), object, correct,
            start=start if correct else None, end=end if kind == "bounded" else None,
            bounded=kind == "bounded", opened=kind == "opened",
        )  # fmt: skip

    def change(
        self, told: Told, operations: list[Operation], session: str | None, name: str = "add"
    ) -> Change:
        key = next(self.ids)
        return Change(
            told.tenant,
            key,
            key.encode(),
            name,
            tuple(operations),
            session,
            actor="somebody",
            reason="because",
        )

    # What is checked.

    def undoable(self, told: Told, session: str | None) -> list[int]:
        left = {each.tx for each in told.log}  # of what erasure left nothing, there is nothing to undo
        return [tx for tx in self.stores.undoable(told.tenant, session) if tx in left]

    def tell(
        self,
        told: Told,
        data: st.DataObject,
        operations: list[Operation],
        session: str | None = None,
        name: str = "add",
    ) -> None:
        if name == "add":
            session = data.draw(st.sampled_from(SESSIONS))
        change = self.change(told, operations, session, name)
        expectation = Expectation(
            told.log, self.rules, told.occurred, told.erased, self.stores.clock(told.tenant, self.clock.now),
            change, self.undoable(told, session) if name == "rollback" else (),
        )  # fmt: skip
        (outcome,) = self.stores.commit([change])
        before, told.log = told.log, self.stores.log(told.tenant)
        if isinstance(outcome, Committed):
            self.use(told, change, outcome)
        else:
            assert told.log == before
        if len(operations) == 1:
            refusal = expectation.refusal(operations[0])
            if refusal is not None:
                assert outcome[0] is refusal
            elif isinstance(outcome, Committed):
                expectation.check(operations[0], outcome, told.log)
            else:
                assert outcome[0] in expectation.possible(operations[0])
        self.check(data, told, before)

    def use(self, told: Told, change: Change, outcome: Committed) -> None:
        """Remember a key, if there was anything to store under it."""
        if any(entry.changed for part in outcome.entries for entry in part):
            told.used.append((change, outcome))

    def check(self, data: st.DataObject, told: Told, before: list[Assertion]) -> None:
        assert told.log[: len(before)] == before
        assert_ordered(told.log)
        for other in self.tenants:
            if other is not told:
                assert self.stores.log(other.tenant) == other.log
        vs, ks = [*oracle.moments(told.log), self.clock.now], oracle.counters(told.log)
        for branch in (None, "p"):
            v = data.draw(st.none() | st.sampled_from(vs))
            k = data.draw(st.none() | st.sampled_from(ks))
            self.stores.check_find(told, (v, k, branch), self.clock.now)
        start, end = sorted((data.draw(st.sampled_from(vs)), data.draw(st.sampled_from(vs))))
        k = data.draw(st.none() | st.sampled_from(ks))
        self.stores.check_range(told, (start, end if start < end else None), k, self.clock.now)
        self.stores.check_known(
            told, data.draw(st.sampled_from([each.recorded_at for each in told.log] or [START]))
        )
        self.stores.check_get(told, [self.some_id(data, told)])
        self.stores.headers(told.tenant, data.draw(st.sampled_from(SESSIONS)))
        self.stores.check_derived(told.tenant)

    def teardown(self) -> None:
        for told in self.tenants:
            for subject, predicate in {(each.subject, each.predicate) for each in told.log}:
                self.stores.check_slots(told, subject, predicate, "p")
            self.stores.check_find(told, (None, None, None), self.clock.now)


def touched(log: list[Assertion], chosen: frozenset[str]) -> list[Assertion]:
    """Return a slot's log as erasing leaves it; one that no source of is erased stays as it is."""
    return without(log, chosen) if chosen & oracle.sources(log) else log


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal("asyncio") as portal:
        yield portal


def live(portal: BlockingPortal, archives: Any, clock: Clock, examples: int) -> None:
    run_state_machine_as_test(
        lambda: FactMachine(Stores(portal, archives()), clock),
        settings=settings(
            max_examples=examples,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_facts_in_process_live_as_they_are_defined(portal, clock):
    def archives() -> list[Archive]:
        return [InProcessArchive(clock=clock)]

    live(portal, archives, clock, 10 * LIVES)


def test_facts_in_both_stores_live_alike(portal, clock, postgres_dsn, shared_schema):
    opened = open_postgres(postgres_dsn, schema=shared_schema, clock=clock)
    with portal.wrap_async_context_manager(opened) as postgres:

        def archives() -> list[Archive]:
            return [InProcessArchive(clock=clock), postgres]

        live(portal, archives, clock, LIVES)
