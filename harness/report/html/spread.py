"""Draws how the values of episodes are distributed, a small plot for each task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from harness.report.html.figure import Figure, Run
from harness.report.html.markup import Markup, decimal, element, joined
from harness.report.html.panel import box, stroke, words
from harness.report.html.scores import legend
from harness.report.layout import members_of, number
from harness.report.result import TaskResult
from harness.types.average import values_of

BINS = 10
TALL, LOW = 64, 26
"""Pixels of a run's row: of a single run, and of one among several."""

Counts = Sequence[int]
"""Episodes with exactly 0, in each tenth between, and with exactly the full value."""


def spread(runs: Sequence[Run]) -> Figure | None:
    """The distributions of all tasks with episodes; None when there is none."""
    counted = {
        (task, run.letter): counts(values_of(result.data.rows), _top(result.data.unit))
        for run in runs
        for task, result in run.report.tasks.items()
        if len(result.data.rows)
    }
    drawings: list[Markup] = []
    rows: list[Sequence[str]] = []
    for _, tasks in members_of([run.report for run in runs]):
        for task in tasks:
            found = [(run, counted[task, run.letter]) for run in runs if (task, run.letter) in counted]
            if found:
                drawings.append(_drawing(task, found))
                rows += [(task, run.report.run, f"{sum(got)}", *map(str, got)) for run, got in found]
    if not drawings:
        return None
    lead = (
        "How many of a task's episodes have which value. The first column counts exactly 0, the last exactly "
        "the full value, those between a tenth each. Columns start at 0 and have one scale within a task, "
        "whose highest column is labelled."
    )
    if any(_left_out(result) for run in runs for result in run.report.tasks.values()):
        lead += " Only the listed episodes are counted."
    edges = [f"{decimal(n / BINS)} to {decimal((n + 1) / BINS)}" for n in range(BINS)]
    header = ("task", "run", "episodes", "0", *edges, "full")
    look = f"drawing small{' lettered' * (len(runs) > 1)}"
    whole = element("div", joined(drawings), class_=look)
    return Figure("Values of episodes", lead, whole, header, rows, names=2, legend=legend(runs))


def _left_out(result: TaskResult) -> bool:
    """Whether some of a task's counted episodes are not listed (--only)."""
    return len(result.data.rows) < result.scored + result.limit + result.model_error


def _top(unit: str) -> float:
    return 10.0 if unit == "points" else 1.0


def counts(values: Iterable[float], top: float) -> Counts:
    """Count values by where they lie between 0 and `top`; those outside count at the ends."""
    found = [0] * (BINS + 2)
    for value in values:
        share = value / top
        if not math.isfinite(share):
            continue
        place = 0 if share <= 0 else BINS + 1 if share >= 1 else 1 + min(BINS - 1, int(share * BINS + 1e-9))
        found[place] += 1
    return found


def _drawing(task: str, found: Sequence[tuple[Run, Counts]]) -> Markup:
    row = TALL if len(found) == 1 else LOW
    highest = max(max(got) / (sum(got) or 1) for _, got in found)
    parts = [element("title", f"Values of episodes of {task}")]
    for n, (run, got) in enumerate(found):
        bottom = (n + 1) * row + 4.0
        parts += _columns(run, got, bottom, row - 6.0, highest)
        if run.letter:
            parts.append(words(run.letter, 0, bottom - 4, f"letter {run.look}", by=-6))
    foot = len(found) * row + 18.0
    parts += [words(text, place, foot, "tick") for text, place in _labels()]
    drawn = element("svg", joined(parts, "\n"), class_="spread", width="100%", height=foot + 4, role="img")
    episodes = sum(found[0][1]) if len(found) == 1 else 0
    told = f"n = {episodes:,}, " * bool(episodes) + f"highest {number(100 * highest, 0)} %"
    head = element("figcaption", element("b", task), " ", element("span", told))
    return element("figure", head, drawn)


def _labels() -> Iterator[tuple[str, float]]:
    """The labels below the first, the middle and the last column."""
    wide = 1 / (BINS + 2)
    yield from (("0", wide / 2), ("half", 0.5), ("full", 1 - wide / 2))


def _columns(run: Run, got: Counts, bottom: float, tall: float, highest: float) -> Iterator[Markup]:
    total, wide = sum(got) or 1, 1 / (BINS + 2)
    yield stroke((0, bottom), (1, bottom), "zero")
    for n, count in enumerate(got):
        if count:
            height = max(1.0, tall * count / total / highest)
            hint = f"{run.named}: {count} of {total}".strip(" :")
            look = f"column {run.look}{' edge' * (n in (0, BINS + 1))}"
            yield box(n * wide + 0.006, (n + 1) * wide - 0.006, bottom - height, height, look, hint)
