"""A small run's data, and its report as a table."""

from __future__ import annotations

from harness.episode import BaseTask
from harness.report.build import build
from harness.report.render import render
from harness.report.run_data import RunData, TaskData
from harness.types import Mean, Row, TaskSpec


class Plain(BaseTask):
    spec = TaskSpec("plain", 1, "general", "accuracy")


def data(values=(1.0, 0.25, 1 / 3), name="a-run", **more):
    rows = [
        Row(f"test/{n}", 0, ("scored", "limit", "model_error")[n % 3], value, {"paper": value, "fixed": 1.0})
        for n, value in enumerate(values)
    ]
    task = TaskData("gsm8k", "accuracy", "percent", len(rows) + more.get("pending", 0), rows=rows, **more)
    task.aggregate, task.headline = Plain().aggregate, Mean()
    return RunData(name, "a-model", {"gsm8k": task}, {"general": ["mmlu", "humaneval", "gsm8k", "mt_bench"]})


def table(run, rules=None, **more):
    return render([build(run, rules)], "table", **more)
