"""The tests behind compare and gate, against scipy and statsmodels."""

import math
import random

import numpy as np
import pytest

from harness.decisions.effect import effect
from harness.decisions.pooled import SampleResults, own_flip_rate, own_variance, pooled
from harness.decisions.power import Design, power
from harness.decisions.significance import bootstrap_p, holm, lower_tail, mcnemar
from harness.report.run_data import TaskData
from harness.types import Mean, Row

# Scipy and statsmodels take a second to import, which every process that collects this file would pay.


@pytest.mark.parametrize(
    ("lost", "gained"), [(0, 0), (0, 1), (1, 0), (3, 9), (40, 40), (200, 260), (20_000, 19_600), (0, 900)]
)
def test_mcnemar_equals_statsmodels_exact_test(lost, gained):
    from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

    expected = sm_mcnemar([[5, lost], [gained, 5]], exact=True).pvalue if lost + gained else 1.0
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, expected), rel=1e-6, abs=1e-300)


def test_mcnemar_of_half_a_million_changes_is_a_number():
    assert 0 < mcnemar(250_000, 251_500) < 0.1


def test_holm_equals_statsmodels():
    from statsmodels.stats.multitest import multipletests

    drawn = random.Random(1)
    for _ in range(50):
        values = {f"t{n}": drawn.random() ** 3 for n in range(drawn.randint(1, 16))}
        expected = multipletests(list(values.values()), method="holm")[1]
        assert list(holm(values)[name] for name in values) == pytest.approx(list(expected), abs=1e-12)


def test_the_normal_tail_equals_scipy():
    from scipy import stats as scipy_stats

    for z in np.linspace(-8, 8, 41):
        assert lower_tail(z) == pytest.approx(scipy_stats.norm.cdf(z), rel=1e-9)


def test_a_bootstrap_p_value_is_never_0_and_1_for_draws_around_0():
    assert bootstrap_p([1.0] * 999) == pytest.approx(2 / 1000)
    assert bootstrap_p([-1.0, 1.0] * 500) == 1.0
    assert bootstrap_p([math.nan]) == 1.0


def task(values, *, clusters=None):
    rows = [
        Row(f"s{n}", 0, "scored", value, {}, {}, clusters[n] if clusters else "")
        for n, value in enumerate(values)
    ]
    aggregate = lambda rows: {"accuracy": sum(r.value for r in rows) / len(rows)}  # noqa: E731
    return TaskData("t", "accuracy", "percent", len(rows), rows=rows, aggregate=aggregate, headline=Mean())


def test_the_paired_interval_equals_scipys_bootstrap_within_its_own_noise():
    from scipy import stats as scipy_stats

    drawn = np.random.default_rng(3)
    before = drawn.random(120)
    after = np.clip(before + drawn.normal(0.03, 0.2, 120), 0, 1)
    found = effect(task(before.tolist()), task(after.tolist()))
    expected = scipy_stats.bootstrap(
        ((after - before),), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert found.test == "paired bootstrap"
    assert found.difference == pytest.approx(100 * (after - before).mean())
    assert found.ci == pytest.approx((100 * expected.low, 100 * expected.high), abs=0.35)


def test_values_of_0_and_1_are_tested_by_mcnemar_and_clusters_are_not():
    before, after = [1.0] * 30 + [0.0] * 10, [1.0] * 20 + [0.0] * 20
    found = effect(task(before), task(after))
    assert (found.test, len(found.fell), len(found.rose)) == ("McNemar", 10, 0)
    assert found.p == pytest.approx(2 / 2**10)
    pages = [f"page {n // 4}" for n in range(40)]
    grouped = effect(task(before, clusters=pages), task(after, clusters=pages))
    assert grouped.test == "paired bootstrap", "samples of one page are not independent"
    assert grouped.ci[1] - grouped.ci[0] > found.ci[1] - found.ci[0]


def test_only_episodes_that_both_runs_have_are_compared():
    first, second = task([1.0, 0.0, 1.0]), task([1.0, 0.0, 1.0, 0.0, 0.0])
    second.rows = second.rows[1:]
    found = effect(first, second)
    assert (found.pairs, found.only_before, found.only_after) == (2, 1, 2)
    assert (found.before, found.after) == (50.0, 50.0)


def test_the_pooled_test_with_one_run_is_mcnemars():
    from scipy import stats as scipy_stats

    before, tonight = [1.0] * 12 + [0.0] * 8, [1.0] * 4 + [0.0] * 8 + [1.0] * 2 + [0.0] * 6
    samples = [SampleResults([b], [t], 1 / 20) for b, t in zip(before, tonight, strict=True)]
    found = pooled(samples)
    assert found.p_worse == pytest.approx(scipy_stats.binom.cdf(2, 10, 0.5))
    assert found.difference == pytest.approx(-6 / 20)
    assert found.flip_rate == pytest.approx(0.5)


@pytest.mark.parametrize("nights", [1, 2])
def test_the_pooled_test_equals_a_permutation_of_each_samples_results(nights):
    drawn = np.random.default_rng(7)
    shares = drawn.random(80)
    before = (drawn.random((80, 3)) < shares[:, None]).astype(float)
    tonight = (drawn.random((80, nights)) < shares[:, None] - 0.08).astype(float)
    samples = [SampleResults(list(b), list(t), 1 / 80) for b, t in zip(before, tonight, strict=True)]
    found = pooled(samples)
    everything = np.hstack([before, tonight])
    draws = np.array([drawn.permuted(everything, axis=1) for _ in range(4000)])
    means = draws[:, :, 3:].mean(axis=2) - draws[:, :, :3].mean(axis=2)
    simulated = means.mean(axis=1)
    assert found.difference == pytest.approx(tonight.mean() - before.mean())
    spread = math.sqrt(sum(sample.null_variance() for sample in samples))
    assert spread == pytest.approx(simulated.std(), rel=0.05)
    assert found.p_worse == pytest.approx((simulated <= found.difference + 1e-9).mean(), abs=0.03)


def test_nothing_changed_is_no_evidence():
    found = pooled([SampleResults([1.0, 1.0, 1.0], [1.0], 0.5), SampleResults([0.0] * 3, [0.0], 0.5)])
    assert (found.p_worse, found.p_better, found.flip_rate) == (1.0, 1.0, 0.0)


def test_flip_rate_and_variance_between_runs():
    results = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    assert own_flip_rate(results) == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    assert own_variance(results) == pytest.approx(own_flip_rate(results) / 2)
    assert own_flip_rate([[1.0], [0.0]]) is None


@pytest.mark.parametrize(
    ("drop", "n", "runs", "seen"),
    [
        (0.05, 300, 1, 0.24),
        (0.05, 300, 3, 0.56),
        (0.10, 300, 3, 0.99),
        (0.10, 50, 1, 0.08),
        (0.10, 50, 5, 0.35),
    ],
)
def test_the_stated_power_is_that_of_simulated_nights(drop, n, runs, seen):
    # Simulated with 10 % flips and 16 tasks; one run is judged by the exact test, which sees less.
    assert power(drop, Design(n, 0.05, runs, 16)) == pytest.approx(seen, abs=0.12)
