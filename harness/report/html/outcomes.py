"""Draws how episodes ended, as shares of all that were planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.report.html.bars import letter, thickness, title, words_of
from harness.report.html.figure import Figure, Run
from harness.report.html.markup import element, joined
from harness.report.html.panel import PERCENT, Panel, box
from harness.report.html.scores import legend
from harness.report.layout import members_of
from harness.report.result import TaskResult

ENDS: Mapping[str, str] = {
    "scored": "ran to its end",
    "limit": "stopped by a limit",
    "model_error": "a reply could not be used",
    "infra_error": "failed in the infrastructure: not in the score",
    "waiting": "waits for a judge",
    "unplayed": "not played",
}
"""The states of an episode, with what each means."""


def outcomes(runs: Sequence[Run]) -> Figure | None:
    """A bar for every task of every run; None when there are only published models."""
    panel = Panel(PERCENT)
    rows: list[Sequence[str]] = []
    seen: set[str] = set()
    for _, tasks in members_of([run.report for run in runs]):
        for task in tasks:
            found = [
                (run, _counts(one))
                for run in runs
                if (one := run.report.tasks.get(task)) and one.data.planned
            ]
            if not found:
                continue
            _row(panel, task, found)
            rows += [
                (task, run.report.run, *map(str, got.values()), str(sum(got.values()))) for run, got in found
            ]
            seen |= {name for _, got in found for name, count in got.items() if count}
    if not rows:
        return None
    lead = "Every planned episode by how it ended; the number on the right is how many were planned."
    told = [
        element("span", element("i", class_=f"swatch {name}"), f"{name.replace('_', ' ')}: {meaning}")
        for name, meaning in ENDS.items()
        if name in seen
    ]
    header = ("task", "run", *(name.replace("_", " ") for name in ENDS), "planned")
    key = joined([*told, legend(runs)], " ")
    return Figure("Outcomes", lead, panel.svg("Outcomes by task"), header, rows, names=2, legend=key)


def _counts(result: TaskResult) -> Mapping[str, int]:
    known = result.scored, result.limit, result.model_error, result.data.infra_error, result.data.pending
    return dict(zip(ENDS, (*known, max(0, result.data.planned - sum(known))), strict=True))


def _row(panel: Panel, task: str, found: Sequence[tuple[Run, Mapping[str, int]]]) -> None:
    thick = thickness(len(found))
    y = panel.height + 6
    title(panel, task, "", y + thick / 2 + 4, lettered=bool(found[0][0].letter))
    for run, got in found:
        letter(panel, run, y + thick / 2 + 4)
        total, start = sum(got.values()) or 1, 0.0
        for name, count in got.items():
            end = start + count / total
            if count:
                hint = f"{run.named} {task} {name.replace('_', ' ')}: {count} of {total}".strip()
                panel.add(box(start, end, y, thick, f"part {name}", hint))
            start = end
        panel.add(words_of(joined([f"{total:,}"]), y + thick / 2 + 4))
        y += thick + 3
    panel.height = y
