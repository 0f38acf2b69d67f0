"""P-values: McNemar's exact test, the pooled permutation test, and Holm's correction over tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact p-value of McNemar's test.

    Args:
        lost: samples that were right before and are wrong now.
        gained: samples that were wrong before and are right now.

    Returns:
        The probability, between 0 and 1, of a split at least as uneven when each of the
        `lost + gained` changes goes either way with probability 1/2; 1 when nothing changed.
    """
    return min(1.0, 2.0 * binomial_half(min(lost, gained), lost + gained))


def binomial_half(most: int, trials: int) -> float:
    """P(X <= most) for a binomial X with probability 1/2."""
    if most >= trials:
        return 1.0
    if 2 * most >= trials:
        return 1.0 - binomial_half(trials - most - 1, trials)
    log_top = math.lgamma(trials + 1) - math.lgamma(most + 1) - math.lgamma(trials - most + 1)
    term, total = 1.0, 0.0
    for k in range(most, -1, -1):
        total += term
        term *= k / (trials - k + 1)
        if term < 1e-17 * total:
            break
    return min(1.0, math.exp(log_top - trials * math.log(2) + math.log(total)))


def lower_tail(z: float) -> float:
    """P(Z <= z) for a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values by name: compare each with the family's level.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for place, (name, value) in enumerate(sorted(values.items(), key=lambda pair: (pair[1], pair[0]))):
        highest = max(highest, min(1.0, (len(values) - place) * value))
        adjusted[name] = highest
    return adjusted


def bootstrap_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of "no difference" from bootstrap draws of a difference.

    Twice the smaller share of draws on either side of 0, both counted with one more draw, so that it is
    never 0. NaN draws are left out; 1 when none is left.
    """
    finite = [draw for draw in differences if math.isfinite(draw)]
    if not finite:
        return 1.0
    below = sum(draw <= 0 for draw in finite)
    above = sum(draw >= 0 for draw in finite)
    return min(1.0, 2.0 * (min(below, above) + 1) / (len(finite) + 1))
