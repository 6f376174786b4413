"""Lines over time as SVG, written by hand. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from bench.tables import number

_WIDTH, _HEIGHT = 760, 170
_LEFT, _RIGHT, _TITLE, _BELOW = 60, 130, 34, 40
_INK, _GRID, _SHADE = "#24292f", "#d0d7de", "#ffebe9"
_COLORS = ("#1f6feb", "#cf222e", "#1a7f37", "#9a6700")
_STYLE = "font-family='system-ui, sans-serif' font-size='13'"


class Lines(NamedTuple):
    """A picture: by name, points of (seconds, value). `shaded` is when something was wrong."""

    title: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    shaded: tuple[float, float]


def svg(pictures: Sequence[Lines]) -> str:
    """The pictures below each other, each on scales of its own that begin at zero."""
    each = _TITLE + _HEIGHT + _BELOW
    height = each * len(pictures)
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' "
        f"width='{_WIDTH}' height='{height}' {_STYLE} fill='{_INK}'>"
    )
    parts = [head, f"<rect width='{_WIDTH}' height='{height}' fill='white'/>"]
    for index, picture in enumerate(pictures):
        parts += _draw(picture, index * each + _TITLE)
    return "\n".join([*parts, "</svg>", ""])


def _draw(picture: Lines, top: int) -> list[str]:
    points = [point for line in picture.series.values() for point in line]
    last = max(time for time, _ in points)
    highest = max(value for _, value in points if not math.isnan(value)) or 1.0
    bottom = top + _HEIGHT

    def x(time: float) -> float:
        return _LEFT + time / last * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return bottom - value / highest * _HEIGHT

    start, end = picture.shaded
    size = f"width='{x(end) - x(start):.1f}' height='{_HEIGHT}'"
    parts = [
        _text(_LEFT, top - 12, picture.title, "font-weight='600'"),
        f"<rect x='{x(start):.1f}' y='{top}' {size} fill='{_SHADE}'/>",
        f"<path d='M{_LEFT} {top}V{bottom}H{_WIDTH - _RIGHT}' fill='none' stroke='{_GRID}'/>",
        _text(_LEFT - 8, top + 10, number(highest), "text-anchor='end'"),
        _text(_LEFT - 8, bottom, "0", "text-anchor='end'"),
        _text(x(start), bottom + 18, f"{start:g} s", "text-anchor='middle'"),
        _text(x(end), bottom + 18, f"{end:g} s", "text-anchor='middle'"),
    ]
    for index, (name, line) in enumerate(picture.series.items()):
        color = _COLORS[index % len(_COLORS)]
        path = "L".join(f"{x(time):.1f} {y(value):.1f}" for time, value in line)
        parts += [
            f"<path d='M{path}' fill='none' stroke='{color}' stroke-width='1.5'/>",
            _text(_WIDTH - _RIGHT + 10, top + 14 + 20 * index, name, f"fill='{color}'"),
        ]
    return parts


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {attributes}>{escape(text)}</text>"
