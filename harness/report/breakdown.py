"""A task's headline for each value of a label: `report --by level`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.errors import UsageError
from harness.report.headline import printed_headline, value_of
from harness.report.intervals import printed
from harness.report.result import Group, Report, TaskResult
from harness.report.run_data import TaskData
from harness.types import Row
from harness.types.average import column_of


def break_down(reports: Sequence[Report], labels: Sequence[str]) -> None:
    """Add to every task with a headline its groups by each of the labels that its samples carry.

    Raises:
        UsageError: no sample of any report carries one of the labels.
    """
    for label in labels:
        if not any([_add(result, label) for report in reports for result in report.tasks.values()]):
            known = sorted({name for report in reports for name in _labels(report)})
            have = ", ".join(known) or "none"
            raise UsageError(f"--by {label}: no sample has this label; these runs have {have}")


def _labels(report: Report) -> Iterator[str]:
    return (name for result in report.tasks.values() for row in result.data.rows for name in row.labels)


def _add(result: TaskResult, label: str) -> bool:
    """Add a task's groups; says whether its samples carry the label."""
    places: dict[str, list[int]] = {}
    for place, value in enumerate(column_of(result.data.rows, label)):
        places.setdefault(value, []).append(place)
    if not any(places):
        return False
    if result.score is not None:
        for value in sorted(places):
            rows = [result.data.rows[place] for place in places[value]]
            result.groups.append(group(result.data, label, value or "none", rows))
    return True


def group(task: TaskData, label: str, value: str, rows: Sequence[Row]) -> Group:
    """The headline of some of a task's episodes, which have a value of a label in common."""
    score, ci = value_of(task, rows), None
    if score is not None and task.aggregate is not None:
        scale = 100.0 if task.unit == "percent" else 1.0
        statistic = printed_headline(replace(task, rows=rows), task.aggregate, score / scale)
        found, _ = printed(rows, statistic, score / scale, task.unit, own_aggregate=False)
        ci = (found[0] * scale, found[1] * scale) if found else None
    return Group(label, value, len(rows), score, ci)
