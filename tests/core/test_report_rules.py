"""The numbered rules of specs/scores.md §4 and DESIGN §3, on rows made here."""

from statistics import fmean

import pytest

from harness.catalog.suites import find
from harness.episode import BaseTask
from harness.report.build import build
from harness.report.render import render
from harness.report.rules import Rules
from harness.report.run_data import RunData, TaskData
from harness.types import Mean, Row, TaskSpec

HELD_IN = list(find("held-in").tasks)

MANY = (1.0, 0.0, 1.0, 0.5) * 3
"""Enough samples for an interval."""


class Plain(BaseTask):
    spec = TaskSpec("plain", 1, "held-in", "accuracy")


def task(name, values=(1.0, 0.0, 1.0, 0.5), *, planned=None, infra=0, **more):
    rows = [Row(f"s{n}", 0, "scored", value, {"fixed": value}) for n, value in enumerate(values)]
    planned = len(rows) + infra + more.get("pending", 0) if planned is None else planned
    found = TaskData(name, "accuracy", "percent", planned, rows=rows, infra_error=infra, **more)
    found.aggregate, found.headline = Plain().aggregate, Mean()
    return found


def run(*tasks, suites=None, missing=None):
    members = {"held-in": HELD_IN} if suites is None else suites
    return RunData("r", "m", {t.name: t for t in tasks}, members, missing or {})


def full(values=(1.0, 0.0, 1.0, 0.5)):
    return [task(name, values) for name in HELD_IN]


def test_the_score_is_the_aggregate_in_the_tasks_unit():
    report = build(run(task("os", MANY), suites={}))
    line = report.tasks["os"]
    assert line.score == 62.5
    assert line.ci[0] < 62.5 < line.ci[1] <= 100
    assert line.metrics == {"fixed": 0.625}
    assert report.complete


def test_points_are_not_scaled():
    judged = task("mt_bench", (7.0, 8.0, 9.0) * 4)
    judged.unit = "points"
    line = build(run(judged, suites={})).tasks["mt_bench"]
    assert line.score == 8.0
    assert 7.0 <= line.ci[0] <= line.ci[1] <= 9.0


def test_outcomes_are_counted_and_limits_and_model_errors_are_in_the_score():
    mixed = task("os", (1.0, 0.25, 0.0))
    mixed.rows = [
        Row("a", 0, "scored", 1.0),
        Row("b", 0, "limit", 0.25),
        Row("c", 0, "model_error", 0.0),
    ]
    line = build(run(mixed, suites={})).tasks["os"]
    assert (line.scored, line.limit, line.model_error) == (1, 1, 1)
    assert line.score == pytest.approx(100 * 1.25 / 3)


@pytest.mark.parametrize(
    ("n", "infra", "complete"),
    [(100, 1, True), (100, 2, False), (50, 1, True), (1000, 10, True), (1000, 11, False), (1, 1, False)],
)
def test_more_than_one_percent_infrastructure_errors_take_the_headline_away(n, infra, complete):
    report = build(run(task("os", [1.0, 0.0] * ((n - infra) // 2) + [1.0] * ((n - infra) % 2), infra=infra)))
    line = report.tasks["os"]
    assert line.complete is complete
    assert report.complete is complete
    assert (line.score is not None) is complete
    assert (line.ci is not None) is complete
    assert line.data.infra_error == infra
    said = "1 infrastructure error is" if infra == 1 else f"{infra} infrastructure errors are"
    assert f"{said} not in the score" in line.notes


def test_an_incomplete_task_takes_its_suites_headline_away_too():
    tasks = full()
    tasks[0] = task(HELD_IN[0], (1.0, 1.0), infra=2)
    for rules in (Rules(), Rules("gpt4"), Rules("gpt4", allow_partial=True, force=True)):
        suite = build(run(*tasks), rules).suites["held-in"]
        assert suite.overall is None
        assert suite.relative is None
        assert suite.partial == "5/6"
        assert f"incomplete: {HELD_IN[0]}" in suite.notes[0]


def test_infrastructure_errors_lower_n_not_the_score():
    """Rule 4, first half."""
    with_errors = build(run(task("os", [0.5] * 99, infra=1))).tasks["os"]
    without = build(run(task("os", [0.5] * 99))).tasks["os"]
    assert with_errors.score == without.score == 50.0
    assert with_errors.in_means


def test_below_98_percent_a_task_is_flagged_and_out_of_means():
    """Rule 4, second half: 1 error of 20 is tolerated for the task, yet 0.95 < 0.98."""
    tasks = full()
    tasks[0] = task(HELD_IN[0], [1.0] * 19, infra=1)
    report = build(run(*tasks), Rules("gpt4"))
    line, suite = report.tasks[HELD_IN[0]], report.suites["held-in"]
    assert line.complete
    assert line.score == 100.0
    assert not line.in_means
    assert any("19/20 counted" in note for note in line.notes)
    assert suite.relative == pytest.approx(fmean(report.tasks[t].relative for t in HELD_IN[1:]))
    assert suite.relative_of == 5
    assert suite.overall is None


def test_unfinished_runs_have_no_headline():
    line = build(run(task("os", (1.0, 0.0), planned=5), suites={})).tasks["os"]
    assert not line.complete
    assert line.score is None
    assert "3 episodes were not played yet" in line.notes


def test_a_missing_task_makes_the_suite_partial():
    """Rule 1."""
    tasks = full()[:5]
    report = build(run(*tasks, missing={"dbbench": ["dbbench: no database server"]}), Rules("gpt4"))
    suite = report.suites["held-in"]
    assert suite.partial == "5/6"
    assert suite.missing == ["dbbench"]
    assert suite.overall is None
    assert suite.relative is not None
    assert "missing: dbbench: no database server" in report.notes
    assert report.complete, "what was asked to run did run"
    allowed = build(run(*tasks), Rules(allow_partial=True)).suites["held-in"]
    assert allowed.overall is not None
    assert allowed.overall_of == 5
    assert any("Overall* is over 5 of 6 tasks, without dbbench" in note for note in allowed.notes)


def test_a_task_without_reference_is_shown_raw_and_left_out_of_means():
    """Rule 2."""
    report = build(
        run(task("hotpotqa"), task("quiz", MANY), suites={"agentflan-heldout": ["hotpotqa", "quiz"]}),
        Rules("gpt4"),
    )
    raw = report.tasks["quiz"]
    assert raw.score == 62.5
    assert raw.relative is None
    assert raw.notes == ["no reference score: left out of relative means"]
    suite = report.suites["agentflan-heldout"]
    assert suite.relative == report.tasks["hotpotqa"].relative == pytest.approx(100 * 62.5 / 52.1)
    assert suite.relative_of == 1
    assert suite.overall == 62.5  # this suite's rule is the mean


@pytest.mark.parametrize("reason", ["fixture data", "profile fixed", "20 samples, published on 300"])
def test_unlike_scores_have_no_ratio_unless_forced(reason):
    """Rule 3."""
    tasks = [*full()[:5], task("dbbench", not_comparable=(reason,))]
    line = build(run(*tasks), Rules("gpt4")).tasks["dbbench"]
    assert line.relative is None
    assert any(reason in note and "--force" in note for note in line.notes)
    assert build(run(*tasks), Rules("gpt4")).suites["held-in"].overall is None
    report = build(run(*tasks), Rules("gpt4", force=True))
    assert report.tasks["dbbench"].relative == pytest.approx(100 * 62.5 / 33.7)
    assert report.tasks["dbbench"].rough
    assert report.suites["held-in"].overall is not None
    assert report.suites["held-in"].approximate


def test_a_reference_of_zero_gives_no_ratio_even_by_force():
    """Rule 3."""
    against = build(run(task("os", (0.0, 0.0, 0.0)), suites={})).tasks
    line = build(run(task("os", (1.0, 0.0, 1.0)), suites={}), Rules("model", against, force=True)).tasks["os"]
    assert line.reference == 0.0
    assert line.relative is None
    assert "the reference score is 0: no ratio" in line.notes


def test_ratios_are_not_clipped_and_have_the_scaled_interval():
    """Rule 5."""
    line = build(run(task("os", (1.0, 0.9, 0.8, 1.0) * 3), suites={}), Rules("gpt4")).tasks["os"]
    assert line.relative == pytest.approx(100 * line.score / 36.8)
    assert line.relative > 200
    assert line.relative_ci == pytest.approx((100 * line.ci[0] / 36.8, 100 * line.ci[1] / 36.8))


def test_against_a_run_ratios_are_between_the_runs():
    theirs = build(run(*full((0.5, 0.5, 0.5, 0.5))))
    report = build(run(*full()), Rules("model", theirs.tasks))
    assert {line.relative for line in report.tasks.values()} == {125.0}
    assert report.suites["held-in"].relative == 125.0
    assert report.suites["held-in"].overall_relative == pytest.approx(125.0)


def test_against_a_run_what_sets_both_apart_from_the_paper_does_not_matter():
    both = ("profile fixed",)
    theirs = build(run(task("os", (0.5, 0.5, 0.5, 0.5), not_comparable=both), suites={})).tasks
    assert (
        build(run(task("os", not_comparable=both), suites={}), Rules("model", theirs)).tasks["os"].relative
        == 125.0
    )
    other = build(run(task("os"), suites={}), Rules("model", theirs)).tasks["os"]
    assert other.relative is None
    assert any("profile fixed" in note for note in other.notes)
    fewer = build(run(task("os", (1.0, 0.5), not_comparable=both), suites={}), Rules("model", theirs)).tasks[
        "os"
    ]
    assert fewer.relative is None
    assert any("2 episodes, reference 4" in note for note in fewer.notes)


def test_the_judge_is_part_of_the_metrics_name():
    judged = task("mt_bench", judge="judge-9")
    line = build(run(judged, suites={})).tasks["mt_bench"]
    assert line.metric == "accuracy@judge-9"


def test_pending_episodes_are_complete_but_have_no_number():
    report = build(run(task("mt_bench", (), pending=80), suites={"general": ["mt_bench", "gsm8k"]}))
    line = report.tasks["mt_bench"]
    assert line.complete
    assert line.score is None
    assert line.data.pending == 80
    assert report.suites["general"].partial == "0/2"


def test_a_headline_the_task_withholds_is_not_made_up():
    withheld = task("mmlu")
    withheld.aggregate = lambda rows: {"subjects": 3.0}
    line = build(run(withheld, suites={})).tasks["mmlu"]
    assert line.score is None
    assert line.metrics == {"subjects": 3.0}
    assert any("withholds" in note for note in line.notes)


def test_the_interval_is_of_the_tasks_own_statistic():
    def best(rows):
        return {"accuracy": max(row.value for row in rows)}

    own = task("os", [0.1] * 30 + [0.9])
    own.aggregate, own.headline = best, Mean()
    line = build(run(own, suites={})).tasks["os"]
    assert line.score == pytest.approx(90.0)
    assert line.ci == pytest.approx((10.0, 90.0))


def test_the_order_of_tasks_changes_nothing():
    forth, back = build(run(*full()), Rules("gpt4")), build(run(*reversed(full())), Rules("gpt4"))
    assert forth.suites == back.suites
    assert {n: r.facts() for n, r in forth.tasks.items()} == {n: r.facts() for n, r in back.tasks.items()}


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("f1"), ZeroDivisionError()])
def test_an_aggregate_that_fails_takes_its_own_headline_and_no_others(error):
    def failing(rows):
        raise error

    broken = task("os")
    broken.aggregate = failing
    report = build(run(broken, task("dbbench"), suites={}))
    assert not report.complete
    assert report.tasks["os"].score is None
    assert any(
        "cannot aggregate its rows" in note and repr(error) in note for note in report.tasks["os"].notes
    )
    assert report.tasks["dbbench"].score == 62.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_headline_that_is_no_number_is_none(value):
    odd = task("os")
    odd.aggregate = lambda rows: {"accuracy": value}
    report = build(run(odd, suites={}), Rules("gpt4"))
    assert report.tasks["os"].score is None
    assert "no number" in " ".join(report.tasks["os"].notes)
    assert '"score": null' in render([report], "json")
