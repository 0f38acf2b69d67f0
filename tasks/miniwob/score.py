"""Success of one episode, and the rates over many."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from harness.types import Row

METRIC = "success_rate"
Z = 1.959963984540054
"""Two-sided 95 %."""


def success(*, done: bool, reward: float, raw: float, strict: bool, moved: bool) -> tuple[float, float]:
    """Judge an episode by both rules.

    Args:
        done: the page ended the episode.
        reward: the page's reward, possibly decayed with time.
        raw: the reward before decay.
        strict: the page rewards partly right answers, which is no success (the unchanged checkbox pages).
        moved: the page is no longer the one that was loaded.

    Returns:
        1.0 or 0.0 by the released rule (a positive reward), and by the corrected one.
    """
    corrected = done and not moved and (raw >= 1 if strict else raw > 0)
    return float(reward > 0), float(corrected)


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; (0, 1) when there is nothing."""
    if not n:
        return 0.0, 1.0
    rate = successes / n
    middle = rate + Z * Z / (2 * n)
    half = Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def aggregate(rows: Sequence[Row]) -> Mapping[str, float]:
    """Micro average over episodes (the headline), macro over tasks, and Wilson's intervals.

    A failed plan is an episode like any other: nothing leaves the denominator.
    """
    if not rows:
        return {}
    tasks: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        tasks[row.labels["task"]].append(row.value)
    low, high = wilson(sum(row.value for row in rows), len(rows))
    found = {
        "macro": fmean(fmean(values) for values in tasks.values()),
        "wilson_low": low,
        "wilson_high": high,
    }
    for name in sorted({name for row in rows for name in row.metrics}):
        found[name] = fmean(row.metrics[name] for row in rows if name in row.metrics)
    for task, values in sorted(tasks.items()):
        low, high = wilson(sum(values), len(values))
        found |= {f"page/{task}": fmean(values), f"page/{task}/low": low, f"page/{task}/high": high}
    found[METRIC] = fmean(row.value for row in rows)
    return found
