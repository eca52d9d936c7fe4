"""Text to index terms: the same for every store, so that the same words match in each of them.

A term is a lower-case stemmed word without stop words. Scripts that do not separate words (Han, kana, Hangul,
Thai and its neighbours) give overlapping pairs of characters instead. Terms are at most `TERM_LENGTH`
characters, contain no control character and encode to UTF-8, hence fit into any database index.

Stored terms depend on this module and on the version of Snowball: a store that keeps terms has to analyze its
episodes again when either changes.
"""

import re
import threading
import unicodedata
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

import Stemmer

TERM_LENGTH: Final = 64
LONG_TEXT: Final = 20_000  # characters from which on to analyse in a worker thread: about 3 ms
CACHED_STEMS: Final = 20_000

# The English stop words of PostgreSQL (src/backend/snowball/stopwords/english.stop).
_ENGLISH: Final = frozenset(
    """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves what which who whom this that these those am is
    are was were be been being have has had having do does did doing a an the and but if or because as until
    while of at by for with about against between into through during before after above below to from up down
    in out on off over under again further then once here there when where why how all any both each few more
    most other some such no nor not only own same so than too very s t can will just don should now
    """.split()  # noqa: SIM905
)
_STOP_WORDS: Final = {"english": _ENGLISH, "porter": _ENGLISH}
_NOTHING: Final[frozenset[str]] = frozenset()

# Every "n't" is an auxiliary verb and as empty as "not"; what follows another apostrophe is a clitic.
# Without this "doesn't" would leave the rare, hence heavy, term "doesn".
_CONTRACTION: Final = re.compile(r"\b[a-z]+n't\b|'(?:s|m|d|t|re|ve|ll)\b")
_APOSTROPHES: Final = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u02b9\u2032\uff07"), "'")

_ASCII_WORD: Final = re.compile(f"([a-z0-9]{{1,{TERM_LENGTH}}})[a-z0-9]*")  # as much of it as a term keeps
# Python's \w lacks combining marks, without which Hindi, Tamil or vowelled Arabic fall into pieces.
_WORD: Final = re.compile(
    "(?:[^\\W_]|[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06ed\u0900-\u0963\u0966-\u0df3\u0e31-\u0e4e\u0eb1-\u0ece\u0f71-\u0f84"
    "\u102b-\u103e\u1056-\u109d\u17b4-\u17d3\u200c\u200d\u3099\u309a])+"
)
# Thai, Lao, Tibetan, Myanmar, Khmer; Hangul jamo; kana, bopomofo, Hangul; Han (all planes).
_UNSPACED: Final = re.compile(
    "([\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3031-\u318f\u31a0-\u31ff"
    "\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003fffd]+)"
)


def languages() -> frozenset[str]:
    """Return the names that `analyze` accepts as `language`."""
    return frozenset(Stemmer.algorithms())


def analyze(text: str, language: str = "english") -> list[str]:
    """Return the terms of `text` in their order, with repetitions; empty if there is no word in it.

    Accepts every `str`, lone surrogates included.

    Args:
        text: of an episode or a query.
        language: decides on the stemmer and the stop words (which only English has); one of `languages()`.

    Raises:
        ValueError: the language is unknown.
    """
    stem, stop_words = _stemmer(language), _STOP_WORDS.get(language, _NOTHING)
    if text.isascii():
        folded, word = text.lower(), _ASCII_WORD
    else:
        # Twice, because the compatible form can have new capitals, and folding can leave the normal form.
        compatible = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
        folded, word = unicodedata.normalize("NFKC", compatible), _WORD
    if stop_words and "'" in folded:
        folded = _CONTRACTION.sub(" ", folded)
    words = [token for token in word.findall(folded) if token not in stop_words]
    if word is _WORD:
        words = [part[:TERM_LENGTH] for token in words for part in _parts(token)]
    return list(map(stem, words))


def _parts(token: str) -> list[str]:
    """Split a word at changes of script; pairs of characters where the script does not separate words."""
    if token.isascii() or not _UNSPACED.search(token):
        return [token]
    parts: list[str] = []
    # Splitting at a group alternates: the odd ones are the runs of unspaced script.
    for position, run in enumerate(_UNSPACED.split(token)):
        if position % 2 and len(run) > 1:
            parts.extend(map("".join, pairwise(run)))
        elif run:
            parts.append(run)
    return parts


@cache
def _stemmer(language: str) -> Callable[[str], str]:
    """Return the stemmer with a cache that all threads share; unknown languages are not cached."""
    if language not in Stemmer.algorithms():
        msg = f"unknown language {language!r}; known are {', '.join(sorted(languages()))}"
        raise ValueError(msg)
    threads = threading.local()

    def stem(word: str) -> str:
        # Snowball keeps its working buffer in the stemmer, so each thread needs its own.
        stemmer: Stemmer.Stemmer | None = getattr(threads, "stemmer", None)
        if stemmer is None:
            stemmer = threads.stemmer = Stemmer.Stemmer(language, 0)
        # Some stemmers leave nothing of a word that is all suffix; those that transliterate make it longer.
        return (stemmer.stemWord(word) or word)[:TERM_LENGTH]

    return lru_cache(CACHED_STEMS)(stem)
