"""Writes the gate's verdict as text, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from harness.decisions.gate import GateVerdict, TaskVerdict
from harness.report.layout import number, plain

SHOWN = 10
"""Samples listed for a task; all of them are in the JSON and the JUnit file."""
MARKS = {
    "pass": "ok",
    "regression": "REGRESSION",
    "suspect": "suspect",
    "improvement": "improved",
    "no verdict": "NO VERDICT",
    "not judged": "not judged",
    "not comparable": "NOT COMPARABLE",
}


def lines(verdict: GateVerdict) -> Iterator[str]:
    """The verdict for people, the tasks that need a look first."""
    yield f"gate: {verdict.word} ({verdict.run}, {verdict.model})"
    width = max((len(task.task) for task in verdict.tasks), default=0)
    order = list(MARKS)
    for task in sorted(verdict.tasks, key=lambda task: -order.index(task.verdict) % len(order)):
        yield f"  {task.task:<{width}}  {MARKS[task.verdict]:<14}  {_numbers(task)}".rstrip()
        yield from samples(task)
        if task.passes:
            yield f"      {task.passes.told()}"
    yield from _listed("not comparable with the baseline (there -> here)", verdict.unlike)
    yield from _listed("differences that may be the cause (there -> here)", verdict.causes)
    levels = verdict.levels
    points = f"at least {levels.min_effect:g} point{'' if levels.min_effect == 1 else 's'}"
    yield f"a regression: p <= {levels.alpha:g} after Holm's correction, and {points}"


def _listed(heading: str, found: Any) -> Iterator[str]:
    if found:
        yield f"{heading}:"
        yield from (f"  {line}" for line in found)


def _numbers(task: TaskVerdict) -> str:
    if not task.samples:
        return task.reason
    lost = f", {task.lost} samples are on one side only" if task.lost else ""
    why = f"  {task.reason}" if task.verdict in ("no verdict", "suspect") else ""
    return (
        f"{number(task.baseline, 2)} -> {number(task.score, 2)}  {task.difference:+.2f}  "
        f"p = {task.p_worse:.3g}  n = {task.samples}, {100 * task.flips:.1f} % of samples changed{lost}{why}"
    )


def samples(task: TaskVerdict, shown: int = SHOWN) -> Iterator[str]:
    """The samples of a suspect task that are worse than in the baseline."""
    if task.verdict in ("regression", "suspect") and task.fell:
        more = f", and {len(task.fell) - shown} more" if len(task.fell) > shown else ""
        yield f"      worse than in the baseline: {', '.join(task.fell[:shown])}{more}"


def markdown(verdict: GateVerdict) -> str:
    """The verdict as a table for a job's summary page."""
    rows = [
        f"| {_cell(task.task)} | {MARKS[task.verdict]} | {number(task.baseline, 2)} "
        f"| {number(task.score, 2)} | {task.difference:+.2f} | {task.p_worse:.3g} | {_cell(task.reason)} |"
        for task in verdict.tasks
    ]
    head = "| task | verdict | baseline | tonight | difference | p | |\n|---|---|---|---|---|---|---|"
    notes = [f"- {_cell(line)}" for line in (*verdict.unlike, *verdict.causes)]
    title = f"## {verdict.word}: {_cell(verdict.run)} ({_cell(verdict.model)})"
    return "\n".join([title, "", head, *rows, "", *notes]) + "\n"


def _cell(text: str) -> str:
    """A text that cannot leave its table cell."""
    return plain(text).replace("|", "\\|").replace("<", "&lt;")


def document(verdict: GateVerdict) -> dict[str, Any]:
    """The verdict as JSON values; differences in points of the task's scale, scores in its unit."""
    return {
        "verdict": verdict.word,
        "exit": verdict.exit_code,
        "run": verdict.run,
        "model": verdict.model,
        "alpha": verdict.levels.alpha,
        "min_effect": verdict.levels.min_effect,
        "unlike": list(verdict.unlike),
        "causes": list(verdict.causes),
        "tasks": {
            task.task: {
                "verdict": task.verdict,
                "reason": task.reason,
                "score": task.score,
                "ci": list(task.ci) if task.ci else None,
                "baseline": task.baseline,
                "difference": task.difference,
                "p": task.p_worse,
                "p_better": task.p_better,
                "flips": task.flips,
                "samples": task.samples,
                "lost": task.lost,
                "fell": list(task.fell),
                "rose": list(task.rose),
                **({"passes": asdict(task.passes)} if task.passes else {}),
            }
            for task in verdict.tasks
        },
    }
