"""Writes reports as text, Markdown, CSV, JSON or one HTML page; rounding happens only here."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.report.model import Report, SuiteLine, TaskLine

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

Format = Literal["table", "md", "csv", "json", "html"]
NONE = "—"
REFERENCE = {"gpt4": "GPT-4", "agenttuning": "mean of 5", "model": "other run"}


def render(reports: Sequence[Report], form: Format, *, episodes: bool = False) -> str:
    """Write one or more reports; several become columns side by side.

    Args:
        reports: all built with the same rules.
        form: `json` is a list when there are several reports.
        episodes: add a line per episode (always there in JSON).
    """
    if form == "json":
        data = [report.json() for report in reports]
        return json.dumps(data[0] if len(data) == 1 else data, ensure_ascii=False, indent=1, allow_nan=False)
    if form == "csv":
        table: Any = frame(reports)
        return str(table.to_csv(index=False, lineterminator="\n")).rstrip("\n")
    rows = _single(reports[0]) if len(reports) == 1 else _columns(reports)
    notes = [note for report in reports for note in _notes(report, named=len(reports) > 1)]
    listed = [line for report in reports for line in _episodes(report)] if episodes else []
    title = " | ".join(f"{report.run} ({report.model})" for report in reports)
    if form == "md":
        return "\n".join([f"**{title}**", "", *_markdown(rows), "", *(f"- {n}" for n in notes), *listed])
    if form == "html":
        return _page(title, rows, notes, listed)
    return "\n".join([title, "", *_aligned(rows), "", *notes, *listed]).rstrip()


def frame(reports: Sequence[Report]) -> DataFrame:
    """All task lines as a data frame: a row per run and task, full precision."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    rows: list[dict[str, Any]] = []
    for report in reports:
        for name, line in report.tasks.items():
            facts = line.json()
            low, high = line.ci or (None, None)
            del facts["episodes"], facts["ci"], facts["metrics"]
            facts |= {f"metric:{key}": value for key, value in line.metrics.items()}
            rows.append(
                {"run": report.run, "model": report.model, "task": name, "low": low, "high": high, **facts}
            )
    return pd.DataFrame(rows)


# -- rows of cells: the first row is the header, a row of one cell is a heading


def _single(report: Report) -> list[list[str]]:
    related = report.normalize != "none"
    head = ["task", "n/N", "metric", "score", "95 % interval"]
    rows = [head + ([REFERENCE[report.normalize], "relative %"] if related else [])]
    for suite in report.suites.values():
        if suite.name:
            rows.append([suite.name])
        for task in suite.tasks:
            rows.append(_cells(task, report.tasks.get(task), related=related))
        if suite.name:
            rows.append(_suite_cells(suite, related=related))
    outside = [t for t in report.tasks if not any(t in s.tasks for s in report.suites.values())]
    return rows + [_cells(task, report.tasks[task], related=related) for task in outside]


def _cells(task: str, line: TaskLine | None, *, related: bool) -> list[str]:
    if line is None:
        return [f"  {task}", NONE, "", NONE, "", *(["", ""] if related else [])]
    counted = line.scored + line.limit + line.model_error + line.pending
    ratio = f"{counted}/{line.planned}" if line.planned else NONE
    cells = [f"  {task}", ratio, line.metric, _score(line), _interval(line)]
    if related:
        mark = "≈" if line.approximate and line.relative is not None else ""
        cells += [_number(line.reference, 2), mark + _number(line.relative, 1)]
    return cells


def _suite_cells(suite: SuiteLine, *, related: bool) -> list[str]:
    partial = f" partial ({suite.partial})" if suite.partial else ""
    star = "*" if suite.overall is not None and suite.partial else ""
    overall = f"{_number(suite.overall, 2)}{star}"
    cells = [f"  Overall{partial}", "", "AgentTuning", overall, ""]
    return [*cells, "", _number(suite.relative, 1)] if related else cells


def _columns(reports: Sequence[Report]) -> list[list[str]]:
    rows = [["task", *(report.run for report in reports)]]
    for suite in dict.fromkeys(name for report in reports for name in report.suites):
        rows.append([suite or "tasks"])
        members = dict.fromkeys(t for r in reports if suite in r.suites for t in r.suites[suite].tasks)
        for task in members:
            rows.append([f"  {task}", *(_compared(report.tasks.get(task)) for report in reports)])
        if suite:
            found = [report.suites.get(suite) for report in reports]
            rows.append(["  Overall", *(_number(s.overall if s else None, 2) for s in found)])
    return rows


def _compared(line: TaskLine | None) -> str:
    if line is None:
        return NONE
    relative = f" ({_number(line.relative, 1)} %)" if line.relative is not None else ""
    return f"{_score(line)} {_interval(line)}{relative}".strip()


def _score(line: TaskLine) -> str:
    if line.pending:
        return f"{NONE} ({line.pending} to judge)"
    return _number(line.score, 2)


def _interval(line: TaskLine) -> str:
    return f"[{line.ci[0]:.1f}, {line.ci[1]:.1f}]" if line.ci else ""


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _notes(report: Report, *, named: bool) -> list[str]:
    prefix = f"{report.run}: " if named else ""
    notes = [f"{prefix}{note}" for note in report.notes]
    shared: dict[str, list[str]] = {}
    for line in report.tasks.values():
        for note in line.notes:
            shared.setdefault(note, []).append(line.name)
        if line.pending:
            how = f"{line.pending} to judge: harness judge {report.run} --judge NAME"
            shared.setdefault(how, []).append(line.name)
    notes += [f"{prefix}{', '.join(tasks)}: {note}" for note, tasks in shared.items()]
    if any(suite.overall is not None and suite.partial for suite in report.suites.values()):
        notes.append(f"{prefix}* over the members that are there")
    return notes


def _episodes(report: Report) -> list[str]:
    lines = ["", f"episodes of {report.run}"]
    for line in report.tasks.values():
        for row in line.episodes:
            lines.append(f"  {line.name} {row.sample} #{row.repeat} {row.outcome} {row.value:g}")
    return lines


def _aligned(rows: list[list[str]]) -> list[str]:
    table = [row for row in rows if len(row) > 1]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows]
    return [lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:])]


def _markdown(rows: list[list[str]]) -> list[str]:
    width = len(rows[0])
    lines: list[str] = []
    for row in rows:
        cells = [f"**{row[0]}**"] + [""] * (width - 1) if len(row) == 1 else row
        lines.append("| " + " | ".join(cell.strip().replace("|", "\\|") for cell in cells) + " |")
    return [lines[0], "|" + " --- |" * width, *lines[1:]]


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .2rem .9rem .2rem 0; text-align: left; }}
th {{ border-bottom: 1px solid; }} td.head {{ font-weight: 600; padding-top: .8rem; }}
td {{ font-variant-numeric: tabular-nums; }}
</style>
<h1>{title}</h1>
<table>{rows}</table>
<ul>{notes}</ul>
<pre>{episodes}</pre>
</html>"""


def _page(title: str, rows: list[list[str]], notes: list[str], episodes: list[str]) -> str:
    def row(cells: list[str], tag: str) -> str:
        if len(cells) == 1:
            return f'<tr><td class="head" colspan="{len(rows[0])}">{html.escape(cells[0])}</td></tr>'
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell.strip())}</{tag}>" for cell in cells) + "</tr>"

    body = row(rows[0], "th") + "".join(row(cells, "td") for cells in rows[1:])
    return PAGE.format(
        title=html.escape(title),
        rows=body,
        notes="".join(f"<li>{html.escape(note)}</li>" for note in notes),
        episodes=html.escape("\n".join(episodes)),
    )
