"""Published scores as marks of a plot: the shape tells the family, the size how many weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.report import reference
from harness.report.html.markup import Markup, element
from harness.report.html.panel import place
from harness.report.reference import Published
from harness.report.result import Report, SuiteResult
from harness.report.suite import installed

Scores = Mapping[str, float]
"""A number for each published model."""

_FAMILIES = (
    ("gpt-4", "diamond"),
    ("gpt-", "open diamond"),
    ("agentlm", "triangle"),
    ("llama", "open circle"),
)
_SIZES = ((7, 3.2), (13, 4.2), (70, 5.6))
_PATHS = {
    "diamond": "M0 {b}L{a} 0L0 {a}L{b} 0Z",
    "triangle": "M0 {b}L{a} {a}L{b} {a}Z",
    "circle": "M{b} 0A{a} {a} 0 1 1 {a} 0A{a} {a} 0 1 1 {b} 0Z",
    "cross": "M{b} 0L{a} 0M0 {b}L0 {a}",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """What was published for a task, where, and the remarks on a model's score."""

    scores: Scores
    source: str
    notes: Mapping[str, str]


def by_task(reports: Sequence[Report]) -> Mapping[str, Beside]:
    """Published scores of the tasks of some reports, in the unit of the task."""
    tables = {
        task: installed(name).reference
        for report in reports
        for name, suite in report.suites.items()
        for task in suite.tasks
    }
    found: dict[str, Beside] = {}
    for task in dict.fromkeys(task for report in reports for task in report.tasks):
        table = tables.get(task, "agenttuning")
        cells = {model: scores[task] for model, scores in _table(table).items() if task in scores}
        if cells:
            values = {model: cell.value for model, cell in cells.items()}
            notes = {model: cell.note for model, cell in cells.items() if cell.note}
            found[task] = Beside(values, reference.source(table), notes)
    return found


def _table(name: str) -> Mapping[str, Mapping[str, Published]]:
    """Published scores by model and task; none where a suite names a table that is not here."""
    try:
        return reference.scores(name)
    except UsageError:
        return {}


def of_suite(suite: SuiteResult) -> Scores:
    """The published models' Overalls: as printed, else of those with a score on every member of the suite."""
    found: dict[str, float] = {}
    for model, scores in _table(installed(suite.name).reference).items():
        if printed := scores.get(suite.name):
            found[model] = printed.value
            continue
        values = {task: scores[task].value for task in suite.tasks if task in scores}
        overall = reference.overall(values, suite.rule) if len(values) == len(suite.tasks) else None
        if overall is not None:
            found[model] = overall
    return found


def mark(model: str, share: float, y: float, hint: str) -> Markup:
    """A model's mark at a share of the width."""
    drawn = element("path", class_=f"pub {_look(model)}", d=_path(model))
    return element("svg", element("title", hint), drawn, class_="at", x=place(share), y=y)


def legend(models: Iterable[str]) -> list[Markup]:
    """What each mark means."""
    shown: list[Markup] = []
    for model in models:
        drawn = element("path", class_=f"pub {_look(model)}", d=_path(model))
        icon = element(
            "svg", drawn, class_="icon", viewBox="-7 -7 14 14", width=14, height=14, aria_hidden="true"
        )
        shown.append(element("span", icon, model))
    return shown


def _look(model: str) -> str:
    return next((look for start, look in _FAMILIES if model.startswith(start)), "cross")


def _path(model: str) -> str:
    billions = re.search(r"-(\d{1,4})b\b", model)
    size = 5.0
    if billions:
        size = next((size for most, size in _SIZES if int(billions[1]) <= most), _SIZES[-1][1])
    return _PATHS[_look(model).split()[-1]].format(a=f"{size:g}", b=f"{-size:g}")
