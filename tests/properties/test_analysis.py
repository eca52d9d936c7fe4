"""The same words for every store, whatever the text."""

import string
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recollect import _analysis
from recollect._analysis import TERM_LENGTH, analyze, languages

LANGUAGES = sorted(languages())
LETTERS = string.ascii_lowercase

# Lone surrogates included; and of the alphabets whose stemmers do most, more than chance would give.
anything = st.text(st.characters(exclude_categories=()))
scripts = st.text(
    st.sampled_from(
        "abcdefghinrstuvy'\u2019 @_.-ßäöüéèçğıİşйњџжшљščžђћλσςάλα\u05d0\u05d1\u05d2\u0628\u0631\u0633"
        "\u0e20\u0e32\u0e29日本語한국어ひらﬁⅧ１ẞ\u0939\u093f\u0928\u094d\u0ba4\u0bae\u0301\u200d\ud800\0"
    ),
    max_size=200,
)
texts = anything | scripts
ascii_texts = st.text(st.characters(max_codepoint=127)) | scripts.map(
    lambda text: text.encode("ascii", "ignore").decode()
)


@settings(max_examples=400)
@given(texts, st.sampled_from(LANGUAGES))
@example("њ" * TERM_LENGTH, "serbian")
@example("ß" * TERM_LENGTH, "german")
@example("ﷺ" * 10, "arabic")
@example("a" * 10_000, "english")
def test_terms_fit_any_index(text: str, language: str) -> None:
    for term in analyze(text, language):
        assert 1 <= len(term) <= TERM_LENGTH
        assert term.encode()
        assert not any(unicodedata.category(character) == "Cc" for character in term)
        assert not set(term) & set("@ ")  # dates are told from words by their "@"


@settings(max_examples=200)
@given(texts, st.sampled_from(LANGUAGES))
def test_the_same_text_has_the_same_terms_with_and_without_caches(text: str, language: str) -> None:
    first = analyze(text, language)
    assert analyze(text, language) == first
    _analysis._stemmer.cache_clear()
    assert analyze(text, language) == first


@settings(max_examples=200)
@given(ascii_texts)
def test_a_foreign_word_does_not_change_the_terms_of_the_others(text: str) -> None:
    assert analyze(f"{text} 猫") == [*analyze(text), "猫"]


@settings(max_examples=200)
@given(ascii_texts)
def test_capitals_do_not_count(text: str) -> None:
    assert analyze(text.upper()) == analyze(text.lower()) == analyze(text)


@settings(max_examples=200)
@given(texts, texts)
def test_terms_of_lines_are_those_of_the_text(first: str, second: str) -> None:
    assert analyze(f"{first}\n{second}") == analyze(first) + analyze(second)


@settings(max_examples=200)
@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=2))
def test_unspaced_scripts_give_overlapping_pairs(text: str) -> None:
    assert analyze(text) == [text[i : i + 2] for i in range(len(text) - 1)]


def test_threads_agree() -> None:
    """They share the stems, but each has its own stemmer: Snowball writes into it."""
    suffixes = ("ing", "ed", "ations", "ness", "fulness")
    texts = [
        " ".join(f"{first}o{last}{suffix}" for first in "brst" for suffix in suffixes) for last in LETTERS
    ]
    expected = [analyze(text) for text in texts]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            _analysis._stemmer.cache_clear()
            start = threading.Barrier(4)

            def work(_: int) -> list[list[str]]:
                start.wait()  # noqa: B023
                return [analyze(text) for text in texts]

            with ThreadPoolExecutor(4) as threads:
                assert list(threads.map(work, range(4))) == [expected] * 4
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("... --- !?", []),
        ("Running, runs; RAN", ["run", "run", "ran"]),
        ("to be or not to be", []),
        ("snake_case C++ 3.5", ["snake", "case", "c", "3", "5"]),
        ("Caroline's kids don't, they'll", ["carolin", "kid"]),
        ("doesn\u2019t they\u2019ll Caroline\u2019s", ["carolin"]),
        ("rock'n'roll o'clock", ["rock", "n", "roll", "o", "clock"]),
        ("the `re` module isn`t", ["re", "modul", "isn"]),
        ("the `re` module isn`t \u732b", ["re", "modul", "isn", "\u732b"]),
        ("Acme\u2122", ["acmetm"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("\uff11\uff12\uff13 \uff21\uff22\uff23 \ufb01ne \u2167", ["123", "abc", "fine", "viii"]),
        ("Stra\u00dfe STRASSE", ["strass", "strass"]),
        ("iPhone\u624b\u6a5f\u3002", ["iphon", "\u624b\u6a5f"]),
        ("\u624b", ["\u624b"]),
        ("\u732b\u304c\u597d\u304d", ["\u732b\u304c", "\u304c\u597d", "\u597d\u304d"]),
        ("\uc11c\uc6b8\uc5d0", ["\uc11c\uc6b8", "\uc6b8\uc5d0"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("\U00020000\U00020001\U00020002", ["\U00020000\U00020001", "\U00020001\U00020002"]),
        ("\ud800abc\x00def", ["abc", "def"]),
        ("\u01f0 J\u030c", ["\u01f0", "\u01f0"]),
        ("o" + "x" * 60 + "ing" + "y" * 1000, ["o" + "x" * 60]),
    ],
)
def test_english(text: str, terms: list[str]) -> None:
    assert analyze(text) == terms


@pytest.mark.parametrize(
    ("text", "language", "terms"),
    [
        ("l'homme n'aime pas", "french", ["l", "homm", "n", "aim", "pas"]),
        ("die H\u00e4user the", "german", ["die", "haus", "the"]),
        ("\u043a\u043e\u0448\u043a\u0438", "russian", ["\u043a\u043e\u0448\u043a"]),
        ("\u03b1\u03b3\u03b1", "greek", ["\u03b1\u03b3\u03b1"]),  # all suffix
    ],
)
def test_other_languages_have_their_stemmer_and_no_stop_words(
    text: str, language: str, terms: list[str]
) -> None:
    assert analyze(text, language) == terms


def test_unknown_language_is_refused_every_time() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="unknown language 'klingon'; known are arabic"):
            analyze("text", "klingon")
