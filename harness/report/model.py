"""What a report reads and what it says, before any formatting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.catalog.suites import Rule
from harness.report.columns import told
from harness.storage.reader import Texts
from harness.types import Row, Source, Statistic, Unit

Normalize = Literal["none", "gpt4", "agenttuning", "model"]
Aggregate = Callable[[Sequence[Row]], Mapping[str, float]]


@dataclass(slots=True)
class TaskData:
    """One task of a run, as stored.

    Attributes:
        planned: number of planned episodes.
        rows: counted episodes with their values, one each.
        infra_error: planned episodes that only ever failed in the infrastructure.
        pending: complete episodes that wait for a judge.
        aggregate: the task's own; None when the value is a published one.
        headline: the statistic that the task declares for its metric.
        own_aggregate: whether the task computes its numbers itself (see `stats.interval`).
        published: a score in `unit` from the literature, instead of rows.
        not_comparable: why the score is not comparable with published ones; empty when it is.
        notes: what a reader of the number must know.
        judge: who judged; part of the metric's name, as other judges give other numbers.
        source: where the data came from; a fixture marks every table.
    """

    name: str
    metric: str
    unit: Unit
    planned: int = 0
    judge: str = ""
    rows: Sequence[Row] = ()
    infra_error: int = 0
    pending: int = 0
    aggregate: Aggregate | None = None
    headline: Statistic | None = None
    own_aggregate: bool = False
    published: float | None = None
    not_comparable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: Source = "mirror"


@dataclass(slots=True)
class RunData:
    """A run, or a published model in the shape of one.

    Attributes:
        suites: asked suites with their member tasks in order; members may be missing from `tasks`.
        missing: why a member is missing.
        notes: what holds for the whole run.
    """

    run: str
    model: str
    tasks: dict[str, TaskData]
    suites: dict[str, list[str]]
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict[str, list[str]])
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class TaskLine:
    """One task's line; `score`, `ci` and `reference` are in `unit`, `relative` in percent.

    Attributes:
        complete: whether it may have a headline.
        relative_ci: interval of `relative`, the reference taken as exact.
        reference_source: where the reference score comes from.
        not_comparable: why the score is not comparable with published ones.
        rough: `relative` is a ratio of scores that are not comparable, shown by force.
        published: a score from the literature.
        in_means: whether suite means take it in.
    """

    name: str
    metric: str
    unit: Unit
    score: float | None = None
    ci: tuple[float, float] | None = None
    planned: int = 0
    scored: int = 0
    limit: int = 0
    model_error: int = 0
    infra_error: int = 0
    pending: int = 0
    complete: bool = True
    reference: float | None = None
    relative: float | None = None
    relative_ci: tuple[float, float] | None = None
    reference_source: str = ""
    not_comparable: tuple[str, ...] = ()
    rough: bool = False
    published: bool = False
    source: Source = "mirror"
    in_means: bool = True
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    episodes: Sequence[Row] = ()
    notes: list[str] = field(default_factory=list[str])

    def json(self) -> dict[str, Any]:
        """The task's part of the JSON report (a published contract), episodes and all."""
        return {**self.facts(), "episodes": [episode(row, texts) for row, texts in told(self.episodes)]}

    def facts(self) -> dict[str, Any]:
        """The task's part of the JSON report without its episodes."""
        return {
            "metric": self.metric,
            "unit": self.unit,
            "score": self.score,
            "ci": list(self.ci) if self.ci else None,
            "planned": self.planned,
            "scored": self.scored,
            "limit": self.limit,
            "model_error": self.model_error,
            "infra_error": self.infra_error,
            "reference": self.reference,
            "relative": self.relative,
            "metrics": _finite(self.metrics),
        }


def episode(row: Row, texts: Texts) -> dict[str, Any]:
    """An episode's part of the JSON report; answer and target are there when the store has one of them."""
    found: dict[str, Any] = {
        "sample": row.sample,
        "repeat": row.repeat,
        "outcome": row.outcome,
        "value": row.value,
        "metrics": _finite(row.metrics),
    }
    return found | texts._asdict() if any(texts) else found


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """JSON knows no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


RULES: Mapping[Rule, str] = {"agenttuning": "AgentTuning", "mean": "mean"}
"""What tables print for a rule."""


@dataclass(slots=True)
class SuiteLine:
    """One suite's line.

    Attributes:
        overall: by the suite's rule; None unless every member has a comparable score, or the rules allow
            a part.
        overall_of: how many members the Overall is taken over.
        overall_relative: the Overall in percent of the reference's Overall over the same members.
        relative: mean of the members' relative scores.
        relative_of: how many members that mean is taken over.
        partial: `k/K` when members are missing, else None.
        missing: members without a score.
        approximate: scores that are not comparable went in, by force.
        rule: how the Overall is made of scores.
    """

    name: str
    tasks: list[str]
    rule: Rule = "agenttuning"
    overall: float | None = None
    overall_of: int = 0
    overall_relative: float | None = None
    relative: float | None = None
    relative_of: int = 0
    partial: str | None = None
    missing: list[str] = field(default_factory=list[str])
    approximate: bool = False
    notes: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Report:
    """One run's report."""

    run: str
    model: str
    complete: bool
    normalize: str
    suites: dict[str, SuiteLine]
    tasks: dict[str, TaskLine]
    notes: list[str] = field(default_factory=list[str])

    def json(self) -> dict[str, Any]:
        """The JSON report (a published contract)."""
        return {**self.facts(), "tasks": {name: line.json() for name, line in self.tasks.items()}}

    def facts(self) -> dict[str, Any]:
        """The JSON report without its tasks."""
        return {
            "run": self.run,
            "model": self.model,
            "complete": self.complete,
            "suites": {
                name: {
                    "overall": suite.overall,
                    "relative": suite.relative,
                    "partial": suite.partial,
                    "tasks": suite.tasks,
                    **({} if suite.rule == "agenttuning" else {"rule": suite.rule}),
                }
                for name, suite in self.suites.items()
            },
        }
