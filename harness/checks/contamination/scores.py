"""Splits a run's scores by whether the samples are found in the training files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.checks.contamination.measure import Findings
from harness.checks.contamination.rules import VERDICTS
from harness.report.breakdown import group
from harness.report.result import Group
from harness.report.run_data import RunData
from harness.types import Row

UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class ScoreSplit:
    """A task's score.

    Attributes:
        whole: over all episodes.
        groups: by verdict; `unchecked` are samples that were not looked for, such as those of another split.
    """

    whole: Group
    groups: tuple[Group, ...]


def split(run: RunData | None, found: Findings) -> Mapping[str, ScoreSplit]:
    """The scores of each task of the run that was looked for, in the order of the findings."""
    if run is None:
        return {}
    return {
        one.task: _split(run, one.task, {s.sample: str(s.verdict) for s in one.samples})
        for one in found.tasks
        if one.task in run.tasks
    }


def _split(run: RunData, task: str, verdicts: Mapping[str, str]) -> ScoreSplit:
    data = run.tasks[task]
    rows: dict[str, list[Row]] = {}
    for row in data.rows:
        rows.setdefault(verdicts.get(row.sample, UNCHECKED), []).append(row)
    names = [name for name in (*VERDICTS, UNCHECKED) if name in rows]
    groups = tuple(group(data, "contamination", name, rows[name]) for name in names)
    return ScoreSplit(group(data, "contamination", "all", data.rows), groups)
