"""Keeps of a report's episodes those whose two values, `paper` and `fixed`, differ; its numbers stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import overload

from harness.report.columns import Texts, with_texts
from harness.report.result import Report
from harness.types import Row


def disagree(row: Row) -> bool:
    """Whether an episode has both values and they differ."""
    metrics = row.metrics
    return "paper" in metrics and "fixed" in metrics and metrics["paper"] != metrics["fixed"]


class Disagreeing(Sequence[Row]):
    """The rows that disagree, found anew whenever they are asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        return list(self)[at]

    def __iter__(self) -> Iterator[Row]:
        return filter(disagree, self._rows)

    def with_texts(self) -> Iterator[tuple[Row, Texts]]:
        """The rows with the answers that were read and the targets."""
        return (pair for pair in with_texts(self._rows) if disagree(pair[0]))


def only_disagreeing(report: Report) -> Report:
    """The report of only these episodes, with a note that says how many they are."""
    tasks = {}
    for name, result in report.tasks.items():
        rows = Disagreeing(result.data.rows)
        both = "paper" in result.metrics and "fixed" in result.metrics
        counted = f"paper and fixed disagree on {len(rows)} of {len(result.data.rows)} episodes"
        notes = [*result.notes, counted] if both else result.notes
        tasks[name] = replace(result, data=replace(result.data, rows=rows), notes=notes)
    return replace(report, tasks=tasks)
