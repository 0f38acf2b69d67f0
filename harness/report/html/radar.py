"""Draws the scores of all tasks as outlines around one centre."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from harness.report.html import published
from harness.report.html.figure import Figure, Run, key
from harness.report.html.markup import Markup, element, joined, short
from harness.report.html.scores import hollow, legend
from harness.report.layout import members_of, number
from harness.report.reference import GPT4
from harness.report.result import TaskResult

RADIUS, WIDE, TALL = 118.0, 420, 310
TOGETHER = 4
"""Runs in one drawing; where there are more, each has its own."""
RINGS = (25, 50, 75, 100)
"""Percentages that have a circle."""
LEAST = 3
"""Axes that make an area."""

Shares = Sequence[float | None]
"""Of each axis, from 0 in the centre to 1."""


def radar(runs: Sequence[Run]) -> Figure | None:
    """All tasks of all runs; None with fewer than three tasks that have a score."""
    reports = [run.report for run in runs]
    results = {run.named: run.report.tasks for run in runs}
    tasks = [
        task
        for _, members in members_of(reports)
        for task in members
        if any(_share(found.get(task)) is not None for found in results.values())
    ]
    if len(tasks) < LEAST:
        return None
    theirs = _gpt4(runs, tasks)
    groups = [runs] if len(runs) <= TOGETHER else [[run] for run in runs]
    drawings = [_drawing(tasks, group, theirs) for group in groups]
    lead = (
        "Each axis goes from 0 in the centre to 100 % (points of 10: to 10) at the rim. The order of the "
        "axes is that of the table, and an area means nothing. A line is broken where a task has no score."
    )
    stand_ins = [
        task for task in tasks if any(hollow(found[task]) for found in results.values() if task in found)
    ]
    if stand_ins:
        lead += f" No measurements of the benchmark: {', '.join(stand_ins)}."
    if any(share is not None for share in theirs):
        lead += " Grey and dashed: GPT-4 as published."
    rows = list(_numbers(tasks, results, theirs))
    look = "drawing" if len(groups) == 1 else "drawing several"
    header = ("task", *(run.named if run.letter else "score" for run in runs), "GPT-4")
    return Figure(
        "Profile", lead, element("div", joined(drawings), class_=look), header, rows, legend=legend(runs)
    )


def _share(result: TaskResult | None) -> float | None:
    if result is None or result.score is None:
        return None
    return min(1.0, max(0.0, result.score / (10.0 if result.data.unit == "points" else 100.0)))


def _gpt4(runs: Sequence[Run], tasks: Sequence[str]) -> Shares:
    beside = published.by_task([run.report for run in runs])
    units = {name: one.data.unit for run in runs for name, one in run.report.tasks.items()}
    found = (beside[task].scores.get(GPT4) if task in beside else None for task in tasks)
    tops = (10.0 if units[task] == "points" else 100.0 for task in tasks)
    return [None if value is None else value / top for value, top in zip(found, tops, strict=True)]


def _drawing(tasks: Sequence[str], runs: Sequence[Run], theirs: Shares) -> Markup:
    name = f"Profile of {', '.join(run.report.run for run in runs)}"
    parts = [element("title", name), *_grid(tasks), *_outline(theirs, "theirs")]
    for run in runs:
        shares = [_share(run.report.tasks.get(task)) for task in tasks]
        parts += _outline(shares, f"outline {run.look}")
    parts += _labels()
    size = f"{-WIDE / 2:g} {-TALL / 2:g} {WIDE} {TALL}"
    drawn = element("svg", joined(parts, "\n"), class_="radar", viewBox=size, role="img")
    told = joined([key(runs[0]), " ", runs[0].report.run]) if len(runs) == 1 and runs[0].letter else ""
    return element("figure", drawn, element("figcaption", told)) if told else drawn


def _grid(tasks: Sequence[str]) -> Iterator[Markup]:
    for percent in RINGS:
        look = "rim" if percent == 100 else "ring"
        yield element("circle", class_=look, cx=0, cy=0, r=RADIUS * percent / 100)
    for n, task in enumerate(tasks):
        x, y = _point(n, len(tasks), 1.0)
        yield element("line", class_="ring", x1=0, y1=0, x2=x, y2=y)
        x, y = _point(n, len(tasks), 1.0 + 10 / RADIUS)
        side = "" if abs(x) < 12 else " right" if x > 0 else " left"
        yield element("text", short(task), class_=f"axis{side}", x=x, y=y + 4)


def _labels() -> Iterator[Markup]:
    """The values of the rings, drawn above the outlines so that they can be read."""
    for percent in RINGS:
        yield element("text", str(percent), class_="tick", x=3, y=-RADIUS * percent / 100 + 9)


def _outline(shares: Shares, look: str) -> Iterator[Markup]:
    """A closed line, or its pieces between neighbours that both have a value."""
    points = [None if share is None else _point(n, len(shares), share) for n, share in enumerate(shares)]
    if known := [point for point in points if point is not None]:
        if len(known) == len(points):
            yield element("polygon", class_=look, points=" ".join(f"{x:.1f},{y:.1f}" for x, y in known))
        else:
            for start, end in zip(points, [*points[1:], points[0]], strict=True):
                if start and end:
                    yield element("line", class_=look, x1=start[0], y1=start[1], x2=end[0], y2=end[1])
        yield from (element("circle", class_=f"{look} dot", cx=x, cy=y, r=2.4) for x, y in known)


def _point(n: int, count: int, share: float) -> tuple[float, float]:
    angle = 2 * math.pi * n / count - math.pi / 2
    return RADIUS * share * math.cos(angle), RADIUS * share * math.sin(angle)


def _numbers(
    tasks: Sequence[str], results: Mapping[str, Mapping[str, TaskResult]], theirs: Shares
) -> Iterator[Sequence[str]]:
    for task, share in zip(tasks, theirs, strict=True):
        mine = (found[task].score if task in found else None for found in results.values())
        points = any(found[task].data.unit == "points" for found in results.values() if task in found)
        top = 10.0 if points else 100.0
        yield task, *(number(value, 2) for value in mine), number(None if share is None else top * share, 2)
