import math
import random
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report import stats
from harness.report.columns import Columns
from harness.report.stats import headline, interval, wilson
from harness.types import Macro, Mean, Row


def rows(values, repeats=1):
    return [Row(f"s{n}", r, "scored", value) for n, value in enumerate(values) for r in range(repeats)]


def macro(found):
    groups: dict[str, list[float]] = {}
    for row in found:
        groups.setdefault("even" if int(row.sample[1:]) % 10 == 0 else "odd", []).append(row.value)
    return fmean(fmean(values) for values in groups.values())


@pytest.mark.parametrize("hits", [0, 1, 7, 50, 99, 100])
def test_wilson_is_scipys_wilson(hits):
    from scipy.stats import binomtest

    theirs = binomtest(hits, 100).proportion_ci(method="wilson")
    assert wilson(hits, 100) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_of_nothing_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_an_interval_lies_in_the_range_of_the_values_and_is_seeded(values, seed):
    found = interval(rows(values), Mean(), seed)
    assert found is not None
    low, high = found
    assert low <= high
    if set(values) not in ({0.0}, {1.0}):
        assert min(values) - 1e-9 <= low
        assert high <= max(values) + 1e-9
    assert interval(rows(values), Mean(), seed) == found


def test_the_interval_of_a_mean_has_the_width_of_theory():
    values = [float(n % 4 == 0) for n in range(1319)]
    low, high = interval(rows(values), Mean())
    half = 1.96 * math.sqrt(0.25 * 0.75 / 1319)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert low < fmean(values) < high


def test_repeats_of_a_sample_are_one_cluster():
    """Copies of the same answer are no new evidence: the interval must not shrink with them."""
    values = [float(n % 3 == 0) for n in range(60)]
    once = interval(rows(values), Mean())
    ten_times = interval(rows(values, repeats=10), Mean())
    assert ten_times == pytest.approx(once, abs=1e-9)


def test_what_is_resampled_is_the_headline_itself():
    """A macro average over one rare and one frequent group varies with the rare group."""
    values = [random.Random(n).random() if n % 10 == 0 else 0.5 for n in range(100)]
    found = rows(values)
    low, high = interval(found, macro)
    mean_low, mean_high = interval(found, Mean())
    assert low < macro(found) < high
    assert high - low > 3 * (mean_high - mean_low)


def test_a_declared_mean_is_drawn_from_sums(monkeypatch):
    monkeypatch.setattr("harness.types.average.mean", lambda rows: pytest.fail("evaluated row by row"))
    assert interval(rows([random.Random(n).random() for n in range(200)]), Mean()) is not None


def stored():
    """Rows with one or two repeats, the same in every process."""
    seeded = random.Random(7)
    return [Row(f"s{n}", k, "scored", seeded.random(), {}, {"third": str(n % 3)})
            for n in range(60) for k in range(1 + n % 2)]  # fmt: skip


@pytest.mark.parametrize(
    ("statistic", "seed", "own", "found"),
    [
        (Mean(), 4, False, (0.3977521869259111, 0.5088307146513049)),
        (Mean(), 4, True, (0.39752831901949087, 0.5088493291437947)),
        (lambda rows: fmean(row.value for row in rows), 4, True, (0.39752831901949087, 0.5088493291437947)),
        (Macro("third"), 0, True, (0.39810531795522625, 0.5111495793449823)),
        (Macro("third"), 0, False, (0.39810531795522625, 0.5111495793449823)),
        (lambda rows: max(row.value for row in rows), 3, True, (0.9477089424570057, 0.9930959394666341)),
    ],
)
def test_runs_of_store_version_1_keep_their_intervals_to_the_bit(statistic, seed, own, found):
    """The numbers are those that version 1 gave for these rows."""
    assert interval(stored(), statistic, seed, own_aggregate=own) == found


@pytest.mark.parametrize("statistic", [Mean(), Macro("third"), lambda rows: max(row.value for row in rows)])
def test_columns_have_the_interval_of_their_rows(statistic):
    clustered = [replace(row, cluster=row.sample[:2] if row.sample < "s3" else "") for row in stored()]
    for found in (stored(), clustered):
        table = Columns()
        for row in found:
            table.add(row)
        assert interval(table, statistic, 1) == interval(found, statistic, 1)


def test_clusters_are_resampled_whole_as_scipy_resamples_their_means():
    """Equal-size clusters: the bootstrap of the mean is the bootstrap of the clusters' means."""
    from scipy.stats import bootstrap

    seeded = random.Random(1)
    centres = [seeded.random() for _ in range(40)]
    found = [
        Row(f"{n}/{k}", repeat, "scored", 0.8 * centre + 0.2 * seeded.random(), cluster=f"page {n}")
        for n, centre in enumerate(centres)
        for k in range(5)
        for repeat in range(2)
    ]
    means = [fmean(row.value for row in found[n : n + 10]) for n in range(0, 400, 10)]
    theirs = bootstrap((means,), fmean_of, method="percentile", n_resamples=20_000, rng=0)
    low, high = interval(found, Mean())
    error = 4 * theirs.standard_error * math.sqrt(0.025 * 0.975 / 2000) / 0.0584  # of a 2.5 % quantile
    assert low == pytest.approx(theirs.confidence_interval.low, abs=error)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=error)
    alone_low, alone_high = interval([replace(row, cluster="") for row in found], Mean())
    assert high - low > 1.5 * (alone_high - alone_low), "samples of a cluster are not independent"


def fmean_of(values, axis):
    return values.mean(axis=axis)


def test_a_cluster_never_mixes_with_a_sample_of_its_name():
    both = [Row("a", 0, "scored", 0.2), Row("b", 0, "scored", 0.8, cluster="a")]
    assert interval(both, Mean()) is not None


def test_one_cluster_has_no_interval_and_wilson_counts_clusters():
    one = [Row(str(n), 0, "scored", n / 10, cluster="c") for n in range(10)]
    assert interval(one, Mean()) is None
    right = [Row(str(n), 0, "scored", 1.0, cluster=f"c{n % 5}") for n in range(50)]
    assert interval(right, Mean()) == wilson(5, 5)


def test_a_macro_average_of_many_rows_is_drawn_from_sums(monkeypatch):
    """Beyond `LARGE` rows; the same picks give the same draws up to rounding."""
    seeded = random.Random(2)
    found = [
        Row(f"s{n // 2}", n % 2, "scored", seeded.random(), {}, {"kind": "rare" if n % 40 == 0 else "often"})
        for n in range(1200)
    ]
    slow = interval(found, Macro("kind"))
    monkeypatch.setattr(stats, "LARGE", 1000)
    monkeypatch.setattr("harness.types.average.macro", lambda *_: pytest.fail("evaluated row by row"))
    assert stats.interval(found, Macro("kind")) == pytest.approx(slow, abs=0.01)
    monkeypatch.setattr(stats, "VECTOR_WORK", 1)  # as few draws as there may be
    assert stats.interval(found, Macro("kind")) == pytest.approx(slow, abs=0.05)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_has_wilsons_interval(value):
    assert interval(rows([value] * 30), Mean()) == wilson(30 * value, 30)


def test_points_never_get_a_proportions_interval():
    assert interval(rows([1.0] * 30), Mean(), proportion=False) == (1.0, 1.0)


def test_one_sample_has_no_interval():
    assert interval(rows([0.5], repeats=4), Mean()) is None
    assert interval([], Mean()) is None


def test_draws_without_a_headline_are_left_out():
    def needs_first(found):
        return {"m": fmean(r.value for r in found) * 0.9} if any(r.sample == "s0" for r in found) else {}

    low, high = interval(rows([0.2, 0.4, 0.5, 0.9]), headline(needs_first, "m"))
    assert 0 < low <= high < 1

    def never(found):
        return {}

    assert interval(rows([0.2, 0.4, 0.9]), headline(never, "m")) is None
