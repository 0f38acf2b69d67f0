"""Which interval is printed beside a headline: none for few samples, and never one finer than the values."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.intervals import FEW, printed
from harness.report.stats import wilson
from harness.types import Macro, Mean, Row


def interval(values, statistic=None, kind="percent", repeats=1):
    rows = [Row(str(n), k, "scored", value) for n, value in enumerate(values) for k in range(repeats)]
    statistic = statistic or Mean()
    return printed(rows, statistic, statistic(rows), kind, own_aggregate=False)


def test_few_samples_that_are_right_or_wrong_have_wilsons():
    assert interval([1.0, 0.0, 1.0]) == (wilson(2, 3), "")
    assert interval([1.0, 1.0]) == (wilson(2, 2), "")


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ([0.5, 0.25, 1.0], {}),
        ([1.0, 0.0, 1.0], {"repeats": 2}),
        ([1.0, 0.0, 1.0], {"statistic": Macro("colour")}),
        ([7.0, 8.0, 9.0], {"kind": "points"}),
    ],
)
def test_other_few_samples_have_none_and_a_reason(values, more):
    found, why = interval(values, **more)
    assert found is None and why == "no interval: 3 samples, and under 10 a bootstrap says nothing"


def test_one_sample_and_equal_values_have_none():
    assert interval([0.5]) == (None, "no interval: one sample")
    assert interval([7.0] * 40, kind="points") == (None, "no interval: every sample has the same value")
    assert interval([0.5] * 40)[0] is None


@given(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=FEW, max_size=60), st.integers(1, 3))
@settings(deadline=None, max_examples=20)
def test_no_interval_is_finer_than_the_step_of_the_headline(values, repeats):
    found, _ = interval(values, repeats=repeats)
    distinct = sorted(set(values))
    if found is None:
        assert len(distinct) == 1
        return
    steps = [high - low for low, high in pairwise(distinct)]
    assert found[1] - found[0] >= min(steps, default=0.0) / (len(values) * repeats) - 1e-12
    assert 0.0 <= found[0] <= found[1] <= 1.0
