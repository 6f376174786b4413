"""A chart of a run as SVG, written by hand. Pure."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.calls import Workload
from bench.goals import added
from bench.peers.direct import NAME as DIRECT
from bench.peers.sluicegate import NAME
from bench.samples import Run
from bench.stats import Spread
from bench.tables import number

_WIDTH = 760
_LEFT, _RIGHT = 110, 130  # room for the names and for the numbers
_BAR, _GAP, _TITLE, _BETWEEN = 18, 8, 30, 22
_OURS, _OTHERS, _INK = "#1f6feb", "#9aa4b2", "#24292f"
_STYLE = "font-family='system-ui, sans-serif' font-size='13'"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with the range of its rounds."""

    label: str
    value: Spread
    emphasis: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one unit, on a scale of their own that begins at zero."""

    title: str
    bars: tuple[Bar, ...]


def panels(run: Run) -> list[Panel]:
    """What a run has to show."""
    found = [
        _panel(run, "Requests per second (JSON)", Workload.JSON.value, "per_second"),
        _panel(run, "Streams per second (28 events each)", Workload.STREAM.value, "per_second"),
        _panel(run, "CPU per request in µs (less is better)", Workload.JSON.value, "cpu_us"),
        _panel(run, "CPU per stream in µs (less is better)", Workload.STREAM.value, "cpu_us"),
        Panel(
            "Added latency in ms, p99 at a fixed rate (less is better)",
            tuple(
                _bar(target, [max(0.0, value) for value in values])
                for target in run.targets("latency-json")
                if target != DIRECT and (values := added(run, "latency-json", target, "p99_ms"))
            ),
        ),
    ]
    return [panel for panel in found if panel.bars]


def _panel(run: Run, title: str, scenario: str, value: str) -> Panel:
    return Panel(
        title,
        tuple(
            _bar(target, run.values(scenario, target, value))
            for target in run.targets(scenario)
            if target != DIRECT
        ),
    )


def _bar(target: str, values: list[float]) -> Bar:
    return Bar(target, Spread.of(values), emphasis=target == NAME)


def svg(drawn: list[Panel]) -> str:
    """The panels below each other."""
    parts: list[str] = []
    top = 10
    for panel in drawn:
        parts.append(_text(_LEFT, top + 18, panel.title, "font-weight='600'"))
        top += _TITLE
        longest = max((bar.value.high for bar in panel.bars), default=0.0) or 1.0
        scale = (_WIDTH - _LEFT - _RIGHT) / longest
        for bar in panel.bars:
            parts += _draw(bar, top, scale)
            top += _BAR + _GAP
        top += _BETWEEN
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {top}' "
        f"width='{_WIDTH}' height='{top}' {_STYLE} fill='{_INK}'>"
    )
    background = f"<rect width='{_WIDTH}' height='{top}' fill='white'/>"
    return "\n".join([head, background, *parts, "</svg>", ""])


def _draw(bar: Bar, top: int, scale: float) -> list[str]:
    middle, low, high = (value * scale for value in bar.value)
    color = _OURS if bar.emphasis else _OTHERS
    center = top + _BAR / 2
    drawn = [
        _text(_LEFT - 8, top + 14, bar.label, "text-anchor='end'"),
        _rect(_LEFT, top, max(1.0, middle), color),
        _text(_LEFT + max(middle, high) + 8, top + 14, number(bar.value.median)),
    ]
    if high - low >= 1:
        drawn.append(
            f"<path d='M{_LEFT + low:.1f} {center}H{_LEFT + high:.1f}' stroke='{_INK}' "
            "stroke-width='1.5'/>"
        )
    return drawn


def _rect(x: float, y: float, width: float, color: str) -> str:
    return f"<rect x='{x}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{color}'/>"


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y}' {attributes}>{escape(text)}</text>"
