"""A cursor is accepted by its own query, as it was given, and by nothing else."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recollect import InvalidInput
from recollect._cursor import opened, sealed

anything = st.text(st.characters(exclude_categories=()), max_size=5)
texts = st.text(st.characters(exclude_categories=("Cs",)))
positions = st.integers(0, 2**63 - 1) | texts.filter(lambda text: "\0" not in text)
queries = st.lists(st.none() | st.booleans() | st.integers(-9, 9) | texts, max_size=4).map(tuple)


@settings(max_examples=200)
@given(positions, queries)
def test_cursor_opens_where_it_was_sealed(position: int | str, query: tuple[object, ...]) -> None:
    cursor = sealed(position, *query)
    assert opened(cursor, type(position), *query) == position
    assert cursor.isascii()
    assert opened(None, type(position), *query) is None


@settings(max_examples=200)
@given(positions, queries, queries)
def test_cursor_of_another_query_is_refused(
    position: int | str, query: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assume([(type(each), each) for each in query] != [(type(each), each) for each in other])
    with pytest.raises(InvalidInput, match="cursor: belongs to another query"):
        opened(sealed(position, *query), type(position), *other)


@settings(max_examples=200)
@given(positions, queries)
def test_cursor_of_another_kind_is_refused(position: int | str, query: tuple[object, ...]) -> None:
    with pytest.raises(InvalidInput, match="cursor: belongs to another query"):
        opened(sealed(position, *query), str if isinstance(position, int) else int, *query)


@settings(max_examples=300)
@given(positions, queries, st.data())
def test_altered_cursor_is_refused(
    position: int | str, query: tuple[object, ...], data: st.DataObject
) -> None:
    """Cut, extended, or with a character changed, even one that a lenient decoder would skip."""
    cursor = sealed(position, *query)
    at = data.draw(st.integers(0, len(cursor)))
    inserted = data.draw(st.text(st.sampled_from("A-_= \n!*"), max_size=3) | anything)
    removed = data.draw(st.integers(0, 3))
    altered = cursor[:at] + inserted + cursor[at + removed :]
    assume(altered != cursor)
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        opened(altered, type(position), *query)


@settings(max_examples=200)
@given(
    st.text(st.characters(exclude_categories=()))
    | st.binary().map(lambda raw: urlsafe_b64encode(raw).decode())
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        opened(text, int, "episodes")


@pytest.mark.parametrize(
    "payload",
    [b"[" * 100_000, b"9" * 10_000, b"NaN", b"1e999", b'"\\ud800"', b"\xff", b"", b"true", b"1.0", b" 1"],
    ids=["deep", "huge", "nan", "infinite", "surrogate", "no text", "empty", "bool", "float", "spaced"],
)
def test_forged_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        opened(urlsafe_b64encode(b"12345678" + payload).decode(), int, "episodes")


@pytest.mark.parametrize("position", [-1, 2**63, 10**30, "\0", "user\0"])
def test_position_where_no_store_can_look_is_refused_however_well_it_is_sealed(position: int | str) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        opened(sealed(position, "episodes"), type(position), "episodes")


@pytest.mark.parametrize("cursor", [0, 1.5, True, b"abc", [], {}])
def test_what_is_no_string_is_refused(cursor: object) -> None:
    with pytest.raises(InvalidInput, match="cursor: expected a string"):
        opened(cursor, int, "episodes")
