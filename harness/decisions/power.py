"""Computes how likely the gate detects a drop, from the baseline, before any night is played."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Design:
    """What a gate has to work with on one task.

    Attributes:
        n: samples.
        variance: of a sample's result from run to run, on average; for values of 0 and 1 half the share of
            samples that change between two runs.
        runs: of the baseline.
        tasks: how many tasks the gate tests; Holm's first step divides the level by it.
    """

    n: int
    variance: float
    runs: int
    tasks: int = 1


def power(drop: float, design: Design, alpha: float = 0.05) -> float:
    """Probability that one night's drop on a task is called a regression.

    Args:
        drop: share of samples that turn from right to wrong, in [0, 1].
        design: of the gate.
        alpha: one-sided level of the whole gate.

    Returns:
        A number in [0, 1], by the normal approximation of the pooled test.
    """
    if design.n < 1:
        return 0.0
    noise = design.variance * (1 + 1 / design.runs)
    assumed = math.sqrt((noise + drop / design.runs) / design.n)
    real = math.sqrt((noise + drop * (1 - drop)) / design.n)
    if not real:
        return 0.0
    threshold = NormalDist().inv_cdf(1 - alpha / max(1, design.tasks)) * assumed
    return NormalDist().cdf((drop - threshold) / real)
