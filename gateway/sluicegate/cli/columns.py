"""Text for a terminal: rows that are aligned, and nothing that is no text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> Iterator[str]:
    """A line for each row; a column that is empty in all rows is left out."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width)
        yield (indent + "  ".join(cells)).rstrip()


def harmless(text: str) -> str:
    """Without what a terminal would act on, as texts of others may have it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
