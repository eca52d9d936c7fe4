"""Lines over time or over size as an SVG, in the look of the other pictures of the documents. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.etree import ElementTree as ET

from recollect.cli.picture import FAINT, FONT, INK, MARGIN, PAPER, RULE, WIDTH, _node, _text

COLOURS = ("#2f74b5", "#c9731a", "#3d8f4f", "#8a63c4")
LEFT, ABOVE, HEIGHT, BELOW = 64, 48, 150, 44
"""Pixels of a panel: for the labels at its side, its heading and legend, the lines, and what is below."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn: points from left to right; `dots` marks each of them."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines on the same axes. A logarithmic axis has a line for each power of ten."""

    heading: str
    along: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        a, b, x = (log10(each) if self.log else each for each in (self.low, self.high, value))
        return round(self.start + (x - a) / (b - a) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        if self.log:
            return [10.0**power for power in range(round(log10(self.low)), round(log10(self.high)) + 1)]
        step = _step(self.high - self.low)
        return [step * i for i in range(ceil(self.low / step), floor(self.high / step + 1e-9) + 1)]


def _step(span: float) -> float:
    rough = span / 4
    power = 10 ** floor(log10(rough))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= rough)


def _axis(values: Iterable[float], start: float, end: float, *, log: bool, zero: bool) -> Axis:
    values = list(values)
    low, high = min(values), max(values)
    if log:
        low, high = 10.0 ** floor(log10(low)), 10.0 ** ceil(log10(high))
        return Axis(low, high if high > low else low * 10, start, end, log)
    low = 0.0 if zero else low
    high = high if high > low else low + 1
    return Axis(low, high if not zero else ceil(high / _step(high)) * _step(high), start, end, log)


def draw(title: str, panels: Sequence[Panel], *, columns: int = 1) -> str:
    """Draw panels, row by row, as an SVG document."""
    rows = ceil(len(panels) / columns)
    height = 60 + rows * (ABOVE + HEIGHT + BELOW)
    root = _node(
        None, "svg", xmlns="http://www.w3.org/2000/svg", font_family=FONT, role="img",
        viewBox=f"0 0 {WIDTH} {height}", width=WIDTH, height=height,
    )  # fmt: skip
    _node(root, "title").text = title
    _node(root, "rect", x=0.5, y=0.5, rx=8, fill=PAPER, stroke=RULE, width=WIDTH - 1, height=height - 1)
    _text(root, title, MARGIN, 42, size=19, weight=600)
    wide = (WIDTH - 2 * MARGIN) / columns
    for i, panel in enumerate(panels):
        left, top = MARGIN + i % columns * wide, 60 + i // columns * (ABOVE + HEIGHT + BELOW)
        _draw_panel(root, panel, left=left, right=left + wide - 12, top=top)
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def _draw_panel(root: ET.Element, panel: Panel, *, left: float, right: float, top: float) -> None:
    points = [point for line in panel.lines for point in line.points]
    bottom = top + ABOVE + HEIGHT
    across = _axis((x for x, _ in points), left + LEFT, right, log=panel.log_x, zero=False)
    upwards = _axis((y for _, y in points), bottom, top + ABOVE, log=panel.log_y, zero=True)
    _text(root, panel.heading, left, top + 16, size=13, weight=600)
    _draw_legend(root, panel.lines, left, top + 34)
    for tick in upwards.ticks():
        y = upwards.place(tick)
        _node(root, "path", d=f"M{across.start:g} {y:g}H{across.end:g}", stroke=RULE)
        _text(root, _number(tick), across.start - 8, y + 4, size=11, fill=FAINT, anchor="end")
    for tick in across.ticks():
        x = across.place(tick)
        _node(root, "path", d=f"M{x:g} {bottom:g}v5", stroke=FAINT)
        _text(root, _number(tick), x, bottom + 18, size=11, fill=FAINT, anchor="middle")
    _text(root, panel.along, right, bottom + 33, size=11, fill=FAINT, anchor="end")
    for line, colour in zip(panel.lines, COLOURS, strict=False):
        places = [(across.place(x), upwards.place(y)) for x, y in line.points]
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in places)
        _node(root, "path", d=path, fill="none", stroke=colour, stroke_width=1.6, stroke_linejoin="round")
        for x, y in places if line.dots else ():
            _node(root, "circle", cx=x, cy=y, r=3, fill=colour)


def _draw_legend(root: ET.Element, lines: Sequence[Line], x: float, y: float) -> None:
    for line, colour in zip(lines, COLOURS, strict=False):
        _node(root, "path", d=f"M{x:g} {y - 4:g}h14", stroke=colour, stroke_width=3)
        _text(root, line.name, x + 19, y, size=11, fill=INK)
        x += 19 + 6.2 * len(line.name) + 14


def _number(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
