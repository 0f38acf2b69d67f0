"""Judges a run by a baseline: did the model get worse on any task?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.decisions.baseline_file import Baseline, BaselineTask
from harness.decisions.effect import scale
from harness.decisions.levels import Levels
from harness.decisions.passes import Passes, passes
from harness.decisions.pooled import Pooled, SampleResults, pooled
from harness.decisions.saving import Run, by_sample
from harness.decisions.significance import holm
from harness.report.build import build
from harness.report.headline import headline_of
from harness.report.result import Report, TaskResult
from harness.storage.manifest import differing
from harness.types import Macro, Row

Verdict = Literal[
    "pass", "regression", "suspect", "improvement", "no verdict", "not judged", "not comparable"
]


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """What the gate says of one task.

    Attributes:
        reason: in words; empty for a pass.
        score, ci: tonight's, in the task's unit.
        baseline: the baseline's score, in the task's unit.
        difference: tonight's headline less the baseline's over the samples that both have, in points.
        p_worse, p_better: one-sided, corrected over the judged tasks.
        flips: share of samples that changed.
        samples: number of samples judged.
        lost: samples that one side lacks because of infrastructure errors.
        fell, rose: samples that are worse, or better, than their share in the baseline.
        passes: pass@k and pass^k, where every sample was played k times; reported, not tested.
    """

    task: str
    verdict: Verdict
    reason: str = ""
    score: float | None = None
    ci: tuple[float, float] | None = None
    baseline: float | None = None
    difference: float = 0.0
    p_worse: float = 1.0
    p_better: float = 1.0
    flips: float = 0.0
    samples: int = 0
    lost: int = 0
    fell: Sequence[str] = ()
    rose: Sequence[str] = ()
    passes: Passes | None = None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What the gate says of a run.

    Attributes:
        run: name of tonight's run.
        unlike: differences of the whole runs that forbid a verdict.
        causes: differences that may be the cause of a change.
    """

    run: str
    model: str
    levels: Levels
    tasks: Sequence[TaskVerdict]
    unlike: Sequence[str] = ()
    causes: Sequence[str] = field(default_factory=tuple[str, ...])

    def of(self, verdict: Verdict) -> list[TaskVerdict]:
        """The tasks with a verdict."""
        return [task for task in self.tasks if task.verdict == verdict]

    @property
    def exit_code(self) -> int:
        """2 not comparable, 4 regression, 3 no verdict, 0 pass: the first that holds."""
        if self.unlike or self.of("not comparable"):
            return 2
        if self.of("regression"):
            return 4
        return 3 if self.of("no verdict") else 0

    @property
    def word(self) -> str:
        """The whole verdict as text."""
        return {0: "pass", 2: "not comparable", 3: "no verdict", 4: "regression"}[self.exit_code]


def judge(tonight: Sequence[Run], baseline: Baseline, levels: Levels) -> GateVerdict:
    """Judge a run.

    Args:
        tonight: the run; further ones (a repetition of suspect tasks) add results to its tasks.
        baseline: what to judge by; its tasks are the ones that need a verdict.
        levels: when a difference counts.
    """
    data, facts = tonight[0]
    unlike = differing(
        {"model": baseline.model, **baseline.decisive}, {"model": facts.model, **facts.decisive(())}
    )
    if unlike:
        return GateVerdict(data.run, facts.model, levels, (), unlike)
    reports = [build(run) for run, _ in tonight]
    names = [*baseline.tasks, *(name for name in data.tasks if name not in baseline.tasks)]
    found = [_task(name, tonight, reports, baseline.tasks.get(name)) for name in names]
    causes = differing(baseline.explaining, facts.explaining())
    return GateVerdict(data.run, facts.model, levels, _corrected(found, levels), causes=causes)


def _task(
    name: str, tonight: Sequence[Run], reports: Sequence[Report], known: BaselineTask | None
) -> TaskVerdict:
    """Everything about a task but the verdict between pass, regression and improvement."""
    result = reports[0].tasks.get(name)
    if known is None:
        score = result.score if result else None
        return TaskVerdict(name, "not judged", "not in the baseline: save a new one to judge it", score)
    if not known.samples:
        return TaskVerdict(name, "not judged", f"{known.waiting} episodes wait for a judge in the baseline")
    if result is None:
        return TaskVerdict(name, "no verdict", "in the baseline and not in this run", baseline=known.score)
    about = TaskVerdict(name, "no verdict", score=result.score, ci=result.ci, baseline=known.score)
    unlike = differing(known.decisive, tonight[0][1].decisive_of(name))
    if unlike and not result.data.pending:
        return replace(about, verdict="not comparable", reason="; ".join(unlike))
    if result.data.pending and known.waiting:
        reason = f"{result.data.pending} episodes wait to be judged, as {known.waiting} do in the baseline"
        return replace(about, verdict="not judged", reason=reason)
    if reason := _unready(result):
        return replace(about, reason=reason)
    measured, results = _measured(about, _rows(reports, name), result, known)
    repeats = int(tonight[0][1].config.get("repeats") or 1)
    return replace(measured, passes=passes(results, repeats))


def _unready(result: TaskResult) -> str:
    if result.data.pending:
        return f"{result.data.pending} episodes wait for the judge that the baseline had"
    if not result.complete or not result.data.rows:
        return "incomplete: the command that began the run resumes it"
    return ""


def _rows(reports: Sequence[Report], name: str) -> list[Row]:
    """The task's rows in every run that has it."""
    return [row for report in reports if name in report.tasks for row in report.tasks[name].data.rows]


def _measured(
    about: TaskVerdict, rows: Sequence[Row], result: TaskResult, known: BaselineTask
) -> tuple[TaskVerdict, Sequence[SampleResults]]:
    mine, theirs = by_sample(rows), known.values()
    both = [sample for sample in mine if sample in theirs]
    if not both:
        return replace(about, reason="the run and the baseline share no sample"), ()
    weights = _weights(both, rows, result)
    results = [SampleResults(theirs[sample], mine[sample], weights[sample]) for sample in both]
    found: Pooled = pooled(results)
    measured = replace(
        about,
        verdict="pass",
        difference=found.difference * scale(result.data.unit),
        p_worse=found.p_worse,
        p_better=found.p_better,
        flips=found.flip_rate,
        samples=len(both),
        lost=len({*mine, *theirs}) - len(both),
        fell=[sample for sample, one in zip(both, results, strict=True) if one.difference < 0],
        rose=[sample for sample, one in zip(both, results, strict=True) if one.difference > 0],
    )
    return measured, results


def _weights(samples: Sequence[str], rows: Sequence[Row], result: TaskResult) -> Mapping[str, float]:
    """What share of the headline each sample carries."""
    statistic = headline_of(result.data)
    if not isinstance(statistic, Macro):
        return dict.fromkeys(samples, 1 / len(samples))
    groups = {row.sample: row.labels.get(statistic.label, "") for row in rows}
    sizes = Counter(groups[sample] for sample in samples)
    return {sample: 1 / (len(sizes) * sizes[groups[sample]]) for sample in samples}


def _corrected(tasks: Sequence[TaskVerdict], levels: Levels) -> list[TaskVerdict]:
    """Correct for the number of judged tasks, and say which differences count."""
    judged = [task for task in tasks if task.verdict == "pass"]
    worse = holm({task.task: task.p_worse for task in judged})
    better = holm({task.task: task.p_better for task in judged})
    return [
        _counted(replace(task, p_worse=worse[task.task], p_better=better[task.task]), levels)
        if task.task in worse
        else task
        for task in tasks
    ]


def _counted(task: TaskVerdict, levels: Levels) -> TaskVerdict:
    if task.p_worse <= levels.alpha and -task.difference >= levels.min_effect:
        return replace(task, verdict="regression", reason=f"{task.difference:+.2f} points")
    if task.p_better <= levels.alpha and task.difference >= levels.min_effect:
        return replace(task, verdict="improvement", reason=f"{task.difference:+.2f} points")
    return task
