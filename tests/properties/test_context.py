"""A context: within its budget, nothing leaves its place, and it can be taken out of a text again."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from recollect import Block, ConfigurationError, Episode, Fact, Recollection
from recollect._context import MARKDOWN, NOTE, XML, Format, _admitted, estimated_tokens, pack, stripped
from recollect.types import Context, Signals

from .test_markup import CHARACTERS, ILLEGAL

AT = datetime(2024, 5, 1, 8, 15, 30, tzinfo=UTC)
DELIMITERS = (*XML, *MARKDOWN)
HOSTILE = st.sampled_from(
    ["<", ">", "&", "</memory>", "<system>", "</block>", "</fact>", "]]>", "<!--", "-->", '"', "'", "\r",
     "\n", "\n\n", "`", "```", "~~~", "\n# ", "\n- ", "\x0c", "\x85", "\u2028", "\ufffe", " ", *DELIMITERS,
     "<recollect-", "context>", "<!--\nrecollect-context -->"]
)  # fmt: skip
TEXTS = st.lists(HOSTILE | st.text(CHARACTERS, max_size=8), max_size=6).map("".join)
IDS = TEXTS.filter(str.strip)
OBJECTS = (
    TEXTS
    | st.none()
    | st.integers()
    | st.lists(TEXTS, max_size=2)
    | st.dictionaries(TEXTS, TEXTS, max_size=2)
)
DATES = st.sampled_from(
    [AT, AT + timedelta(days=400), datetime(1, 1, 2, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)]
)
FORMATS: tuple[Format, ...] = ("xml", "markdown")

BLOCKS = st.builds(
    lambda name, text: Block(name=name, text=text, order=0, version=1, updated_at=AT), IDS, TEXTS
)


def fact(
    id: str,
    subject: str,
    predicate: str,
    object: Any,
    *,
    until: datetime | None = None,
    confidence: float = 1.0,
) -> Fact:
    return Fact(
        fact_id=id, version_id="v", subject=subject, predicate=predicate, object=object, valid_from=AT,
        valid_to=until, claimed_from=AT, claimed_to=until, tx_from=1, tx_to=None, asserted_at=AT,
        recorded_at=AT, superseded_at=None, superseded_by=None, confidence=confidence, support=1,
        sources=(), session_id=None, actor=None, reason=None,
    )  # fmt: skip


def recollection(id: str, input: str, output: str = "", *, at: datetime = AT) -> Recollection:
    episode = Episode(
        id=id, user_id="u", session_id=None, agent_id=None, seq=1, input=input, output=output, occurred_at=at,
        recorded_at=AT, metadata={}, transcript=None, embedding_state="none",
    )  # fmt: skip
    return Recollection(episode=episode, score=1.0, signals=Signals())


FACTS = st.builds(
    fact, IDS, IDS, IDS, OBJECTS, until=st.none() | DATES, confidence=st.sampled_from([1.0, 0.25])
)
RECOLLECTIONS = st.builds(recollection, IDS, TEXTS, TEXTS, at=DATES)
MEMORIES = st.tuples(
    st.lists(BLOCKS, max_size=3), st.lists(FACTS, max_size=4), st.lists(RECOLLECTIONS, max_size=4)
)
Memory = tuple[list[Block], list[Fact], list[Recollection]]


def whole(memory: Memory, format: Format) -> Context:
    return pack(*memory, budget=10**9, format=format)


CONTEXTS = st.builds(whole, MEMORIES, st.sampled_from(FORMATS))


# The budget

COUNTS: dict[str, Callable[[str], int]] = {
    "as estimated": estimated_tokens,
    "characters": len,
    "a whole is more than its parts": lambda text: len(text) ** 2 // 100,
    "a whole is less than its parts": lambda text: 50 + len(text) // 10,
    "nothing costs anything": lambda text: 0,
    "at random": lambda text: hash(text) % 997,
}


LEFT_OUT = re.compile(
    r"<omitted [^>]*/>\n(?=</recollect-context>\Z)|Left out: [^\n]*\n\n(?=<!-- /recollect-context -->\Z)"
)


@given(MEMORIES, st.integers(0, 1500), st.sampled_from(sorted(COUNTS)), st.sampled_from(FORMATS))
def test_only_blocks_exceed_the_budget_whatever_counts_the_tokens(
    memory: Memory, budget: int, counted: str, format: Format
) -> None:
    blocks, facts, recollections = memory
    count = COUNTS[counted]
    context = pack(*memory, budget=budget, format=format, count=count)
    assert context.tokens == (count(context.text) if context.text else 0)
    if context.tokens > budget:
        assert context == pack(blocks, [], [], budget=budget, format=format, count=count).model_copy(
            update={"omitted": context.omitted}
        )
    assert context.blocks == tuple(blocks)
    assert context.omitted.facts == len(facts) - len(context.facts)
    assert context.omitted.recollections == len(recollections) - len(context.recollections)
    for all, some in ((facts, context.facts), (recollections, context.recollections)):
        rest = iter(all)
        assert len([each for each in some if any(each is other for other in rest)]) == len(some), (
            "in their order"
        )
    assert bool(context.text) == bool(context.blocks or context.facts or context.recollections)
    if context.text:
        said = whole((blocks, list(context.facts), list(context.recollections)), format).text
        assert LEFT_OUT.sub("", context.text) == said, "what is said to be in it is in the text"


@pytest.mark.parametrize("format", FORMATS)
def test_what_came_last_goes_if_the_whole_counts_more_than_its_parts(format: Format) -> None:
    count = COUNTS["a whole is more than its parts"]
    told = [recollection(f"e{i}", "word " * 20) for i in range(9)]
    three = whole(([], [], told[:3]), format).text
    # Said besides: how much was left out.
    context = pack([], [], told, budget=count(three + "x" * 60), format=format, count=count)
    assert context.recollections == tuple(told[:3])
    assert context.omitted.recollections == 6


@given(MEMORIES, st.sampled_from(FORMATS))
def test_with_room_enough_everything_is_in(memory: Memory, format: Format) -> None:
    context = whole(memory, format)
    assert [list(context.blocks), list(context.facts), list(context.recollections)] == list(memory)
    assert (context.omitted.facts, context.omitted.recollections) == (0, 0)
    assert str(context) == context.text


COSTS = st.lists(st.integers(0, 60), max_size=12)


@given(COSTS, COSTS, st.integers(-20, 300))
def test_nothing_is_left_out_for_which_there_is_room(facts: list[int], told: list[int], room: int) -> None:
    admitted = _admitted(facts, told, room=room)
    assert len(set(admitted)) == len(admitted)
    left = room - sum((facts if of_facts else told)[i] for of_facts, i in admitted)
    assert left >= 0 or not admitted
    every = [(True, i) for i in range(len(facts))] + [(False, i) for i in range(len(told))]
    assert all((facts if of_facts else told)[i] > left for of_facts, i in {*every} - {*admitted})


@pytest.mark.parametrize(
    ("facts", "told", "room", "expected"),
    [
        ([10] * 9, [10] * 9, 100, ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])),
        ([10] * 9, [10], 100, ([0, 1, 2, 3, 4, 5, 6, 7, 8], [0])),
        ([10], [10] * 20, 100, ([0], [0, 1, 2, 3, 4, 5, 6, 7, 8])),
        ([80, 10], [30, 20], 100, ([0], [1])),
        ([101, 10], [30, 90], 100, ([1], [0])),
        ([10], [10], 5, ([], [])),
    ],
)
def test_facts_come_first_and_leave_half_to_recollections(
    facts: list[int], told: list[int], room: int, expected: tuple[list[int], list[int]]
) -> None:
    admitted = _admitted(facts, told, room=room)
    assert (
        tuple(sorted(i for kind, i in admitted if kind is of_facts) for of_facts in (True, False)) == expected
    )


@pytest.mark.parametrize("tokens", [-1, 1.5, True, None, "3"])
def test_what_is_no_number_of_tokens_is_refused(tokens: Any) -> None:
    with pytest.raises(ConfigurationError, match="count_tokens"):
        pack([], [fact("f", "s", "p", "o")], [], budget=100, format="xml", count=lambda text: tokens)


def test_what_is_left_out_is_said_in_the_text() -> None:
    told = [recollection(str(i), "word " * 100) for i in range(5)]
    for format, said in (("xml", '<omitted facts="0" recollections="3"/>'), ("markdown", "3 recollections")):
        assert said in pack([], [], told, budget=380, format=format).text


# The estimate

COUNTED = {
    "I moved to Lisbon last week, into a larger flat with a balcony. The cat is called Pepper, and she likes "
    "it there.": 28,
    "Ich bin letzte Woche nach Köln gezogen, in eine größere Wohnung mit Balkon.": 26,
    "На прошлой неделе я переехала в Лиссабон и завела кошку.": 32,
    "我上周搬到了里斯本，住在一个有阳台的公寓里。我的猫叫小辣椒。": 37,
    "def f(x):\n    return {k: v**2 for k, v in x.items() if k not in ('a', 'b')}\n": 33,
    "019a1ff4-5598-78a8-baed-b69d5a8821f7 2026-11-21T17:59Z 0.625": 39,
    "🎉🎉🔥 lol 😂😂": 14,
    '<fact id="019a1ff4-5598-78a8-baed-b69d5a8821f7" subject="alice" predicate="lives_in" '
    'valid_from="2024-05-01">Lisbon</fact>': 57,
}
"""Texts, and the tokens that the tokenizer named at `estimated_tokens` makes of them."""


@pytest.mark.parametrize("text", COUNTED)
def test_the_estimate_is_near_what_a_tokenizer_counts_and_rarely_below(text: str) -> None:
    assert 0.95 <= estimated_tokens(text) / COUNTED[text] <= 1.5


@given(TEXTS, TEXTS)
def test_a_whole_is_estimated_at_no_more_than_its_parts(a: str, b: str) -> None:
    assert estimated_tokens("") == 0
    assert estimated_tokens(a) <= estimated_tokens(a + b) <= estimated_tokens(a) + estimated_tokens(b)


# Nothing leaves its place


def legal(text: str) -> str:
    return ILLEGAL.sub("\ufffd", text)


@given(MEMORIES)
@example(([], [fact("</recollect-context>", '"><system>', "a\nb", {"</fact>": "\r\n"})], []))
def test_xml_is_well_formed_and_gives_everything_back(memory: Memory) -> None:
    assume(any(memory))
    blocks, facts, recollections = memory
    root = ET.fromstring(whole(memory, "xml").text)
    assert root.tag == XML[0].strip("<>")
    assert root.findtext("note") == NOTE
    found = root.findall("blocks/block")
    assert [(each.get("name"), each.text or "") for each in found] == [
        (legal(each.name), legal(each.text)) for each in blocks
    ]
    found = root.findall("facts/fact")
    assert [[*map(each.get, ("id", "subject", "predicate"))] for each in found] == [
        [*map(legal, (each.fact_id, each.subject, each.predicate))] for each in facts
    ]
    for each, said in zip(found, facts, strict=True):
        if isinstance(said.object, str):
            assert (each.text or "") == legal(said.object)
        assert (each.get("valid_to") is None) == (said.valid_to is None)
        assert each.get("confidence") == (None if said.confidence == 1 else "0.25")
    found = root.findall("recollections/episode")
    assert [(each.get("id"), each.findtext("input", ""), each.findtext("output", "")) for each in found] == [
        (legal(each.id), *(legal(side) if side.strip() else "" for side in (each.input, each.output)))
        for each in (hit.episode for hit in recollections)
    ]
    elements = 1 + 1 + sum(map(bool, memory)) + sum(map(len, memory))
    sides = sum(
        bool(side.strip()) for hit in recollections for side in (hit.episode.input, hit.episode.output)
    )
    assert len(list(root.iter())) == elements + sides, "a text has opened an element of its own"


def spoilt(text: str) -> str:
    for delimiter in DELIMITERS:
        text = text.replace(delimiter, f"&lt;{delimiter[1:]}")
    return text


NOTE_LINE = re.escape(NOTE)
OUTSIDE = re.compile(
    rf"""
    | <!--\ /?recollect-context\ --> | {NOTE_LINE} | \#\#\ (Blocks|Facts|Recollections)
    | \#\#\#\ (block|episode)\ (?P<name>(`+)\ ?.+\ ?\4),\ [-0-9T:Z]+ | (input|output): | Left\ out:.*
    | -\ (`+)\ ?.+\ ?\6\ \(fact\ (`+)\ ?.+\ ?\7,\ true\ since\ [^`]*\)
    """,
    re.VERBOSE,
)
"""A line that is outside of every fence."""


def read(markdown: str) -> list[str]:
    """Return the fenced texts, as CommonMark finds them; every other line must be one of ours."""
    found: list[str] = []
    lines = re.split("\n", markdown)
    while lines:
        line = lines.pop(0)
        fence = re.fullmatch("(`{3,})text", line)
        if fence is None:
            assert OUTSIDE.fullmatch(line), line
            continue
        inside: list[str] = []
        while not re.fullmatch(rf" {{0,3}}`{{{len(fence[1])},}}[ \t]*", lines[0]):
            inside.append(lines.pop(0))
        lines.pop(0)
        found.append("\n".join(inside))
    return found


@given(MEMORIES)
@example(([], [], [recollection("a\n# b", "```\n</memory>", "````\n````text")]))
@example(([], [fact("`", "``", "a", "\n\n- b")], []))
def test_markdown_gives_everything_back_and_nothing_leaves_its_fence(memory: Memory) -> None:
    assume(any(memory))
    blocks, _, recollections = memory
    sides = [
        side for hit in recollections for side in (hit.episode.input, hit.episode.output) if side.strip()
    ]
    assert read(whole(memory, "markdown").text) == [
        spoilt(text) for text in (*(b.text for b in blocks), *sides)
    ]


@given(CONTEXTS)
def test_a_context_has_its_delimiters_at_its_ends_and_nowhere_else(context: Context) -> None:
    assume(context.text)
    (start, end) = next(pair for pair in (XML, MARKDOWN) if context.text.startswith(pair[0]))
    assert context.text.endswith(end)
    inside = context.text[len(start) : -len(end)]
    assert not [delimiter for delimiter in DELIMITERS if delimiter in inside]


def test_dates_are_to_the_minute_and_without_a_time_at_midnight() -> None:
    noon = AT.replace(hour=0, minute=0, second=0)
    context = pack([], [fact("f", "s", "p", 1, until=noon)], [], budget=1000, format="xml")
    line = '<fact id="f" subject="s" predicate="p" valid_from="2024-05-01T08:15Z" valid_to="2024-05-01" '
    assert line + 'learned="2024-05-01T08:15Z">1</fact>' in context.text


# Taken out again

PLAIN = TEXTS.filter(lambda text: not any(delimiter in text for delimiter in DELIMITERS))
CUT = st.lists(
    HOSTILE.filter(lambda text: text not in (XML[0], MARKDOWN[0])) | st.text(CHARACTERS, max_size=8)
)
UNOPENED = CUT.map("".join).filter(lambda text: XML[0] not in text and MARKDOWN[0] not in text)
"""May have ends in it that belong to nothing."""


@given(UNOPENED, CONTEXTS, UNOPENED, CONTEXTS, UNOPENED)
@example(
    "<recollect-",
    whole(([], [fact("f", "s", "p", "o")], []), "xml"),
    "context>",
    whole(([], [], []), "xml"),
    "",
)
def test_contexts_are_taken_out_and_all_else_stays(
    a: str, one: Context, b: str, other: Context, c: str
) -> None:
    assert stripped(a + one.text + b) == a + b
    assert stripped(a + one.text + b + other.text + c) == a + b + c


@given(PLAIN, PLAIN, st.lists(CONTEXTS, min_size=1, max_size=4), st.data())
def test_a_context_goes_with_those_that_it_contains(
    a: str, b: str, contexts: Sequence[Context], data: Any
) -> None:
    text = contexts[0].text
    assume(text)
    for inner in contexts[1:]:
        # Between two lines, so that no delimiter is cut.
        place = data.draw(st.sampled_from([found.end() for found in re.finditer("\n", text)]))
        text = text[:place] + inner.text + text[place:]
    assert stripped(a + text + b) == a + b


@given(PLAIN, CONTEXTS, st.data())
def test_a_context_that_is_not_closed_goes_to_the_end(a: str, context: Context, data: Any) -> None:
    start, end = next((pair for pair in (XML, MARKDOWN) if context.text.startswith(pair[0])), ("", ""))
    assume(start)
    cut = data.draw(st.integers(len(start), len(context.text) - 1))
    assert stripped(a + context.text[:cut]) == a
    assert stripped(a + context.text + context.text[:cut]) == a
    other = XML if start == MARKDOWN[0] else MARKDOWN
    # Nor does what closes the other format close it; but what is around it does.
    assert stripped(a + context.text[: -len(end)] + other[1] + "b") == a
    assert stripped(other[0] + context.text[:cut] + other[1] + a) == a


@given(UNOPENED)
def test_a_text_without_contexts_stays_as_it_is(text: str) -> None:
    assert stripped(text) == text


@given(TEXTS)
def test_no_text_makes_stripping_fail_or_grow(text: str) -> None:
    rest = iter(text)
    assert all(character in rest for character in stripped(text)), "what is left is in the order of the text"
