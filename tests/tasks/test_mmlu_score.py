"""MMLU's numbers: micro, macro, categories, Wilson intervals, methods."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.authoring import wilson
from harness.types import Reply, Row
from tasks.mmlu import action, score
from tasks.mmlu.subjects import HENDRYCKS, PAPER, SUBJECTS


def row(subject: str, index: int, value: float, **metrics: float) -> Row:
    return Row(str(index), 0, "scored", value, metrics, {"subject": subject})


def test_two_maps_differ_in_anatomy_only(mirror: Path) -> None:
    assert len(SUBJECTS) == 57
    assert {s for s in SUBJECTS if PAPER[s] != HENDRYCKS[s]} == {"anatomy"}
    exact = {}
    for subject in SUBJECTS:
        with (mirror / f"mmlu/data/test/{subject}_test.csv").open(newline="") as file:
            exact[subject] = sum(1 for _ in csv.reader(file))
    totals = {
        (name, category): sum(exact[s] for s in SUBJECTS if grouping[s] == category)
        for name, grouping in (("paper", PAPER), ("hendrycks", HENDRYCKS))
        for category in ("stem", "humanities", "social", "other")
    }
    assert totals == {
        ("paper", "stem"): 3153,
        ("paper", "humanities"): 4705,
        ("paper", "social"): 3077,
        ("paper", "other"): 3107,
        ("hendrycks", "stem"): 3018,
        ("hendrycks", "humanities"): 4705,
        ("hendrycks", "social"): 3077,
        ("hendrycks", "other"): 3242,
    }


def test_micro_weighs_questions_and_macro_subjects() -> None:
    rows = [row("anatomy", i, 1.0) for i in range(3)] + [row("virology", 0, 0.0)]
    result = score.aggregate(rows)
    assert (result["accuracy"], result["macro"], result["subjects"]) == (0.75, 0.5, 2.0)
    assert (result["paper/stem"], result["paper/other"]) == (1.0, 0.0)
    assert result["hendrycks/other"] == 0.75
    assert "hendrycks/stem" not in result
    assert result["subject/anatomy"] == 1.0
    assert score.aggregate([]) == {}


@given(st.integers(1, 500), st.data())
def test_wilson_agrees_with_statsmodels(n: int, data: st.DataObject) -> None:
    from statsmodels.stats.proportion import proportion_confint

    hits = data.draw(st.integers(0, n))
    expected = proportion_confint(hits, n, method="wilson")
    assert wilson(hits, n) == pytest.approx(expected, abs=1e-12)


def test_generated_and_ranked_answers_are_told_apart() -> None:
    rows = [
        row("anatomy", 0, 1.0, method_f=1.0, mmlu_gen=1.0),
        row("anatomy", 1, 0.0, method_g=1.0),
    ]
    result = score.aggregate(rows)
    assert (result["method_f"], result["method_g"], result["mmlu_gen"]) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        (Reply(" C", choice=2), "C"),
        (Reply("whatever", choice=0), "A"),
        (Reply(" B\n"), "B"),
        (Reply("b"), None),
        (Reply(f"B{' ' * 20}or C"), None),
        (Reply("A", choice=9), None),
        (Reply(""), None),
    ],
)
def test_letters(reply: Reply, letter: str | None) -> None:
    assert action.chosen(reply) == letter
