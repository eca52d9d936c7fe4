"""Which assertions an erasure takes that are not derived from episodes. Pure, the same for every store."""

from collections.abc import Iterable, Sequence

from ._ids import derived
from ._timeline import Assertion
from .errors import InvalidInput
from .stores.erasure import Erasure


def unsaid(erasure: Erasure, candidates: Iterable[Assertion]) -> frozenset[str]:
    """Return the ids of those that were said of their own, pass the filters, and so are to be gone.

    Args:
        candidates: all that may pass, with all others of their transactions, and all that they replace.

    Raises:
        InvalidInput: one that is named has sources of its own.
    """
    given = list(candidates)
    chosen = [each for each in given if _passes(erasure, each)]
    if erasure.fact_ids is not None and any(not _is_of_its_own(each, erasure) for each in chosen):
        raise InvalidInput("fact_ids", "one has sources; forget the episodes that it comes from")
    chosen = [each for each in chosen if _is_of_its_own(each, erasure)]
    return frozenset(each.id for each in (*chosen, *_made_room(chosen, given)))


def _passes(erasure: Erasure, said: Assertion) -> bool:
    return (
        erasure.episode_ids is None
        and (erasure.fact_ids is None or said.id in erasure.fact_ids)
        and erasure.session_id in (None, said.session_id, said.branch)
        and (erasure.before is None or said.recorded_at < erasure.before)
    )


def _is_of_its_own(said: Assertion, erasure: Erasure) -> bool:
    """Whether it is there by its own right: what replaces another has only inherited its sources."""
    staged = erasure.session_id is not None and said.branch == erasure.session_id
    return not said.sources or said.replaces is not None or staged


def _made_room(chosen: Iterable[Assertion], given: Sequence[Assertion]) -> Iterable[Assertion]:
    """Return what was said together with replacements, to hide or to end what they replaced.

    What was promoted is the same statement as its copy, and goes with it.
    """
    replaced = {each.replaces: each for each in chosen if each.replaces is not None}
    ends = {derived(each.id, 1) for each in replaced.values()}
    for each in given:
        copy = replaced.get(each.id)
        hides = each.ref in replaced and replaced[each.ref].tx == each.tx
        if hides or each.id in ends or (copy is not None and copy.branch != each.branch):
            yield each
