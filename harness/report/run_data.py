"""What a report is built from: a run's counted episodes, and what is known of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.report.conditions import Conditions
from harness.storage.reader import Cost
from harness.types import Row, Source, Statistic, Unit

Aggregate = Callable[[Sequence[Row]], Mapping[str, float]]


@dataclass(slots=True)
class TaskData:
    """One task of a run, as stored.

    Attributes:
        planned: number of planned episodes.
        rows: counted episodes with their values, one each.
        infra_error: planned episodes that only ever failed in the infrastructure.
        pending: complete episodes that wait for a judge.
        waiting: those of them that have numbers already; their value is NaN.
        valued_by: how `harness judge` is told who values them.
        aggregate: the task's own; None when the value is a published one.
        headline: the statistic that the task declares for its metric.
        own_aggregate: whether the task computes its numbers itself (see `stats.interval`).
        published: a score in `unit` from the literature, instead of rows.
        not_comparable: why the score is not comparable with published ones; empty when it is.
        notes: remarks that a reader needs to judge the score.
        technical: what only a developer of the task needs; only in the JSON.
        judge: who judged; part of the metric's name, as other judges give other numbers.
        source: where the data came from; a fixture marks every table.
        conditions: under which its answers were got.
        cost: what its attempts took; None for a published model.
        shares: `TaskSpec.shares`.
        ceiling: what the oracle reaches with this data and profile, in `unit`; None when it is not known.
    """

    name: str
    metric: str
    unit: Unit
    planned: int = 0
    judge: str = ""
    rows: Sequence[Row] = ()
    infra_error: int = 0
    pending: int = 0
    waiting: Sequence[Row] = ()
    valued_by: str = "--judge NAME"
    aggregate: Aggregate | None = None
    headline: Statistic | None = None
    own_aggregate: bool = False
    published: float | None = None
    not_comparable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    technical: tuple[str, ...] = ()
    source: Source = "mirror"
    conditions: Conditions = field(default_factory=Conditions)
    ceiling: float | None = None
    cost: Cost | None = None
    shares: tuple[str, ...] = ()


@dataclass(slots=True)
class RunData:
    """A run, or a published model in the shape of one.

    Attributes:
        suites: asked suites with their member tasks in order; members may be missing from `tasks`.
        missing: why a member is missing.
        notes: what holds for the whole run.
        head: what is said above its table, by name.
        overalls: a suite's printed Overall, where its tasks' scores were not published with it.
    """

    run: str
    model: str
    tasks: dict[str, TaskData]
    suites: dict[str, list[str]]
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict[str, list[str]])
    notes: tuple[str, ...] = ()
    head: Mapping[str, str] = field(default_factory=dict[str, str])
    overalls: Mapping[str, float] = field(default_factory=dict[str, float])
