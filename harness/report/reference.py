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
"""The suites of AgentTuning's table."""

TABLES: Mapping[str, tuple[str, ...]] = {
    "agenttuning": SUITES,
    "agentflan": ("held-in", "agentflan-heldout"),
}
"""The tables whose models can be shown, with their suites; a name is looked for in this order."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published score, in its unit.

    Attributes:
        note: remark for readers of a ratio to it.
        rough: no other score is quite comparable with it: a ratio is only an approximation.
    """

    value: float
    metric: str
    unit: Unit
    source: str
    note: str = ""
    rough: bool = False


def folder() -> Path:
    """The folder of the reference data: in the package when installed, results/ in a checkout."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "reference"
    return installed if installed.is_dir() else here.parent / "results" / "reference"


@cache
def scores(table: str = "agenttuning") -> Mapping[str, Mapping[str, Published]]:
    """Published scores by model and task; the name of a suite gives its Overall as printed.

    Args:
        table: name of the table, as `suites.toml` has it; `agenttuning` is AgentTuning's Table 4 and
            `agentflan` Agent-FLAN's Table 1.

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
            told = row["metric"], unit, row["source"], row.get("note", ""), row.get("rough") == "yes"
            score = Published(float(row["value"]), *told)
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
    """A published model in the shape of a run: `reference:MODEL`, or `reference:TABLE/MODEL` of one table.

    Raises:
        UsageError: no such table or reference model, with the nearest names.
    """
    table, model = _place(name.removeprefix(PREFIX))
    found = scores(table)[model]
    members = {suite: list(suites.find(suite).tasks) for suite in TABLES[table]}
    tasks = {
        task: TaskData(task, score.metric, score.unit, published=score.value)
        for task, score in found.items()
        if task not in members
    }
    overalls = {
        suite: found[suite].value
        for suite, own in members.items()
        if suite in found and not set(own) & set(tasks)
    }
    members = {suite: own for suite, own in members.items() if suite in overalls or set(own) & set(tasks)}
    notes = (f"published scores: {source(table)}", gains(model) if table == "agenttuning" else "")
    told = tuple(note for note in notes if note)
    return RunData(name, model, tasks, members, notes=told, overalls=overalls)


def _place(name: str) -> tuple[str, str]:
    """The table and the model that a name means."""
    table, slash, model = name.partition("/")
    if slash and table not in TABLES:
        raise registry.nearest(table, TABLES, "reference table")
    places = {f"{one}/{known}": (one, known) for one in TABLES for known in scores(one)}
    if slash and name in places:
        return places[name]
    known = {model: place for place in reversed(places.values()) for model in place[1:]}
    if not slash and name in known:
        return known[name]
    raise registry.nearest(model if slash else name, scores(table) if slash else known, "reference model")


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
    found = cell(model, task, table)
    return found.value if found else None


def cell(model: str, task: str, table: str = "agenttuning") -> Published | None:
    """What a table has of a reference model on a task, None when nothing was published there."""
    return scores(table).get(model, {}).get(task)
