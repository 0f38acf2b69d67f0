"""What a report says of a run, its tasks and its suites, before any formatting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.catalog.suites import Rule
from harness.report import cost
from harness.report.cost import Price
from harness.report.intervals import Interval
from harness.report.repeats import Repeats
from harness.report.run_data import TaskData


@dataclass(frozen=True, slots=True)
class Group:
    """The episodes of a task whose samples have one value of a label.

    Attributes:
        count: of episodes.
        score, ci: the task's headline over them and its 95 % interval, in the task's unit; None where they
            have none.
    """

    label: str
    value: str
    count: int
    score: float | None
    ci: Interval | None

    @property
    def name(self) -> str:
        """Label and value as text."""
        return f"{self.label} {self.value}"

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {"n": self.count, "score": self.score, "ci": list(self.ci) if self.ci else None}


@dataclass(slots=True)
class TaskResult:
    """The numbers of one task; `score`, `ci` and `reference` are in its unit, `relative` in percent.

    Attributes:
        data: what the numbers are made from.
        metric: the metric's name, with the judge who gave the values.
        ci: 95 % interval of the score.
        scored, limit, model_error: counted episodes by outcome.
        complete: whether it may have a headline.
        reference_source: where the reference score comes from.
        relative_ci: interval of `relative`, the reference taken as exact.
        rough: `relative` is a ratio of scores that are not comparable, shown because of --force.
        interim: of an incomplete task, the score of what it has played; no headline.
        ceiling: what the oracle reaches here, where that is less than everything; in the task's unit.
        repeats: what its repeats say; None without any.
        groups: its headline by values of labels, where that was asked for.
        in_means: whether suite means include it.
        metrics: its other metrics.
    """

    data: TaskData
    metric: str
    score: float | None = None
    ci: tuple[float, float] | None = None
    scored: int = 0
    limit: int = 0
    model_error: int = 0
    complete: bool = True
    reference: float | None = None
    reference_source: str = ""
    relative: float | None = None
    relative_ci: tuple[float, float] | None = None
    rough: bool = False
    interim: float | None = None
    ceiling: float | None = None
    repeats: Repeats | None = None
    groups: list[Group] = field(default_factory=list[Group])
    in_means: bool = True
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    notes: list[str] = field(default_factory=list[str])

    def facts(self) -> dict[str, Any]:
        """The task's part of the JSON report (a published contract) without its episodes."""
        return {
            "metric": self.metric,
            "unit": self.data.unit,
            "score": self.score,
            "ci": list(self.ci) if self.ci else None,
            "planned": self.data.planned,
            "scored": self.scored,
            "limit": self.limit,
            "model_error": self.model_error,
            "infra_error": self.data.infra_error,
            "reference": self.reference,
            "relative": self.relative,
            "metrics": _finite(self.metrics),
            "notes": [*self.notes, *self.data.technical],
            **({"by": self._groups()} if self.groups else {}),
            **({"repeats": self.repeats.facts()} if self.repeats else {}),
        }

    def _groups(self) -> dict[str, dict[str, Any]]:
        """Groups as JSON values, by label and value."""
        found: dict[str, dict[str, Any]] = {}
        for group in self.groups:
            found.setdefault(group.label, {})[group.value] = group.facts()
        return found


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """None in place of NaN and infinity, which JSON cannot express."""
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


RULES: Mapping[Rule, str] = {"agenttuning": "AgentTuning", "mean": "mean"}
"""What tables print for a rule."""


@dataclass(slots=True)
class SuiteResult:
    """The numbers of one suite.

    Attributes:
        overall: by the suite's rule; None unless every member has a comparable score, or --allow-partial.
        overall_ci: its 95 % interval; None when one of the members has none.
        overall_of: how many members the Overall is taken over.
        overall_relative: the Overall in percent of the reference's Overall over the same members.
        relative: mean of the members' relative scores.
        relative_of: how many members that mean is taken over.
        missing: members without a score.
        approximate: scores that are not comparable are included, because of --force.
        rule: how the Overall is made of scores.
        overall_name: what tables call it.
    """

    name: str
    tasks: list[str]
    rule: Rule = "agenttuning"
    overall_name: str = RULES["agenttuning"]
    overall: float | None = None
    overall_ci: tuple[float, float] | None = None
    overall_of: int = 0
    overall_relative: float | None = None
    relative: float | None = None
    relative_of: int = 0
    missing: list[str] = field(default_factory=list[str])
    approximate: bool = False
    notes: list[str] = field(default_factory=list[str])

    @property
    def partial(self) -> str | None:
        """`k/K`, members with a score of all members; None when none is missing."""
        total = len(self.tasks)
        return f"{total - len(self.missing)}/{total}" if self.missing else None


@dataclass(frozen=True, slots=True)
class Section:
    """Something below the table: its name in the JSON, its lines of text, and its JSON values."""

    name: str
    lines: Sequence[str]
    facts: Mapping[str, Any]


@dataclass(slots=True)
class Report:
    """One run's report."""

    run: str
    model: str
    complete: bool
    normalize: str
    suites: dict[str, SuiteResult]
    tasks: dict[str, TaskResult]
    notes: list[str] = field(default_factory=list[str])
    head: Mapping[str, str] = field(default_factory=dict[str, str])
    price: Price | None = None
    sections: list[Section] = field(default_factory=list[Section])

    def facts(self) -> dict[str, Any]:
        """The JSON report (a published contract) without its tasks."""
        return {
            "run": self.run,
            "model": self.model,
            "complete": self.complete,
            **({"head": dict(self.head)} if self.head else {}),
            "suites": {
                name: {
                    "overall": suite.overall,
                    "relative": suite.relative,
                    "partial": suite.partial,
                    "tasks": suite.tasks,
                    **({"overall_ci": list(suite.overall_ci)} if suite.overall_ci else {}),
                    **({} if suite.rule == "agenttuning" else {"rule": suite.rule}),
                    **({} if suite.overall_name in RULES.values() else {"overall_name": suite.overall_name}),
                }
                for name, suite in self.suites.items()
            },
            **self._costs(),
            **{section.name: section.facts for section in self.sections},
        }

    def _costs(self) -> dict[str, Any]:
        """What the run took, by task; nothing for a published model."""
        found = {name: task.data.cost for name, task in self.tasks.items()}
        known = {name: cost.facts(one, self.price) for name, one in found.items() if one}
        return {"cost": known} if known else {}
