"""Ids of our own: RFC 9562, version 7 by the clock and version 8 by derivation."""

import time
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect._ids import derived, uuid7

instants = st.integers(0, 2**48 - 1)


def made_at(milliseconds: int) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000 + 999_999)
        return uuid7()


@given(instants)
def test_id_is_a_canonical_uuid_that_says_when(milliseconds: int) -> None:
    id = made_at(milliseconds)
    parsed = UUID(id)
    assert str(parsed) == id
    assert (parsed.version, parsed.variant) == (7, RFC_4122)
    assert parsed.int >> 80 == milliseconds


@given(st.lists(instants, min_size=2, max_size=20, unique=True))
def test_ids_sort_as_text_by_when_they_were_made(milliseconds: list[int]) -> None:
    ids = [made_at(each) for each in sorted(milliseconds)]
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_differ_in_every_random_bit() -> None:
    ids = [UUID(made_at(1)).int for _ in range(200)]
    assert len(set(ids)) == 200
    varying = 0
    for id in ids:
        varying |= id ^ ids[0]
    fixed = 0xF << 76 | 0x3 << 62  # version and variant
    assert varying == (1 << 80) - 1 & ~fixed


@given(st.text(st.characters(exclude_categories=("Cs",))), st.integers(0, 1_000))
def test_derived_id_is_a_canonical_uuid_and_always_the_same(first: str, position: int) -> None:
    id = derived(first, position)
    parsed = UUID(id)
    assert str(parsed) == id
    assert (parsed.version, parsed.variant) == (8, RFC_4122)
    assert derived(first, position) == id


def test_derived_ids_of_different_places_differ() -> None:
    places = [(first, position) for first in ("a", "a0", "a\x001", "") for position in range(200)]
    assert len({derived(*place) for place in places}) == len(places)
