"""The published tables through the report's own code: the golden numbers of specs/scores.md §1, §2, §4."""

import csv
import json
import random
import re
from statistics import fmean

import pytest

from harness.catalog.suites import all_members
from harness.errors import UsageError
from harness.report import reference
from harness.report.build import build
from harness.report.load import load
from harness.report.render import render
from harness.report.rules import Rules

MODELS = [
    "gpt-3.5-turbo", "gpt-4", "llama-2-7b-chat", "llama-2-13b-chat", "llama-2-70b-chat",
    "agentlm-7b", "agentlm-13b", "agentlm-70b",
]  # fmt: skip
OVERALL = {
    "held-in": ["1.59", "2.75", "0.19", "0.20", "0.27", "1.96", "2.11", "2.55"],
    "held-out": ["1.49", "2.13", "0.38", "0.49", "0.51", "0.67", "0.78", "1.40"],
    "general": ["1.15", "1.53", "0.63", "0.74", "0.95", "0.62", "0.69", "0.96"],
}
RECOMPUTED = {
    "held-in": [1.5910, 2.7512, 0.1885, 0.1992, 0.2702, 1.9573, 2.1134, 2.5530],
    "held-out": [1.4883, 2.1307, 0.3781, 0.4942, 0.5086, 0.6652, 0.7757, 1.4026],
    "general": [1.1509, 1.5252, 0.6289, 0.7447, 0.9503, 0.6224, 0.6899, 0.9631],
}


def report(model, rules=None):
    return build(load(f"reference:{model}"), rules)


@pytest.mark.parametrize("model", MODELS)
def test_the_overalls_print_as_in_the_paper(model):
    text = render([report(model)], "table")
    printed = re.findall(r"^  Overall +\d/\d +AgentTuning +([\d.]+)$", text, re.MULTILINE)
    assert printed == [OVERALL[suite][MODELS.index(model)] for suite in ("held-in", "held-out", "general")]


@pytest.mark.parametrize("model", MODELS)
def test_the_overalls_are_the_recomputed_ones(model):
    for name, suite in report(model).suites.items():
        assert suite.overall == pytest.approx(RECOMPUTED[name][MODELS.index(model)], abs=6e-5)
        assert suite.partial is None


@pytest.mark.parametrize("suite", list(OVERALL))
def test_the_baselines_mean_is_one(suite):
    baselines = json.loads((reference.folder() / "agenttuning_weights.json").read_text())["baselines"]
    assert baselines == MODELS[:5]
    assert f"{fmean(report(model).suites[suite].overall for model in baselines):.6f}" == "1.000000"


def test_the_weights_are_the_unrounded_means_of_the_table():
    for task, inverse in reference.weight_inverse().items():
        assert inverse == pytest.approx(fmean(reference.of(model, task) for model in MODELS[:5]), abs=1e-9)


@pytest.mark.parametrize(
    ("model", "gains"),
    [
        ("agentlm-7b", ["held-out +76 %", "general -1 %"]),
        ("agentlm-13b", ["held-out +57 %", "general -7 %"]),
        ("agentlm-70b", ["held-out +176 %", "general +1 %"]),
    ],
)
def test_gains_over_the_same_size_print_as_in_the_paper(model, gains):
    text = render([report(model)], "table")
    for gain in gains:
        assert gain in text


def test_other_models_have_no_gains():
    assert reference.gains("gpt-4") == ""
    assert "against" not in render([report("llama-2-7b-chat")], "table")


def test_gpt4_against_itself_is_100_everywhere():
    found = report("gpt-4", Rules("gpt4"))
    assert {line.relative for line in found.tasks.values()} == {100.0}
    assert {suite.relative for suite in found.suites.values()} == {100.0}
    assert [f"{suite.overall:.2f}" for suite in found.suites.values()] == ["2.75", "2.13", "1.53"]


def test_the_worked_example_of_agentlm_70b():
    found = report("agentlm-70b", Rules("gpt4"))
    ratios = {
        "held-in": [110.3, 110.8, 59.7, 90.2, 58.4, 111.9],
        "held-out": [57.1, 87.5, 60.7, 79.8, 82.8, 47.0],
        "general": [68.9, 42.8, 68.5, 80.8],
    }
    means = {"held-in": (90.2, 92.8), "held-out": (69.2, 65.8), "general": (65.25, 63.1)}
    for name, suite in found.suites.items():
        assert [found.tasks[task].relative for task in suite.tasks] == pytest.approx(ratios[name], abs=0.051)
        assert (suite.relative, suite.overall_relative) == pytest.approx(means[name], abs=0.051)


def test_against_the_baselines_mean_the_relative_mean_is_the_overall():
    found = report("agentlm-7b", Rules("agenttuning"))
    for suite in found.suites.values():
        assert suite.relative == pytest.approx(100 * suite.overall)
        assert suite.overall_relative == pytest.approx(100 * suite.overall)


def test_mt_bench_enters_on_its_own_scale():
    line = report("llama-2-7b-chat", Rules("gpt4")).tasks["mt_bench"]
    assert line.data.unit == "points"
    assert line.relative == pytest.approx(100 * 6.26 / 8.99)


def test_one_published_model_against_another():
    found = report("agentlm-7b", Rules("model", report("llama-2-7b-chat").tasks))
    assert found.suites["held-out"].overall_relative == pytest.approx(175.9, abs=0.1)
    assert found.tasks["knowledgegraph"].relative is None, "the other's score is 0"


def test_the_order_of_tasks_changes_no_output():
    data = load("reference:agentlm-7b")
    before = render([build(data, Rules("gpt4"))], "table")
    names = list(data.tasks)
    random.Random(3).shuffle(names)
    data.tasks = {name: data.tasks[name] for name in names}
    assert sorted(render([build(data, Rules("gpt4"))], "table").splitlines()) == sorted(before.splitlines())
    assert render([build(data, Rules("gpt4"))], "table").split("\n\n")[1] == before.split("\n\n")[1]


def test_dropping_a_task_flags_the_suite():
    data = load("reference:agentlm-7b")
    del data.tasks["webarena"]
    found = build(data, Rules("gpt4"))
    assert found.suites["held-out"].partial == "5/6"
    assert found.suites["held-out"].overall is None
    assert found.suites["held-in"].overall is not None
    text = render([found], "table")
    assert "Overall partial (5/6)" in text
    assert re.search(r"^  webarena +— ", text, re.MULTILINE)


def test_the_shipped_table_is_the_mirrors(mirror):
    """Every cell of Table 4, under our task names."""
    ours = {"kg": "knowledgegraph", "db": "dbbench"}
    found: dict[tuple[str, str], float] = {}
    with (mirror / "scores" / "paper_scores.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if "Table 4" in row["source"] and "2310.12823" in row["source"] and "overall" not in row["task"]:
                model = row["model"].removesuffix("-0613")
                found[model, ours.get(row["task"], row["task"])] = float(row["value"])
    shipped = {(m, t): s.value for m, tasks in reference.scores().items() for t, s in tasks.items()}
    assert shipped == found
    assert len(shipped) == 8 * 16
    assert {task for _, task in shipped} <= all_members()


def test_an_unknown_reference_names_the_nearest():
    with pytest.raises(UsageError, match="agentlm-70b"):
        load("reference:agentlm-70")
