"""What a task's repeats say: how its score moves from one to the next, pass@k and pass^k."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import comb
from statistics import stdev
from typing import Any

from harness.report.columns import keys_of
from harness.report.headline import headline_of, value_of
from harness.report.intervals import Interval, printed
from harness.report.run_data import TaskData
from harness.types import Macro, Mean, Row, Statistic
from harness.types.average import values_of

MOST = 8
"""Up to this many repeats every k has its numbers; of more repeats the powers of two, and all of them."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Of k tries at a sample, how often one at least is right (pass@k), and how often all are (pass^k).

    Both are averaged over the samples as the task's headline averages them, and in percent.

    Attributes:
        samples: how many have k counted repeats at least; the others are left out.
        any_ci, all_ci: 95 % intervals, by resampling clusters; None where there is none.
    """

    k: int
    samples: int
    any: float
    all: float
    any_ci: Interval | None
    all_ci: Interval | None


@dataclass(frozen=True, slots=True)
class Repeats:
    """A task's repeats.

    Attributes:
        scores: the headline of each single repeat, in the task's unit; None where it has none.
        passes: from k = 2 on; empty unless every value is 0 or 1.
    """

    scores: Sequence[float | None]
    passes: Sequence[Pass]

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "scores": list(self.scores),
            "pass": [
                {
                    "k": one.k,
                    "samples": one.samples,
                    "pass@k": one.any,
                    "pass@k_ci": list(one.any_ci) if one.any_ci else None,
                    "pass^k": one.all,
                    "pass^k_ci": list(one.all_ci) if one.all_ci else None,
                }
                for one in self.passes
            ],
        }

    def told(self) -> str:
        """As text, with only the largest k."""
        scores = [score for score in self.scores if score is not None]
        spread = f", standard deviation {stdev(scores):.2f}" if len(scores) > 1 else ""
        parts = [f"{len(self.scores)} repeats: {', '.join(f'{score:.2f}' for score in scores)}{spread}"]
        for one in self.passes[-1:]:
            for name, value, ci in (("pass@", one.any, one.any_ci), ("pass^", one.all, one.all_ci)):
                parts.append(f"{name}{one.k} {value:.2f}{f' [{ci[0]:.2f}, {ci[1]:.2f}]' if ci else ''}")
        return "; ".join(parts)


def pass_any(right: int, tries: int, k: int) -> float:
    """Probability that k of `tries` tries, `right` of them right, hold one that is right.

    The unbiased estimate of pass@k, for k <= tries.
    Source: Chen et al., "Evaluating Large Language Models Trained on Code", 2021, equation 1.
    """
    return 1.0 - comb(tries - right, k) / comb(tries, k)


def pass_all(right: int, tries: int, k: int) -> float:
    """Probability that k of `tries` tries, `right` of them right, are all right.

    The unbiased estimate of pass^k, for k <= tries.
    Source: Yao et al., "tau-bench", 2024, section 3.
    """
    return comb(right, k) / comb(tries, k)


Tries = Sequence[tuple[Row, Sequence[float]]]
"""For each sample one of its rows, and the values of all its repeats."""


def repeats(task: TaskData) -> Repeats | None:
    """What the repeats of a task with a headline say; None when no sample was repeated."""
    count = max((repeat for _, repeat in keys_of(task.rows)), default=0) + 1
    if count < 2:
        return None
    own: list[list[Row]] = [[] for _ in range(count)]
    for row in task.rows:
        own[row.repeat].append(row)
    scores = [value_of(task, rows) for rows in own]
    binary = task.unit == "percent" and set(values_of(task.rows)) <= {0.0, 1.0}
    return Repeats(scores, list(_passes(task, count)) if binary else ())


def _passes(task: TaskData, count: int) -> Iterator[Pass]:
    tries: dict[str, tuple[Row, list[float]]] = {}
    for row in task.rows:
        tries.setdefault(row.sample, (row, []))[1].append(row.value)
    headline = headline_of(task)
    statistic = headline if isinstance(headline, Mean | Macro) else Mean()
    for k in shown(count):
        kept = [one for one in tries.values() if len(one[1]) >= k]
        if kept:
            any_right, any_ci = _average(kept, k, pass_any, statistic)
            all_right, all_ci = _average(kept, k, pass_all, statistic)
            yield Pass(k, len(kept), any_right, all_right, any_ci, all_ci)


def shown(count: int) -> list[int]:
    """Which k have numbers when samples have `count` repeats."""
    return [k for k in range(2, count + 1) if count <= MOST or k == count or k & (k - 1) == 0]


def _average(
    tries: Tries, k: int, estimate: Callable[[int, int, int], float], statistic: Statistic
) -> tuple[float, Interval | None]:
    """An estimate of every sample, averaged, with its interval; in percent."""
    rows = [
        Row(
            row.sample, 0, "scored", estimate(round(sum(values)), len(values), k), {}, row.labels, row.cluster
        )
        for row, values in tries
    ]
    value = statistic(rows)
    ci, _ = printed(rows, statistic, value, "percent", own_aggregate=False)
    return 100 * value, (100 * ci[0], 100 * ci[1]) if ci else None
