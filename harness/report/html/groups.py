"""Plots a task's score for each value of a label: what `report --by` adds to the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.report.html.bars import Bar, Row, draw
from harness.report.html.figure import Figure, Run
from harness.report.html.markup import Markup, element, joined
from harness.report.html.panel import PERCENT
from harness.report.html.scores import hollow, legend
from harness.report.layout import members_of, number
from harness.report.result import Group

MOST = 80
"""Groups of one task that are drawn; the numbers below the plot are of all."""

HEADER = ("task", "run", "label", "value", "score", "low", "high", "episodes")

Broken = Mapping[tuple[str, str], Mapping[str, Group]]
"""The groups of a task by its name and the run's letter, by label and value."""


def groups(runs: Sequence[Run]) -> Figure | None:
    """The scores of all groups with their intervals; None where no task was broken down."""
    found = {
        (task, run.letter): {group.name: group for group in result.groups}
        for run in runs
        for task, result in run.report.tasks.items()
        if result.groups
    }
    if not found:
        return None
    tasks = [task for _, own in members_of([run.report for run in runs]) for task in own]
    parts: list[Markup] = []
    rows: list[Sequence[str]] = []
    for task in tasks:
        for label, values in _labels(task, found).items():
            parts += _drawing(task, label, values, runs, found)
            rows += _numbers(task, values, runs, found)
    lead = (
        "The score over the episodes whose samples have one value of a label, and its 95 % interval, on one "
        "scale for all groups. Right of a name stands how many episodes there are."
    )
    return Figure("Scores by group", lead, joined(parts), HEADER, rows, names=4, legend=legend(runs))


def _labels(task: str, found: Broken) -> Mapping[str, list[str]]:
    """The names of a task's groups in all runs, by label."""
    named: dict[str, dict[str, None]] = {}
    for (owner, _), own in found.items():
        for name, group in own.items() if owner == task else ():
            named.setdefault(group.label, {})[name] = None
    return {label: list(names) for label, names in named.items()}


def _drawing(
    task: str, label: str, names: Sequence[str], runs: Sequence[Run], found: Broken
) -> Iterator[Markup]:
    yield element("h3", f"{task} by {label}")
    yield draw(PERCENT, [_row(task, name, runs, found) for name in names[:MOST]], f"{task} by {label}")
    if len(names) > MOST:
        yield element("p", f"{len(names) - MOST} more groups stand in the numbers below.", class_="lead")


def _row(task: str, name: str, runs: Sequence[Run], found: Broken) -> Row:
    bars: list[Bar] = []
    counts: dict[int, None] = {}
    value, points = "", False
    for run in runs:
        group = found.get((task, run.letter), {}).get(name)
        if group is None:
            bars.append(Bar(run, None, instead="not in this run"))
            continue
        result = run.report.tasks[task]
        counts[group.count], value, points = None, group.value, result.data.unit == "points"
        bars.append(Bar(run, group.score, group.ci, instead="no score", hollow=hollow(result)))
    remark = f"n = {' / '.join(f'{count:,}' for count in counts)}"
    return Row(value, f"{remark}, of 10" if points else remark, bars, 0.1 if points else 1.0)


def _numbers(task: str, names: Sequence[str], runs: Sequence[Run], found: Broken) -> Iterator[Sequence[str]]:
    for name in names:
        for run in runs:
            if group := found.get((task, run.letter), {}).get(name):
                low, high = group.ci or (None, None)
                numbers = (number(value, 2) for value in (group.score, low, high))
                yield task, run.report.run, group.label, group.value, *numbers, f"{group.count}"
