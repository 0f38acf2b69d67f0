"""Compares two runs task by task: differences with intervals, corrected for the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.decisions import run_facts
from harness.decisions.effect import Effect, effect
from harness.decisions.levels import Levels
from harness.decisions.run_facts import RunFacts
from harness.decisions.significance import holm
from harness.errors import UsageError
from harness.report.build import is_complete
from harness.report.run_data import RunData, TaskData

Verdict = Literal["better", "worse", "no difference seen", "not compared"]


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task in both runs.

    Attributes:
        effect: None when the task is not compared.
        p: Holm's adjusted p-value over the compared tasks.
        reason: why it is not compared.
        unlike: differences that forbid the comparison and were overridden.
    """

    task: str
    metric: str
    unit: str
    verdict: Verdict
    effect: Effect | None = None
    p: float = 1.0
    reason: str = ""
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, task by task.

    Attributes:
        causes: differences between the runs that may explain the numbers.
        unlike: differences of the whole runs that forbid the comparison and were overridden.
    """

    first: str
    second: str
    levels: Levels
    tasks: Sequence[TaskComparison]
    causes: Sequence[str] = ()
    unlike: Sequence[str] = field(default_factory=tuple[str, ...])

    @property
    def complete(self) -> bool:
        """Whether every task was compared."""
        return all(task.effect is not None for task in self.tasks)


def compare(
    first: tuple[RunData, RunFacts], second: tuple[RunData, RunFacts], levels: Levels, *, force: bool = False
) -> Comparison:
    """Compare the tasks of two runs, paired by sample and repeat.

    Args:
        first: a run's episodes, and how it was made.
        second: the same of the other run.
        levels: when a difference counts.
        force: compare in spite of differences that forbid it; the result names them.

    Raises:
        UsageError: differences that forbid the comparison, without `force`; or no task in common.
    """
    (old, old_facts), (new, new_facts) = first, second
    both = [name for name in new.tasks if name in old.tasks]
    if not both:
        raise UsageError(
            f"{old.run} and {new.run} have no task in common: "
            f"{', '.join(old.tasks)} there, {', '.join(new.tasks)} here"
        )
    unlike = run_facts.forbidding(old_facts, new_facts, both)
    if unlike and not force:
        lines = "\n  ".join(unlike)
        raise UsageError(
            f"{old.run} (there) and {new.run} (here) do not measure the same:\n  {lines}\n"
            "--force compares them all the same and marks every line"
        )
    judged = _judged([_compare(old, new, name) for name in both], levels, tuple(unlike))
    return Comparison(
        old.run, new.run, levels, judged, run_facts.explaining(old_facts, new_facts), tuple(unlike)
    )


def _compare(old: RunData, new: RunData, name: str) -> TaskComparison:
    before, after = old.tasks[name], new.tasks[name]
    reason = _not_ready(old, name) or _not_ready(new, name)
    found = None if reason else effect(before, after)
    if found is None and not reason:
        reason = "the runs share no episode"
    return TaskComparison(name, after.metric, after.unit, "not compared", found, reason=reason)


def _not_ready(run: RunData, name: str) -> str:
    """Why a task has no score in a run; empty when it has one."""
    task: TaskData = run.tasks[name]
    if task.pending:
        return (
            f"{task.pending} episodes of {run.run} wait for a judge: harness judge {run.run} {task.valued_by}"
        )
    if not is_complete(task) or not task.rows:
        return f"incomplete in {run.run}: the command that began it resumes it"
    return ""


def _judged(tasks: Sequence[TaskComparison], levels: Levels, unlike: tuple[str, ...]) -> list[TaskComparison]:
    """Say of every task whether its difference counts."""
    corrected = holm({task.task: task.effect.p for task in tasks if task.effect})
    return [
        TaskComparison(
            task.task, task.metric, task.unit, _verdict(task.effect, corrected[task.task], levels),
            task.effect, corrected[task.task], unlike=unlike,
        )
        if task.effect
        else task
        for task in tasks
    ]  # fmt: skip


def _verdict(effect: Effect, p: float, levels: Levels) -> Verdict:
    if p > levels.alpha or abs(effect.difference) < levels.min_effect:
        return "no difference seen"
    return "better" if effect.difference > 0 else "worse"
