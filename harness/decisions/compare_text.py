"""Writes a comparison as lines of text or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.decisions.compare import Comparison, TaskComparison
from harness.report.columns import Key

SHOWN = 10
"""Changed samples listed for a task each way; all of them are in the JSON."""


def lines(comparison: Comparison) -> Iterator[str]:
    """The comparison for people."""
    yield f"{comparison.first} -> {comparison.second}"
    width = max(len(task.task) for task in comparison.tasks)
    mark = "≈ " if comparison.unlike else ""
    for task in comparison.tasks:
        yield f"  {mark}{task.task:<{width}}  {_line(task)}"
        yield from _flips(task)
    levels = comparison.levels
    least = f"{levels.min_effect:g} point{'' if levels.min_effect == 1 else 's'}"
    yield f"counts: p <= {levels.alpha:g} after Holm's correction and at least {least}"
    for heading, found in (
        ("≈ not the same measurement, compared because of --force", comparison.unlike),
        ("differences that may be the cause (there -> here)", comparison.causes),
    ):
        if found:
            yield f"{heading}:"
            yield from (f"  {line}" for line in found)


def _line(task: TaskComparison) -> str:
    if task.effect is None:
        return f"not compared: {task.reason}"
    effect = task.effect
    interval = f"[{effect.ci[0]:+.2f}, {effect.ci[1]:+.2f}]" if effect.ci else "(no interval: one cluster)"
    text = (
        f"{effect.before:.2f} -> {effect.after:.2f}  {effect.difference:+.2f} {interval}  "
        f"{effect.test} p = {task.p:.3g}  n = {effect.pairs}  {task.verdict}"
    )
    left = effect.only_before + effect.only_after
    return f"{text}  ({left} episodes are in one run only)" if left else text


def _flips(task: TaskComparison) -> Iterator[str]:
    if task.effect is None:
        return
    for word, keys in (("fell", task.effect.fell), ("rose", task.effect.rose)):
        if keys:
            more = f", and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
            yield f"      {len(keys)} {word}: {', '.join(map(shown, keys[:SHOWN]))}{more}"


def shown(key: Key) -> str:
    """A sample's name, with its repeat unless that is the first."""
    sample, repeat = key
    return f"{sample} (repeat {repeat})" if repeat else sample


def document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values; differences and intervals in points of the task's scale."""
    return {
        "first": comparison.first,
        "second": comparison.second,
        "alpha": comparison.levels.alpha,
        "min_effect": comparison.levels.min_effect,
        "complete": comparison.complete,
        "unlike": list(comparison.unlike),
        "causes": list(comparison.causes),
        "tasks": {task.task: _document(task) for task in comparison.tasks},
    }


def _document(task: TaskComparison) -> dict[str, Any]:
    if task.effect is None:
        return {"verdict": task.verdict, "reason": task.reason}
    effect = task.effect
    return {
        "verdict": task.verdict,
        "metric": task.metric,
        "before": effect.before,
        "after": effect.after,
        "difference": effect.difference,
        "ci": list(effect.ci) if effect.ci else None,
        "p": effect.p,
        "p_adjusted": task.p,
        "test": effect.test,
        "pairs": effect.pairs,
        "only_first": effect.only_before,
        "only_second": effect.only_after,
        "fell": _keys(effect.fell),
        "rose": _keys(effect.rose),
    }


def _keys(keys: Sequence[Key]) -> list[dict[str, Any]]:
    return [{"sample": sample, "repeat": repeat} for sample, repeat in keys]
