"""Lays a report out as rows of text: the one place where numbers are rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.report.columns import with_texts
from harness.report.footnotes import Footnotes
from harness.report.result import Group, Report, SuiteResult, TaskResult

NONE = "—"
REFERENCE = {"gpt4": "GPT-4", "agenttuning": "mean of 5", "model": "other run"}
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
    """A laid-out report.

    Attributes:
        head: names and texts above the table.
        episodes: lines below it: asked sections, and a line for each episode.
    """

    title: str
    header: tuple[str, ...]
    head: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    lines: list[Line] = field(default_factory=list[Line])
    notes: list[str] = field(default_factory=list[str])
    episodes: list[str] = field(default_factory=list[str])


def layout(reports: Sequence[Report], *, episodes: bool = False) -> Table:
    """Lay out one report in full, or several side by side."""
    title = " | ".join(f"{report.run} ({report.model})" for report in reports)
    marks = Footnotes(reports)
    table = _single(reports[0], title, marks) if len(reports) == 1 else _columns(reports, title, marks)
    for report in reports:
        whose = f"{plain(report.run)}: " if len(reports) > 1 else ""
        table.head += [(f"{whose}{name}", plain(text)) for name, text in report.head.items()]
        table.notes += [whose + plain(note) for note in _unnumbered(report)]
    table.notes += [plain(line) for line in marks.lines()]
    for report in reports:
        for section in report.sections:
            heading = f"{section.name} of {report.run}{'' if section.lines else ': none'}"
            table.episodes += ["", plain(heading), *map(plain, section.lines)]
    if episodes:
        table.episodes += [plain(line) for report in reports for line in _episodes(report)]
    return table


def number(value: float | None, digits: int) -> str:
    """Write a number the same under every locale; a missing one is a dash."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def plain(text: str) -> str:
    """Replace characters that could steer a terminal; names come from outside."""
    return "".join(c if c.isprintable() else " " for c in text)


# -- one report


def _single(report: Report, title: str, marks: Footnotes) -> Table:
    related = report.normalize != "none"
    head = ["task", "n/N", "metric", "score", "95 % interval"]
    table = Table(
        plain(title), (*head, REFERENCE[report.normalize], "relative %") if related else tuple(head)
    )
    above: set[str] = set()
    for suite in report.suites.values():
        table.lines.append(
            Line("head", (_heading(suite.name, suite.tasks, above, marks.mark(report.run, suite.name)),))
        )
        own = [name for name in suite.tasks if name not in above]
        table.lines += [line for name in own for line in _task(name, report, marks, related=related)]
        table.lines += _totals(suite, related=related)
        above.update(suite.tasks)
    outside = _outside(report)
    table.lines += [line for name in outside for line in _task(name, report, marks, related=related)]
    return table


def _heading(suite: str, tasks: Iterable[str], above: set[str], mark: str) -> str:
    """A suite's name, with those of its tasks that an earlier suite already lists."""
    shared = [task for task in tasks if task in above]
    text = f"{suite}, with {', '.join(shared)} from above" if shared else suite
    return f"{text} {mark}".rstrip()


def _outside(report: Report) -> list[str]:
    members = {task for suite in report.suites.values() for task in suite.tasks}
    return [name for name in report.tasks if name not in members]


def _task(name: str, report: Report, marks: Footnotes, *, related: bool) -> Iterator[Line]:
    """A task's line, and one for each of its groups."""
    yield _line(name, report, marks, related=related)
    result = report.tasks.get(name)
    for group in result.groups if result else ():
        shown = f"    {plain(group.name)}", f"{group.count}", ""
        yield Line("task", (*shown, number(group.score, 2), interval_text(group.ci, 2) or NONE))


def _line(name: str, report: Report, marks: Footnotes, *, related: bool) -> Line:
    result = report.tasks.get(name)
    if result is None:
        return Line("task", (f"  {name}", NONE, "", NONE, "", *(["", NONE] if related else [])))
    shown = f"  {name}{_mark(result)} {marks.mark(report.run, name)}".rstrip()
    cells = [shown, counted_text(result), plain(result.metric), score_text(result, report.run)]
    if result.score is None:
        return Line("task", tuple(cells))
    cells.append(interval_text(result.ci, 2) or NONE)
    if related:
        rough = "≈" if result.rough and result.relative is not None else ""
        ratio = f"{rough}{number(result.relative, 1)} {interval_text(result.relative_ci, 1)}".rstrip()
        cells += [number(result.reference, 2), ratio]
    return Line("task", tuple(cells))


def _mark(result: TaskResult) -> str:
    return " (fixture)" if result.data.source == "fixture" else ""


def counted_text(result: TaskResult) -> str:
    """Counted of planned episodes, with `!` where they are too few for a mean; a dash if published."""
    if not result.data.planned:
        return NONE
    counted = result.scored + result.limit + result.model_error + result.data.pending
    return f"{counted}/{result.data.planned}{'' if result.in_means else ' !'}"


def score_text(result: TaskResult, run: str = "") -> str:
    """A score, or why there is none; with the command that judges a run, where its name is given."""
    if not result.complete:
        return f"{NONE} (incomplete{so_far(result)})"
    if result.data.pending:
        how = f": harness judge {plain(run)} {result.data.valued_by}" if run else ""
        return f"{NONE} ({result.data.pending} to judge{how})"
    return number(result.score, 2)


def so_far(result: TaskResult) -> str:
    """The score of what an incomplete task has played, which is no headline."""
    return "" if result.interim is None else f", {number(result.interim, 2)} so far"


def interval_text(ci: tuple[float, float] | None, digits: int) -> str:
    """An interval in brackets; empty where there is none."""
    return f"[{ci[0]:.{digits}f}, {ci[1]:.{digits}f}]" if ci else ""


def _overall(suite: SuiteResult) -> str:
    star = "*" if suite.overall is not None and suite.overall_of < len(suite.tasks) else ""
    rough = "≈" if suite.overall is not None and suite.approximate else ""
    return f"{rough}{number(suite.overall, 2)}{star}"


def _totals(suite: SuiteResult, *, related: bool) -> list[Line]:
    partial = f" partial ({suite.partial})" if suite.partial else ""
    used = f"{suite.overall_of or len(suite.tasks) - len(suite.missing)}/{len(suite.tasks)}"
    cells = [f"  Overall{partial}", used, suite.overall_name, _overall(suite)]
    cells.append(interval_text(suite.overall_ci, 2))
    if not related:
        return [Line("total", tuple(cells))]
    rough = "≈" if suite.overall_relative is not None and suite.approximate else ""
    overall = Line("total", (*cells, "", f"{rough}{number(suite.overall_relative, 1)}"))
    counted = f"{suite.relative_of}/{len(suite.tasks)}"
    short = "" if suite.relative_of == len(suite.tasks) else f" partial ({counted})"
    mean = (f"  mean relative{short}", counted, "", "", "", "", number(suite.relative, 1))
    return [overall, Line("total", mean)]


# -- several reports


def _columns(reports: Sequence[Report], title: str, marks: Footnotes) -> Table:
    table = Table(plain(title), ("task", *(plain(report.run) for report in reports)))
    above: set[str] = set()
    for name, own in members_of(reports):
        if name:
            members = _members(name, reports)
            table.lines.append(Line("head", (_heading(name, members, above, ""),)))
            above.update(members)
        table.lines += [line for task in own for line in _compared(task, reports, marks)]
        if name:
            totals = [_compared_overall(name, report, marks) for report in reports]
            table.lines.append(Line("total", ("  Overall", *totals)))
    return table


def members_of(reports: Sequence[Report]) -> Iterator[tuple[str, list[str]]]:
    """Suites with the tasks to show under each, every task once; those of no suite come last, under ""."""
    above: set[str] = set()
    for name in dict.fromkeys(name for report in reports for name in report.suites):
        members = _members(name, reports)
        yield name, [task for task in members if task not in above]
        above.update(members)
    rest = dict.fromkeys(task for report in reports for task in _outside(report) if task not in above)
    if rest:
        yield "", list(rest)


def _members(suite: str, reports: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(t for r in reports if suite in r.suites for t in r.suites[suite].tasks))


def _compared_overall(name: str, report: Report, marks: Footnotes) -> str:
    suite = report.suites.get(name)
    if suite is None:
        return NONE
    partial = f" ({suite.partial})" if suite.partial else ""
    return f"{_overall(suite)}{partial} {marks.mark(report.run, name)}".rstrip()


def _compared(task: str, reports: Sequence[Report], marks: Footnotes) -> Iterator[Line]:
    cells = (f"{_brief(r.tasks.get(task))} {marks.mark(r.run, task)}".rstrip() for r in reports)
    yield Line("task", (f"  {task}", *cells))
    own = [result.groups if (result := report.tasks.get(task)) else [] for report in reports]
    groups = [{group.name: group for group in found} for found in own]
    for name in dict.fromkeys(name for found in groups for name in found):
        cells = (_group(found.get(name)) for found in groups)
        yield Line("task", (f"    {plain(name)}", *cells))


def _group(group: Group | None) -> str:
    return f"{number(group.score, 2)} {interval_text(group.ci, 2)}".rstrip() if group else NONE


def _brief(result: TaskResult | None) -> str:
    if result is None:
        return NONE
    parts = [score_text(result), interval_text(result.ci, 2)]
    if result.relative is not None:
        parts.append(f"({'≈' if result.rough else ''}{number(result.relative, 1)} %)")
    return " ".join(part for part in [*parts, _mark(result).strip()] if part)


# -- what is printed below the table


def _unnumbered(report: Report) -> Iterator[str]:
    """What holds for a run as a whole."""
    yield from report.notes
    sources = sorted(
        {result.reference_source for result in report.tasks.values() if result.reference is not None}
    )
    if sources:
        yield f"reference scores: {', '.join(sources)}"


def _episodes(report: Report) -> list[str]:
    lines = ["", f"episodes of {report.run}"]
    for result in report.tasks.values():
        for row, texts in with_texts(result.data.rows):
            read = f" {texts.answer[:TEXT]!r} for {texts.target[:TEXT]!r}" if any(texts) else ""
            lines.append(f"  {result.data.name} {row.sample} #{row.repeat} {row.outcome} {row.value:g}{read}")
    return lines
