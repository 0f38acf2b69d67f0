"""The rules that turn counted episodes into publishable numbers (specs: DESIGN §3, scores §2 and §4)."""

from __future__ import annotations

import math

from harness.report.columns import OUTCOMES, outcomes
from harness.report.cost import told
from harness.report.headline import UNUSABLE, printed_headline, value_of
from harness.report.intervals import Interval, printed
from harness.report.relate import relate
from harness.report.repeats import repeats
from harness.report.result import Report, TaskResult
from harness.report.rules import Rules
from harness.report.run_data import Aggregate, RunData, TaskData
from harness.report.suite import installed, printed_suite, suite_result
from harness.storage import words
from harness.storage.completeness import tolerated
from harness.storage.records import metric_name

FLAGGED = 0.98
"""Below this share of counted episodes a task is left out of means."""


def build(run: RunData, rules: Rules | None = None) -> Report:
    """Make a run's report."""
    rules = rules or Rules()
    tables = {task: installed(name).reference for name, tasks in run.suites.items() for task in tasks}
    results = {
        name: _result(task, rules, tables.get(name, "agenttuning")) for name, task in run.tasks.items()
    }
    totals = {
        name: printed_suite(name, members, run.overalls[name], rules)
        if name in run.overalls
        else suite_result(name, members, results, rules)
        for name, members in run.suites.items()
    }
    complete = all(result.complete for result in results.values())
    notes = list(run.notes)
    notes += [f"missing: {text}" for texts in run.missing.values() for text in texts]
    report = Report(run.run, run.model, complete, rules.normalize, totals, results, notes)
    report.price = rules.price
    took = told([task.cost for task in run.tasks.values() if task.cost], rules.price)
    report.head = {**run.head, **({"cost": took} if took else {})}
    return report


def _result(task: TaskData, rules: Rules, table: str) -> TaskResult:
    metric = metric_name(task.metric, task.judge) if task.judge else task.metric
    result = TaskResult(task, metric, notes=list(task.notes))
    top = 100.0 if task.unit == "percent" else 10.0
    result.ceiling = task.ceiling if task.ceiling is not None and task.ceiling < top else None
    if task.published is not None:
        result.score = task.published
    else:
        _count(result, task)
        _value(result, task)
    relate(result, rules, table)
    return result


def _count(result: TaskResult, task: TaskData) -> None:
    counts = outcomes(task.rows)
    result.scored, result.limit, result.model_error = (counts.get(name, 0) for name in OUTCOMES)
    counted = len(task.rows) + task.pending
    tried = counted + task.infra_error
    if task.infra_error:
        result.notes.append(f"{words.were(task.infra_error, 'infrastructure error', 'are')} not in the score")
    if tried < task.planned:
        result.notes.append(f"{words.were(task.planned - tried, 'episode')} not played yet")
    result.complete = tried == task.planned and task.infra_error <= tolerated(task.planned) and counted > 0
    if task.planned and counted / task.planned < FLAGGED:
        result.in_means = False
        if result.complete:
            result.notes.append(f"{counted}/{task.planned} counted, less than 98 %: left out of suite means")


def is_complete(task: TaskData) -> bool:
    """Whether a task may have a headline: all of it was tried and can be averaged. Draws no interval."""
    result = TaskResult(task, task.metric)
    _count(result, task)
    _score(result, task)
    return result.complete


def scores(run: RunData) -> dict[str, tuple[float | None, float | None]]:
    """Score and interim score of each task, in its unit; draws no interval."""
    found: dict[str, tuple[float | None, float | None]] = {}
    for name, task in run.tasks.items():
        result = TaskResult(task, task.metric)
        _count(result, task)
        _score(result, task)
        found[name] = result.score, result.interim
    return found


def _value(result: TaskResult, task: TaskData) -> None:
    """Score and interval; an incomplete or unjudged task has none."""
    value = _score(result, task)
    if value is None or task.aggregate is None:
        return
    scale = 100.0 if task.unit == "percent" else 1.0
    ci, why = _interval(task, task.aggregate, value)
    result.ci = (ci[0] * scale, ci[1] * scale) if ci else None
    result.notes += [why] if why else []
    result.repeats = repeats(task)
    result.notes += [result.repeats.told()] if result.repeats else []


def _score(result: TaskResult, task: TaskData) -> float | None:
    """Set the score and the other metrics; gives the headline in the scale of the values, if there is one."""
    if not result.complete:
        result.interim = value_of(task, task.rows)
        result.notes.append("incomplete: no headline")
        return None
    rows = [*task.rows, *task.waiting] if task.pending else task.rows
    if task.aggregate is None or not rows:
        return None
    try:
        numbers = dict(task.aggregate(rows))
    except UNUSABLE as error:
        if task.pending:
            return None
        result.complete = False
        result.notes.append(f"no headline: the task cannot aggregate its rows ({error!r})")
        return None
    result.metrics = numbers
    if task.pending:
        numbers.pop(task.metric, None)
        return None
    if task.metric not in numbers:
        result.notes.append("the task withholds its headline: its metrics say what is missing")
        return None
    value = numbers.pop(task.metric)
    if not math.isfinite(value):
        result.notes.append(f"the task's headline is {value}: no number")
        return None
    result.score = value * (100.0 if task.unit == "percent" else 1.0)
    return value


def _interval(task: TaskData, aggregate: Aggregate, value: float) -> tuple[Interval | None, str]:
    """The interval of the printed headline."""
    statistic = printed_headline(task, aggregate, value)
    return printed(task.rows, statistic, value, task.unit, own_aggregate=task.own_aggregate)
