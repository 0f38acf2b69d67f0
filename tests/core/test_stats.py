import math
import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import headline, interval, wilson
from harness.types import Mean, Row


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


def test_a_mean_under_another_name_has_the_interval_of_the_mean():
    values = [random.Random(n).random() for n in range(200)]
    calls = []

    def statistic(found):
        calls.append(1)
        return fmean(row.value for row in found)

    low, high = interval(rows(values), statistic)
    assert len(calls) < 20, "drawn from sums, not row by row"
    assert (low, high) == pytest.approx(interval(rows(values), Mean()), abs=0.01)


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
