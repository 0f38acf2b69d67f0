"""From the values of episodes to the numbers that several benchmarks report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from harness.types import Row

Z95 = 1.959963984540054
TRIES = (1, 2, 5, 10, 20, 50, 100)
"""The k of pass@k that are reported."""


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    share, z2 = hits / n, Z95 * Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def pass_at(k: int, results: Sequence[bool]) -> float:
    """Chance to solve a problem with the best of `k` tries, unbiased from n >= k (Chen et al., 2021)."""
    n, c = len(results), sum(results)
    if n - c < k:
        return 1.0
    missed = 1.0
    for i in range(n - c + 1, n + 1):
        missed *= 1 - k / i
    return 1 - missed


def pass_rates(rows: Sequence[Row]) -> Mapping[str, float]:
    """pass@k for every k that each problem has enough tries for; empty without rows."""
    tries: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        tries[row.sample].append(row.value >= 1)
    least = min((len(results) for results in tries.values()), default=0)
    return {f"pass@{k}": fmean(pass_at(k, r) for r in tries.values()) for k in TRIES if k <= least}


def pass_at_1(rows: Sequence[Row]) -> float:
    """A headline: pass@1, each problem weighing the same."""
    return pass_rates(rows)["pass@1"]
