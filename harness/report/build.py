"""The rules that turn counted episodes into publishable numbers (specs: DESIGN §3, scores §2 and §4)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from harness.catalog import suites
from harness.catalog.suites import Rule, Suite
from harness.report import reference, stats
from harness.report.columns import OUTCOMES, outcomes
from harness.report.model import Aggregate, Normalize, Report, RunData, SuiteLine, TaskData, TaskLine
from harness.storage.completeness import tolerated
from harness.storage.records import metric_name

FLAGGED = 0.98
"""Below this share of counted episodes a task is left out of means."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How to normalise.

    Attributes:
        against: with `model`, that run's lines by task.
        force: print ratios between scores that are not comparable, marked as approximate.
        allow_partial: take an Overall over the members that are there.
    """

    normalize: Normalize = "none"
    against: Mapping[str, TaskLine] | None = None
    force: bool = False
    allow_partial: bool = False


def build(run: RunData, rules: Rules | None = None) -> Report:
    """Make a run's report."""
    rules = rules or Rules()
    tables = {task: _known(name).reference for name, tasks in run.suites.items() for task in tasks}
    lines = {name: _line(task, rules, tables.get(name, "agenttuning")) for name, task in run.tasks.items()}
    totals = {name: _suite(name, members, lines, rules) for name, members in run.suites.items()}
    complete = all(line.complete for line in lines.values())
    notes = list(run.notes)
    notes += [f"missing: {text}" for texts in run.missing.values() for text in texts]
    return Report(run.run, run.model, complete, rules.normalize, totals, lines, notes)


def _known(suite: str) -> Suite:
    """A suite as it is installed; one that no longer is keeps the default rule."""
    return suites.load().get(suite) or Suite(suite, ())


def _line(task: TaskData, rules: Rules, table: str) -> TaskLine:
    metric = metric_name(task.metric, task.judge) if task.judge else task.metric
    line = TaskLine(task.name, metric, task.unit, notes=list(task.notes), source=task.source)
    line.not_comparable = task.not_comparable
    if task.published is not None:
        line.score, line.published = task.published, True
    else:
        _count(line, task)
        _value(line, task)
    _relate(line, rules, table)
    return line


def _count(line: TaskLine, task: TaskData) -> None:
    counts = outcomes(task.rows)
    line.planned, line.infra_error, line.pending = task.planned, task.infra_error, task.pending
    line.scored, line.limit, line.model_error = (counts.get(name, 0) for name in OUTCOMES)
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
        if line.complete:
            line.notes.append(f"{counted}/{task.planned} counted, less than 98 %: left out of suite means")


def _value(line: TaskLine, task: TaskData) -> None:
    """Score and interval; an incomplete or unjudged task has none."""
    if not line.complete:
        line.notes.append("incomplete: no headline")
        return
    if task.pending or task.aggregate is None or not task.rows:
        return
    try:
        numbers = dict(task.aggregate(task.rows))
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:
        line.complete = False
        line.notes.append(f"no headline: the task cannot aggregate its rows ({error!r})")
        return
    line.metrics = numbers
    if task.metric not in numbers:
        line.notes.append("the task withholds its headline: its metrics say what is missing")
        return
    value = numbers.pop(task.metric)
    if not math.isfinite(value):
        line.notes.append(f"the task's headline is {value}: no number")
        return
    scale = 100.0 if task.unit == "percent" else 1.0
    line.score = value * scale
    ci = _interval(task, task.aggregate, value)
    line.ci = (ci[0] * scale, ci[1] * scale) if ci else None


def _interval(task: TaskData, aggregate: Aggregate, value: float) -> tuple[float, float] | None:
    """Resample what the task declares, or what its aggregate prints where that is another number."""
    statistic = task.headline
    if statistic is None or not math.isclose(statistic(task.rows), value, rel_tol=1e-9, abs_tol=1e-12):
        statistic = stats.headline(aggregate, task.metric)
    percent = task.unit == "percent"
    return stats.interval(task.rows, statistic, proportion=percent, own_aggregate=task.own_aggregate)


def _relate(line: TaskLine, rules: Rules, table: str) -> None:
    """Relative score in percent of the reference; scores that are not comparable have none unless forced."""
    if rules.normalize == "none":
        return
    line.reference, line.reference_source = _reference(line.name, rules, table)
    if line.score is None:
        return
    if line.reference is None:
        line.notes.append("no reference score: left out of relative means")
        return
    if line.reference == 0:
        line.notes.append("the reference score is 0: no ratio")
        return
    if reasons := _not_comparable(line, rules):
        line.rough = True
        if not rules.force:
            line.notes.append(f"not comparable with the reference ({'; '.join(reasons)}): --force shows it")
            return
    base = line.reference
    line.relative = 100.0 * (line.score / base)
    line.relative_ci = (100.0 * line.ci[0] / base, 100.0 * line.ci[1] / base) if line.ci else None


def _not_comparable(line: TaskLine, rules: Rules) -> list[str]:
    """Why the line does not stand beside its reference."""
    other = (rules.against or {}).get(line.name)
    if other is None:
        return list(line.not_comparable)
    # What sets both apart from the literature does not set them apart from each other.
    reasons = sorted(set(line.not_comparable) ^ set(other.not_comparable))
    if not line.published and not other.published:
        if other.metric != line.metric:
            reasons.append(f"metric {line.metric}, reference {other.metric}")
        if other.planned != line.planned:
            reasons.append(f"{line.planned} episodes, reference {other.planned}")
    return reasons


def _reference(task: str, rules: Rules, table: str) -> tuple[float | None, str]:
    if rules.normalize == "gpt4":
        return reference.of(reference.GPT4, task, table), f"GPT-4, {reference.source(table)}"
    if rules.normalize == "agenttuning":
        return reference.weight_inverse().get(task), f"mean of 5 baselines, {reference.source()}"
    other = (rules.against or {}).get(task)
    return (other.score if other else None), "the other run"


def _suite(name: str, members: list[str], lines: Mapping[str, TaskLine], rules: Rules) -> SuiteLine:
    present = [task for task in members if task in lines and lines[task].score is not None]
    rule = _known(name).overall
    missing = [task for task in members if task not in present]
    suite = SuiteLine(name, list(members), missing=missing, rule=rule)
    if suite.missing:
        suite.partial = f"{len(present)}/{len(members)}"
    broken = [task for task in members if (line := lines.get(task)) is not None and not line.complete]
    if broken:
        suite.notes.append(f"no headline, incomplete: {', '.join(broken)}")
        return suite
    if suite.missing:
        suite.notes.append(f"partial ({suite.partial}), without {', '.join(suite.missing)}")
    related = [
        relative
        for task in present
        if lines[task].in_means and (relative := lines[task].relative) is not None
    ]
    suite.relative = fmean(related) if related else None
    suite.relative_of = len(related)
    _overall(suite, present, lines, rules)
    return suite


def _overall(suite: SuiteLine, present: list[str], lines: Mapping[str, TaskLine], rules: Rules) -> None:
    """The suite's Overall, of all members or (when allowed) of those that are there and comparable."""
    usable = {
        task: line.score
        for task in present
        if (line := lines[task]).score is not None
        and _fits(line, suite.rule)
        and line.in_means
        and (rules.force or not line.not_comparable)
    }
    if not usable or (len(usable) < len(suite.tasks) and not rules.allow_partial):
        return
    suite.overall, suite.overall_of = reference.overall(usable, suite.rule), len(usable)
    suite.approximate = any(lines[task].not_comparable for task in usable)
    if len(usable) < len(suite.tasks):
        left = ", ".join(task for task in suite.tasks if task not in usable)
        suite.notes.append(f"Overall* is over {len(usable)} of {len(suite.tasks)} tasks, without {left}")
    theirs = {task: value for task in usable if (value := lines[task].reference) is not None}
    base = reference.overall(theirs, suite.rule) if len(theirs) == len(usable) else None
    if suite.overall is not None and base:
        suite.overall_relative = 100.0 * suite.overall / base


def _fits(line: TaskLine, rule: Rule) -> bool:
    """Whether the rule can take a task in: it has a weight, or it is in percent as all of a mean are."""
    return line.name in reference.weight_inverse() if rule == "agenttuning" else line.unit == "percent"
