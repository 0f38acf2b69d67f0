"""A report as text, Markdown, CSV and JSON: its numbers, marks and contract."""

import csv
import io
import json
import re

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shown_reports import data, table

from harness.report.build import build
from harness.report.disagreements import only_disagreeing
from harness.report.render import render
from harness.report.rules import Rules
from harness.types import Row

NUMBER = {"type": ["number", "null"]}
COUNT = {"type": "integer", "minimum": 0}
EPISODE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["sample", "repeat", "outcome", "value", "metrics"],
    "properties": {
        "sample": {"type": "string"},
        "repeat": COUNT,
        "outcome": {"enum": ["scored", "limit", "model_error"]},
        "value": {"type": "number"},
        "metrics": {"type": "object", "additionalProperties": NUMBER},
    },
}
TASK = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "metric", "unit", "score", "ci", "planned", "scored", "limit", "model_error", "infra_error",
        "reference", "relative", "metrics", "notes", "episodes",
    ],
    "properties": {
        "metric": {"type": "string"},
        "unit": {"enum": ["percent", "points"]},
        "score": NUMBER,
        "ci": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        **dict.fromkeys(["planned", "scored", "limit", "model_error", "infra_error"], COUNT),
        "reference": NUMBER,
        "relative": NUMBER,
        "metrics": {"type": "object", "additionalProperties": NUMBER},
        "notes": {"type": "array", "items": {"type": "string"}},
        "episodes": {"type": "array", "items": EPISODE},
    },
}  # fmt: skip
SUITE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["overall", "relative", "partial", "tasks"],
    "properties": {
        "overall": NUMBER,
        "relative": NUMBER,
        "partial": {"type": ["string", "null"], "pattern": r"^\d+/\d+$"},
        "tasks": {"type": "array", "items": {"type": "string"}},
    },
}
CONTRACT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["run", "model", "complete", "suites", "tasks"],
    "properties": {
        "run": {"type": "string"},
        "model": {"type": "string"},
        "complete": {"type": "boolean"},
        "suites": {"type": "object", "additionalProperties": SUITE},
        "tasks": {"type": "object", "additionalProperties": TASK},
    },
}


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.text(max_size=8),
    st.sampled_from(["none", "gpt4", "agenttuning"]),
    st.integers(0, 4),
)
@settings(max_examples=25, deadline=None)
def test_json_keeps_the_contract_and_full_precision(values, name, normalize, pending):
    report = build(data(values, name, pending=pending), Rules(normalize))
    text = render([report], "json")
    found = json.loads(text)
    jsonschema.validate(found, CONTRACT)
    assert [episode["value"] for episode in found["tasks"]["gsm8k"]["episodes"]] == values


def test_json_has_no_nan():
    run = data()
    run.tasks["gsm8k"].rows = [Row("x", 0, "scored", 1.0, {"odd": float("nan"), "big": float("inf")})]
    found = json.loads(render([build(run)], "json"), parse_constant=lambda name: pytest.fail(name))
    assert found["tasks"]["gsm8k"]["episodes"][0]["metrics"] == {"odd": None, "big": None}


def test_several_runs_are_a_list_in_json():
    found = json.loads(render([build(data()), build(data(name="other"))], "json"))
    assert [report["run"] for report in found] == ["a-run", "other"]
    for report in found:
        jsonschema.validate(report, CONTRACT)


def test_the_table_reads_as_meant():
    lines = table(data(), Rules("gpt4", force=True)).splitlines()
    assert lines[0] == "a-run (a-model)"
    assert lines[2].split() == [
        "task",
        "n/N",
        "metric",
        "score",
        "95",
        "%",
        "interval",
        "GPT-4",
        "relative",
        "%",
    ]
    (row,) = [line for line in lines if line.startswith("  gsm8k")]
    assert re.match(r"  gsm8k \S+ +3/3 +accuracy +52\.78 +— +87\.10 +60\.6$", row)
    assert re.search(r"^  mmlu +— +— +—$", "\n".join(lines), re.MULTILINE)
    assert "2 gsm8k: no interval: 3 samples, and under 10 a bootstrap says nothing" in lines
    assert "2 gsm8k: paper 52.78, fixed 100.00" in lines
    assert "reference scores: GPT-4, arXiv:2310.12823 Table 4" in lines
    assert any(line.startswith("  mean relative partial (1/4)") for line in lines)


def test_columns_line_up():
    lines = table(data()).splitlines()
    start = lines[2].index("score")
    (row,) = [line for line in lines if line.startswith("  gsm8k")]
    assert row[start:].startswith("52.78")
    assert row[start - 1] == " "


def test_waiting_for_a_judge_is_said_with_the_command():
    run = data((), pending=80)
    assert "— (80 to judge: harness judge a-run --judge NAME)" in table(run)
    assert "80/80" in table(run)
    both = render([build(run), build(data(name="other"))], "table")
    assert "— (80 to judge)" in both


@pytest.mark.parametrize("form", ["table", "md", "csv", "html"])
def test_a_fixture_marks_every_table(form):
    assert "fixture" in render([build(data(source="fixture"))], form)
    assert "fixture" in render([build(data(source="fixture")), build(data(name="b"))], form)
    assert "fixture" not in render([build(data())], form)


def test_forced_ratios_and_part_overalls_are_marked():
    text = table(data(not_comparable=("3 samples",)), Rules("gpt4", force=True, allow_partial=True))
    assert "≈60.6" in text
    assert re.search(r"Overall partial \(1/4\) +1/4 +AgentTuning +≈1\.00\*", text)
    assert "Overall* is over 1 of 4 tasks, without mmlu, humaneval, mt_bench" in text
    assert "≈" not in table(data(not_comparable=("3 samples",)), Rules("gpt4"))


def test_several_runs_become_columns():
    lines = render([build(data()), build(data((1.0, 1.0), name="other"))], "table").splitlines()
    assert lines[2].split() == ["task", "a-run", "other"]
    (row,) = [line for line in lines if line.startswith("  gsm8k")]
    assert "52.78 " in row
    assert "100.00 [34.24, 100.00]" in row


def test_tasks_outside_a_suite_are_shown_in_every_form():
    run = data()
    run.suites = {}
    for form in ("table", "md", "csv", "html"):
        assert "52.7" in render([build(run)], form)
        assert "52.7" in render([build(run), build(run)], form)


def test_episodes_are_listed_when_asked_for():
    assert "test/1" not in table(data())
    text = table(data(), episodes=True)
    assert "  gsm8k test/1 #0 limit 0.25" in text
    assert "gsm8k test/1" in render([build(data())], "md", episodes=True)
    rows = list(csv.DictReader(io.StringIO(render([build(data())], "csv", episodes=True))))
    assert [row["sample"] for row in rows] == ["test/0", "test/1", "test/2"]
    assert float(rows[2]["value"]) == 1 / 3
    assert render([build(data(()))], "csv", episodes=True) == "run,task"


def test_only_the_episodes_on_which_both_rules_disagree_are_listed_and_no_number_moves():
    whole = build(data())
    part = only_disagreeing(whole)
    assert part.tasks["gsm8k"].score == whole.tasks["gsm8k"].score
    text = render([part], "table", episodes=True)
    assert "paper and fixed disagree on 2 of 3 episodes" in text
    assert "gsm8k test/0 #0" not in text
    assert "gsm8k test/1 #0" in text
    listed = json.loads(render([part], "json"))["tasks"]["gsm8k"]["episodes"]
    assert [episode["sample"] for episode in listed] == ["test/1", "test/2"]
    rows = csv.DictReader(io.StringIO(render([part], "csv", episodes=True)))
    assert [row["sample"] for row in rows] == ["test/1", "test/2"]


def test_csv_has_full_precision_and_the_overalls():
    rows = list(csv.DictReader(io.StringIO(render([build(data(), Rules(allow_partial=True))], "csv"))))
    found = {(row["task"], row["metric"]): row["value"] for row in rows}
    assert {task for task, _ in found} == {"gsm8k", "overall:general"}
    assert float(found["gsm8k", "score"]) == build(data()).tasks["gsm8k"].score
    assert found["gsm8k", "infra_error"] == "0"
    assert found["overall:general", "partial"] == "1/4"
    assert float(found["overall:general", "overall"]) == pytest.approx(52.7777778 / 52.82)
