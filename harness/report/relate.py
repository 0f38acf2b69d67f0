"""Sets scores in relation to a reference model's, where the two are comparable."""

from __future__ import annotations

from harness.report import reference
from harness.report.result import TaskResult
from harness.report.rules import Rules


def relate(result: TaskResult, rules: Rules, table: str) -> None:
    """Set a result's relative score, in percent of the reference score."""
    if rules.normalize == "none":
        return
    result.reference, result.reference_source = base_of(result.data.name, rules, table)
    if result.score is None:
        return
    if result.reference is None:
        result.notes.append("no reference score: left out of relative means")
        return
    if result.reference == 0:
        result.notes.append("the reference score is 0: no ratio")
        return
    if reasons := _not_comparable(result, rules):
        result.rough = True
        if not rules.force:
            result.notes.append(f"not comparable with the reference ({'; '.join(reasons)}): --force shows it")
            return
    if rules.normalize == "gpt4" and (found := reference.cell(reference.GPT4, result.data.name, table)):
        result.rough |= found.rough
        result.notes += [found.note] if found.note else []
    base = result.reference
    result.relative = 100.0 * (result.score / base)
    result.relative_ci = (100.0 * result.ci[0] / base, 100.0 * result.ci[1] / base) if result.ci else None


def _not_comparable(result: TaskResult, rules: Rules) -> list[str]:
    """Why the result is not comparable with its reference."""
    other = (rules.against or {}).get(result.data.name)
    if other is None:
        return list(result.data.not_comparable)
    # What makes both incomparable with the literature does not make them incomparable with each other.
    reasons = sorted(set(result.data.not_comparable) ^ set(other.data.not_comparable))
    mine, theirs = result.data.conditions.moving(), other.data.conditions.moving()
    reasons += [
        f"{name}: {mine.get(name, 'none')}, reference {theirs.get(name, 'none')}"
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    ]
    if result.data.published is None and other.data.published is None:
        if other.metric != result.metric:
            reasons.append(f"metric {result.metric}, reference {other.metric}")
        if other.data.planned != result.data.planned:
            reasons.append(f"{result.data.planned} episodes, reference {other.data.planned}")
    return reasons


def base_of(task: str, rules: Rules, table: str) -> tuple[float | None, str]:
    """The score that a task's is divided by, in its unit (None when there is none), and where it is from."""
    if rules.normalize == "gpt4":
        return reference.of(reference.GPT4, task, table), f"GPT-4, {reference.source(table)}"
    if rules.normalize == "agenttuning":
        return reference.weight_inverse().get(task), f"mean of 5 baselines, {reference.source()}"
    other = (rules.against or {}).get(task)
    return (other.score if other else None), "the other run"
