"""Intervals around a headline: a bootstrap of the very statistic that is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from harness.types import Row

DRAWS = 1000
WORK = 2_000_000
"""Rows an aggregate may see over all draws; large benchmarks get fewer draws, never fewer than 100."""

Statistic = Callable[[Sequence[Row]], float]


def wilson(successes: float, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's 95 % interval for a proportion, both ends in [0, 1]."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def interval(rows: Sequence[Row], statistic: Statistic | None, seed: int = 0) -> tuple[float, float] | None:
    """A 95 % percentile interval, resampling samples with all their repeats.

    Args:
        rows: one row per episode.
        statistic: computes the headline from rows; None means the plain mean of the values, which is
            drawn at once instead of row by row.
        seed: of the draws.

    Returns:
        None for fewer than two samples. Where every episode has the same value of 0 or 1 no resampling
        can vary it: then Wilson's interval stands in.
    """
    clusters: dict[str, list[Row]] = {}
    for row in rows:
        clusters.setdefault(row.sample, []).append(row)
    if len(clusters) < 2:
        return None
    values = {row.value for row in rows}
    if values == {0.0} or values == {1.0}:
        return wilson(len(clusters) * next(iter(values)), len(clusters))
    groups = list(clusters.values())
    return _of_mean(groups, seed) if statistic is None else _of_statistic(groups, statistic, seed)


def _of_mean(groups: list[list[Row]], seed: int) -> tuple[float, float]:
    import numpy as np

    sums = np.array([sum(row.value for row in group) for group in groups])
    sizes = np.array([len(group) for group in groups], dtype=float)
    drawn = np.random.default_rng(seed)
    means: list[float] = []
    for _ in range(DRAWS):
        pick = drawn.integers(0, len(groups), len(groups))
        means.append(float(sums[pick].sum() / sizes[pick].sum()))
    return _percentiles(means)


def _of_statistic(groups: list[list[Row]], statistic: Statistic, seed: int) -> tuple[float, float]:
    import numpy as np

    count = sum(len(group) for group in groups)
    draws = max(100, min(DRAWS, WORK // count))
    drawn = np.random.default_rng(seed)
    numbers: list[float] = []
    for _ in range(draws):
        pick = drawn.integers(0, len(groups), len(groups))
        numbers.append(
            statistic([row for index in cast("list[int]", pick.tolist()) for row in groups[index]])
        )
    return _percentiles(numbers)


def _percentiles(numbers: list[float]) -> tuple[float, float]:
    import numpy as np

    low, high = np.nanpercentile(numbers, [2.5, 97.5])
    return float(low), float(high)


def headline(aggregate: Callable[[Sequence[Row]], Mapping[str, float]], metric: str) -> Statistic:
    """Turn a task's aggregate into the statistic under its metric; NaN for a draw that has none."""
    return lambda rows: aggregate(rows).get(metric, math.nan)
