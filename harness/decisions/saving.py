"""Makes a baseline of one or more runs of one configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from harness.decisions.baseline_file import FORMAT, Baseline, BaselineTask, digest, packed
from harness.decisions.pooled import own_flip_rate, own_variance
from harness.decisions.power import Design, power
from harness.decisions.run_facts import RunFacts, date_of
from harness.errors import UsageError
from harness.report.build import build
from harness.report.result import TaskResult
from harness.report.run_data import RunData
from harness.storage.manifest import differing
from harness.types import Row

DROPS = (5, 10)
"""Drops, in points, whose power a baseline states."""
ASSUMED_FLIPS = 0.1
"""Share of samples that change from run to run when one run is all there is to know it by."""

Run = tuple[RunData, RunFacts]


def pool(runs: Sequence[Run]) -> Baseline:
    """Pool runs of one configuration.

    Raises:
        UsageError: they are of different models or configurations, or one of them is incomplete.
    """
    reports = [build(data) for data, _ in runs]
    for report in reports:
        for name, result in report.tasks.items():
            _demand_complete(report.run, name, result)
    first_data, first = runs[0]
    tasks = list(first_data.tasks)
    for data, facts in runs[1:]:
        lines = differing(_whole(first, tasks), _whole(facts, data.tasks))
        if lines:
            listed = "\n  ".join(lines)
            raise UsageError(
                f"{first_data.run} (there) and {data.run} (here) cannot be pooled into one baseline:\n  "
                f"{listed}"
            )
    results = {name: [report.tasks[name] for report in reports] for name in tasks}
    newest = max((facts for _, facts in runs), key=lambda facts: facts.date)
    return Baseline(
        format=FORMAT,
        model=first.model,
        runs=sorted(data.run for data, _ in runs),
        date=date_of(newest),
        decisive=first.decisive(()),
        explaining=newest.explaining(),
        suites={name: list(members) for name, members in first_data.suites.items()},
        tasks={name: _task(first, name, found, len(tasks)) for name, found in results.items()},
    )


def _whole(facts: RunFacts, tasks: Iterable[str]) -> dict[str, object]:
    return {"model": facts.model, **facts.decisive(tasks)}


def _demand_complete(run: str, task: str, result: TaskResult) -> None:
    if not result.complete:
        raise UsageError(
            f"{run} is incomplete in {task}: the command that began it resumes it; a baseline needs all of it"
        )


def _task(facts: RunFacts, name: str, found: Sequence[TaskResult], tasks: int) -> BaselineTask:
    values = by_sample(row for result in found for row in result.data.rows)
    scores = [result.score for result in found if result.score is not None]
    results = max(map(len, values.values()), default=0)
    samples = packed(values, results)
    return BaselineTask(
        decisive=facts.decisive_of(name),
        metric=found[0].metric,
        unit=found[0].data.unit,
        score=round(fmean(scores), 6) if scores else None,
        waiting=sum(result.data.pending for result in found),
        results=results,
        flip_rate=_rounded(own_flip_rate(values.values())),
        power=_power(values, len(found), tasks) if values else {},
        samples=samples,
        sha256=digest(samples),
    )


def by_sample(rows: Iterable[Row]) -> dict[str, list[float]]:
    """The values of each sample's episodes."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.sample, []).append(row.value)
    return found


def _power(values: Mapping[str, Sequence[float]], runs: int, tasks: int) -> dict[str, float]:
    variance = own_variance(values.values())
    known = ASSUMED_FLIPS / 2 if variance is None else variance
    design = Design(len(values), known, runs, tasks)
    return {str(drop): round(power(drop / 100, design), 3) for drop in DROPS}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)
