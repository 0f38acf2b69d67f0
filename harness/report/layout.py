"""Lays a report out as rows of text: the one place where numbers are rounded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.report.columns import told
from harness.report.model import RULES, Report, SuiteLine, TaskLine

NONE = "—"
REFERENCE = {"gpt4": "GPT-4", "agenttuning": "mean of 5", "model": "other run"}
SHOWN = 6
"""Further metrics shown under a table; all of them are in the JSON."""
TEXT = 60
"""Characters of an answer or a target in a line; all of them are in the JSON."""

Kind = Literal["head", "task", "total"]


@dataclass(frozen=True, slots=True)
class Line:
    """One row; a row shorter than the header lets its last cell run on."""

    kind: Kind
    cells: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """A laid-out report."""

    title: str
    header: tuple[str, ...]
    lines: list[Line] = field(default_factory=list[Line])
    notes: list[str] = field(default_factory=list[str])
    episodes: list[str] = field(default_factory=list[str])


def layout(reports: Sequence[Report], *, episodes: bool = False) -> Table:
    """Lay out one report in full, or several side by side."""
    title = " | ".join(f"{report.run} ({report.model})" for report in reports)
    table = _single(reports[0], title) if len(reports) == 1 else _columns(reports, title)
    for report in reports:
        prefix = f"{report.run}: " if len(reports) > 1 else ""
        table.notes += [prefix + plain(note) for note in _notes(report)]
    if episodes:
        table.episodes = [plain(line) for report in reports for line in _episodes(report)]
    return table


def number(value: float | None, digits: int) -> str:
    """Write a number the same under every locale; what is not there is a dash."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def plain(text: str) -> str:
    """Blank what could steer a terminal: names come from outside."""
    return "".join(c if c.isprintable() else " " for c in text)


# -- one report


def _single(report: Report, title: str) -> Table:
    related = report.normalize != "none"
    head = ["task", "n/N", "metric", "score", "95 % interval"]
    table = Table(
        plain(title), (*head, REFERENCE[report.normalize], "relative %") if related else tuple(head)
    )
    for suite in report.suites.values():
        table.lines.append(Line("head", (suite.name,)))
        table.lines += [_task(name, report, related=related) for name in suite.tasks]
        table.lines += _totals(suite, related=related)
    table.lines += [_task(name, report, related=related) for name in _outside(report)]
    return table


def _outside(report: Report) -> list[str]:
    members = {task for suite in report.suites.values() for task in suite.tasks}
    return [name for name in report.tasks if name not in members]


def _task(name: str, report: Report, *, related: bool) -> Line:
    line = report.tasks.get(name)
    if line is None:
        return Line("task", (f"  {name}", NONE, "", NONE, "", *(["", NONE] if related else [])))
    cells = [f"  {name}{_mark(line)}", _counted(line), plain(line.metric), _score(line, report.run)]
    if line.score is None:
        return Line("task", tuple(cells))
    cells.append(_interval(line.ci, 2))
    if related:
        rough = "≈" if line.rough and line.relative is not None else ""
        ratio = f"{rough}{number(line.relative, 1)} {_interval(line.relative_ci, 1)}".rstrip()
        cells += [number(line.reference, 2), ratio]
    return Line("task", tuple(cells))


def _mark(line: TaskLine) -> str:
    return " (fixture)" if line.source == "fixture" else ""


def _counted(line: TaskLine) -> str:
    if not line.planned:
        return NONE
    counted = line.scored + line.limit + line.model_error + line.pending
    return f"{counted}/{line.planned}{'' if line.in_means else ' !'}"


def _score(line: TaskLine, run: str = "") -> str:
    if not line.complete:
        return f"{NONE} (incomplete)"
    if line.pending:
        how = f": harness judge {plain(run)} --judge NAME" if run else ""
        return f"{NONE} ({line.pending} to judge{how})"
    return number(line.score, 2)


def _interval(ci: tuple[float, float] | None, digits: int) -> str:
    return f"[{ci[0]:.{digits}f}, {ci[1]:.{digits}f}]" if ci else ""


def _overall(suite: SuiteLine) -> str:
    star = "*" if suite.overall is not None and suite.overall_of < len(suite.tasks) else ""
    rough = "≈" if suite.overall is not None and suite.approximate else ""
    return f"{rough}{number(suite.overall, 2)}{star}"


def _totals(suite: SuiteLine, *, related: bool) -> list[Line]:
    partial = f" partial ({suite.partial})" if suite.partial else ""
    used = f"{suite.overall_of or len(suite.tasks) - len(suite.missing)}/{len(suite.tasks)}"
    cells = [f"  Overall{partial}", used, RULES[suite.rule], _overall(suite), ""]
    if not related:
        return [Line("total", tuple(cells))]
    overall = Line("total", (*cells, "", number(suite.overall_relative, 1)))
    counted = f"{suite.relative_of}/{len(suite.tasks)}"
    short = "" if suite.relative_of == len(suite.tasks) else f" partial ({counted})"
    mean = (f"  mean relative{short}", counted, "", "", "", "", number(suite.relative, 1))
    return [overall, Line("total", mean)]


# -- several reports


def _columns(reports: Sequence[Report], title: str) -> Table:
    table = Table(plain(title), ("task", *(plain(report.run) for report in reports)))
    for name in dict.fromkeys(name for report in reports for name in report.suites):
        table.lines.append(Line("head", (name,)))
        members = dict.fromkeys(t for r in reports if name in r.suites for t in r.suites[name].tasks)
        table.lines += [_compared(task, reports) for task in members]
        found = [report.suites.get(name) for report in reports]
        totals = (f"{_overall(s)}{f' ({s.partial})' if s.partial else ''}" if s else NONE for s in found)
        table.lines.append(Line("total", ("  Overall", *totals)))
    rest = dict.fromkeys(task for report in reports for task in _outside(report))
    table.lines += [_compared(task, reports) for task in rest]
    return table


def _compared(task: str, reports: Sequence[Report]) -> Line:
    return Line("task", (f"  {task}", *(_brief(report.tasks.get(task)) for report in reports)))


def _brief(line: TaskLine | None) -> str:
    if line is None:
        return NONE
    parts = [_score(line), _interval(line.ci, 2)]
    if line.relative is not None:
        parts.append(f"({'≈' if line.rough else ''}{number(line.relative, 1)} %)")
    return " ".join(part for part in [*parts, _mark(line).strip()] if part)


# -- what stands below the table


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    shared: dict[str, list[str]] = {}
    for line in report.tasks.values():
        for note in line.notes:
            shared.setdefault(note, []).append(line.name)
    for note, tasks in shared.items():
        yield f"{', '.join(tasks)}: {note}"
    for line in report.tasks.values():
        if line.score is not None and line.metrics:
            yield f"{line.name}: {_further(line)}"
    for suite in report.suites.values():
        yield from (f"{suite.name}: {note}" for note in suite.notes)
    sources = sorted({line.reference_source for line in report.tasks.values() if line.reference is not None})
    if sources:
        yield f"reference scores: {', '.join(sources)}"


def _further(line: TaskLine) -> str:
    """The scores under both profiles in the unit of the headline, other metrics as they are."""
    scale = 100.0 if line.unit == "percent" else 1.0
    both = [
        f"{key} {number(line.metrics[key] * scale, 2)}" for key in ("paper", "fixed") if key in line.metrics
    ]
    rest = [key for key in line.metrics if key not in ("paper", "fixed") and "/" not in key]
    other = [f"{key} {line.metrics[key]:.4g}" for key in rest[: SHOWN - len(both)]]
    more = len(line.metrics) - len(both) - len(other)
    return ", ".join([*both, *other, *([f"{more} more metrics with --format json"] if more else [])])


def _episodes(report: Report) -> list[str]:
    lines = ["", f"episodes of {report.run}"]
    for line in report.tasks.values():
        for row, texts in told(line.episodes):
            said = f" {texts.answer[:TEXT]!r} for {texts.target[:TEXT]!r}" if any(texts) else ""
            lines.append(f"  {line.name} {row.sample} #{row.repeat} {row.outcome} {row.value:g}{said}")
    return lines
