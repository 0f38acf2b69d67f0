"""The gate's test: tonight's results of each sample against those of k baseline runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import variance

from harness.decisions.count_test import Sample, tails
from harness.decisions.significance import lower_tail


@dataclass(frozen=True, slots=True)
class SampleResults:
    """One sample's values in the baseline's runs and tonight, at least one each.

    Attributes:
        weight: share of the headline that the sample carries; the weights of a task sum to 1.
    """

    before: Sequence[float]
    tonight: Sequence[float]
    weight: float

    @property
    def difference(self) -> float:
        """Tonight's mean less the baseline's, weighted."""
        mine, theirs = sum(self.tonight) / len(self.tonight), sum(self.before) / len(self.before)
        return self.weight * (mine - theirs)

    def null_variance(self) -> float:
        """Variance of `difference` when tonight's results are any R of all N results of the sample.

        Drawing R of N without replacement gives the mean a variance of s^2 (N - R) / (R (N - 1)), with s^2
        the variance of the N results; the difference of the two means is that of tonight's mean times
        N / (N - R).
        """
        values = [*self.before, *self.tonight]
        n, r = len(values), len(self.tonight)
        mean = sum(values) / n
        spread = sum((value - mean) ** 2 for value in values) / n
        return self.weight**2 * spread * (n - r) / (r * (n - 1)) * (n / (n - r)) ** 2


@dataclass(frozen=True, slots=True)
class Pooled:
    """Tonight against a baseline on one task.

    Attributes:
        difference: of the headline, in the scale of `Score.value`; below 0 is worse.
        p_worse, p_better: one-sided p-values.
        flip_rate: share of samples that changed between tonight and a baseline run, on average.
    """

    difference: float
    p_worse: float
    p_better: float
    flip_rate: float


def pooled(samples: Sequence[SampleResults]) -> Pooled:
    """Test the samples of a task.

    Values of 0 and 1 of equal weight are counted, which is exact; with one result on each side that is
    McNemar's test. Other values take the permutation test's normal approximation. Without any change both
    p-values are 1.
    """
    difference = sum(sample.difference for sample in samples)
    if _counts(samples):
        right = round(sum(sum(sample.tonight) for sample in samples))
        worse, better = tails(Counter(map(_counted, samples)), right)
    else:
        spread = math.sqrt(sum(sample.null_variance() for sample in samples))
        worse = lower_tail(difference / spread) if spread else 1.0
        better = lower_tail(-difference / spread) if spread else 1.0
    flips = sum(_flips(sample) for sample in samples) / len(samples)
    return Pooled(difference, worse, better, flips)


def _counts(samples: Sequence[SampleResults]) -> bool:
    even = len({sample.weight for sample in samples}) == 1
    return even and all({*sample.before, *sample.tonight} <= {0.0, 1.0} for sample in samples)


def _counted(sample: SampleResults) -> Sample:
    right = round(sum(sample.before) + sum(sample.tonight))
    return Sample(right, len(sample.before) + len(sample.tonight), len(sample.tonight))


def _flips(sample: SampleResults) -> float:
    """Share of pairs of one result of tonight and one of the baseline that differ."""
    differ = sum(mine != theirs for mine in sample.tonight for theirs in sample.before)
    return differ / (len(sample.tonight) * len(sample.before))


def own_flip_rate(results: Iterable[Sequence[float]]) -> float | None:
    """Share of samples that change between two runs of a baseline, on average; None with one run."""
    rates = [_pairs_differ(values) for values in results if len(values) > 1]
    return sum(rates) / len(rates) if rates else None


def own_variance(results: Iterable[Sequence[float]]) -> float | None:
    """Variance of a sample's result from run to run (divided by n - 1), on average; None with one run."""
    found = [variance(values) for values in results if len(values) > 1]
    return sum(found) / len(found) if found else None


def _pairs_differ(values: Sequence[float]) -> float:
    n = len(values)
    same = sum(count * (count - 1) for count in Counter(values).values())
    return 1.0 - same / (n * (n - 1))
