"""Terms packed for the database against counting them."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.postgres.terms import WIDTH, code, packed, postings

words = st.sampled_from(("cat", "dog", "eel", "@2023-10", "\u732b")) | st.text(
    st.characters(exclude_categories=("Cs",)), min_size=1
)
episodes = st.lists(st.lists(words, max_size=12), max_size=12)


@settings(max_examples=200)
@given(episodes, st.lists(words, unique=True, max_size=6))
def test_postings_count_what_was_packed(terms: list[list[str]], query: list[str]) -> None:
    counts = [Counter(each) for each in terms]
    stream = b"".join(map(packed, terms))
    found = postings(query, stream, np.array([len(each) for each in terms], dtype=np.int64))
    assert {
        term: list(zip(*map(np.ndarray.tolist, posting), strict=True)) for term, posting in found.items()
    } == {
        term: [(i, count[term]) for i, count in enumerate(counts) if term in count]
        for term in query
        if any(term in count for count in counts)
    }


@given(words, words)
def test_codes_have_one_width_and_tell_terms_apart(one: str, other: str) -> None:
    assert len(code(one)) == WIDTH
    assert (code(one) == code(other)) == (one == other)


@given(st.lists(words))
def test_packed_terms_keep_order_and_repetitions(terms: list[str]) -> None:
    stream = packed(terms)
    assert [stream[at : at + WIDTH] for at in range(0, len(stream), WIDTH)] == list(map(code, terms))
