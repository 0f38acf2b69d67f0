"""pass@k and pass^k against all ways of taking k tries, against the score, and through report and gate."""

import json
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_runs import stored_run

from harness.cli.gate_command import command as gate_command
from harness.report.build import build
from harness.report.load import load
from harness.report.render import render
from harness.report.repeats import MOST, pass_all, pass_any, repeats, shown
from harness.report.run_data import TaskData
from harness.types import Macro, Mean, Row


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_the_estimates_are_the_shares_among_all_ways_of_taking_k_tries(tries, data):
    k = data.draw(st.integers(1, len(tries)))
    ways = list(combinations(tries, k))
    assert pass_any(sum(tries), len(tries), k) == pytest.approx(fmean(any(way) for way in ways))
    assert pass_all(sum(tries), len(tries), k) == pytest.approx(fmean(all(way) for way in ways))


def test_the_ks_that_are_shown():
    assert shown(1) == []
    assert shown(4) == [2, 3, 4]
    assert shown(MOST + 2) == [2, 4, 8, MOST + 2]


def made(values, headline=None, unit="percent", labels=lambda n: {}, cluster=lambda n: ""):
    statistic = headline or Mean()
    rows = [
        Row(f"s{n}", k, "scored", value, {}, labels(n), cluster(n))
        for n, tries in enumerate(values)
        for k, value in enumerate(tries)
    ]
    return TaskData(
        "t", "accuracy", unit, len(rows), rows=rows, headline=statistic,
        aggregate=lambda rows: {"accuracy": statistic(rows)},
    )  # fmt: skip


def test_a_task_that_is_played_once_has_no_repeats():
    assert repeats(made([(1.0,), (0.0,)])) is None


def test_the_score_of_each_repeat_and_its_spread():
    found = repeats(made([(1.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0)]))
    assert found.scores == [75.0, 50.0]
    assert "2 repeats: 75.00, 50.00, standard deviation 17.68" in found.told()
    (one,) = found.passes
    assert (one.k, one.any, one.all, one.samples) == (2, 75.0, 50.0, 4)


def test_a_sample_with_fewer_repeats_is_left_out_of_larger_k():
    found = repeats(made([(1.0, 1.0, 0.0), (0.0, 1.0)]))
    assert [(one.k, one.samples) for one in found.passes] == [(2, 2), (3, 1)]
    assert found.passes[0].all == pytest.approx(100 * fmean([1 / 3, 0.0]))


@pytest.mark.parametrize("change", [{"unit": "points"}, {"values": [(0.5, 1.0), (1.0, 0.0)]}])
def test_other_values_than_right_and_wrong_have_scores_and_no_passes(change):
    found = repeats(made(**{"values": [(1.0, 1.0), (1.0, 0.0)], **change}))
    assert len(found.scores) == 2 and not found.passes


def test_a_macro_average_weighs_groups_alike():
    values = [(1.0, 1.0)] * 3 + [(1.0, 0.0)]
    found = repeats(made(values, Macro("g"), labels=lambda n: {"g": "a" if n < 3 else "b"}))
    assert (found.passes[0].any, found.passes[0].all) == (100.0, 50.0)


def test_intervals_resample_clusters_not_samples():
    values = [(1.0, 1.0) if n < 60 else (0.0, 1.0) for n in range(120)]
    alone = repeats(made(values)).passes[0].all_ci
    tied = repeats(made(values, cluster=lambda n: f"c{n // 10}")).passes[0].all_ci
    assert alone[0] > tied[0] and alone[1] < tied[1]
    assert alone[0] < 50.0 < alone[1]


def test_the_report_shows_them_in_every_form(tmp_path):
    tries = [(1.0, 0.0, 1.0)] * 20 + [(1.0, 1.0, 1.0)] * 20
    report = build(load(str(stored_run(tmp_path / "r", {"sums": tries}, repeats=3))))
    assert "pass@3 100.00 [91.24, 100.00]; pass^3 50.00 [" in render([report], "table")
    facts = report.tasks["sums"].facts()["repeats"]
    assert facts["scores"] == [100.0, 50.0, 100.0]
    assert [one["k"] for one in facts["pass"]] == [2, 3]
    assert "sums,pass^3,50.0" in render([report], "csv")


def test_the_gate_tells_both_sides_from_all_results_and_a_night_without_repeats_has_none(tmp_path, capsys):
    def gate(*words):
        return gate_command.main([*map(str, words)], standalone_mode=False)

    half = [(1.0, 0.0), (1.0, 1.0)] * 20
    runs = [stored_run(tmp_path / name, {"sums": half}, repeats=2) for name in ("a", "b")]
    assert gate(*runs, "--save", tmp_path / "b.json") == 0
    stored_run(tmp_path / "night", {"sums": [(0.0, 0.0), (1.0, 1.0)] * 20}, repeats=2)
    capsys.readouterr()
    assert gate(tmp_path / "night", "--baseline", tmp_path / "b.json") == 4
    # Two of a sample's four results are right: of two drawn one at least is right in 5 of 6 ways, both in 1.
    assert "pass@2 91.67 -> 50.00, pass^2 58.33 -> 50.00" in capsys.readouterr().out
    stored_run(tmp_path / "once", {"sums": [0.0, 1.0] * 20})
    assert gate(tmp_path / "once", "--baseline", tmp_path / "b.json", "--format", "json") == 4
    assert "passes" not in json.loads(capsys.readouterr().out)["tasks"]["sums"]
