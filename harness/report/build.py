"""The rules that turn counted episodes into publishable numbers (specs: DESIGN §3, scores §2 and §4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from harness import stats
from harness.completeness import tolerated
from harness.report import reference
from harness.report.model import Normalize, Report, RunData, SuiteLine, TaskData, TaskLine

FLAGGED = 0.98
"""Below this share of counted episodes a task is left out of means."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How to normalise.

    Attributes:
        against: with `model`, that run's lines by task.
        force: print ratios between unlike scores, marked as approximate.
        allow_partial: take an Overall over the members that are there.
    """

    normalize: Normalize = "none"
    against: Mapping[str, TaskLine] | None = None
    force: bool = False
    allow_partial: bool = False


def build(run: RunData, rules: Rules | None = None) -> Report:
    """Make a run's report."""
    rules = rules or Rules()
    lines = {name: _line(task, rules) for name, task in run.tasks.items()}
    suites = {name: _suite(name, members, lines, rules) for name, members in run.suites.items()}
    complete = all(line.complete for line in lines.values()) and not run.missing
    notes = list(run.notes)
    notes += [f"missing: {text}" for texts in run.missing.values() for text in texts]
    return Report(run.run, run.model, complete, rules.normalize, suites, lines, notes)


def _line(task: TaskData, rules: Rules) -> TaskLine:
    metric = f"{task.metric}@{task.judge}" if task.judge else task.metric
    line = TaskLine(task.name, metric, task.unit, notes=list(task.notes))
    line.approximate = bool(task.unlike)
    if task.published is not None:
        line.score = task.published
    else:
        _count(line, task)
        _value(line, task)
    _relate(line, task, rules)
    return line


def _count(line: TaskLine, task: TaskData) -> None:
    outcomes = Counter(row.outcome for row in task.rows)
    line.planned, line.infra_error, line.pending = task.planned, task.infra_error, task.pending
    line.scored, line.limit = outcomes["scored"], outcomes["limit"]
    line.model_error = outcomes["model_error"]
    line.episodes = task.rows
    counted = len(task.rows) + task.pending
    tried = counted + task.infra_error
    if task.infra_error:
        line.notes.append(f"{task.infra_error} infrastructure errors are not in the score")
    if tried < task.planned:
        line.notes.append(f"{task.planned - tried} episodes were not played yet")
    line.complete = tried == task.planned and task.infra_error <= tolerated(task.planned) and counted > 0
    if task.planned and counted / task.planned < FLAGGED:
        line.in_means = False


def _value(line: TaskLine, task: TaskData) -> None:
    """Score and interval; an incomplete or unjudged task has none."""
    if not line.complete:
        line.notes.append("incomplete: no headline")
        return
    if task.pending or task.aggregate is None or not task.rows:
        return
    scale = 100.0 if task.unit == "percent" else 1.0
    numbers = dict(task.aggregate(task.rows))
    line.metrics = numbers
    if task.metric not in numbers:
        line.notes.append("the task withholds its headline: its metrics say what is missing")
        return
    line.score = numbers.pop(task.metric) * scale
    statistic = None if task.mean else stats.headline(task.aggregate, task.metric)
    ci = stats.interval(task.rows, statistic)
    line.ci = (ci[0] * scale, ci[1] * scale) if ci else None


def _relate(line: TaskLine, task: TaskData, rules: Rules) -> None:
    """Relative score in percent of the reference; unlike scores have none unless forced."""
    if rules.normalize == "none":
        return
    line.reference = _reference(line.name, rules)
    if line.score is None:
        return
    if not line.reference:
        line.notes.append("no reference score: left out of means")
        return
    if line.approximate and rules.normalize != "model" and not rules.force:
        reasons = "; ".join(task.unlike)
        line.notes.append(f"not comparable with the published score ({reasons}): --force shows it")
        return
    line.relative = 100.0 * line.score / line.reference


def _reference(task: str, rules: Rules) -> float | None:
    if rules.normalize == "gpt4":
        return reference.of(reference.GPT4, task)
    if rules.normalize == "agenttuning":
        return reference.weight_inverse().get(task)
    other = (rules.against or {}).get(task)
    return other.score if other else None


def _suite(name: str, members: list[str], lines: Mapping[str, TaskLine], rules: Rules) -> SuiteLine:
    present = [task for task in members if task in lines and lines[task].score is not None]
    suite = SuiteLine(name, list(members), missing=[task for task in members if task not in present])
    related = [
        relative
        for task in present
        if lines[task].in_means and (relative := lines[task].relative) is not None
    ]
    if suite.missing:
        suite.partial = f"{len(present)}/{len(members)}"
    if any(not line.complete for task in members if (line := lines.get(task)) is not None):
        return suite
    suite.relative = fmean(related) if related else None
    suite.overall = _overall(present, members, lines, rules)
    return suite


def _overall(
    present: list[str], members: list[str], lines: Mapping[str, TaskLine], rules: Rules
) -> float | None:
    """AgentTuning's Overall: the mean of score over baseline mean; of all members, or of none."""
    weights = reference.weight_inverse()
    usable = [task for task in present if task in weights and (not lines[task].approximate or rules.force)]
    if not usable or (len(usable) < len(members) and not rules.allow_partial):
        return None
    return fmean((lines[task].score or 0.0) / weights[task] for task in usable)
