"""Narrows a baseline to some tasks, and asks for a second night before a regression counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import msgspec

from harness.decisions.baseline_file import Baseline
from harness.decisions.gate import GateVerdict, TaskVerdict
from harness.errors import UsageError


def only(baseline: Baseline, tasks: Sequence[str]) -> Baseline:
    """Keep some of a baseline's tasks.

    Raises:
        UsageError: it lacks one of them.
    """
    if unknown := [task for task in tasks if task not in baseline.tasks]:
        raise UsageError(f"the baseline has no task {', '.join(unknown)}: it has {', '.join(baseline.tasks)}")
    return msgspec.structs.replace(baseline, tasks={task: baseline.tasks[task] for task in tasks})


def by_night(verdict: GateVerdict, before: Collection[str]) -> GateVerdict:
    """Let a regression count only where the night before found the task worse as well."""
    return replace(verdict, tasks=[_doubted(task, before) for task in verdict.tasks])


def _doubted(task: TaskVerdict, before: Collection[str]) -> TaskVerdict:
    if task.verdict != "regression" or task.task in before:
        return task
    return replace(task, verdict="suspect", reason=f"{task.reason}; red if the next night finds it as well")


def unconfirmed(verdict: GateVerdict, reason: str) -> GateVerdict:
    """Give no verdict on the tasks whose repetition did not end."""
    tasks = [
        replace(task, verdict="no verdict", reason=reason) if task.verdict == "regression" else task
        for task in verdict.tasks
    ]
    return replace(verdict, tasks=tasks)
