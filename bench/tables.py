"""Tables of text, for the terminal and for Markdown. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.stats import Spread


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a head, rows of as many cells, and remarks below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


def terminal(table: Table) -> str:
    """Columns aligned by spaces; the first to the left, the others to the right."""
    widths = [
        max(len(row[column]) for row in (table.head, *table.rows))
        for column in range(len(table.head))
    ]
    lines = [table.title, ""]
    for row in (table.head, *table.rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "   ".join(cells).rstrip())
    lines += [f"  {remark}" for remark in table.remarks]
    return "\n".join([*lines, ""])


def markdown(table: Table) -> str:
    """A section with a Markdown table."""
    rule = ("---", *("---:" for _ in table.head[1:]))
    rows = ["| " + " | ".join(_cell(c) for c in row) + " |" for row in (table.head, *table.rows)]
    rows.insert(1, "| " + " | ".join(rule) + " |")
    remarks = [f"\n{remark}" for remark in table.remarks]
    return "\n".join([f"### {table.title}", "", *rows, *remarks, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def number(value: float) -> str:
    """Three significant digits, and never fewer than the whole part has: 24,412 · 152 · 0.482."""
    if value == 0:
        return "0"
    size = abs(value)
    for digits, least in ((0, 100), (1, 10), (2, 1)):
        # The value as it will be printed decides, so that 99.96 is 100 and not 100.0.
        if round(size, digits) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}" if size < 0.1 else f"{value:.3f}"


def with_spread(values: Sequence[float]) -> str:
    """`median (low to high)`; only the value where there is one."""
    middle, low, high = Spread.of(values)
    if len(values) == 1:
        return number(middle)
    return f"{number(middle)} ({number(low)} to {number(high)})"


def times(ratios: Sequence[float]) -> str:
    """A ratio's median as `0.52 x`, or a dash where nothing was compared."""
    return f"{number(Spread.of(ratios).median)} x" if ratios else "-"
