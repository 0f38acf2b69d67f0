"""Lays a report out as rows of text: the one place where numbers are rounded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.report.columns import with_texts
from harness.report.result import RULES, Report, SuiteResult, TaskResult

NONE = "—"
REFERENCE = {"gpt4": "GPT-4", "agenttuning": "mean of 5", "model": "other run"}
SHOWN = 6
"""Further metrics shown under a table; all of them are in the JSON."""
TEXT = 60
"""Characters of an answer or a target in a line; all of them are in the JSON."""

Kind = Literal["head", "task", "total"]


@dataclass(frozen=True, slots=True)
class Line:
    """One row; where it is shorter than the header, its last cell spans the rest."""

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
    """Write a number the same under every locale; a missing one is a dash."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def plain(text: str) -> str:
    """Replace characters that could steer a terminal; names come from outside."""
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
    result = report.tasks.get(name)
    if result is None:
        return Line("task", (f"  {name}", NONE, "", NONE, "", *(["", NONE] if related else [])))
    cells = [f"  {name}{_mark(result)}", _counted(result), plain(result.metric), _score(result, report.run)]
    if result.score is None:
        return Line("task", tuple(cells))
    cells.append(_interval(result.ci, 2))
    if related:
        rough = "≈" if result.rough and result.relative is not None else ""
        ratio = f"{rough}{number(result.relative, 1)} {_interval(result.relative_ci, 1)}".rstrip()
        cells += [number(result.reference, 2), ratio]
    return Line("task", tuple(cells))


def _mark(result: TaskResult) -> str:
    return " (fixture)" if result.data.source == "fixture" else ""


def _counted(result: TaskResult) -> str:
    if not result.data.planned:
        return NONE
    counted = result.scored + result.limit + result.model_error + result.data.pending
    return f"{counted}/{result.data.planned}{'' if result.in_means else ' !'}"


def _score(result: TaskResult, run: str = "") -> str:
    if not result.complete:
        return f"{NONE} (incomplete)"
    if result.data.pending:
        how = f": harness judge {plain(run)} --judge NAME" if run else ""
        return f"{NONE} ({result.data.pending} to judge{how})"
    return number(result.score, 2)


def _interval(ci: tuple[float, float] | None, digits: int) -> str:
    return f"[{ci[0]:.{digits}f}, {ci[1]:.{digits}f}]" if ci else ""


def _overall(suite: SuiteResult) -> str:
    star = "*" if suite.overall is not None and suite.overall_of < len(suite.tasks) else ""
    rough = "≈" if suite.overall is not None and suite.approximate else ""
    return f"{rough}{number(suite.overall, 2)}{star}"


def _totals(suite: SuiteResult, *, related: bool) -> list[Line]:
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


def _brief(result: TaskResult | None) -> str:
    if result is None:
        return NONE
    parts = [_score(result), _interval(result.ci, 2)]
    if result.relative is not None:
        parts.append(f"({'≈' if result.rough else ''}{number(result.relative, 1)} %)")
    return " ".join(part for part in [*parts, _mark(result).strip()] if part)


# -- what is printed below the table


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    shared: dict[str, list[str]] = {}
    for result in report.tasks.values():
        for note in result.notes:
            shared.setdefault(note, []).append(result.data.name)
    for note, tasks in shared.items():
        yield f"{', '.join(tasks)}: {note}"
    for result in report.tasks.values():
        if result.score is not None and result.metrics:
            yield f"{result.data.name}: {_further(result)}"
    for suite in report.suites.values():
        yield from (f"{suite.name}: {note}" for note in suite.notes)
    sources = sorted(
        {result.reference_source for result in report.tasks.values() if result.reference is not None}
    )
    if sources:
        yield f"reference scores: {', '.join(sources)}"


def _further(result: TaskResult) -> str:
    """The scores under both profiles in the unit of the headline, other metrics as they are."""
    scale = 100.0 if result.data.unit == "percent" else 1.0
    both = [
        f"{key} {number(result.metrics[key] * scale, 2)}"
        for key in ("paper", "fixed")
        if key in result.metrics
    ]
    rest = [key for key in result.metrics if key not in ("paper", "fixed") and "/" not in key]
    other = [f"{key} {result.metrics[key]:.4g}" for key in rest[: SHOWN - len(both)]]
    more = len(result.metrics) - len(both) - len(other)
    return ", ".join([*both, *other, *([f"{more} more metrics with --format json"] if more else [])])


def _episodes(report: Report) -> list[str]:
    lines = ["", f"episodes of {report.run}"]
    for result in report.tasks.values():
        for row, texts in with_texts(result.data.rows):
            read = f" {texts.answer[:TEXT]!r} for {texts.target[:TEXT]!r}" if any(texts) else ""
            lines.append(f"  {result.data.name} {row.sample} #{row.repeat} {row.outcome} {row.value:g}{read}")
    return lines
