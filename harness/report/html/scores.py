"""Plots of scores beside the published ones: every task, and the Overalls of suites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.report.html import published
from harness.report.html.bars import Bar, Row, draw
from harness.report.html.figure import Figure, Run, key
from harness.report.html.markup import Markup, element, joined
from harness.report.html.panel import PERCENT, upto
from harness.report.html.published import Beside
from harness.report.layout import NONE, counted_text, members_of, number, score_text
from harness.report.result import RULES, SuiteResult, TaskResult

HEADER = ("task", "whose", "metric", "remark", "score", "low", "high", "n/N")
UNLIKE = "†"
NAMED = 6
"""Most runs that every legend names; more of them are named once, at the head of the page."""


def legend(runs: Sequence[Run], models: Sequence[str] = ()) -> Markup:
    """The runs with their letters, and the published models with their marks."""
    named = [element("span", key(run), run.report.run) for run in runs if run.letter]
    if len(named) > NAMED:
        named = [element("span", key(runs[0]), "to ", key(runs[-1]), element("a", "the runs", href="#runs"))]
    return joined([*named, *published.legend(models)], " ")


def scores(runs: Sequence[Run]) -> Figure | None:
    """Every task's score with its interval beside the published ones; None without a task."""
    reports = [run.report for run in runs]
    beside = published.by_task(reports)
    parts: list[Markup] = []
    for name, tasks in members_of(reports):
        rows = [_row(task, runs, beside) for task in tasks if any(task in one.tasks for one in reports)]
        if rows:
            heading = [element("h3", name or "other tasks")] if name or parts else []
            parts += [*heading, draw(PERCENT, rows, f"Scores of {name or 'tasks'}")]
    if not parts:
        return None
    models = list(dict.fromkeys(model for one in beside.values() for model in one.scores))
    return Figure(
        "Scores by task",
        _lead(runs, beside),
        joined(parts),
        HEADER,
        list(_numbers(runs, beside)),
        names=4,
        legend=legend(runs, models),
    )


def _lead(runs: Sequence[Run], beside: Mapping[str, Beside]) -> str:
    told = ["Bars from 0 to the score; the thin line over a bar is its 95 % interval."]
    results = [result for run in runs for result in run.report.tasks.values()]
    if beside:
        sources = ", ".join(sorted({one.source for one in beside.values()}))
        told.append(f"Below the bars lie the published scores ({sources}); the dashed line is GPT-4's.")
    if any(result.data.unit == "points" for result in results):
        told.append("Scores in points of 10 use the whole width as well.")
    if any(map(hollow, results)):
        told.append(
            "Hollow bars are no measurements of the benchmark: published values, or self-made samples."
        )
    if any(_unlike(result) for result in results):
        told.append(f"{UNLIKE} does not compare with the published scores; the table says why.")
    return " ".join(told)


def hollow(result: TaskResult) -> bool:
    """Whether a number was not measured on the benchmark."""
    return result.data.published is not None or result.data.source == "fixture"


def _unlike(result: TaskResult) -> bool:
    return result.score is not None and bool(result.data.not_comparable)


def _row(task: str, runs: Sequence[Run], beside: Mapping[str, Beside]) -> Row:
    found = {run.letter: result for run in runs if (result := run.report.tasks.get(task))}
    first = next(iter(found.values()))
    bars = [_bar(run, found.get(run.letter)) for run in runs]
    remark = first.metric
    if any(result.data.source == "fixture" for result in found.values()):
        remark = f"fixture, {remark}"
    points = first.data.unit == "points"
    shown = beside[task].scores if task in beside else dict[str, float]()
    return Row(task, f"{remark}, of 10" if points else remark, bars, 0.1 if points else 1.0, shown)


def _bar(run: Run, result: TaskResult | None) -> Bar:
    if result is None:
        return Bar(run, None, instead="not in this run")
    if result.score is None:
        return Bar(run, None, instead=score_text(result).removeprefix(NONE).strip(" ()"))
    mark = UNLIKE if _unlike(result) else ""
    return Bar(run, result.score, result.ci, mark, hollow=hollow(result))


def _numbers(runs: Sequence[Run], beside: Mapping[str, Beside]) -> Iterator[Sequence[str]]:
    for task in dict.fromkeys(task for run in runs for task in run.report.tasks):
        for run in runs:
            if result := run.report.tasks.get(task):
                yield _number(run, result)
        if known := beside.get(task):
            for model, value in known.scores.items():
                remark = "; ".join(["published", *filter(None, [known.notes.get(model)])])
                yield task, model, "", remark, number(value, 2), "", "", ""


def _number(run: Run, result: TaskResult) -> Sequence[str]:
    low, high = result.ci or (None, None)
    remarks = ["published"] * (result.data.published is not None) + list(result.data.not_comparable)
    score = score_text(result)
    words = result.data.name, run.named, result.metric, "; ".join(remarks)
    return *words, score, number(low, 2), number(high, 2), counted_text(result)


def overalls(runs: Sequence[Run]) -> Figure | None:
    """The Overalls of suites beside those of the published models; None when there is none."""
    rows: dict[str, list[Row]] = {}
    numbers: list[Sequence[str]] = []
    for name in dict.fromkeys(name for run in runs for name in run.report.suites):
        suites = [(run, suite) for run in runs if (suite := run.report.suites.get(name))]
        if all(suite.overall is None for _, suite in suites):
            continue
        theirs, rule = published.of_suite(suites[0][1]), RULES[suites[0][1].rule]
        called = suites[0][1].overall_name
        bars = [_overall(run, suite) for run, suite in suites]
        rows.setdefault(rule, []).append(Row(name, called, bars, published=theirs))
        numbers += [_overall_number(run, suite) for run, suite in suites]
        numbers += [
            (name, model, "published", number(value, 2), "", "", "") for model, value in theirs.items()
        ]
    if not rows:
        return None
    lead = (
        "One number for a suite. By AgentTuning's rule it is the mean of score over the five baselines' mean "
        "score, so the baselines have 1 on average; by the other rule the mean score in percent."
    )
    drawn = joined(
        draw(upto(max(map(_largest, some))), some, f"Overalls, {rule}") for rule, some in rows.items()
    )
    header = ("suite", "whose", "rule", "Overall", "low", "high", "tasks")
    models = list(dict.fromkeys(model for some in rows.values() for row in some for model in row.published))
    return Figure("Overall by suite", lead, drawn, header, numbers, names=3, legend=legend(runs, models))


def _largest(row: Row) -> float:
    """How far to the right a row reaches."""
    edges = [edge for bar in row.bars for edge in (bar.value, *(bar.interval or ()))]
    return max([*row.published.values(), *(edge for edge in edges if edge is not None)])


def _overall(run: Run, suite: SuiteResult) -> Bar:
    results = [result for task in suite.tasks if (result := run.report.tasks.get(task))]
    least = "≈" if suite.approximate else "*" if suite.overall_of < len(suite.tasks) else ""
    instead = f"partial ({suite.partial})" if suite.partial else "no Overall: see the notes"
    return Bar(run, suite.overall, suite.overall_ci, least, instead, hollow=any(map(hollow, results)))


def _overall_number(run: Run, suite: SuiteResult) -> Sequence[str]:
    low, high = suite.overall_ci or (None, None)
    used = f"{suite.overall_of}/{len(suite.tasks)}"
    numbers = (number(value, 2) for value in (suite.overall, low, high))
    return suite.name, run.named, suite.overall_name, *numbers, used
