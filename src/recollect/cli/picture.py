"""What is believed, and was, as an SVG: valid time to the right, known time upwards. Pure.

A piece is a rectangle. What touches the top is believed now; a line from left to right is what was believed
at one time. Values that are true at the same time get a panel each. The axes keep the order of all bounds,
and their distances only roughly: what happened within a minute is as legible as what happened over years.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

from ..types import Fact
from .instants import labels
from .panels import (
    ENDLESS,
    Across,
    Box,
    Panel,
    clean,
    grouped,
    key_of,
    known_bounds,
    placed,
    said,
    spread,
    valid_bounds,
)

WIDTH = 960
MARGIN = 28
TALLEST = 2_400
"""Pixels that the transactions of all panels share, if there are many."""

GAP = 36
"""Between panels: room for a heading."""

MOST_PANELS = 24
"""Panels that are drawn, and values that the legend names. The rest is counted."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
PAPER, INK, FAINT, RULE, WRONG = "#ffffff", "#1f2933", "#66717f", "#d5dbe2", "#c81e3a"
FILLS = (
    "#8db9e3", "#f6bd72", "#94d1a0", "#c3aee3", "#f2a9bd", "#83cfcb", "#e8d66f", "#cbb49b",
    "#b4c36c", "#a9b4c2",
)  # fmt: skip
PALE = "#e3e9f0"
VOID = "url(#nothing)"
NOTHING = "nothing"


def draw(facts: Sequence[Fact], *, now: datetime, title: str) -> str:
    """Draw pieces, of any subjects and predicates, as an SVG document.

    Args:
        facts: as `Facts.history` returns them, in any order.
        now: aware; marked on the axis of valid time.
        title: above the picture.
    """
    groups = grouped(facts)
    drawn = groups[:MOST_PANELS]
    shown = [fact for _, pieces in drawn for fact in pieces]
    known = [_dated(pieces) for _, pieces in drawn]
    left = 2 * MARGIN + 44 + max((_width(text, 11) for each in known for text in each.values()), default=0)
    across = spread({now, *valid_bounds(shown)}, left=left, right=WIDTH - MARGIN)
    colours: dict[str, str] = {}
    for fact in shown:
        if not fact.void:
            colours.setdefault(key_of(fact), FILLS[len(colours) % len(FILLS)])

    root = _node(None, "svg", xmlns="http://www.w3.org/2000/svg", font_family=FONT, role="img")
    _definitions(root)
    paper = _node(root, "rect", x=0.5, y=0.5, rx=8, fill=PAPER, stroke=RULE)
    _text(root, _shortened(title, WIDTH - 2 * MARGIN, 19), MARGIN, 42, size=19, weight=600)
    bottom = 42.0
    panels: list[Panel] = []
    for heading, pieces in drawn:
        room = TALLEST / len(drawn)
        panels.append(placed(heading if len(groups) > 1 else "", pieces, across, top=bottom + GAP, room=room))
        bottom = panels[-1].bottom
    for panel, instants in zip(panels, known, strict=True):
        _draw_panel(root, panel, across, colours, instants)
    if panels:
        _draw_now(root, across.places[now], panels)
        bottom = _draw_valid_axis(root, across, now, bottom)
    bottom = _draw_legend(root, panels, colours, bottom + 34, more=len(groups) - len(drawn))
    height = round(bottom + MARGIN)
    _set(paper, width=WIDTH - 1, height=height - 1)
    _set(root, viewBox=f"0 0 {WIDTH} {height}", width=WIDTH, height=height)
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def _draw_panel(
    root: ET.Element, panel: Panel, across: Across, colours: Mapping[str, str], known: Mapping[datetime, str]
) -> None:
    left, right = across.left, across.right
    group = _node(root, "g", class_="panel")
    height = panel.bottom - panel.top
    if panel.heading:
        _text(group, _shortened(panel.heading, right - left, 12), left, panel.top - 8, size=12, weight=600)
    wrong = {edge.box.fact.version_id for edge in panel.edges if edge.corrected}
    for box in panel.boxes:
        _draw_box(group, box, colours, known, struck=box.fact.version_id in wrong)
    _node(
        group,
        "rect",
        x=right - ENDLESS,
        y=panel.top - 1,
        width=ENDLESS + 1,
        height=height + 2,
        fill="url(#later)",
    )
    _node(group, "rect", x=left - 1, y=panel.top - 1, width=right - left + 2, height=14, fill="url(#newer)")
    for edge in sorted(panel.edges, key=lambda each: each.corrected):
        colour, width = (WRONG, 3) if edge.corrected else (INK, 1.6)
        y = edge.box.top
        _node(group, "path", d=f"M{edge.left:g} {y:g}H{edge.right:g}", stroke=colour, stroke_width=width)
        _draw_mark(group, edge.left, y, corrected=edge.corrected)
    _draw_arrow(group, (left - 12, panel.bottom), (left - 12, panel.top - 2))
    below = float("inf")
    for _, (y, instant) in sorted(panel.ticks.items()):
        _node(group, "path", d=f"M{left - 16:g} {y:g}h8", stroke=FAINT)
        if below - y >= 12:
            _text(group, known[instant], left - 21, y + 4, size=11, anchor="end")
            below = y
    if height > 110:
        turned = _text(group, "believed from (UTC)", 0, 0, size=11, fill=FAINT, anchor="end")
        _set(turned, transform=f"translate({MARGIN + 6} {panel.top:g}) rotate(-90)")


def _draw_box(
    group: ET.Element, box: Box, colours: Mapping[str, str], known: Mapping[datetime, str], *, struck: bool
) -> None:
    fact, held = box.fact, box.fact.tx_to is None
    piece = _node(group, "g", class_="piece")
    _node(piece, "title").text = _described(fact, known)
    _node(
        piece, "rect",
        x=box.left, y=box.top, width=round(box.right - box.left, 2), height=round(box.bottom - box.top, 2),
        fill=VOID if fact.void else colours[key_of(fact)], fill_opacity=1 if held else 0.4,
        stroke=PAPER, stroke_width=1.5, data_tx=fact.tx_from, data_from=fact.valid_from.isoformat(),
    )  # fmt: skip
    height = box.bottom - box.top - (8 if held else 0)  # the top of what is held fades
    size = 13 if height >= 18 else 10
    room = box.right - box.left - 16 - (ENDLESS / 2 if fact.valid_to is None else 0)
    label = _shortened(NOTHING if fact.void else said(fact.object), room, size)
    if not label or height < 11:
        return
    middle = box.bottom - height / 2
    if fact.void:  # to be readable on the hatching
        _node(
            piece, "rect",
            x=box.left + 6, y=round(middle - size * 0.7, 2), width=round(_width(label, size) * 0.94 + 4, 2),
            height=size * 1.4, rx=3, fill=PAPER, class_="label",
        )  # fmt: skip
    text = _text(piece, label, box.left + 9, middle + size * 0.36, size=size)
    _set(text, font_weight=600 if held else 400, fill=INK if held else FAINT)
    if struck:
        _set(text, text_decoration="line-through", fill=WRONG)


def _draw_mark(parent: ET.Element, x: float, y: float, *, corrected: bool) -> None:
    if corrected:
        _node(
            parent, "path", d=f"M{x:g} {y - 7:g}l7 7l-7 7l-7 -7z", fill=WRONG, stroke=PAPER, stroke_width=1.5
        )
    else:
        _node(parent, "circle", cx=x, cy=y, r=5, fill=INK, stroke=PAPER, stroke_width=1.5)


def _draw_now(root: ET.Element, x: float, panels: Sequence[Panel]) -> None:
    line = f"M{x:g} {panels[0].top - 6:g}V{panels[-1].bottom + 12:g}"
    _node(root, "path", d=line, stroke=INK, stroke_dasharray="2 4")


def _draw_valid_axis(root: ET.Element, across: Across, now: datetime, bottom: float) -> float:
    """Draw the axis below the last panel; return where it ends. Labels that find no room are left out."""
    y = bottom + 12
    _draw_arrow(root, (across.left, y), (across.right + 4, y))
    rows: list[list[tuple[float, float]]] = [[] for _ in range(4)]
    texts = labels(across.places) | {now: "now"}
    for instant in sorted(across.places, key=lambda each: (each != now, each)):
        x, half = across.places[instant], _width(texts[instant], 11) / 2 + 3
        _node(root, "path", d=f"M{x:g} {y - 4:g}v8", stroke=FAINT)
        free = (i for i, row in enumerate(rows) if all(x + half < a or b < x - half for a, b in row))
        if (i := next(free, None)) is not None:
            rows[i].append((x - half, x + half))
            weight = 600 if instant == now else 400
            _text(root, texts[instant], x, y + 18 + 14 * i, size=11, anchor="middle", weight=weight)
    y += 8 + 14 * (sum(map(bool, rows)) + 1)
    _text(root, "true from (UTC)", across.right, y, size=11, fill=FAINT, anchor="end")
    return y


def _draw_legend(
    root: ET.Element, panels: Sequence[Panel], colours: Mapping[str, str], y: float, *, more: int
) -> float:
    """Draw what colours and marks mean, in as many lines as it takes; return where it ends."""
    facts = [box.fact for panel in panels for box in panel.boxes]
    kinds = {edge.corrected for panel in panels for edge in panel.edges}
    entries = [(said(json.loads(key)), fill) for key, fill in list(colours.items())[:MOST_PANELS]]
    if any(fact.void for fact in facts):
        entries.append((NOTHING, VOID))
    if any(fact.tx_to is not None for fact in facts):
        entries.append(("paler: was believed", PALE))
    entries += [("updated: keeps what is left", "updated")] if False in kinds else []
    entries += [("corrected: not believed any more", "corrected")] if True in kinds else []
    left_out = more + max(0, len(colours) - MOST_PANELS)
    entries += [(f"and {left_out} more", "")] if left_out else []
    entries += [] if facts else [("nothing was ever said", "")]
    x = float(MARGIN)
    for entry, sign in entries:
        text = _shortened(entry, 300, 11)
        length = _width(text, 11) + (18 if sign else 0) + 18
        if x > MARGIN and x + length > WIDTH - MARGIN + 18:
            x, y = float(MARGIN), y + 20
        if sign in {"updated", "corrected"}:
            _draw_mark(root, x + 6, y - 4, corrected=sign == "corrected")
        elif sign:
            _node(root, "rect", x=x, y=y - 10, width=12, height=12, rx=2, fill=sign)
        _text(root, text, x + (18 if sign else 0), y, size=11, fill=INK)
        x += length
    return y


def _draw_arrow(parent: ET.Element, start: tuple[float, float], end: tuple[float, float]) -> None:
    (x, y), (ax, ay) = start, end
    _node(parent, "path", d=f"M{x:g} {y:g}L{ax:g} {ay:g}", stroke=FAINT)
    head = "l-6 -3v6z" if ax > x else "l-3 6h6z"
    _node(parent, "path", d=f"M{ax:g} {ay:g}{head}", fill=FAINT)


def _definitions(root: ET.Element) -> None:
    """Add the hatching of voids, and paper that comes over what goes on."""
    defs = _node(root, "defs")
    hatch = _node(
        defs, "pattern", id="nothing", width=7, height=7, patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )  # fmt: skip
    _node(hatch, "rect", width=7, height=7, fill="#f3f5f7")
    _node(hatch, "path", d="M0 0v7", stroke="#b6bfca", stroke_width=3)
    for name, x2, y2, start, end in (("later", 1, 0, 0, 1), ("newer", 0, 1, 1, 0)):
        fade = _node(defs, "linearGradient", id=name, x1=0, y1=0, x2=x2, y2=y2)
        _node(fade, "stop", offset=0, stop_color=PAPER, stop_opacity=start)
        _node(fade, "stop", offset=1, stop_color=PAPER, stop_opacity=end)


def _dated(facts: Iterable[Fact]) -> dict[datetime, str]:
    """Return the texts of known time in a panel."""
    return labels(instant for fact in facts for instant in known_bounds(fact).values())


def _described(fact: Fact, known: Mapping[datetime, str]) -> str:
    """Return what a viewer shows of a piece under the pointer."""
    valid = labels(valid_bounds([fact]))
    until = "" if fact.valid_to is None else f" until {valid[fact.valid_to]}"
    bounds = [f"{known[at]} (tx {tx})" for tx, at in known_bounds(fact).items()]
    what = NOTHING if fact.void else said(fact.object)
    reason = f"; {fact.reason}" if fact.reason else ""
    return clean(
        f"{what} from {valid[fact.valid_from]}{until}; believed from {' until '.join(bounds)}{reason}"
    )


def _shortened(text: str, room: float, size: int) -> str:
    """Return as much of a text as fits, in pixels; nothing if that is not worth reading."""
    text = clean(text)
    if _width(text, size) <= room:
        return text
    kept, used = "", _width("…", size)
    for character in text:
        used += _width(character, size)
        if used > room:
            break
        kept += character
    return f"{kept.rstrip()}…" if len(kept) >= 2 else ""


def _width(text: str, size: int) -> float:
    """Estimate the width of a text, in pixels: fonts differ, and this is a wide one."""
    return sum(1.02 if east_asian_width(each) in "WF" else 0.62 for each in text) * size


def _text(
    parent: ET.Element,
    text: str,
    x: float,
    y: float,
    *,
    size: int,
    fill: str = INK,
    anchor: str = "start",
    weight: int = 400,
) -> ET.Element:
    node = _node(parent, "text", x=x, y=round(y, 2), font_size=size, fill=fill)
    if anchor != "start":
        _set(node, text_anchor=anchor)
    if weight != 400:
        _set(node, font_weight=weight)
    node.text = text
    return node


def _node(parent: ET.Element | None, tag: str, **attributes: object) -> ET.Element:
    node = ET.Element(tag) if parent is None else ET.SubElement(parent, tag)
    _set(node, **attributes)
    return node


def _set(node: ET.Element, **attributes: object) -> None:
    for name, value in attributes.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        node.set(name.rstrip("_").replace("_", "-"), text)
