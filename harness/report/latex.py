"""Writes a laid-out report as a LaTeX table for a paper; it needs the package booktabs."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.layout import Line, Table

_ESCAPES = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {
        "—": "---",
        "≈": r"$\approx$",
        "·": r"$\cdot$",
        "…": r"\dots{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
"""Digits of footnote marks; they become superscripts."""


def lines(table: Table) -> Iterator[str]:
    """The table in a float, footnotes below it; no command of LaTeX can come from a name."""
    columns = "l" * len(table.header)
    yield r"\begin{table}"
    yield rf"\caption{{{escaped(table.title)}}}"
    yield rf"\begin{{tabular}}{{{columns}}}"
    yield r"\toprule"
    yield " & ".join(map(escaped, table.header)) + r" \\"
    yield r"\midrule"
    yield from (_row(line, len(table.header)) for line in table.lines)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    for name, text in table.head:
        yield rf"\par\footnotesize {escaped(name)}: {escaped(text)}"
    for note in table.notes:
        yield rf"\par\footnotesize {escaped(note)}"
    yield r"\end{table}"


def _row(line: Line, width: int) -> str:
    *cells, last = [escaped(cell.strip()) for cell in line.cells]
    if line.kind != "task":
        cells, last = [_bold(cell) for cell in cells], _bold(last)
    missing = width - len(cells)
    if missing > 1:
        last = rf"\multicolumn{{{missing}}}{{l}}{{{last}}}"
    return " & ".join([*cells, last]) + r" \\"


def _bold(cell: str) -> str:
    return rf"\textbf{{{cell}}}" if cell else ""


def escaped(text: str) -> str:
    """A text that LaTeX prints as it is."""
    out: list[str] = []
    for c in text:
        raised = RAISED.get(c)
        out.append(rf"\textsuperscript{{{raised}}}" if raised is not None else c.translate(_ESCAPES))
    return "".join(out).replace(r"}\textsuperscript{", "")
