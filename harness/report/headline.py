"""Which statistic a task's printed score is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.errors import UsageError
from harness.report import stats
from harness.report.run_data import Aggregate, TaskData
from harness.types import Row, Statistic


def headline_of(task: TaskData) -> Statistic:
    """The statistic that is printed as a task's score.

    Raises:
        UsageError: the task has no rows.
    """
    if task.aggregate is None or not task.rows:
        raise UsageError(f"{task.name} has no episodes with a value")
    value = task.aggregate(task.rows).get(task.metric, math.nan)
    return printed_headline(task, task.aggregate, value)


def printed_headline(task: TaskData, aggregate: Aggregate, value: float) -> Statistic:
    """The declared headline, or the aggregate's where that is another number."""
    declared = task.headline
    if declared is None or not math.isclose(declared(task.rows), value, rel_tol=1e-9, abs_tol=1e-12):
        return stats.headline(aggregate, task.metric)
    return declared


UNUSABLE = (ValueError, ArithmeticError, LookupError, TypeError)
"""What a task's aggregate raises for rows that it cannot average."""


def value_of(task: TaskData, rows: Sequence[Row]) -> float | None:
    """The headline of some of a task's rows, in its unit; None when they give none."""
    if task.aggregate is None or not rows:
        return None
    try:
        value = task.aggregate(rows).get(task.metric, math.nan)
    except UNUSABLE:
        return None
    return value * (100.0 if task.unit == "percent" else 1.0) if math.isfinite(value) else None
