"""From what replies show to HScore: 0.5 * ((1 - H_ReAct) + (1 - H_General)), without empty replies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from harness.authoring import wilson
from harness.types import Row
from tasks.agent_h.action import Signs

METRIC = "h_score"
EMPTY = "empty"
RATES = ("h_react", "h_general")


def value(signs: Signs) -> float:
    """One reply's part of HScore: 1 for a plain answer, a half for one kind of sign, 0 for both."""
    return 1 - (signs.react + signs.general) / 2


def h_score(rows: Sequence[Row]) -> float:
    """HScore in [0, 1] over the replies that are not empty; NaN when all are."""
    values = [row.value for row in rows if not row.metrics.get(EMPTY)]
    return fmean(values) if values else math.nan


def aggregate(rows: Sequence[Row]) -> Mapping[str, float]:
    """HScore (of all, by level, by circumstance), both rates with Wilson's 95 % interval, and `empty_rate`.

    Replies that are all empty have no HScore.
    """
    if not rows:
        return {}
    said = [row for row in rows if not row.metrics.get(EMPTY)]
    found = {"empty_rate": 1 - len(said) / len(rows)}
    if not said:
        return found
    for rate in RATES:
        hits = sum(row.metrics.get(rate, 0.0) for row in said)
        low, high = wilson(hits, len(said))
        found |= {rate: hits / len(said), f"{rate}_low": low, f"{rate}_high": high}
    found[METRIC] = h_score(said)
    for rule in ("paper", "fixed"):
        known = [row.metrics[rule] for row in said if rule in row.metrics]
        found |= {rule: fmean(known)} if known else {}
    for label in ("level", "circumstance"):
        groups = dict.fromkeys(row.labels.get(label, "") for row in said)
        found |= {
            f"{METRIC}_{name}": h_score([r for r in said if r.labels.get(label) == name])
            for name in groups
            if name
        }
    return found
