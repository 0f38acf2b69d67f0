"""Published scores and the weights of AgentTuning's Overall, shipped as data."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

from harness.catalog import registry, suites
from harness.catalog.suites import Rule
from harness.errors import UsageError
from harness.report.run_data import RunData, TaskData
from harness.types import Unit

PREFIX = "reference:"
GPT4 = "gpt-4"
SUITES = ("held-in", "held-out", "general")


@dataclass(frozen=True, slots=True)
class Published:
    """One published score, in its unit."""

    value: float
    metric: str
    unit: Unit
    source: str


def folder() -> Path:
    """Where the reference data lies: in the package when installed, in results/ in a checkout."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "reference"
    return installed if installed.is_dir() else here.parent / "results" / "reference"


@cache
def scores(table: str = "agenttuning") -> Mapping[str, Mapping[str, Published]]:
    """Published scores by model and task.

    Args:
        table: name of the table, as `suites.toml` has it; `agenttuning` is AgentTuning's Table 4.

    Raises:
        UsageError: there is no such table.
    """
    path = folder() / f"{table}.csv"
    if not path.is_file():
        raise UsageError(f"there is no reference table {table}: {path} is missing")
    found: dict[str, dict[str, Published]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            unit: Unit = "points" if row["unit"] == "points" else "percent"
            score = Published(float(row["value"]), row["metric"], unit, row["source"])
            found.setdefault(row["model"], {})[row["task"]] = score
    return found


def source(table: str = "agenttuning") -> str:
    """Where a table's scores were published."""
    return next(iter(next(iter(scores(table).values())).values())).source


@cache
def weight_inverse() -> Mapping[str, float]:
    """Mean score of the five baselines by task; the Overall divides by it, unrounded."""
    return json.loads((folder() / "agenttuning_weights.json").read_text(encoding="utf-8"))["weight_inverse"]


def as_run(name: str) -> RunData:
    """A published model in the shape of a run.

    Raises:
        UsageError: no such reference model, with the nearest names.
    """
    model = name.removeprefix(PREFIX)
    if model not in scores():
        raise registry.nearest(model, scores(), "reference model")
    tasks = {
        task: TaskData(task, score.metric, score.unit, published=score.value)
        for task, score in scores()[model].items()
    }
    members = {suite: list(suites.find(suite).tasks) for suite in SUITES}
    notes = (f"published scores: {source()}", gains(model))
    return RunData(name, model, tasks, members, notes=tuple(note for note in notes if note))


def overall(scores: Mapping[str, float], rule: Rule = "agenttuning") -> float | None:
    """One number for scores in their units, unrounded.

    `mean` is their mean; `agenttuning` the mean of score over baseline mean. None when there is no score, or
    a task has no weight.
    """
    if rule == "mean":
        return fmean(scores.values()) if scores else None
    weights = weight_inverse()
    if not scores or any(task not in weights for task in scores):
        return None
    return fmean(score / weights[task] for task, score in scores.items())


def gains(model: str) -> str:
    """An AgentLM's gain over the chat model of the same size, by suite; empty for other models."""
    size = model.removeprefix("agentlm-")
    base = f"llama-2-{size}-chat"
    if size == model or base not in scores():
        return ""
    parts: list[str] = []
    for suite in SUITES:
        members = suites.find(suite).tasks
        ours, theirs = (
            overall({task: scores()[name][task].value for task in members}) for name in (model, base)
        )
        if ours and theirs:
            parts.append(f"{suite} {100 * (ours / theirs - 1):+.0f} %")
    return f"Overall against {base}: {', '.join(parts)}"


def of(model: str, task: str, table: str = "agenttuning") -> float | None:
    """A reference model's score on a task in a table, None when none was published there."""
    found = scores(table).get(model, {}).get(task)
    return found.value if found else None
