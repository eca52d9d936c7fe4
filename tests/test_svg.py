"""The picture of both times: where things are in it, and that it can be read whatever is drawn."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect._facts_shown import shown
from recollect._timeline import Assertion, replay
from recollect.cli.instants import instant, known, labels
from recollect.cli.picture import NOTHING, draw
from recollect.stores.facts import FoundFact
from recollect.types import Fact

from .properties.histories import day, during, logs, retraction, since

SVG = "{http://www.w3.org/2000/svg}"
NOW = day(100)
Name = tuple[str, str]
XML_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def pieces(log: Sequence[Assertion]) -> list[Fact]:
    log = [each if each.object is None else replace(each, object=json.dumps(each.object)) for each in log]
    return [shown(FoundFact(piece, support=1, sources=(), confidence=1.0)) for piece in replay(log)]


def drawn(facts: Sequence[Fact], *, title: str = "ann") -> ET.Element:
    return ET.fromstring(draw(facts, now=NOW, title=title))


def name_of(fact: Fact) -> Name:
    return str(fact.tx_from), fact.valid_from.isoformat()


def named(root: ET.Element) -> list[tuple[Name, ET.Element]]:
    """Return the rectangles of pieces with what tells them apart within a panel."""
    found = [rect for rect in root.iter(f"{SVG}rect") if "data-tx" in rect.attrib]
    return [((rect.attrib["data-tx"], rect.attrib["data-from"]), rect) for rect in found]


def panels(root: ET.Element) -> list[dict[Name, tuple[float, float, float, float]]]:
    """Return, for each panel, where its pieces are: left, right, top, bottom."""
    return [
        {
            name: (
                float(rect.attrib["x"]),
                float(rect.attrib["x"]) + float(rect.attrib["width"]),
                float(rect.attrib["y"]),
                float(rect.attrib["y"]) + float(rect.attrib["height"]),
            )
            for name, rect in named(group)
        }
        for group in root.iter(f"{SVG}g")
        if group.attrib.get("class") == "panel"
    ]


def texts(root: ET.Element) -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def marks(root: ET.Element) -> tuple[int, int]:
    """Return how many updates and how many corrections are marked; the legend's own do not count."""
    groups = [group for group in root.iter(f"{SVG}g") if group.attrib.get("class") == "panel"]
    updates = sum(1 for group in groups for _ in group.iter(f"{SVG}circle"))
    lines = [path.attrib.get("stroke-width") for group in groups for path in group.iter(f"{SVG}path")]
    return updates, lines.count("3")


@settings(max_examples=150, deadline=None)
@given(logs())
def test_pieces_of_one_slot_never_overlap_and_none_is_missing(log):
    facts = pieces(log)
    (boxes,) = panels(drawn(facts)) or [{}]
    assert boxes.keys() == {name_of(fact) for fact in facts}
    for (left, right, top, bottom), (other_left, other_right, other_top, other_bottom) in combinations(
        boxes.values(), 2
    ):
        apart = 0.005  # what the numbers of a picture are rounded to
        assert (
            right <= other_left + apart
            or other_right <= left + apart
            or bottom <= other_top + apart
            or other_bottom <= top + apart
        )


@settings(max_examples=150, deadline=None)
@given(logs())
def test_bounds_are_in_the_order_of_both_times_and_equal_ones_in_one_place(log):
    facts = pieces(log)
    (boxes,) = panels(drawn(facts)) or [{}]
    valid: list[tuple[datetime, float]] = []
    transactions: list[tuple[int, float]] = []
    for fact in facts:
        left, right, top, bottom = boxes[name_of(fact)]
        assert left < right
        assert top < bottom
        valid += [(fact.valid_from, left)] + ([(fact.valid_to, right)] if fact.valid_to else [])
        transactions += [(fact.tx_from, -bottom)] + ([(fact.tx_to, -top)] if fact.tx_to else [])
    for places in (valid, transactions):
        for (a, x), (b, y) in combinations(places, 2):
            assert (a < b) == (x < y - 0.005), (a, b, x, y)
    ends = {boxes[name_of(fact)][1] for fact in facts if fact.valid_to is None}
    assert all(max(x for _, x in valid) < end for end in ends)
    held = {boxes[name_of(fact)][2] for fact in facts if fact.tx_to is None}
    assert len(held) <= 1
    assert all(top < min((-y for _, y in transactions), default=top + 1) for top in held)


@settings(max_examples=60, deadline=None)
@given(XML_TEXT, XML_TEXT, XML_TEXT)
def test_any_text_is_escaped_and_makes_valid_xml(subject, object, reason):
    log = [since(1, object, 0, subject=subject, reason=reason), since(2, "other", 9, subject=subject)]
    root = drawn(pieces(log), title=object)
    assert len(panels(root)[0]) == 3


def test_what_xml_cannot_hold_is_replaced():
    assert "a\ufffdb" in texts(drawn(pieces([since(1, "a\uffffb", 0)])))


def test_markup_in_a_value_is_shown_as_it_is():
    value = '<script>alert("&amp;")</script>'
    document = draw(pieces([since(1, value, 0)]), now=NOW, title=value)
    assert "<script" not in document
    assert value in texts(ET.fromstring(document))


def test_what_has_ended_is_hatched_and_says_so():
    facts = pieces([since(1, "Rome", 0), since(2, None, 10, op="void")])
    root = drawn(facts)
    fills = {name: rect.attrib["fill"] for name, rect in named(root)}
    void = next(fact for fact in facts if fact.void)
    assert [name for name, fill in fills.items() if fill == "url(#nothing)"] == [name_of(void)]
    assert texts(root).count(NOTHING) == 2  # in its place, and in the legend


def test_equal_values_have_one_colour_and_others_another():
    root = drawn(pieces([during(1, "Rome", 0, 5), during(2, "Oslo", 5, 9), during(3, "Rome", 9, 12)]))
    first, second, third = (rect.attrib["fill"] for _, rect in named(root))
    assert first == third != second


def test_what_is_not_believed_any_more_is_paler():
    facts = pieces([since(1, "Paris", 0), since(2, "Rome", 10)])
    held = {name_of(fact): fact.tx_to is None for fact in facts}
    found = {name: rect.attrib["fill-opacity"] == "1" for name, rect in named(drawn(facts))}
    assert found == held
    assert set(held.values()) == {True, False}


def test_an_update_is_told_from_a_correction():
    paris, rome = since(1, "Paris", 0), since(2, "Rome", 10)
    assert marks(drawn(pieces([paris]))) == (0, 0)
    assert marks(drawn(pieces([paris, rome]))) == (1, 0)
    assert marks(drawn(pieces([paris, since(2, "Rome", 0)]))) == (0, 1)
    assert marks(drawn(pieces([paris, rome, retraction(3, rome)]))) == (1, 1)
    assert marks(drawn(pieces([paris, during(2, "Rome", 3, 5)]))) == (1, 0)


def test_saying_the_same_again_marks_nothing():
    assert marks(drawn(pieces([since(1, "Paris", 0), since(2, "Paris", 0, sources=("e1",))]))) == (0, 0)


def test_what_is_corrected_is_struck_out():
    root = drawn(pieces([since(1, "Paris", 0), since(2, "Rome", 0)]))
    struck = [node.text for node in root.iter(f"{SVG}text") if "text-decoration" in node.attrib]
    assert struck == ["Paris"]


def test_values_that_are_true_together_get_a_panel_each():
    likes = [
        since(1, "pizza", 0, predicate="likes", slot="a"),
        since(2, "sushi", 5, predicate="likes", slot="b"),
        since(3, "pizza", 9, op="void", predicate="likes", slot="a"),
    ]
    facts = [
        *pieces([since(1, "Rome", 0)]),
        *(each for slot in "ab" for each in pieces([r for r in likes if r.slot == slot])),
    ]
    root = drawn(facts)
    assert [len(boxes) for boxes in panels(root)] == [1, 3, 1]
    assert {"ann · lives_in", "ann · likes · pizza", "ann · likes · sushi"} <= set(texts(root))


@pytest.mark.parametrize("count", [100, 1_000])
def test_many_pieces_stay_legible_and_bounded(count):
    log = [during(i, f"value {i % 17}", i * 37 % 311, i * 37 % 311 + 40) for i in range(1, count // 2)]
    facts = pieces(log)
    assert len(facts) >= count
    document = draw(facts[:count], now=NOW, title="many")
    root = ET.fromstring(document)
    assert sum(len(boxes) for boxes in panels(root)) == count
    assert int(root.attrib["height"]) <= 3_000
    assert len(document) <= 1_000 * count
    assert len([text for text in texts(root) if text.startswith("value")]) >= 17


def test_texts_stay_within_their_pieces_and_off_each_other():
    log = [during(i, f"value {i % 17}", i * 37 % 311, i * 37 % 311 + 40) for i in range(1, 300)]
    root = drawn(pieces(log))
    for group in root.iter(f"{SVG}g"):
        if group.attrib.get("class") == "piece" and (text := group.find(f"{SVG}text")) is not None:
            rect, size = group.find(f"{SVG}rect"), float(text.attrib["font-size"])
            assert rect is not None
            assert len(text.text or "") * size / 2 < float(rect.attrib["width"])
            assert size <= float(rect.attrib["height"])
    taken: dict[float, float] = {}
    dates = [text for text in root.iter(f"{SVG}text") if re.fullmatch(r"\d+ \w+ 20\d\d.*", text.text or "")]
    for date in dates:
        x, y, half = float(date.attrib["x"]), float(date.attrib["y"]), len(date.text or "") * 11 / 4
        if date.attrib["text-anchor"] == "middle":
            assert taken.get(y, 0.0) <= x - half
            taken[y] = x + half
    heights = sorted(float(date.attrib["y"]) for date in dates if date.attrib["text-anchor"] == "end")
    assert all(b - a >= 11 for a, b in pairwise(heights))
    assert len(heights) >= 20
    assert len(taken) == 4


def test_more_panels_than_can_be_read_are_counted_and_not_drawn():
    facts = [
        fact for i in range(40) for fact in pieces([since(1, f"value {i}", 0, predicate=f"p{i}", id=f"r{i}")])
    ]
    root = drawn(facts)
    assert len(panels(root)) == 24
    assert "and 16 more" in texts(root)


def test_nothing_can_be_drawn():
    root = drawn([], title="nobody")
    assert {"nobody", "nothing was ever said"} <= set(texts(root))


def test_a_bound_at_the_end_of_the_calendar_leaves_room_for_the_others():
    facts = pieces(
        [
            replace(during(1, "Rome", 0, 10), claimed_to=datetime.max.replace(tzinfo=UTC)),
            during(2, "Oslo", 3, 5),
        ]
    )
    widths = [right - left for left, right, _, _ in panels(drawn(facts))[0].values()]
    assert min(widths) >= 60


# Instants


def test_instants_are_written_as_short_as_tells_them_apart():
    midnight = datetime(2024, 5, 1, tzinfo=UTC)
    assert list(labels([midnight]).values()) == ["1 May 2024"]
    assert list(labels([midnight, midnight + timedelta(hours=1)]).values()) == [
        "1 May 2024 00:00",
        "1 May 2024 01:00",
    ]
    assert list(labels([midnight, midnight + timedelta(seconds=1)]).values())[1] == "1 May 2024 00:00:01"
    assert (
        list(labels([midnight, midnight + timedelta(microseconds=1)]).values())[1]
        == "1 May 2024 00:00:00.000001"
    )


def test_instants_can_be_written_to_the_second_at_most():
    first = datetime(2024, 5, 1, tzinfo=UTC)
    found = labels([first, first + timedelta(microseconds=1)], to_second=True)
    assert set(found.values()) == {"1 May 2024 00:00:00"}


def test_instants_are_written_in_utc():
    assert list(labels([datetime.fromisoformat("2024-05-01T00:30:00+02:00")]).values()) == ["30 Apr 2024"]


def test_a_point_of_known_time_is_an_instant_or_a_transaction():
    assert known("12") == 12
    assert known("2024-05-01T00:00:00Z") == instant("2024-05-01T02:00:00+02:00")


@pytest.mark.parametrize("text", ["2024-05-01", "2024-05-01T00:00:00", "yesterday", "", "-1", "1.5"])
def test_an_instant_without_a_time_zone_is_refused(text):
    with pytest.raises(ValueError, match="write it like 2024-05-01T08:15:00Z"):
        known(text)
