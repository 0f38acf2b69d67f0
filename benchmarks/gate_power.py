"""How often the gate is red for nothing, and how often it sees a drop: simulated nights, seeds fixed.

Sixteen tasks of the published sizes. A sample is right with a probability of its own, such that two runs of
one model differ on 10 % of them (`FLIPS`). A baseline pools k runs; every later night is judged by it with
`harness.decisions` (one-sided, Holm over the tasks, level 0.05, no minimum effect). Exits 1 when a stated
bound does not hold.

    python benchmarks/gate_power.py [baselines] [nights]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from harness.decisions.count_test import Sample, tails
from harness.decisions.pooled import SampleResults, pooled
from harness.decisions.significance import holm

SIZES = {
    "alfworld": 50, "webshop": 200, "mind2web": 177, "knowledgegraph": 150, "os": 144, "dbbench": 300,
    "sciworld": 270, "miniwob": 138, "webarena": 812, "hotpotqa": 300, "rewoo": 350, "card_game": 200,
    "mmlu": 14042, "gsm8k": 1319, "mt_bench": 80, "humaneval": 164,
}  # fmt: skip
FLIPS, ALPHA, BASELINES, NIGHTS = 0.10, 0.05, 200, 300


@dataclass(frozen=True, slots=True)
class Task:
    """Each sample's probability of being right, n numbers."""

    shares: np.ndarray

    def runs(self, times: int, drawn: np.random.Generator, drop: float = 0.0) -> np.ndarray:
        """Play runs: times x n results of 0 or 1; `drop` of the right ones turn wrong."""
        right = drawn.random((times, len(self.shares))) < self.shares
        return right & (drawn.random(right.shape) >= drop / self.shares.mean()) if drop else right


def task(n: int, flips: float, drawn: np.random.Generator) -> Task:
    """A task that is right on about 60 % of its samples, with 2 p (1 - p) = `flips` for each."""
    unsure = (1 - np.sqrt(1 - 2 * flips)) / 2
    return Task(np.where(drawn.random(n) < 0.6, 1 - unsure, unsure))


def p_values(before: np.ndarray, nights: np.ndarray) -> np.ndarray:
    """One-sided p-values of `pooled` for many nights: `before` is k x n, `nights` m x n."""
    k, sums = len(before), before.sum(axis=0)
    found: list[float] = []
    for night in nights:
        right, times = np.unique(sums + night, return_counts=True)
        pairs = zip(right.tolist(), times.tolist(), strict=True)
        found.append(tails({Sample(r, k + 1, 1): t for r, t in pairs}, int(night.sum()))[0])
    return np.array(found)


def check(drawn: np.random.Generator) -> None:
    """The fast form above gives what the gate itself gives."""
    for k in (1, 3):
        one = task(120, FLIPS, drawn)
        before, nights = one.runs(k, drawn), one.runs(5, drawn, 0.1)
        for night, fast in zip(nights, p_values(before, nights), strict=True):
            samples = [
                SampleResults([float(v) for v in before[:, n]], [float(night[n])], 1 / 120)
                for n in range(120)
            ]
            assert abs(pooled(samples).p_worse - fast) < 1e-9, (k, fast)


def red(values: np.ndarray) -> np.ndarray:
    """Which nights are red: `values` is tasks x nights."""
    names = [str(n) for n in range(len(values))]
    return np.array([min(holm(dict(zip(names, night, strict=True))).values()) <= ALPHA for night in values.T])


def false_alarms(k: int, baselines: int, nights: int, seed: int = 0) -> np.ndarray:
    """Share of red nights of each of many baselines, the model unchanged."""
    drawn = np.random.default_rng(seed)
    tasks = [task(n, FLIPS, drawn) for n in SIZES.values()]
    found: list[float] = []
    for _ in range(baselines):
        values = [p_values(one.runs(k, drawn), one.runs(nights, drawn)) for one in tasks]
        found.append(red(np.array(values)).mean())
    return np.array(found)


def twice(rates: np.ndarray) -> float:
    """Share of nights that are the second red one in a row, nights being independent given the baseline."""
    return float((rates**2).mean())


def seen(k: int, n: int, drop: float, flips: float = FLIPS, times: int = 1000) -> float:
    """Share of nights on which a drop in one of sixteen tasks is called, by Holm's first step."""
    drawn = np.random.default_rng(1)
    called = 0
    for _ in range(times // 10):
        one = task(n, flips, drawn)
        before = one.runs(k, drawn)
        called += int((p_values(before, one.runs(10, drawn, drop)) <= ALPHA / len(SIZES)).sum())
    return called / (times // 10 * 10)


def main() -> int:
    baselines = int(sys.argv[1]) if len(sys.argv) > 1 else BASELINES
    nights = int(sys.argv[2]) if len(sys.argv) > 2 else NIGHTS
    check(np.random.default_rng(2))
    failed = 0

    def line(what: str, value: float, bound: float, *, most: bool) -> None:
        nonlocal failed
        holds = value <= bound if most else value >= bound
        failed += not holds
        sign = "<=" if most else ">="
        print(f"{what}: {100 * value:.2f} % ({sign} {100 * bound:g} %){'' if holds else '  MISSED'}")

    for k in (1, 3, 5):
        rates = false_alarms(k, baselines, nights)
        print(
            f"k = {k}: red for nothing on {100 * rates.mean():.2f} % of nights; 95th percentile of baselines "
            f"{100 * np.percentile(rates, 95):.1f} %, worst {100 * rates.max():.1f} %; twice in a row "
            f"{100 * twice(rates):.2f} %"
        )
        if k == 3:
            line("k = 3, mean", float(rates.mean()), 0.05, most=True)
            line("k = 3, 95th percentile of baselines", float(np.percentile(rates, 95)), 0.10, most=True)
            line("k = 3, two nights in a row", twice(rates), 0.005, most=True)
    for n in (50, 300, 1319):
        cells = [f"{d} points {100 * seen(k, n, d / 100):.0f} %" for d in (5, 10) for k in (1, 3, 5)]
        print(f"n = {n}, k = 1, 3, 5: {', '.join(cells)}")
    line("k = 3, n = 300, 10 points", seen(3, 300, 0.10), 0.95, most=False)
    line("k = 3, n = 300, 5 points", seen(3, 300, 0.05), 0.50, most=False)
    line("k = 1, n = 300, no flips, 5 points", seen(1, 300, 0.05, flips=0.0), 0.90, most=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
