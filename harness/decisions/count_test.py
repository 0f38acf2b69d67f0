"""The exact permutation test for results of 0 and 1: how many of tonight's are right, given all results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from harness.decisions.significance import lower_tail

EXACT = 500
"""Up to this many samples with unequal results the distribution is computed, beyond it approximated."""


class Sample(NamedTuple):
    """A sample's results: `right` of all `results` are right, and `tonight` of them are from this night."""

    right: int
    results: int
    tonight: int


def tails(kinds: Mapping[Sample, int], right: int) -> tuple[float, float]:
    """The probability of at most, and of at least, as many right results tonight.

    Under the null hypothesis tonight's results of a sample are any of its results. Samples whose results
    are all equal tell nothing. With one result on each side this is McNemar's exact test.

    Args:
        kinds: how many samples of a task have these results.
        right: tonight's right results over all samples.
    """
    certain = sum(n * s.tonight for s, n in kinds.items() if s.right == s.results)
    open_kinds = {s: n for s, n in kinds.items() if 0 < s.right < s.results}
    if not open_kinds:
        return 1.0, 1.0
    if sum(open_kinds.values()) > EXACT:
        return _approximate(open_kinds, right - certain)
    return _exact(open_kinds, right - certain)


def _exact(kinds: dict[Sample, int], right: int) -> tuple[float, float]:
    import numpy as np

    chances = np.ones(1)
    for sample, count in kinds.items():
        one = np.array(_draws(sample))
        for _ in range(count):
            chances = np.convolve(chances, one)
    low, high = float(chances[: right + 1].sum()), float(chances[right:].sum())
    return min(1.0, low), min(1.0, high)


def _draws(sample: Sample) -> list[float]:
    """P(x of tonight's results are right), x from 0: hypergeometric."""
    k, n, r = sample
    return [math.comb(k, x) * math.comb(n - k, r - x) / math.comb(n, r) for x in range(r + 1)]


def _approximate(kinds: dict[Sample, int], right: int) -> tuple[float, float]:
    """The same by the normal distribution, corrected for counts being whole numbers."""
    mean = variance = 0.0
    for (k, n, r), count in kinds.items():
        share = k / n
        mean += count * r * share
        variance += count * r * share * (1 - share) * (n - r) / (n - 1)
    spread = math.sqrt(variance)
    return lower_tail((right + 0.5 - mean) / spread), lower_tail((mean - right + 0.5) / spread)
