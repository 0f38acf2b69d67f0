"""Splits each task's score by whether the prompt already held the question or its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.catalog import registry
from harness.report.breakdown import group
from harness.report.layout import NONE, number
from harness.report.result import Group, TaskResult

NAMES = ("leaked", "rest")


def split(tasks: Mapping[str, TaskResult]) -> dict[str, list[Group]]:
    """The scores of leaked and of all other episodes, of each installed task that has leaked ones."""
    found: dict[str, list[Group]] = {}
    for name in tasks.keys() & set(registry.names()):
        task, data = registry.load(name), tasks[name].data
        leaked = [task.leaked(row) for row in data.rows]
        if any(leaked):
            parts = (
                [row for row, own in zip(data.rows, leaked, strict=True) if own is wanted]
                for wanted in (True, False)
            )
            found[name] = [
                group(data, "prompt", value, rows) for value, rows in zip(NAMES, parts, strict=True)
            ]
    return {name: found[name] for name in tasks if name in found}


def lines(found: Mapping[str, Sequence[Group]]) -> Iterator[str]:
    """A line for each task."""
    for name, groups in found.items():
        yield f"  {name}: " + ", ".join(told(one) for one in groups)


def told(one: Group) -> str:
    """A group as text: its name, score, interval and size."""
    interval = f" [{one.ci[0]:.2f}, {one.ci[1]:.2f}]" if one.ci else ""
    score = NONE if one.score is None else number(one.score, 2)
    return f"{one.value} {score}{interval} (n = {one.count})"


def facts(found: Mapping[str, Sequence[Group]]) -> dict[str, Any]:
    """As JSON values, by task and by `leaked` or `rest`."""
    return {name: {one.value: one.facts() for one in groups} for name, groups in found.items()}
