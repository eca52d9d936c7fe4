"""Long text in pieces that can be embedded."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recollect._embedding import chunks

texts = st.text(st.sampled_from("ab \n\t\u00a0\u3000\u00e9"), max_size=60) | st.text(max_size=60)
sizes = st.integers(1, 12)


@settings(max_examples=400)
@given(texts, sizes)
@example("word " * 20, 12)
@example("a" * 30, 7)
@example(" \n ", 1)
def test_chunks_lose_nothing_but_white_space(text: str, size: int) -> None:
    pieces = list(chunks(text, size))
    assert "".join("".join(pieces).split()) == "".join(text.split())
    rest = text
    for piece in pieces:
        assert 1 <= len(piece) <= size
        assert piece.strip()
        rest = rest.lstrip()
        assert rest.startswith(piece)
        rest = rest[len(piece) :]
    assert not rest.strip()


@settings(max_examples=200)
@given(texts, sizes)
def test_chunks_are_long_enough_to_be_few(text: str, size: int) -> None:
    pieces = list(chunks(text, size))
    assert all(len(piece) >= size // 2 for piece in pieces[:-1])


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("", 10, []),
        (" \n\t ", 10, []),
        ("  short  ", 10, ["short"]),
        ("exactly_10", 10, ["exactly_10"]),
        ("one two three", 10, ["one two", "three"]),
        ("one two three", 8, ["one two", "three"]),
        ("one\ntwo three four", 10, ["one\ntwo", "three four"]),
        ("an unbreakable_word", 8, ["an unbre", "akable_w", "ord"]),
    ],
)
def test_examples(text: str, size: int, expected: list[str]) -> None:
    assert list(chunks(text, size)) == expected
