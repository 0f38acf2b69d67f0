"""Makes a suite's Overall and mean relative score of its members' results."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from harness.catalog import suites
from harness.catalog.suites import Rule, Suite
from harness.report import reference
from harness.report.overall import interval
from harness.report.relate import base_of
from harness.report.result import RULES, SuiteResult, TaskResult
from harness.report.rules import Rules


def installed(suite: str) -> Suite:
    """A suite as it is installed; one that no longer is keeps the default rule."""
    return suites.load().get(suite) or Suite(suite, ())


def suite_result(
    name: str, members: list[str], results: Mapping[str, TaskResult], rules: Rules
) -> SuiteResult:
    """Make a suite's means of its members' results."""
    present = [task for task in members if task in results and results[task].score is not None]
    suite = _empty(name, members)
    suite.missing = [task for task in members if task not in present]
    broken = [task for task in members if (result := results.get(task)) is not None and not result.complete]
    if broken:
        suite.notes.append(f"no headline, incomplete: {', '.join(broken)}")
        return suite
    if suite.missing:
        suite.notes.append(f"partial ({suite.partial}), without {', '.join(suite.missing)}")
    related = [
        relative
        for task in present
        if results[task].in_means
        and (rules.force or not results[task].rough)
        and (relative := results[task].relative) is not None
    ]
    suite.relative = fmean(related) if related else None
    suite.relative_of = len(related)
    _overall(suite, present, results, rules)
    return suite


def printed_suite(name: str, members: list[str], printed: float, rules: Rules) -> SuiteResult:
    """A suite with only a published Overall, computed by AgentTuning's rule."""
    suite = _empty(name, members)
    suite.overall, suite.overall_of = printed, len(members)
    suite.notes.append("the Overall as printed: the scores of its tasks were not published with it")
    if rules.normalize != "none":
        found = {task: base_of(task, rules, installed(name).reference)[0] for task in members}
        theirs = {task: value for task, value in found.items() if value is not None}
        base = reference.overall(theirs, suite.rule) if len(theirs) == len(members) else None
        suite.overall_relative = 100.0 * printed / base if base else None
    return suite


def _empty(name: str, members: list[str]) -> SuiteResult:
    known = installed(name)
    called = known.overall_name or RULES[known.overall]
    return SuiteResult(name, list(members), rule=known.overall, overall_name=called)


def _overall(suite: SuiteResult, present: list[str], results: Mapping[str, TaskResult], rules: Rules) -> None:
    """The suite's Overall, of all members or (when allowed) of those that are there and comparable."""
    usable = {
        task: result.score
        for task in present
        if (result := results[task]).score is not None
        and _fits(result, suite.rule)
        and result.in_means
        and (rules.force or not result.data.not_comparable)
    }
    if not usable or (len(usable) < len(suite.tasks) and not rules.allow_partial):
        _say_why_withheld(suite, results, rules)
        return
    suite.overall, suite.overall_of = reference.overall(usable, suite.rule), len(usable)
    suite.overall_ci = interval({task: results[task] for task in usable}, suite.rule)
    suite.approximate = any(results[task].data.not_comparable for task in usable)
    if len(usable) < len(suite.tasks):
        left = ", ".join(task for task in suite.tasks if task not in usable)
        suite.notes.append(f"Overall* is over {len(usable)} of {len(suite.tasks)} tasks, without {left}")
    theirs = {
        task: value
        for task in usable
        if (value := results[task].reference) is not None and (rules.force or not results[task].rough)
    }
    base = reference.overall(theirs, suite.rule) if len(theirs) == len(usable) else None
    if suite.overall is not None and base:
        suite.overall_relative = 100.0 * suite.overall / base


def _say_why_withheld(suite: SuiteResult, results: Mapping[str, TaskResult], rules: Rules) -> None:
    """Note why a complete suite has no Overall; a partial one already has a note on its missing members."""
    unlike = [task for task in suite.tasks if task in results and results[task].data.not_comparable]
    if unlike and not suite.missing and not rules.force:
        told = f"no Overall, as {', '.join(unlike)} cannot be compared with the published scores"
        suite.notes.append(f"{told}: --force shows it")


def _fits(result: TaskResult, rule: Rule) -> bool:
    """Whether a rule can use a task: AgentTuning's needs its weight, a mean takes percentages only."""
    return (
        result.data.name in reference.weight_inverse()
        if rule == "agenttuning"
        else result.data.unit == "percent"
    )
