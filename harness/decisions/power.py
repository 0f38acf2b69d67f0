"""How likely the gate sees a drop: what a baseline can promise before any night is played."""

from __future__ import annotations

import math
from statistics import NormalDist


def power(drop: float, n: int, flips: float, runs: int, *, alpha: float = 0.05, tasks: int = 1) -> float:
    """Probability that one night's drop on a task is called a regression.

    Args:
        drop: share of samples that turn from right to wrong, in [0, 1].
        n: samples.
        flips: share of samples that change between two runs of the same model.
        runs: of the baseline.
        alpha: one-sided level of the whole gate.
        tasks: how many tasks the gate tests; Holm's first step divides the level by it.

    Returns:
        A number in [0, 1], by the normal approximation of the pooled test.
    """
    if n < 1:
        return 0.0
    noise = flips / 2 * (1 + 1 / runs)
    assumed = math.sqrt((noise + drop / runs) / n)
    real = math.sqrt((noise + drop * (1 - drop)) / n)
    if not real:
        return 0.0
    threshold = NormalDist().inv_cdf(1 - alpha / max(1, tasks)) * assumed
    return NormalDist().cdf((drop - threshold) / real)
