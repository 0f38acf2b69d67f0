"""The interval of a suite's Overall: it covers the truth, and says nothing where a task says nothing."""

import random

import pytest

from harness.report import stats
from harness.report.build import build
from harness.report.overall import interval
from harness.report.run_data import RunData, TaskData
from harness.types import Mean, Row

TRUTHS = {"hotpotqa": 0.3, "sciworld": 0.55, "webarena": 0.1}


def task(name, values):
    rows = [Row(f"s{n}", 0, "scored", value, {}, {}, "") for n, value in enumerate(values)]
    aggregate = lambda rows: {"score": sum(row.value for row in rows) / len(rows)}  # noqa: E731
    return TaskData(name, "score", "percent", len(rows), rows=rows, aggregate=aggregate, headline=Mean())


def suite(drawn, n=120):
    tasks = {
        name: task(name, [float(drawn.random() < share) for _ in range(n)]) for name, share in TRUTHS.items()
    }
    return build(RunData("r", "m", tasks, {}))


@pytest.mark.parametrize(
    ("suites", "least", "most"),
    [(150, 0.92, 0.98), pytest.param(2000, 0.93, 0.97, marks=pytest.mark.slow)],
)
def test_it_covers_the_true_mean_about_19_times_in_20(monkeypatch, suites, least, most):
    monkeypatch.setattr(stats, "DRAWS", 300)
    drawn, truth = random.Random(4), 100 * sum(TRUTHS.values()) / len(TRUTHS)
    covered = 0
    for _ in range(suites):
        low, high = interval(suite(drawn).tasks, "mean")
        covered += low <= truth <= high
    assert least <= covered / suites <= most


def test_it_is_narrower_than_a_single_tasks_and_holds_the_overall():
    report = suite(random.Random(5))
    low, high = interval(report.tasks, "mean")
    assert low < sum(result.score for result in report.tasks.values()) / 3 < high
    assert high - low < max(result.ci[1] - result.ci[0] for result in report.tasks.values())


def test_a_task_without_interval_leaves_the_suite_without_one():
    tasks = {"hotpotqa": task("hotpotqa", [0.0, 1.0] * 30), "sciworld": task("sciworld", [0.2, 0.4, 0.9])}
    assert interval(build(RunData("r", "m", tasks, {})).tasks, "mean") is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_task_that_does_not_vary_adds_no_width(value):
    values = [0.0, 1.0, 1.0] * 30
    tasks = {"hotpotqa": task("hotpotqa", values), "sciworld": task("sciworld", [value] * 90)}
    results = build(RunData("r", "m", tasks, {})).tasks
    low, high = interval(results, "mean")
    own = results["hotpotqa"].ci
    assert high - low == pytest.approx((own[1] - own[0]) / 2, rel=0.15)
