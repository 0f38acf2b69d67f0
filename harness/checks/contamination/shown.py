"""Writes findings as lines of text and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.checks.contamination.measure import Findings, SampleFinding, TaskFinding
from harness.checks.contamination.rules import VERDICTS
from harness.checks.contamination.scores import ScoreSplit
from harness.report.layout import plain
from harness.report.leaks import told

TEXT = 100
"""Characters of a matching text in a line; all of it is in the JSON."""

Scores = Mapping[str, ScoreSplit]


def lines(found: Findings, scores: Scores, worst: int) -> Iterator[str]:
    """The rule, a line for each task, its worst samples, the scores of a run, and what was left out."""
    yield f"rule {found.rule.name}: {found.rule.about}"
    yield f"tokens: {found.tokens}"
    files = f"{len(found.files)} training file{'' if len(found.files) == 1 else 's'}"
    yield f"{files}, {found.rows:,} rows, {found.rows_found:,} of them share a run with a question"
    yield ""
    yield f"{'task':<16}{'samples':>8}" + "".join(f"{name:>9}" for name in VERDICTS) + f"{'no text':>9}"
    for task in found.tasks:
        counts = "".join(f"{count:>9}" for count in task.counts().values())
        mark = " (fixture)" if task.questions.source == "fixture" else ""
        yield f"{task.task:<16}{len(task.samples):>8}{counts}{task.unknown:>9}{mark}"
    for task in found.tasks:
        for one in task.worst(worst):
            yield f"  {task.task} {plain(one.sample)}: {_covered(one)}{_text(one, task)}"
    if scores:
        yield "scores of the run"
    for name, split in scores.items():
        yield f"  {name}: " + ", ".join(map(told, (split.whole, *split.groups)))
    yield from _left_out(found)


def _covered(one: SampleFinding) -> str:
    return f"{one.verdict}, {one.covered} of {one.tokens} tokens ({100 * one.share:.0f} %)"


def _text(one: SampleFinding, task: TaskFinding) -> str:
    if task.questions.private:
        return " (its text may not be shown)"
    return f": {plain(one.text[:TEXT])}{'…' if len(one.text) > TEXT else ''}"


def _left_out(found: Findings) -> Iterator[str]:
    for name, why in found.missing.items():
        yield f"left out: {name}: {why}"
    for place in found.cut:
        yield f"cut: {place} is too long: only its beginning was searched"


def document(found: Findings, scores: Scores, worst: int) -> dict[str, Any]:
    """All findings as JSON values; a private task has ids, and no text."""
    return {
        "rule": {"name": found.rule.name, "about": found.rule.about},
        "tokens": found.tokens,
        "files": [str(path) for path in found.files],
        "rows": found.rows,
        "rows_found": found.rows_found,
        "tasks": {task.task: _task(task, worst) for task in found.tasks},
        **({"scores": {name: _scores(split) for name, split in scores.items()}} if scores else {}),
        "left_out": found.missing,
        "cut": found.cut,
    }


def _task(task: TaskFinding, worst: int) -> dict[str, Any]:
    return {
        "split": task.questions.split,
        "source": task.questions.source,
        "private": task.questions.private,
        "samples": len(task.samples),
        **task.counts(),
        "no_text": task.unknown,
        "dirty_samples": [one.sample for one in task.samples if one.verdict == "dirty"],
        "worst": [
            {
                "sample": one.sample,
                "verdict": one.verdict,
                "tokens": one.tokens,
                "covered": one.covered,
                **({} if task.questions.private else {"text": one.text}),
            }
            for one in task.worst(worst)
        ],
    }


def _scores(split: ScoreSplit) -> dict[str, Any]:
    return {one.value: one.facts() for one in (split.whole, *split.groups)}
