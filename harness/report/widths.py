"""Aligns a table's cells as lines of text, and shortens columns so that a row fits a terminal."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

from harness.report.layout import Table

GAP = 2
SHORTEST = 8
"""Characters that a word keeps when it is cut; numbers are never cut."""

_INTERVAL = re.compile(r" \[[^\]]*\]")


def rows(table: Table, most: int | None = None) -> list[str]:
    """The header and every line, as one text each.

    Args:
        table: laid out.
        most: columns of the terminal; None for any number. Wider tables have their metrics' names cut and
            then left out, and then each task's name above its numbers; or, with runs side by side, the
            runs' names cut and then the intervals left out.
    """
    cells = [list(row) for row in (table.header, *(line.cells for line in table.lines))]
    if most is not None:
        _fit(cells, table, most)
        if "metric" in table.header and _over(cells, most) > 0:
            return _folded(cells, most)
    found = widths(cells)
    return [_line(row, found) for row in cells]


def widths(cells: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column.

    The last cell of a short row spans the columns to its right; only its other cells set widths.
    """
    count = len(cells[0])
    found = [max((width(row[i]) for row in cells if len(row) == count), default=0) for i in range(count)]
    for row in cells:
        for i, cell in enumerate(row[:-1]):
            found[i] = max(found[i], width(cell))
    return found


def width(text: str) -> int:
    """Columns a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def _line(row: Sequence[str], found: Sequence[int]) -> str:
    padded = (cell + " " * (size - width(cell)) for cell, size in zip(row, found, strict=False))
    return (" " * GAP).join(padded).rstrip()


def _folded(cells: Sequence[Sequence[str]], most: int) -> list[str]:
    """Every name on a line of its own, above its numbers, which take as many lines as they need."""
    rest = [row[1:] for row in cells]
    found, indent = widths(rest), " " * 2 * GAP
    parts, room = list[slice](), most - len(indent)
    begin = 0
    for end in range(1, len(found) + 1):
        if sum(found[begin : end + 1]) + GAP * (end - begin) > room or end == len(found):
            parts.append(slice(begin, end))
            begin = end
    lines: list[str] = []
    for row, numbers in zip(cells, rest, strict=True):
        own = (indent + _line(numbers[part], found[part]) for part in parts)
        name = textwrap.wrap(
            row[0], most, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines.append("\n".join([*name, *(line for line in own if line.strip())]))
    return lines


def _over(cells: Sequence[Sequence[str]], most: int) -> int:
    return sum(found := widths(cells)) + GAP * (len(found) - 1) - most


def _fit(cells: list[list[str]], table: Table, most: int) -> None:
    """Shorten cells in place, as far as needed."""
    if "metric" in table.header:
        metric = table.header.index("metric")
        _cut(cells[1:], metric, _over(cells, most), len(table.header))
        if _over(cells, most) > 0:
            for row in cells:
                del row[metric : metric + 1]
        return
    _cut(cells[:1], 1, _over(cells, most), len(table.header), all_behind=True)
    if _over(cells, most) > 0:
        for row in cells[1:]:
            row[1:] = [_INTERVAL.sub("", cell) for cell in row[1:]]
        _cut(cells[:1], 1, _over(cells, most), len(table.header), all_behind=True)


def _cut(cells: Sequence[list[str]], column: int, over: int, count: int, *, all_behind: bool = False) -> None:
    """Cut the words of a column (or of it and all after it) until the table is no longer too wide."""
    chosen = range(column, count) if all_behind else range(column, column + 1)
    while over > 0:
        widest = max((width(row[i]), i) for row in cells for i in chosen if len(row) > i)
        if widest[0] <= SHORTEST:
            return
        over -= 1
        for row in cells:
            for i in chosen:
                if len(row) > i and i == widest[1] and width(row[i]) == widest[0]:
                    row[i] = f"{row[i].removesuffix(ELLIPSIS)[:-1]}{ELLIPSIS}"


ELLIPSIS = "\u2026"
