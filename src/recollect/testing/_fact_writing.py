"""What a change of facts stores: once, as a whole, and nothing of what is refused."""

from dataclasses import replace

from ..errors import (
    Conflict,
    FactConflict,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    RecollectError,
)
from ..stores import Archive
from ..stores.changes import Committed
from ._fact_material import (
    CITY,
    LIKES,
    change,
    check_projection,
    commit,
    correct,
    during,
    end,
    everything,
    find,
    fresh,
    objects,
    refused,
    retract,
    say,
    since,
    spans,
    timeline,
    year,
)
from ._material import AT, HOSTILE, Check, episode, store


async def an_assertion_reads_back_as_it_was_committed(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e"))
    given = during({"name": "Rome"}, 2020, 2021, sources=("e",), confidence=0.5)
    (entry,) = await say(archive, tenant, given, session_id="s", actor="me", reason="because")
    said = entry.assertion
    assert (said.id, said.op, said.branch, said.subject) == (given.id, "assert", "", "anna")
    assert (said.predicate, said.slot, said.object) == (CITY, "", '{"name":"Rome"}')
    assert (said.claimed_from, said.claimed_to, said.onset) == (year(2020), year(2021), False)
    assert (said.confidence, said.sources) == (0.5, ("e",))
    assert (said.session_id, said.actor, said.reason) == ("s", "me", "because")
    assert (said.ref, said.replaces, entry.changed, entry.support) == (None, None, True, 1)
    slots = (await archive.facts.get(tenant, [said.id]))[said.id]
    assert (list(slots.log), list(slots.pieces)) == ([said], [entry.piece])
    assert (slots.basis, slots.at) == (said.tx, said.recorded_at)


async def the_same_statement_again_is_not_stored(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e"), episode(id="f"))
    said: list[tuple[str, tuple[str, ...]]] = [("pizza", ()), ("sushi", ("e", "f"))]
    for food, sources in said:
        (first,) = await say(archive, tenant, since(food, 2020, sources=sources, predicate=LIKES))
        before = await everything(archive, tenant)
        (again,) = await say(archive, tenant, since(food, 2020, sources=sources, predicate=LIKES))
        assert (again.assertion, again.piece, again.changed) == (first.assertion, first.piece, False)
        assert await everything(archive, tenant) == before
    (part,) = await say(archive, tenant, since("sushi", 2020, sources=("f",), predicate=LIKES))
    assert (part.changed, part.support, part.sources) == (False, 1, ("e", "f"))


async def the_same_end_again_is_not_stored(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Rome", 2019), end(2022))
    before = await everything(archive, tenant)
    (again,) = await say(archive, tenant, end(2022))
    assert not again.changed
    assert await everything(archive, tenant) == before


async def another_source_of_the_same_statement_adds_support(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, *(episode(id=id) for id in "abc"))
    said = [
        since("Rome", 2020, sources=("a",), confidence=0.5),
        since("Rome", 2020, sources=("b", "a"), confidence=0.9),
        since("Rome", 2021, sources=("c",), confidence=0.2),
    ]
    entries = [(await say(archive, tenant, each))[0] for each in said]
    assert [(each.changed, each.support) for each in entries] == [(True, 1), (True, 2), (True, 3)]
    for at, support, sources in ((2020, 2, ("a", "b")), (2022, 3, ("a", "b", "c"))):
        (fact,) = await find(archive, tenant, valid_at=year(at))
        assert (fact.support, fact.sources, fact.confidence) == (support, sources, 0.9)
    await commit(archive, tenant, retract(said[1].id))
    (fact,) = await find(archive, tenant)
    assert (fact.support, fact.sources, fact.confidence) == (2, ("a", "c"), 0.5)
    (fact,) = await find(archive, tenant, known=entries[0].assertion.tx)
    assert (fact.support, fact.sources, fact.confidence) == (1, ("a",), 0.5)


async def the_same_statement_is_stored_when_something_else_took_its_ground(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, during("Rome", 2020, 2024))
    await commit(archive, tenant, during("Oslo", 2021, 2022))
    (again,) = await say(archive, tenant, during("Rome", 2020, 2024))
    assert again.changed
    assert await timeline(archive, tenant) == spans([("Rome", 2020, 2024)])


async def a_retracted_statement_can_be_made_again(archive: Archive) -> None:
    tenant, first = await fresh(archive), since("Rome", 2020)
    await commit(archive, tenant, first)
    await commit(archive, tenant, retract(first.id))
    (again,) = await say(archive, tenant, since("Rome", 2020))
    assert again.changed
    assert await objects(archive, tenant) == ["Rome"]


async def operations_of_a_change_share_a_transaction_in_their_order(archive: Archive) -> None:
    tenant = await fresh(archive)
    entries = await say(archive, tenant, *(since(f"food {i}", 2020, predicate=LIKES) for i in range(5)))
    assert [(each.assertion.tx, each.assertion.seq) for each in entries] == [(1, i) for i in range(5)]
    assert len({each.assertion.recorded_at for each in entries}) == 1
    log, basis = await archive.facts.changes(tenant, after=(0, 0), limit=10)
    assert (list(log), basis) == ([each.assertion for each in entries], 1)


async def an_operation_sees_those_before_it_in_its_change(archive: Archive) -> None:
    tenant = await fresh(archive)
    first = since("Rome", 2020)
    await commit(archive, tenant, since("Paris", 2019), first, end(2022), retract(first.id))
    assert await timeline(archive, tenant) == spans([("Paris", 2019, 2022)])
    await check_projection(archive, tenant)


async def one_refused_operation_refuses_its_change(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris", 2019))
    error = await refused(archive, tenant, since("Rome", 2020), retract("nobody"), since("Oslo", 2021))
    assert isinstance(error, NotFound)
    assert await objects(archive, tenant) == ["Paris"]


async def a_refused_change_does_not_make_the_others_of_its_call_fail(archive: Archive) -> None:
    tenant = await fresh(archive)
    outcomes = await archive.facts.commit(
        [
            change(tenant, since("Paris", 2019)),
            change(tenant, since("Rome", 2020), retract("nobody")),
            change(tenant, since("Oslo", 2021)),
        ]
    )
    assert [type(each) for each in outcomes] == [Committed, NotFound, Committed]
    assert await timeline(archive, tenant) == spans([("Paris", 2019, 2021), ("Oslo", 2021, None)])
    log, basis = await archive.facts.changes(tenant, after=(0, 0), limit=10)
    assert ([each.tx for each in log], basis) == ([1, 2], 2)
    await check_projection(archive, tenant)


async def changes_of_one_call_build_on_each_other(archive: Archive) -> None:
    tenant, first = await fresh(archive), since("Paris", 2019, id="first")
    outcomes = await archive.facts.commit(
        [
            change(tenant, first),
            change(tenant, since("Rome", 2023)),
            change(tenant, correct("first", "Oslo")),
            change(tenant, since("Rome", 2023)),
        ]
    )
    assert [each.tx for each in outcomes if isinstance(each, Committed)] == [1, 2, 3, 3]
    assert await timeline(archive, tenant) == spans([("Oslo", 2019, 2023), ("Rome", 2023, None)])
    assert await timeline(archive, tenant, known=2) == spans([("Paris", 2019, 2023), ("Rome", 2023, None)])
    await check_projection(archive, tenant)


async def what_is_replaced_in_its_own_change_meets_what_was_said_before(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, during("sushi", 2020, 2024, predicate=LIKES))
    added = during("pizza", 2020, 2024, predicate=LIKES)
    await commit(archive, tenant, added, correct(added.id, "sushi", start=year(2022)))
    expected = spans([("sushi", 2020, 2024)])
    assert await timeline(archive, tenant, predicate=LIKES) == expected
    assert len(await find(archive, tenant, valid_at=year(2023))) == 1
    await check_projection(archive, tenant)


async def a_refused_first_change_leaves_no_tenant(archive: Archive) -> None:
    tenant = await fresh(archive)
    await refused(archive, tenant, retract("nobody"))
    assert not await archive.directory.users(tenant.namespace, after=None, limit=10)
    assert await archive.facts.commit([]) in ((), [])


async def a_taken_id_with_the_same_content_is_the_same_fact(archive: Archive) -> None:
    tenant = await fresh(archive)
    (first,) = await say(archive, tenant, since("Rome", None, id="f"))
    (again,) = await say(archive, tenant, since("Rome", None, id="f"))
    assert (again.assertion, again.changed) == (first.assertion, False)
    others = (since("Oslo", None, id="f"), since("Rome", 2020, id="f"), during("Rome", 2020, 2021, id="f"))
    for other in others:
        assert isinstance(await refused(archive, tenant, other), FactConflict)


async def an_id_is_taken_by_what_the_same_change_says_before(archive: Archive) -> None:
    tenant = await fresh(archive)
    first, again = await say(archive, tenant, since("Rome", 2020, id="f"), since("Rome", 2020, id="f"))
    assert (again.assertion, first.changed, again.changed) == (first.assertion, True, False)
    other = await fresh(archive)
    error = await refused(archive, other, since("Rome", 2020, id="f"), since("Oslo", 2020, id="f"))
    assert isinstance(error, FactConflict)
    assert await archive.facts.count(other, AT) == 0


async def without_a_beginning_it_is_the_earliest_source_or_the_transaction(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="late", occurred_at=AT))
    await store(archive, tenant, episode(id="early", occurred_at=year(2001)))
    (sourced,) = await say(archive, tenant, since("Rome", None, sources=("late", "early")))
    assert sourced.assertion.claimed_from == year(2001)
    (bare,) = await say(archive, tenant, since("pizza", None, predicate=LIKES))
    assert bare.assertion.claimed_from == bare.assertion.recorded_at


async def an_end_before_the_beginning_that_follows_is_refused(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e", occurred_at=AT))
    given = during("Rome", 2000, 2001, sources=("e",))
    unstarted = replace(given, claim=replace(given.claim, start=None))
    assert isinstance(await refused(archive, tenant, unstarted), InvalidInput)


async def a_source_that_does_not_exist_is_refused(archive: Archive) -> None:
    mine, theirs = await fresh(archive), await fresh(archive)
    await store(archive, theirs, episode(id="theirs"))
    await store(archive, mine, episode(id="mine"))
    for operation in (since("Rome", 2020, sources=("mine", "theirs")), end(2020, sources=("theirs",))):
        error = await refused(archive, mine, operation)
        assert isinstance(error, NotFound)
        assert error.args == ("episode", "theirs")


async def a_source_that_was_erased_is_refused(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode(id="e"))
    await archive.facts.erase(tenant, ["e", "never there"])
    for id in ("e", "never there"):
        error = await refused(archive, tenant, since("Rome", 2020, sources=(id,)))
        assert isinstance(error, Conflict)


async def the_same_key_again_returns_the_first_result(archive: Archive) -> None:
    tenant = await fresh(archive)
    known = since("pizza", 2020, predicate=LIKES)
    await commit(archive, tenant, known)
    given = change(
        tenant, since("Rome", 2020), since("pizza", 2020, predicate=LIKES), end(2030), retract(known.id)
    )
    (first,) = await archive.facts.commit([given])
    assert isinstance(first, Committed)
    changed = [each.changed for entries in first.entries for each in entries]
    assert changed == [True, False, True, True]
    await commit(archive, tenant, since("Oslo", 2020))
    before = await everything(archive, tenant)
    assert list(await archive.facts.commit([given, given])) == [first, first]
    assert await everything(archive, tenant) == before


async def the_same_key_twice_in_one_call_is_stored_once(archive: Archive) -> None:
    tenant = await fresh(archive)
    given = change(tenant, since("Rome", 2020))
    first, second = await archive.facts.commit([given, given])
    assert first == second
    log, _ = await archive.facts.changes(tenant, after=(0, 0), limit=10)
    assert len(log) == 1


async def the_same_key_with_other_content_conflicts(archive: Archive) -> None:
    tenant, other = await fresh(archive), await fresh(archive)
    await commit(archive, tenant, since("Rome", 2020), key="k")
    error = await refused(archive, tenant, since("Oslo", 2020), key="k")
    assert isinstance(error, IdempotencyConflict)
    assert error.key == "k"
    await commit(archive, other, since("Oslo", 2020), key="k")  # of another tenant
    outcomes = await archive.facts.commit(
        [change(tenant, since("Oslo", 2021), key="l"), change(tenant, since("Oslo", 2022), key="l")]
    )
    assert [isinstance(each, RecollectError) for each in outcomes] == [False, True]


async def a_refused_change_does_not_use_up_its_key(archive: Archive) -> None:
    tenant = await fresh(archive)
    given = change(tenant, retract("later"))
    (outcome,) = await archive.facts.commit([given])
    assert isinstance(outcome, NotFound)
    await commit(archive, tenant, since("Rome", 2020, id="later"))
    (outcome,) = await archive.facts.commit([given])
    assert isinstance(outcome, Committed)


async def facts_and_episodes_share_one_strictly_rising_clock(archive: Archive) -> None:
    tenant = await fresh(archive)
    numbers: list[int] = []
    instants = list[object]()
    for i in range(4):
        (stored,) = await store(archive, tenant, episode(str(i)))
        (entry,) = await say(archive, tenant, since(f"food {i}", 2020, predicate=LIKES))
        numbers += [stored.seq, entry.assertion.tx]
        instants += [stored.recorded_at, entry.assertion.recorded_at]
    assert numbers == list(range(1, 9))
    assert instants == sorted(set(instants), key=str)


async def texts_of_facts_come_back_character_for_character(archive: Archive) -> None:
    tenant = await fresh(archive)
    for text in HOSTILE:
        given = since({text: [text, None, 1.0, 1]}, 2020, id=text, subject=text, predicate=text, staged=True)
        (entry,) = await say(
            archive, tenant, given, key=text, name=text, session_id=text, actor=text, reason=text
        )
        said = entry.assertion
        assert (said.id, said.subject, said.predicate, said.object) == (text, text, text, given.object)
        assert (said.branch, said.session_id, said.actor, said.reason) == (text, text, text, text)
        (found,) = await find(archive, tenant, subject=text, predicate=text, branch=text)
        assert found.piece.assertion == said
        (header,), _ = await archive.facts.headers(tenant, session_id=text, before=None, limit=10)
        assert (header.name, header.actor, header.reason) == (text, text, text)
    log, _ = await archive.facts.changes(tenant, after=(0, 0), limit=1_000)
    assert [each.id for each in log] == list(HOSTILE)


FACT_WRITING_CHECKS: tuple[Check, ...] = (
    an_assertion_reads_back_as_it_was_committed,
    the_same_statement_again_is_not_stored,
    the_same_end_again_is_not_stored,
    another_source_of_the_same_statement_adds_support,
    the_same_statement_is_stored_when_something_else_took_its_ground,
    a_retracted_statement_can_be_made_again,
    operations_of_a_change_share_a_transaction_in_their_order,
    an_operation_sees_those_before_it_in_its_change,
    one_refused_operation_refuses_its_change,
    a_refused_change_does_not_make_the_others_of_its_call_fail,
    changes_of_one_call_build_on_each_other,
    what_is_replaced_in_its_own_change_meets_what_was_said_before,
    a_refused_first_change_leaves_no_tenant,
    a_taken_id_with_the_same_content_is_the_same_fact,
    an_id_is_taken_by_what_the_same_change_says_before,
    without_a_beginning_it_is_the_earliest_source_or_the_transaction,
    an_end_before_the_beginning_that_follows_is_refused,
    a_source_that_does_not_exist_is_refused,
    a_source_that_was_erased_is_refused,
    the_same_key_again_returns_the_first_result,
    the_same_key_twice_in_one_call_is_stored_once,
    the_same_key_with_other_content_conflicts,
    a_refused_change_does_not_use_up_its_key,
    facts_and_episodes_share_one_strictly_rising_clock,
    texts_of_facts_come_back_character_for_character,
)
