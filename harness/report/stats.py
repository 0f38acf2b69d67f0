"""Intervals around a headline: a bootstrap of the very statistic that is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from harness.types import Macro, Mean, Row, Statistic
from harness.types.average import column_of, units_of, values_of

if TYPE_CHECKING:
    from numpy.random import Generator

DRAWS = 2000
WORK = 2_000_000
"""Rows a statistic may see over all draws; large benchmarks get fewer draws, never fewer than FEWEST."""
VECTOR_WORK = 100_000_000
"""The same for a macro average that is drawn from sums."""
FEWEST = 100
LARGE = WORK // FEWEST
"""Up to this many rows a macro average is drawn row by row, and statistics are compared with the mean."""
PROBES = 5
"""Resamples on which a statistic must equal the plain mean to be drawn as one."""


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
    rows: Sequence[Row],
    statistic: Statistic,
    seed: int = 0,
    *,
    proportion: bool = True,
    own_aggregate: bool = False,
) -> tuple[float, float] | None:
    """A 95 % percentile interval, resampling clusters: samples of a cluster with all their repeats.

    Args:
        rows: one row per episode; a row without a cluster belongs to that of its sample.
        statistic: computes the headline from rows. `Mean` is drawn from sums, `Macro` of many rows too,
            anything else row by row.
        seed: of the draws.
        proportion: whether the values lie in [0, 1].
        own_aggregate: the task computes its numbers itself. Runs of store version 1 did not say which
            statistic that was, and PROBES resamples were spent on comparing it with the mean; a `Mean`
            skips them and other statistics of at most LARGE rows still make the comparison, so that
            every run keeps its interval to the bit.

    Returns:
        None for fewer than two clusters, or when most draws have no headline. Where every value is 0, or
        every value is 1, no resampling can vary it: then Wilson's interval over clusters stands in.
    """
    values, codes = values_of(rows), _codes(units_of(rows))
    count = max(codes, default=-1) + 1
    if count < 2:
        return None
    distinct = set(values)
    if proportion and distinct in ({0.0}, {1.0}):
        return wilson(count * distinct.pop(), count)
    return percentiles(_drawn(rows, codes, statistic, seed, own_aggregate=own_aggregate))


def draws(rows: Sequence[Row], statistic: Statistic, seed: int = 0) -> list[float]:
    """The statistic of resampled rows, a number for each draw; the arguments are those of `interval`."""
    return _drawn(rows, _codes(units_of(rows)), statistic, seed, own_aggregate=False)


def _drawn(
    rows: Sequence[Row], codes: list[int], statistic: Statistic, seed: int, *, own_aggregate: bool
) -> list[float]:
    """The draws, where the cluster of each row is known by its number."""
    import numpy as np

    values, count = values_of(rows), max(codes) + 1
    drawn = np.random.default_rng(seed)
    if isinstance(statistic, Mean):
        for _ in range(PROBES if own_aggregate else 0):
            drawn.integers(0, count, count)
        return _of_mean(values, codes, count, drawn)
    if len(values) > LARGE and isinstance(statistic, Macro):
        return _of_macro(values, codes, column_of(rows, statistic.label), drawn)
    groups: list[list[Row]] = [[] for _ in range(count)]
    for row, code in zip(rows, codes, strict=True):
        groups[code].append(row)
    if len(values) <= LARGE and _is_mean(groups, statistic, drawn):
        return _of_mean(values, codes, count, drawn)
    return _of_statistic(groups, statistic, drawn)


def _codes(names: Iterable[object]) -> list[int]:
    """Number names in the order of their first appearance, from 0."""
    seen: dict[object, int] = {}
    return [seen.setdefault(name, len(seen)) for name in names]


def _is_mean(groups: list[list[Row]], statistic: Statistic, drawn: Generator) -> bool:
    """Whether a statistic gives the plain mean on each of a few resamples."""
    for probe in range(PROBES + 1):
        rows = _resample(groups, drawn) if probe else [row for group in groups for row in group]
        if not math.isclose(statistic(rows), fmean(row.value for row in rows), rel_tol=1e-9, abs_tol=1e-12):
            return False
    return True


def _resample(groups: list[list[Row]], drawn: Generator) -> list[Row]:
    pick = cast("list[int]", drawn.integers(0, len(groups), len(groups)).tolist())
    return [row for index in pick for row in groups[index]]


def _of_mean(values: Sequence[float], codes: list[int], count: int, drawn: Generator) -> list[float]:
    import numpy as np

    found: Any = values if count == len(values) else _sums(values, codes, count)
    sums, sizes = np.array(found, dtype=float), np.bincount(codes).astype(float)
    alike = float(sizes[0]) * count if (sizes == sizes[0]).all() else None
    means: list[float] = []
    for _ in range(DRAWS):
        pick = drawn.integers(0, count, count)
        total = alike or float(sizes.take(pick).sum())
        means.append(float(sums.take(pick).sum()) / total)
    return means


def _sums(values: Sequence[float], codes: list[int], count: int) -> list[float]:
    grouped: list[list[float]] = [[] for _ in range(count)]
    for value, code in zip(values, codes, strict=True):
        grouped[code].append(value)
    return [sum(group) for group in grouped]


def _of_macro(
    values: Sequence[float], codes: list[int], labels: Sequence[str], drawn: Generator
) -> list[float]:
    """Draw a macro average from the sums and sizes of what each cluster has in each group."""
    import numpy as np

    clusters = np.array(codes)
    count = int(clusters.max()) + 1
    keys, cells = np.unique(np.array(_codes(labels)) * count + clusters, return_inverse=True)
    sums, sizes = np.bincount(cells, weights=np.array(values)), np.bincount(cells)
    clusters, groups = keys % count, keys // count
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    macros: list[float] = []
    for _ in range(max(FEWEST, min(DRAWS, VECTOR_WORK // len(keys)))):
        times = np.bincount(drawn.integers(0, count, count), minlength=count).take(clusters)
        parts = np.add.reduceat(times * sizes, starts)
        there = parts > 0
        macros.append(float((np.add.reduceat(times * sums, starts)[there] / parts[there]).mean()))
    return macros


def _of_statistic(groups: list[list[Row]], statistic: Statistic, drawn: Generator) -> list[float]:
    count = sum(len(group) for group in groups)
    times = max(FEWEST, min(DRAWS, WORK // count))
    return [statistic(_resample(groups, drawn)) for _ in range(times)]


def percentiles(numbers: Sequence[float]) -> tuple[float, float] | None:
    """The middle 95 % of draws; None when fewer than half of them are numbers."""
    import numpy as np

    finite = [number for number in numbers if math.isfinite(number)]
    if len(finite) < len(numbers) / 2:
        return None
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def headline(aggregate: Callable[[Sequence[Row]], Mapping[str, float]], metric: str) -> Statistic:
    """Turn a task's aggregate into the statistic under its metric; NaN for a draw that has none."""
    return lambda rows: aggregate(rows).get(metric, math.nan)
