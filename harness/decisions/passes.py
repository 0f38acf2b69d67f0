"""pass@k and pass^k in the baseline and tonight, where a night plays every sample several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.decisions.pooled import SampleResults
from harness.report.repeats import pass_all, pass_any


@dataclass(frozen=True, slots=True)
class Passes:
    """Of k tries at a sample, how often one at least is right, and how often all are; in percent.

    The baseline's numbers are estimated from the results of all its runs.

    Attributes:
        samples: how many have k results at least on both sides; the others are left out.
    """

    k: int
    samples: int
    any_before: float
    any_tonight: float
    all_before: float
    all_tonight: float

    def told(self) -> str:
        """As text."""
        return (
            f"pass@{self.k} {self.any_before:.2f} -> {self.any_tonight:.2f}, "
            f"pass^{self.k} {self.all_before:.2f} -> {self.all_tonight:.2f}"
        )


def passes(samples: Sequence[SampleResults], k: int) -> Passes | None:
    """Both numbers on both sides; None for k < 2, other values than 0 and 1, or too few results."""
    kept = [one for one in samples if min(len(one.before), len(one.tonight)) >= k]
    right_or_wrong = all({*one.before, *one.tonight} <= {0.0, 1.0} for one in kept)
    total = sum(one.weight for one in kept)
    if k < 2 or not total or not right_or_wrong:
        return None

    def average(
        estimate: Callable[[int, int, int], float], side: Callable[[SampleResults], Sequence[float]]
    ) -> float:
        found = (one.weight * estimate(round(sum(side(one))), len(side(one)), k) for one in kept)
        return 100 * sum(found) / total

    return Passes(
        k,
        len(kept),
        average(pass_any, lambda one: one.before),
        average(pass_any, lambda one: one.tonight),
        average(pass_all, lambda one: one.before),
        average(pass_all, lambda one: one.tonight),
    )
