"""What a tenant owns goes from one to another as a whole, with both times of it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from .._draft import UNDECLARED, text_digest
from ..errors import ConfigurationError, Conflict, EpisodeConflict, FactConflict, RecollectError
from ..stores import Archive, Erasure
from ..stores.changes import Discard, FactText, Promote, Rollback, Rule
from ..stores.transfer import BEGINNING, Holdings, Kept, KeptAssertion, KeptEpisode, Loading
from ..types import Tenant
from ._fact_material import (
    BORN,
    CITY,
    LIKES,
    RULES,
    commit,
    correct,
    end,
    everything,
    fresh,
    retract,
    say,
    since,
)
from ._material import Check, episode, fresh_tenant, store, write


async def _furnish(archive: Archive, tenant: Tenant) -> None:
    await store(archive, tenant, episode("one", "1", id="e1", session_id="s", metadata={"a": [None]}))
    (paris,) = await say(archive, tenant, since("Paris", 2000, sources=("e1",)), key="k1", actor="me")
    await store(
        archive, tenant, episode("two", id="e2", agent_id="a", transcript=[1.5]), episode("3", id="e3")
    )
    await say(archive, tenant, correct(paris.assertion.id, "Rome"), reason="better")
    await commit(archive, tenant, end(2010), session_id="s")
    (tea,) = await say(archive, tenant, since(None, 2001, predicate=LIKES, sources=("e1", "e2")))
    await commit(archive, tenant, retract(tea.assertion.id), session_id="s")
    await commit(archive, tenant, Rollback("r", "s", 1), name="rollback", session_id="s")
    staged = [since(object, 2002, predicate=LIKES, staged=True) for object in ("jazz", "rock")]
    for each in staged:
        await commit(archive, tenant, each, session_id="t")
    await commit(archive, tenant, Promote("p", "t", frozenset({staged[0].id})), session_id="t")
    await commit(archive, tenant, Discard("d", "t"), session_id="t")
    await commit(archive, tenant, since("Riga", 1990, predicate=BORN), since("x", predicate=LIKES))


async def dumped(
    archive: Archive, tenant: Tenant, *, limit: int = 100, basis: int | None = None
) -> list[Kept]:
    """Return all that is kept of a tenant, in pages of at most `limit`."""
    found: list[Kept] = []
    if basis is None:
        basis = (await archive.transfers.survey(tenant)).tx
    after = BEGINNING
    while True:
        page = await archive.transfers.dump(tenant, basis=basis, after=after, limit=limit, vectors=False)
        assert len(page) <= limit
        if not page:
            return found
        found += page
        after = page[-1].position


def loading(held: Holdings, kept: Sequence[Kept], *, size: int = 7, **fields: Any) -> Loading:
    """Return what gives another tenant what was kept of one, in pages of `size`."""

    async def pages() -> AsyncGenerator[Sequence[Kept]]:
        for start in range(0, len(kept), size):
            yield [_found_by_words(each) for each in kept[start : start + size]]

    said = {each.said.predicate for each in kept if isinstance(each, KeptAssertion)}
    given: dict[str, Any] = {
        "tx": held.tx, "at": held.at, "rules": {name: held.rules.get(name, UNDECLARED) for name in said},
        "consolidated": held.consolidated, "passed_over": held.passed_over, "secret": held.secret,
        "tombstones": held.tombstones, "pages": pages,
    }  # fmt: skip
    return Loading(**{**given, **fields})


def _found_by_words(kept: Kept) -> Kept:
    if isinstance(kept, KeptEpisode):
        return replace(kept, new=replace(kept.new, terms=tuple(kept.new.input.split())))
    if not isinstance(kept, KeptAssertion):
        return kept
    said, object = kept.said, kept.said.object
    if said.op != "assert" or object is None:
        return replace(kept, text=None)
    digest = text_digest(said.subject, said.predicate, object)
    return replace(kept, text=FactText(digest, object, tuple(object.split()), "pending"))


async def _copied(archive: Archive, tenant: Tenant) -> Tenant:
    copy = fresh_tenant()
    held, kept = await archive.transfers.survey(tenant), await dumped(archive, tenant)
    await archive.transfers.load(copy, loading(held, kept))
    return copy


def plain(kept: Sequence[Kept]) -> list[object]:
    """Return what can be compared: the contents of episodes are told apart by who they are."""
    return [
        (each.seq, each.recorded_at, repr(replace(each.new, vectors=None)))
        if isinstance(each, KeptEpisode)
        else each.said
        if isinstance(each, KeptAssertion)
        else each
        for each in kept
    ]


async def a_tenant_is_loaded_as_it_was_dumped(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    copy = await _copied(archive, tenant)
    assert plain(await dumped(archive, copy)) == plain(await dumped(archive, tenant))
    assert await everything(archive, copy) == await everything(archive, tenant)
    held, other = await archive.transfers.survey(tenant), await archive.transfers.survey(copy)
    assert replace(other, generation=held.generation) == held
    assert await archive.facts.verify(copy) == 0


async def pages_of_any_size_are_the_same_records(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    whole = plain(await dumped(archive, tenant))
    assert len(whole) > 20
    for limit in (1, 2, 3, 7):
        assert plain(await dumped(archive, tenant, limit=limit)) == whole


async def a_dump_at_a_basis_is_what_there_was_then(archive: Archive) -> None:
    tenant = await fresh(archive)
    await store(archive, tenant, episode("one", id="e1"))
    await commit(archive, tenant, since("Paris"), session_id="s")
    before, basis = plain(await dumped(archive, tenant)), (await archive.transfers.survey(tenant)).tx
    await store(archive, tenant, episode("two", id="e2"))
    await commit(archive, tenant, Rollback("r", "s", 1), name="rollback", session_id="s")
    assert plain(await dumped(archive, tenant, basis=basis)) == before
    assert plain(await dumped(archive, tenant)) != before


async def a_tenant_that_owns_anything_is_not_loaded(archive: Archive) -> None:
    tenant, one, other = await fresh(archive), fresh_tenant(), fresh_tenant()
    await _furnish(archive, tenant)
    held, kept = await archive.transfers.survey(tenant), await dumped(archive, tenant)
    await store(archive, one, episode("mine", id="mine"))
    await commit(archive, other, since("mine"))
    for each in (one, other):
        before = plain(await dumped(archive, each))
        assert isinstance(await _refused(archive, each, loading(held, kept)), Conflict)
        assert plain(await dumped(archive, each)) == before


async def a_load_that_fails_leaves_nothing(archive: Archive) -> None:
    tenant, copy = await fresh(archive), fresh_tenant()
    await _furnish(archive, tenant)
    held, kept = await archive.transfers.survey(tenant), await dumped(archive, tenant)

    async def broken() -> AsyncGenerator[Sequence[Kept]]:
        yield kept[:9]
        raise Conflict("in the middle")

    assert isinstance(await _refused(archive, copy, loading(held, kept, pages=broken)), Conflict)
    found = await archive.transfers.survey(copy)
    assert (found.episodes, found.transactions, found.assertions) == (0, 0, 0)
    assert list(await archive.directory.users(copy.namespace, after=None, limit=9)) == []
    await archive.transfers.load(copy, loading(held, kept))


async def another_rule_of_a_predicate_is_refused(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Paris"))
    held, kept = await archive.transfers.survey(tenant), await dumped(archive, tenant)
    assert held.rules == {CITY: RULES[CITY]}
    wrong = loading(held, kept, rules={CITY: Rule("many")})
    assert isinstance(await _refused(archive, fresh_tenant(), wrong), ConfigurationError)


async def two_objects_of_an_immutable_predicate_are_not_loaded(archive: Archive) -> None:
    tenant = await fresh(archive)
    await commit(archive, tenant, since("Riga", predicate=BORN))
    held, kept = await archive.transfers.survey(tenant), await dumped(archive, tenant)
    (born,) = [each for each in kept if isinstance(each, KeptAssertion)]
    second = replace(born, said=replace(born.said, id="another", seq=1, object='"Rome"'))
    refused = await _refused(archive, fresh_tenant(), loading(held, [*kept, second]))
    assert isinstance(refused, FactConflict)


async def what_was_erased_is_erased_where_it_is_loaded(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    await archive.erase(tenant, Erasure(episode_ids=frozenset({"e1"})))
    copy = await _copied(archive, tenant)
    for each in (tenant, copy):
        (outcome,) = await archive.episodes.append([write(each, episode("again", id="e1"))])
        assert isinstance(outcome, EpisodeConflict)
        assert outcome.erased


async def what_was_erased_here_is_not_loaded(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    held, kept = await archive.transfers.survey(tenant), await dumped(archive, tenant)
    await archive.erase(tenant, Erasure(everything=True))
    assert isinstance(await _refused(archive, tenant, loading(held, kept)), Conflict)
    now = await archive.transfers.survey(tenant)
    assert (now.episodes, now.transactions) == (0, 0)
    assert now.generation > held.generation


async def the_clock_of_who_was_loaded_goes_on(archive: Archive) -> None:
    tenant = await fresh(archive)
    await _furnish(archive, tenant)
    copy = await _copied(archive, tenant)
    held = await archive.transfers.survey(tenant)
    assert held.at is not None
    (stored,) = await store(archive, copy, episode("next"))
    assert stored.seq == held.tx + 1
    assert stored.recorded_at > held.at


async def a_dump_is_of_one_tenant(archive: Archive) -> None:
    tenant, other = await fresh(archive), fresh_tenant()
    await _furnish(archive, tenant)
    before = plain(await dumped(archive, tenant))
    await _furnish(archive, other)
    assert plain(await dumped(archive, tenant)) == before
    assert await archive.transfers.survey(fresh_tenant()) == Holdings()
    assert await dumped(archive, fresh_tenant()) == []


async def _refused(archive: Archive, tenant: Tenant, given: Loading) -> RecollectError | None:
    try:
        await archive.transfers.load(tenant, given)
    except RecollectError as exc:
        return exc
    return None


TRANSFER_CHECKS: tuple[Check, ...] = (
    a_tenant_is_loaded_as_it_was_dumped,
    pages_of_any_size_are_the_same_records,
    a_dump_at_a_basis_is_what_there_was_then,
    a_tenant_that_owns_anything_is_not_loaded,
    a_load_that_fails_leaves_nothing,
    another_rule_of_a_predicate_is_refused,
    two_objects_of_an_immutable_predicate_are_not_loaded,
    what_was_erased_is_erased_where_it_is_loaded,
    what_was_erased_here_is_not_loaded,
    the_clock_of_who_was_loaded_goes_on,
    a_dump_is_of_one_tenant,
)
