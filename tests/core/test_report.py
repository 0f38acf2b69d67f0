"""The report's rules, and the published tables through the same code."""

from __future__ import annotations

import json
import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report import reference
from harness.report.build import build
from harness.report.render import render
from harness.report.rules import Rules
from harness.report.run_data import RunData, TaskData
from harness.report.stats import interval, wilson
from harness.types import Mean, Row

# specs/scores.md §1, as printed in the paper
OVERALLS = {
    "gpt-3.5-turbo": (1.59, 1.49, 1.15),
    "gpt-4": (2.75, 2.13, 1.53),
    "llama-2-7b-chat": (0.19, 0.38, 0.63),
    "llama-2-13b-chat": (0.20, 0.49, 0.74),
    "llama-2-70b-chat": (0.27, 0.51, 0.95),
    "agentlm-7b": (1.96, 0.67, 0.62),
    "agentlm-13b": (2.11, 0.78, 0.69),
    "agentlm-70b": (2.55, 1.40, 0.96),
}
BASELINES = ("gpt-3.5-turbo", "gpt-4", "llama-2-7b-chat", "llama-2-13b-chat", "llama-2-70b-chat")


def overalls(model: str) -> dict[str, float]:
    suites = build(reference.as_run(f"reference:{model}")).suites
    return {name: suite.overall for name, suite in suites.items()}  # type: ignore[misc]


@pytest.mark.parametrize("model", OVERALLS)
def test_the_24_printed_overalls(model: str):
    printed = [f"{overalls(model)[suite]:.2f}" for suite in reference.SUITES]
    assert printed == [f"{value:.2f}" for value in OVERALLS[model]]


def test_the_baselines_average_to_one():
    for suite in reference.SUITES:
        assert fmean(overalls(model)[suite] for model in BASELINES) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("agent", "base", "suite", "percent"),
    [
        ("agentlm-7b", "llama-2-7b-chat", "held-out", 76),
        ("agentlm-13b", "llama-2-13b-chat", "held-out", 57),
        ("agentlm-70b", "llama-2-70b-chat", "held-out", 176),
        ("agentlm-7b", "llama-2-7b-chat", "general", -1),
        ("agentlm-13b", "llama-2-13b-chat", "general", -7),
        ("agentlm-70b", "llama-2-70b-chat", "general", 1),
    ],
)
def test_the_printed_improvements(agent: str, base: str, suite: str, percent: int):
    assert round(100 * (overalls(agent)[suite] / overalls(base)[suite] - 1)) == percent


def test_gpt4_relative_to_itself_is_100():
    report = build(reference.as_run("reference:gpt-4"), Rules("gpt4"))
    assert {line.relative for line in report.tasks.values()} == {100.0}
    assert {suite.relative for suite in report.suites.values()} == {100.0}


def test_the_worked_example_of_agentlm_70b():
    suites = build(reference.as_run("reference:agentlm-70b"), Rules("gpt4")).suites
    assert [round(suites[name].relative or 0, 1) for name in reference.SUITES] == [90.2, 69.2, 65.2]
    lines = build(reference.as_run("reference:agentlm-70b"), Rules("gpt4")).tasks
    assert round(lines["alfworld"].relative or 0, 1) == 110.3, "ratios over 100 are not clipped"


# -- rules on a run


def mean(rows):
    return {"score": fmean(row.value for row in rows), "extra": 0.5}


def task(name: str, values: list[float], *, planned: int | None = None, infra: int = 0, **more) -> TaskData:
    rows = [Row(str(n), 0, "scored", value) for n, value in enumerate(values)]
    planned = len(rows) + infra if planned is None else planned
    return TaskData(name, "score", more.pop("unit", "percent"), planned, rows=rows, infra_error=infra,
                    aggregate=mean, headline=Mean(), **more)  # fmt: skip


def run(*tasks: TaskData, suite: str = "general") -> RunData:
    members = ["mmlu", "humaneval", "gsm8k", "mt_bench"]
    return RunData("r", "m", {t.name: t for t in tasks}, {suite: members})


HALF = [1.0, 0.0] * 60


def full() -> list[TaskData]:
    points = task("mt_bench", [6.0, 7.0], unit="points")
    return [task("mmlu", HALF), task("humaneval", HALF), task("gsm8k", HALF), points]


def test_scores_are_in_their_unit_and_episodes_are_not():
    data = json.loads(render([build(run(*full()))], "json"))
    assert data["tasks"]["gsm8k"]["score"] == 50.0
    assert data["tasks"]["mt_bench"]["score"] == 6.5
    assert data["tasks"]["gsm8k"]["episodes"][0]["value"] == 1.0
    assert data["tasks"]["gsm8k"]["metrics"] == {"extra": 0.5}
    low, high = data["tasks"]["gsm8k"]["ci"]
    assert 35 < low < 50 < high < 65


def test_the_json_contract_has_exactly_its_keys():
    data = json.loads(render([build(run(*full()), Rules("gpt4"))], "json"))
    assert list(data) == ["run", "model", "complete", "suites", "tasks"]
    assert set(data["suites"]["general"]) == {"overall", "relative", "partial", "tasks"}
    assert set(data["tasks"]["mmlu"]) == {
        "metric", "unit", "score", "ci", "planned", "scored", "limit", "model_error", "infra_error",
        "reference", "relative", "metrics", "notes", "episodes",
    }  # fmt: skip
    assert set(data["tasks"]["mmlu"]["episodes"][0]) == {"sample", "repeat", "outcome", "value", "metrics"}


def test_a_missing_task_makes_the_suite_partial():
    report = build(run(*full()[:3]))
    assert report.suites["general"].partial == "3/4"
    assert report.suites["general"].overall is None
    assert "—" in render([report], "table")
    allowed = build(run(*full()[:3]), Rules(allow_partial=True)).suites["general"]
    weights = [64.16, 35.64, 52.82]
    assert allowed.overall == pytest.approx(fmean(50 / weight for weight in weights))


@pytest.mark.parametrize(
    ("counted", "infra", "complete"), [(99, 1, True), (98, 2, False), (990, 10, True), (989, 11, False)]
)
def test_the_infra_rule(counted: int, infra: int, complete: bool):
    tasks = full()
    tasks[2] = task("gsm8k", [1.0] * counted, infra=infra)
    report = build(run(*tasks))
    assert report.complete is complete
    assert (report.tasks["gsm8k"].score is not None) is complete
    assert (report.suites["general"].overall is not None) is complete
    assert "not in the score" in render([report], "table")


def test_unplayed_episodes_leave_no_headline():
    report = build(run(task("gsm8k", HALF, planned=200)))
    assert report.complete is False
    assert report.tasks["gsm8k"].score is None
    assert "80 episodes were not played yet" in render([report], "table")


def test_unjudged_answers_say_how_many_wait_and_how_to_judge_them():
    waiting = TaskData("mt_bench", "score", "points", 80, pending=80, aggregate=mean, headline=Mean())
    report = build(run(waiting))
    assert report.complete is True
    text = render([report], "table")
    assert "— (80 to judge: harness judge r --judge NAME)" in text


def test_unlike_scores_have_no_ratio_unless_forced():
    not_comparable = task("gsm8k", HALF, not_comparable=("fixture data",))
    assert build(run(not_comparable), Rules("gpt4")).tasks["gsm8k"].relative is None
    forced = build(run(not_comparable), Rules("gpt4", force=True))
    assert forced.tasks["gsm8k"].relative == pytest.approx(100 * 50 / 87.1)
    assert "≈" in render([forced], "table")


def test_a_task_without_reference_stays_out_of_means():
    data = RunData("r", "m", {"new": task("new", HALF)}, {"s": ["new"]})
    report = build(data, Rules("gpt4"))
    assert (report.tasks["new"].relative, report.suites["s"].relative) == (None, None)


def test_normalised_by_another_run():
    other = build(run(task("gsm8k", [1.0, 0.0, 0.0, 0.0] * 30))).tasks
    report = build(run(task("gsm8k", HALF)), Rules("model", against=other))
    assert report.tasks["gsm8k"].relative == 200.0


def test_task_order_changes_nothing_but_the_order():
    tasks = full()
    expected = json.loads(render([build(run(*tasks), Rules("gpt4"))], "json"))
    random.Random(3).shuffle(tasks)
    assert json.loads(render([build(run(*tasks), Rules("gpt4"))], "json")) == expected


@pytest.mark.parametrize("form", ["table", "md", "csv", "html"])
def test_every_format_names_every_task_and_escapes(form):
    data = run(*full())
    data.run = "<script>|x"
    text = render([build(data)], form, episodes=True)
    assert all(name in text for name in data.tasks)
    assert form != "html" or "<script>|x" not in text


def test_several_runs_become_columns():
    runs = [build(reference.as_run(f"reference:{name}")) for name in ("gpt-4", "agentlm-7b")]
    lines = [line.split() for line in render(runs, "table").splitlines()]
    assert ["alfworld", "78.00", "84.00"] in lines


# -- intervals


def test_wilson_knows_its_textbook_values():
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_the_interval_is_of_the_statistic_not_of_the_mean():
    rows = [Row(f"{group}/{n}", 0, "scored", float(group == "a")) for group in "ab" for n in range(30)]
    assert interval(rows, lambda drawn: 0.25) == (0.25, 0.25)
    low, high = interval(rows, Mean()) or (0, 0)
    assert 0.3 < low < 0.5 < high < 0.7


def test_repeats_of_a_sample_move_together():
    once = [Row(str(n), 0, "scored", float(n % 2)) for n in range(40)]
    thrice = [Row(row.sample, repeat, "scored", row.value) for row in once for repeat in range(3)]
    widths = [high - low for low, high in (interval(rows, Mean()) or (0, 0) for rows in (once, thrice))]
    assert widths[1] == pytest.approx(widths[0], rel=0.05), "repeats add no samples"


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=40))
@settings(deadline=None, max_examples=20)
def test_the_interval_holds_the_mean_and_stays_in_range(values: list[float]):
    found = interval([Row(str(n), 0, "scored", value) for n, value in enumerate(values)], Mean())
    assert found is not None
    assert 0.0 <= found[0] <= fmean(values) + 1e-9
    assert fmean(values) - 1e-9 <= found[1] <= 1.0
