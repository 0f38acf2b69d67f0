"""Reports of whole suites with values that look like a model's, for pages of plots."""

from __future__ import annotations

import random

from shown_reports import Plain

from harness.catalog import suites
from harness.report import reference
from harness.report.build import build
from harness.report.rules import Rules
from harness.report.run_data import RunData, TaskData
from harness.storage.reader import Cost
from harness.types import Mean, Row

SUITES = ("held-in", "held-out", "general")
GRADED = ("sciworld", "webshop", "hotpotqa", "knowledgegraph")
"""Tasks whose episodes may have any value between 0 and 1."""


def drawn(
    name="agentlm-7b-all",
    model="agentlm-7b",
    *,
    like="agentlm-7b",
    seed=1,
    samples=120,
    rules=None,
    **changes,
):
    """A run's report; `changes` are attributes of its RunData, or by task name of that task's data."""
    draw = random.Random(seed)
    tasks = {task: _task(task, score, draw, samples) for task, score in reference.scores()[like].items()}
    run = RunData(
        name,
        model,
        tasks,
        {suite: list(suites.find(suite).tasks) for suite in SUITES},
        head=_head(model, seed),
    )
    for key, value in changes.items():
        if key in tasks:
            for attribute, told in value.items():
                setattr(tasks[key], attribute, told)
        else:
            setattr(run, key, value)
    return build(run, rules or Rules("gpt4"))


def _head(model, seed):
    return {
        "model": f"{model}, revision 5e1c0f1{seed}",
        "template": "llama-2-chat 0a1b2c3d",
        "server": "TGI 2.4.0, 8 replicas, spoken to as tgi",
        "played": f"2026-01-{seed % 27 + 1:02} 01:10 to 03:42 UTC",
        "profile": "paper, seed 0",
        "decoding": "protocol: greedy, and sampled where the paper sampled",
        "samples": "all of every task",
    }


def _task(name, score, draw, samples):
    top = 10.0 if score.unit == "points" else 1.0
    mean = min(
        0.97, max(0.02, score.value / (10.0 if score.unit == "points" else 100.0) + draw.gauss(0, 0.03))
    )
    rows = [_row(n, name, mean, top, draw) for n in range(samples)]
    task = TaskData(name, score.metric, score.unit, samples, rows=rows, headline=Mean())
    rule = Plain().aggregate
    task.aggregate = lambda rows: {score.metric: next(iter(rule(rows).values()))}
    turns = draw.randrange(1, 30)
    task.cost = Cost(
        samples, samples * turns, samples * turns * 1900, samples * turns * 80, samples * turns * 2.1
    )
    return task


def _row(n, name, mean, top, draw):
    outcome = draw.choices(("scored", "limit", "model_error"), (8, 1, 1))[0]
    if top > 1:
        return Row(f"{n}", 0, outcome, float(min(10, max(1, round(draw.gauss(mean * 10, 2))))))
    if name in GRADED:
        return Row(
            f"{n}",
            0,
            outcome,
            1.0 if draw.random() < mean / 3 else max(0.0, min(1.0, draw.gauss(mean * 0.8, 0.25))),
        )
    return Row(f"{n}", 0, outcome, float(draw.random() < mean))
