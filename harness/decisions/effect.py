"""The difference between two runs on one task, with its interval and p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import cast

from harness.decisions.pairs import Differences, pair
from harness.decisions.significance import bootstrap_p, mcnemar
from harness.report import stats
from harness.report.columns import Key
from harness.report.headline import headline_of
from harness.report.run_data import TaskData
from harness.types import Macro, Mean, Row, Statistic, Unit

SCALES = {"percent": 100.0, "points": 10.0}
"""Points of a task's scale: percentage points; ten for one point of MT-Bench's ten."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What changed from the first to the second run, over the episodes that both have.

    `before`, `after`, `difference` and `ci` are in points of the task's scale (see SCALES).

    Attributes:
        ci: 95 % interval of the difference; None for fewer than two clusters.
        p: two-sided p-value of "no difference".
        test: which test gave it: `McNemar` or `paired bootstrap`.
        fell, rose: the (sample, repeat) whose value changed.
        pairs: number of episodes compared.
        only_before, only_after: counted episodes that the other run lacks.
    """

    before: float
    after: float
    difference: float
    ci: tuple[float, float] | None
    p: float
    test: str
    fell: Sequence[Key]
    rose: Sequence[Key]
    pairs: int
    only_before: int
    only_after: int


def scale(unit: Unit) -> float:
    """Points for a value of 1."""
    return SCALES[unit]


def effect(first: TaskData, second: TaskData, seed: int = 0) -> Effect | None:
    """Compare one task's rows in two runs; None when they share no episode."""
    pairs = pair(first.rows, second.rows)
    if not pairs.keys:
        return None
    statistic = headline_of(second)
    factor = scale(second.unit)
    before = statistic(_part(first.rows, pairs.first)) * factor
    after = statistic(_part(second.rows, pairs.second)) * factor
    fell, rose = pairs.changed()
    table = Differences(first.rows, pairs)
    units = table.units
    clusters = len(set(units))
    if not fell and not rose:
        draws = [0.0]
    elif isinstance(statistic, Mean | Macro):
        draws = stats.draws(table, statistic, seed)
    else:
        both = [(first.rows[a], second.rows[b]) for a, b in zip(pairs.first, pairs.second, strict=True)]
        draws = _draws(both, units, statistic, seed)
    share = math.isclose(after, fmean(pairs.after) * factor) and math.isclose(
        before, fmean(pairs.before) * factor
    )
    if clusters == len(pairs.keys) and pairs.binary and share:  # no repeats, no clusters
        test, p = "McNemar", mcnemar(len(fell), len(rose))
    else:
        test, p = "paired bootstrap", bootstrap_p(draws) if fell or rose else 1.0
    ci = stats.percentiles(draws) if clusters > 1 else None
    return Effect(
        before, after, after - before, (ci[0] * factor, ci[1] * factor) if ci else None, p, test,
        fell, rose, len(pairs.keys), pairs.only_before, pairs.only_after,
    )  # fmt: skip


def _part(rows: Sequence[Row], places: Sequence[int]) -> Sequence[Row]:
    return rows if len(places) == len(rows) else [rows[place] for place in places]


def _draws(
    pairs: Sequence[tuple[Row, Row]], units: Sequence[object], statistic: Statistic, seed: int
) -> list[float]:
    """Draws of the difference of a statistic that is no average: both runs are resampled row by row."""
    import numpy as np

    groups: dict[object, list[tuple[Row, Row]]] = {}
    for unit, both in zip(units, pairs, strict=True):
        groups.setdefault(unit, []).append(both)
    members, drawn = list(groups.values()), np.random.default_rng(seed)
    times = max(stats.FEWEST, min(stats.DRAWS, stats.WORK // (2 * len(pairs))))
    found: list[float] = []
    for _ in range(times):
        places = cast("list[int]", drawn.integers(0, len(members), len(members)).tolist())
        rows = [both for place in places for both in members[place]]
        difference = statistic([after for _, after in rows]) - statistic([before for before, _ in rows])
        found.append(difference if math.isfinite(difference) else math.nan)
    return found
