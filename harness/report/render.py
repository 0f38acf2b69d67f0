"""Writes reports as text, Markdown, CSV, JSON or one HTML page."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.report.columns import with_texts
from harness.report.document import pieces
from harness.report.layout import Table, layout
from harness.report.result import RULES, Report

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

Format = Literal["table", "md", "csv", "json", "html"]
COUNTS = ("planned", "scored", "limit", "model_error", "infra_error")


def render(reports: Sequence[Report], form: Format, *, episodes: bool = False) -> str:
    """Write one or more reports; several become columns side by side.

    Args:
        reports: all built with the same rules.
        form: `json` is a list when there are several reports (`document.pieces` gives it in pieces).
        episodes: add a line per episode (always there in JSON; `csv` becomes a row per episode).
    """
    if form == "json":
        return "".join(pieces(reports))
    if form == "csv":
        made: Any = episode_frame(reports) if episodes else frame(reports)
        return str(made.to_csv(index=False, lineterminator="\n")).rstrip("\n")
    table = layout(reports, episodes=episodes)
    if form == "md":
        return "\n".join(_markdown(table))
    return _page(table) if form == "html" else "\n".join(_text(table)).rstrip()


def show(reports: Sequence[Report], *, episodes: bool = False) -> None:
    """Print the table to a terminal, with its emphasis."""
    from rich.console import Console
    from rich.text import Text

    table = layout(reports, episodes=episodes)
    console = Console(highlight=False)
    console.print(Text(table.title, "bold"), "")
    styles = {"head": "bold cyan", "task": "", "total": "bold"}
    for columns in _fitting(table, console.width):
        first, _, *rows = _rows(table, columns)
        console.print(Text(first, "underline"), soft_wrap=True)
        for line, row in zip(table.lines, rows, strict=True):
            console.print(Text(row, styles[line.kind]), soft_wrap=True)  # it never loses a number
    for note in ["", *table.notes]:
        console.print(Text(note, "bold yellow" if "FIXTURE" in note else "dim"))
    for text in table.episodes:
        console.print(Text(text))


def frame(reports: Sequence[Report]) -> DataFrame:
    """All results as a data frame, in full precision: a row for each run and task, then for each Overall."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    rows: list[dict[str, Any]] = []
    for report in reports:
        whose = {"run": report.run, "model": report.model}
        for name, result in report.tasks.items():
            facts = result.facts()
            low, high = result.ci or (None, None)
            del facts["ci"], facts["metrics"]
            facts |= {f"metric:{key}": value for key, value in result.metrics.items()}
            source = result.data.source if result.data.published is None else "published"
            rows.append({**whose, "task": name, "source": source, "low": low, "high": high, **facts})
        for suite in report.suites.values():
            overall = {"task": f"overall:{suite.name}", "metric": RULES[suite.rule], "score": suite.overall}
            rows.append({**whose, **overall, "relative": suite.relative, "partial": suite.partial})
    made: Any = pd.DataFrame(rows)
    return made.astype({name: "Int64" for name in COUNTS if name in made})  # an Overall has no counts


def episode_frame(reports: Sequence[Report]) -> DataFrame:
    """All counted episodes as a data frame."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    return pd.DataFrame(
        [
            {
                "run": report.run,
                "task": result.data.name,
                "sample": row.sample,
                "repeat": row.repeat,
                "outcome": row.outcome,
                "value": row.value,
                **{f"metric:{key}": value for key, value in row.metrics.items()},
                **(texts._asdict() if any(texts) else {}),
            }
            for report in reports
            for result in report.tasks.values()
            for row, texts in with_texts(result.data.rows)
        ],
        columns=None if any(t.data.rows for r in reports for t in r.tasks.values()) else ["run", "task"],
    )


def _text(table: Table) -> list[str]:
    rows = _rows(table, range(len(table.header)))
    return [table.title, "", *rows, "", *table.notes, *table.episodes]


def _fitting(table: Table, width: int) -> list[list[int]]:
    """Columns that fit beside the first one, in as few blocks as needed; one column at least in each."""
    widths, blocks = _widths(table), list[list[int]]()
    for column in range(1, len(widths)):
        taken = sum(widths[i] + 2 for i in blocks[-1]) if blocks else width
        if taken + widths[column] > width:
            blocks.append([0])
        blocks[-1].append(column)
    return blocks


def _widths(table: Table) -> list[int]:
    """The last cell of a short row spans the columns to its right; only its other cells set widths."""
    rows = [table.header, *(line.cells for line in table.lines)]
    full = [row for row in rows if len(row) == len(table.header)]
    widths = [max((_width(row[i]) for row in full), default=0) for i in range(len(table.header))]
    for row in rows:
        for i, cell in enumerate(row[:-1]):
            widths[i] = max(widths[i], _width(cell))
    return widths


def _rows(table: Table, columns: Sequence[int]) -> list[str]:
    """The header, a rule, and a row for each line, of some columns."""
    every = _widths(table)
    widths = [every[i] for i in columns]
    cells = [
        [row[i] for i in columns if i < len(row)] for row in (table.header, *(x.cells for x in table.lines))
    ]
    first, *rest = [
        "  ".join(_padded(c, w) for c, w in zip(row, widths, strict=False)).rstrip() for row in cells
    ]
    return [first, "-" * (sum(widths) + 2 * (len(widths) - 1)), *rest]


def _width(text: str) -> int:
    """Columns a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _markdown(table: Table) -> list[str]:
    def escaped(text: str) -> str:
        return html.escape(text.strip(), quote=False).replace("|", "\\|").replace("*", "\\*")

    width = len(table.header)
    lines = [f"**{escaped(table.title)}**", "", f"| {' | '.join(table.header)} |", "|" + " --- |" * width]
    for line in table.lines:
        cells = [escaped(cell) for cell in line.cells] + [""] * (width - len(line.cells))
        if line.kind != "task":
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- {escaped(note)}" for note in table.notes)]
    return lines + (["", "```", *table.episodes, "```"] if table.episodes else [])


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .2rem .9rem .2rem 0; text-align: left; }}
th {{ border-bottom: 1px solid; }} tr.head td {{ font-weight: 600; padding-top: .8rem; }}
tr.total td {{ font-weight: 600; }} td {{ font-variant-numeric: tabular-nums; }}
</style>
<h1>{title}</h1>
<table>{rows}</table>
<ul>{notes}</ul>
<pre>{episodes}</pre>
</html>"""


def _page(table: Table) -> str:
    width = len(table.header)
    rows = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header) + "</tr>"]
    for line in table.lines:
        *first, last = line.cells
        cells = "".join(f"<td>{html.escape(cell.strip())}</td>" for cell in first)
        span = f' colspan="{width - len(first)}"' if len(first) + 1 < width else ""
        rows.append(f'<tr class="{line.kind}">{cells}<td{span}>{html.escape(last.strip())}</td></tr>')
    return PAGE.format(
        title=html.escape(table.title),
        rows="\n".join(rows),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in table.notes),
        episodes=html.escape("\n".join(table.episodes)),
    )
