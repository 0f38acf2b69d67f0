"""Success of an episode and the rates over many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.types import Row
from tasks.miniwob.score import aggregate, success, wilson


@pytest.mark.parametrize(
    ("state", "values"),
    [
        ({"done": True, "reward": 0.7, "raw": 1}, (1, 1)),
        ({"done": True, "reward": -1, "raw": -1}, (0, 0)),
        ({"done": False, "reward": 0, "raw": 0}, (0, 0)),
        ({"done": True, "reward": 0.2, "raw": 0.2}, (1, 1)),
        ({"done": True, "reward": 0.2, "raw": 0.2, "strict": True}, (1, 0)),
        ({"done": True, "reward": 1, "raw": 1, "moved": True}, (1, 0)),
    ],
)
def test_both_rules(state: dict, values: tuple[float, float]):
    assert success(**({"strict": False, "moved": False} | state)) == values


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_the_textbook_interval(counts: tuple[int, int]):
    from statsmodels.stats.proportion import proportion_confint

    assert wilson(*counts) == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-12)


def test_wilson_of_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def rows() -> list[Row]:
    """Three tasks of unequal size: 1/1, 1/4 and 0/5, one of them through a plan that failed."""
    values = {"a": [1.0], "b": [1.0, 0, 0, 0], "c": [0.0] * 5}
    return [
        Row(
            f"{task}/{trial}",
            0,
            "model_error" if task == "c" else "scored",
            value,
            {"calls": 2.0},
            {"task": task},
        )
        for task, found in values.items()
        for trial, value in enumerate(found)
    ]


def test_micro_counts_every_episode_once():
    found = aggregate(rows())
    assert found["success_rate"] == pytest.approx(2 / 10)
    assert found["macro"] == pytest.approx((1 + 1 / 4 + 0) / 3)
    assert (found["wilson_low"], found["wilson_high"]) == pytest.approx(wilson(2, 10))
    assert found["page/b"] == pytest.approx(1 / 4)
    assert found["page/b/high"] == pytest.approx(wilson(1, 4)[1])
    assert found["calls"] == 2.0


def test_nothing_gives_nothing():
    assert aggregate([]) == {}
