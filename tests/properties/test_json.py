"""JSON as it is stored, compared and hashed."""

import asyncio
import json
import math
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect._checks import MAX_INTEGER, check_json
from recollect._json import at_path, canonical, dumps, equal, loads

Pairs = Sequence[tuple[Any, Any]]

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False)
# Values that are alike, so that two of them are often equal, or nearly.
ALIKE = (
    None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, 1.5, 1e22, 5e-324, MAX_INTEGER, float(MAX_INTEGER),
    "", "0", "1", "1.0", "true", "null", "caf\u00e9", "cafe\u0301", [], {}, [[]], [{}], {"": None}, {"a": {}},
)  # fmt: skip
leaves = st.sampled_from(ALIKE) | integers | floats | texts | st.none() | st.booleans()
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("a", "b", "A", "")) | texts, inner, max_size=3)
    ),
    max_leaves=8,
)
few = st.recursive(
    st.sampled_from(ALIKE),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("a", "b")), inner, max_size=2)
    ),
    max_leaves=4,
)


def identical(a: Any, b: Any) -> bool:
    """Equal in type too; the order of keys aside."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(identical, a, b))
    return a == b and (not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b))


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=200)
@given(values)
def test_what_is_accepted_comes_back_identical_and_in_order(value: Any) -> None:
    text = check_json("metadata", value, limit=1_000_000)
    assert text == dumps(value)
    back = loads(text)
    assert identical(back, value)
    assert json.dumps(back) == json.dumps(value)  # which keeps the order of keys
    text.encode()


@settings(max_examples=200)
@given(few | values, few | values)
def test_same_bytes_mean_the_same_value(a: Any, b: Any) -> None:
    assert (canonical(a) == canonical(b)) == identical(a, b)
    assert canonical(reordered(a)) == canonical(a)
    assert identical(loads(canonical(a)), a)


@settings(max_examples=200)
@given(few, few, few)
def test_equality_is_an_equivalence(a: Any, b: Any, c: Any) -> None:
    assert equal(a, a)
    assert equal(a, reordered(a))
    assert equal(a, b) == equal(b, a)
    assert not (equal(a, b) and equal(b, c)) or equal(a, c)
    assert equal(a, b) or not identical(a, b)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (True, 1, False),
        (False, 0, False),
        (True, "true", False),
        (None, False, False),
        (None, {}, False),
        ([], {}, False),
        ("", None, False),
        ([1], [True], False),
        ({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]}, True),
        ({"a": None}, {}, False),
        ([1, 2], [2, 1], False),
        ([1, 2], [1], False),
        ("caf\u00e9", "cafe\u0301", False),
    ],
)
def test_equality_by_example(a: Any, b: Any, *, same: bool) -> None:
    assert equal(a, b) is same
    assert equal(b, a) is same


def test_value_of_a_subclass_equals_the_text_it_is_stored_as() -> None:
    class Mood(StrEnum):
        GOOD = "good"

    class Bag(dict[str, Any]):
        pass

    value = Bag(mood=Mood.GOOD)
    assert equal(value, loads(dumps(value)))
    assert equal(loads(dumps(value)), value)


@pytest.fixture(scope="module")
def jsonb_equal(postgres_dsn: str) -> Iterator[Callable[[Pairs], list[bool]]]:
    """What the database says, of many pairs in one round trip."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(postgres_dsn))
        sql = """
            select a::jsonb = b::jsonb
            from unnest($1::text[], $2::text[]) with ordinality as given (a, b, place) order by place
        """

        def ask(pairs: Pairs) -> list[bool]:
            texts = [dumps(a) for a, _ in pairs], [dumps(b) for _, b in pairs]
            return [row[0] for row in runner.run(connection.fetch(sql, *texts))]

        yield ask
        runner.run(connection.close())


@settings(max_examples=50)
@given(pairs=st.lists(st.tuples(few | values, few | values), max_size=50))
def test_equality_is_that_of_the_database(
    pairs: list[tuple[Any, Any]], jsonb_equal: Callable[[Pairs], list[bool]]
) -> None:
    pairs += [(a, reordered(a)) for a, _ in pairs]
    assert [equal(a, b) for a, b in pairs] == jsonb_equal(pairs)


def test_equality_of_what_is_alike_is_that_of_the_database(
    jsonb_equal: Callable[[Pairs], list[bool]],
) -> None:
    pairs = [(a, b) for a in ALIKE for b in ALIKE]
    assert [equal(a, b) for a, b in pairs] == jsonb_equal(pairs)


@settings(max_examples=200)
@given(values, st.lists(st.sampled_from(("a", "b", "")), max_size=3))
def test_path_leads_to_what_indexing_finds(value: Any, path: list[str]) -> None:
    expected: tuple[bool, Any] = (True, value)
    for name in path:
        try:
            expected = (True, expected[1][name]) if isinstance(expected[1], dict) else (False, None)
        except KeyError:
            expected = (False, None)
        if not expected[0]:
            break
    assert at_path(value, path) == expected
