"""The interval of a suite's Overall: each task's headline is resampled, all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, islice
from zlib import crc32

from harness.catalog.suites import Rule
from harness.report import reference, stats
from harness.report.headline import headline_of
from harness.report.result import TaskResult
from harness.types.average import values_of


def interval(results: Mapping[str, TaskResult], rule: Rule) -> tuple[float, float] | None:
    """The 95 % interval of the Overall over these tasks, in its own scale.

    Tasks are independent: each is resampled by its own seed, as `stats.interval` does it. A task whose
    values are all equal does not vary.

    Returns:
        None when a task has no interval of its own, and for published scores.
    """
    if any(result.ci is None for result in results.values()):
        return None
    drawn = {name: _draws(name, result) for name, result in results.items()}
    times = max(map(len, drawn.values()))
    columns = {name: islice(cycle(values), times) for name, values in drawn.items()}
    overalls = [
        reference.overall(dict(zip(columns, row, strict=True)), rule)
        for row in zip(*columns.values(), strict=True)
    ]
    return stats.percentiles([value for value in overalls if value is not None])


def _draws(name: str, result: TaskResult) -> list[float]:
    scale = 100.0 if result.data.unit == "percent" else 1.0
    if result.ci is None or len(set(values_of(result.data.rows))) == 1:
        return [result.score or 0.0]
    values = stats.draws(result.data.rows, headline_of(result.data), crc32(name.encode()))
    return [value * scale for value in values]
