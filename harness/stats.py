"""Intervals around a headline: a bootstrap of the very statistic that is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, cast

from harness.types import Row

if TYPE_CHECKING:
    from numpy.random import Generator

DRAWS = 2000
WORK = 2_000_000
"""Rows an aggregate may see over all draws; large benchmarks get fewer draws, never fewer than 100."""
PROBES = 5
"""Resamples on which a statistic must equal the plain mean to be drawn as one."""

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


def interval(
    rows: Sequence[Row], statistic: Statistic | None, seed: int = 0, *, proportion: bool = True
) -> tuple[float, float] | None:
    """A 95 % percentile interval, resampling samples with all their repeats.

    Args:
        rows: one row per episode.
        statistic: computes the headline from rows; None means the plain mean of the values. The mean,
            and a statistic that equals it on the rows and on some resamples, is drawn from sums instead
            of row by row.
        seed: of the draws.
        proportion: whether the values lie in [0, 1].

    Returns:
        None for fewer than two samples, or when most draws have no headline. Where every value is 0, or
        every value is 1, no resampling can vary it: then Wilson's interval over samples stands in.
    """
    import numpy as np

    clusters: dict[str, list[Row]] = {}
    for row in rows:
        clusters.setdefault(row.sample, []).append(row)
    if len(clusters) < 2:
        return None
    values = {row.value for row in rows}
    if proportion and values in ({0.0}, {1.0}):
        return wilson(len(clusters) * values.pop(), len(clusters))
    groups = list(clusters.values())
    drawn = np.random.default_rng(seed)
    if statistic is None or _is_mean(groups, statistic, drawn):
        return _of_mean(groups, drawn)
    return _of_statistic(groups, statistic, drawn)


def _is_mean(groups: list[list[Row]], statistic: Statistic, drawn: Generator) -> bool:
    """Whether a statistic is the plain mean under another name, as far as a few resamples tell."""
    for probe in range(PROBES + 1):
        rows = _resample(groups, drawn) if probe else [row for group in groups for row in group]
        if not math.isclose(statistic(rows), fmean(row.value for row in rows), rel_tol=1e-9, abs_tol=1e-12):
            return False
    return True


def _resample(groups: list[list[Row]], drawn: Generator) -> list[Row]:
    pick = cast("list[int]", drawn.integers(0, len(groups), len(groups)).tolist())
    return [row for index in pick for row in groups[index]]


def _of_mean(groups: list[list[Row]], drawn: Generator) -> tuple[float, float] | None:
    import numpy as np

    sums = np.array([sum(row.value for row in group) for group in groups])
    sizes = np.array([len(group) for group in groups], dtype=float)
    means: list[float] = []
    for _ in range(DRAWS):
        pick = drawn.integers(0, len(groups), len(groups))
        means.append(float(sums[pick].sum() / sizes[pick].sum()))
    return _percentiles(means)


def _of_statistic(
    groups: list[list[Row]], statistic: Statistic, drawn: Generator
) -> tuple[float, float] | None:
    count = sum(len(group) for group in groups)
    draws = max(100, min(DRAWS, WORK // count))
    return _percentiles([statistic(_resample(groups, drawn)) for _ in range(draws)])


def _percentiles(numbers: list[float]) -> tuple[float, float] | None:
    import numpy as np

    finite = [number for number in numbers if math.isfinite(number)]
    if len(finite) < len(numbers) / 2:
        return None
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def headline(aggregate: Callable[[Sequence[Row]], Mapping[str, float]], metric: str) -> Statistic:
    """Turn a task's aggregate into the statistic under its metric; NaN for a draw that has none."""
    return lambda rows: aggregate(rows).get(metric, math.nan)
