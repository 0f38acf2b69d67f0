"""The interval that is printed beside a headline, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.report import stats
from harness.types import Mean, Row, Statistic, Unit
from harness.types.average import units_of, values_of

FEW = 10
"""Below so many samples a bootstrap says nothing: it draws the same few values again."""

Interval = tuple[float, float]


def printed(
    rows: Sequence[Row], statistic: Statistic, value: float, kind: Unit, *, own_aggregate: bool
) -> tuple[Interval | None, str]:
    """The 95 % interval of a headline, and the reason when there is none.

    Fewer than FEW samples have Wilson's interval where each is right or wrong and the headline is their
    share, else none. An interval is at least as wide as the step in which the headline can move.

    Args:
        rows: counted episodes.
        statistic: that the headline is.
        value: of the headline.
        kind: of the values: shares of 1, or points up to 10.
        own_aggregate: see `stats.interval`.
    """
    values, samples = values_of(rows), len(set(units_of(rows)))
    distinct = sorted(set(values))
    if samples < 2:
        return None, "no interval: one sample"
    right_or_wrong = kind == "percent" and set(distinct) <= {0.0, 1.0}
    if samples < FEW and not (len(distinct) == 1 and right_or_wrong):
        if right_or_wrong and samples == len(values) and isinstance(statistic, Mean):
            return stats.wilson(sum(values), samples), ""
        return None, f"no interval: {samples} samples, and under {FEW} a bootstrap says nothing"
    if len(distinct) == 1 and not right_or_wrong:
        return None, "no interval: every sample has the same value"
    found = stats.interval(rows, statistic, proportion=kind == "percent", own_aggregate=own_aggregate)
    if found is None:
        return None, "no interval: most resamples have no headline"
    step = min((high - low for low, high in pairwise(distinct)), default=0.0) / len(values)
    return _at_least(found, value, step, 1.0 if kind == "percent" else 10.0), ""


def _at_least(found: Interval, value: float, step: float, top: float) -> Interval:
    low, high = found
    if high - low >= step:
        return found
    return max(0.0, min(low, value - step / 2)), min(top, max(high, value + step / 2))
