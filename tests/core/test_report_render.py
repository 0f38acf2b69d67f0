import csv
import dataclasses
import html.parser
import io
import json
import locale
import os
import re
import subprocess
import sys

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.episode import BaseTask
from harness.report.build import build
from harness.report.disagreements import only_disagreeing
from harness.report.render import render, show
from harness.report.rules import Rules
from harness.report.run_data import RunData, TaskData
from harness.types import Mean, Row, TaskSpec

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


class Plain(BaseTask):
    spec = TaskSpec("plain", 1, "general", "accuracy")


def data(values=(1.0, 0.25, 1 / 3), name="a-run", **more):
    rows = [
        Row(f"test/{n}", 0, ("scored", "limit", "model_error")[n % 3], value, {"paper": value, "fixed": 1.0})
        for n, value in enumerate(values)
    ]
    task = TaskData("gsm8k", "accuracy", "percent", len(rows) + more.get("pending", 0), rows=rows, **more)
    task.aggregate, task.headline = Plain().aggregate, Mean()
    return RunData(name, "a-model", {"gsm8k": task}, {"general": ["mmlu", "humaneval", "gsm8k", "mt_bench"]})


def table(run, rules=None, **more):
    return render([build(run, rules)], "table", **more)


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
    assert "1 gsm8k: no interval: 3 samples, and under 10 a bootstrap says nothing" in lines
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


HOSTILE = "<script src=https://evil/x.js>alert(1)</script>|*\x1b[31m\n"


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs


def test_html_is_one_page_that_escapes_everything_and_fetches_nothing():
    run = data(name=HOSTILE, notes=(HOSTILE,))
    run.model = HOSTILE
    run.tasks["gsm8k"].rows[0] = Row(HOSTILE, 0, "scored", 1.0)
    page = render([build(run)], "html", episodes=True)
    assert "<script" not in page
    assert "&lt;script" in page
    tags = Tags()
    tags.feed(page)
    assert set(tags.names) <= set("html meta title style h1 table tr th td ul li pre".split())  # noqa: SIM905
    assert {name for name, _ in tags.attributes} <= {"lang", "charset", "class", "colspan"}
    assert not re.search(r"@import|url\(", page.split("</style>")[0])
    assert page.count("<table>") == page.count("</table>") == 1
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    width = rows[0].count("<th>")
    for row in rows[1:]:
        spans = [int(n) for n in re.findall(r'colspan="(\d+)"', row)]
        assert row.count("<td") - len(spans) + sum(spans) == width


def test_latex_prints_every_name_as_it_is():
    run = data(name="50 % of \\input{a_b} & #1 ~^$", notes=("a note",))
    text = render([build(run)], "latex")
    assert r"50 \% of \textbackslash{}input\{a\_b\} \& \#1 \textasciitilde{}\textasciicircum{}\$" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    width = len(re.search(r"tabular\}\{(l+)\}", text)[1])
    for row in rows:
        spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", row)]
        assert len(re.findall(r"(?<!\\)&", row)) + 1 - len(spans) + sum(spans) == width
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_text_and_markdown_cannot_be_broken_by_names():
    run = data(name=HOSTILE, notes=(HOSTILE,))
    for form in ("table", "md"):
        text = render([build(run)], form, episodes=True)
        assert "\x1b" not in text
    cells = [line for line in render([build(run)], "md").splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in cells}
    assert len(bars) == 1


def test_a_terminal_gets_the_same_numbers(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    show([build(data(), Rules("gpt4"))], episodes=True)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    plain = table(data(), Rules("gpt4"), episodes=True).splitlines()
    lines = [line.split() for line in plain if line.startswith("  ") or "gsm8k: " in line]
    assert len(lines) >= 9
    for line in lines:
        assert line in shown


TASKS = (
    "alfworld", "os", "dbbench", "sciworld", "miniwob", "hotpotqa", "rewoo", "mmlu", "humaneval", "gsm8k",
    "mt_bench",
)  # fmt: skip


def eleven(name, judge="gpt-4-0613"):
    run = data((0.0, 1.0) * 10, name=name, source="fixture", notes=("one thing", "another"))
    for task in TASKS:
        run.tasks[task] = dataclasses.replace(run.tasks["gsm8k"], name=task)
    run.tasks["mt_bench"].judge = judge
    run.suites = {"demo": list(TASKS)}
    return build(run)


@pytest.mark.parametrize("count", [1, 3])
def test_at_80_columns_rows_are_shortened_and_never_broken(capsys, monkeypatch, count):
    monkeypatch.setenv("COLUMNS", "80")
    reports = [eleven(f"agentlm-70b-general+held-in-{n}f3a90bc2-nightly") for n in range(count)]
    show(reports)
    shown = capsys.readouterr().out.splitlines()
    piped = render(reports, "table").splitlines()
    begins = [next(n for n, line in enumerate(some) if line.startswith("task ")) for some in (shown, piped)]
    rows = [some[begin:] for some, begin in zip((shown, piped), begins, strict=True)]
    told = [[line.split()[0] for line in some if line.startswith("  ")] for some in rows]
    assert told[0] == told[1] and len(told[0]) == len(TASKS) + 1
    assert all(len(line) <= 80 for line in rows[0] if line.startswith("  "))
    assert sum(line.count("50.00") for line in rows[0]) == sum(line.count("50.00") for line in rows[1])


def test_a_task_of_two_suites_stands_once_and_shared_facts_are_one_line():
    run = data((0.0, 1.0) * 10, notes=("what both runs say",))
    run.suites = {"general": ["mmlu", "gsm8k"], "mine": ["gsm8k"]}
    text = table(run)
    assert text.count("\n  gsm8k") == 1 and text.count("\n  Overall") == 2
    assert "mine, with gsm8k from above" in text
    both = render(
        [build(run), build(data((0.0, 1.0) * 10, name="b", notes=("what both runs say",)))], "table"
    )
    assert both.count("what both runs say") == 1 and "gsm8k (a-run, b): what both runs say" in both


def test_a_reachable_ceiling_and_an_interim_score_are_shown():
    assert "75.00 of 93.75 reachable" in table(data((0.0, 1.0, 1.0, 1.0) * 4, ceiling=93.75))
    unfinished = data((0.0, 1.0, 1.0, 1.0))
    unfinished.tasks["gsm8k"].planned = 16
    assert "— (incomplete, 75.00 so far)" in table(unfinished)


def test_another_locale_changes_no_byte():
    available = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    comma = next((name for name in available if name.lower().startswith(("de_", "fr_", "ru_"))), None)
    before = [render([build(data())], form) for form in ("table", "md", "csv", "html", "json")]
    if comma is None:
        # No comma locale is installed: at least no formatter asks for the locale.
        code = (
            "import locale, sys\n"
            "for name in ('localeconv', 'format_string', 'str'):\n"
            "    setattr(locale, name, lambda *a, **k: sys.exit('asked the locale'))\n"
            "from harness.report.load import load; from harness.report.build import build\n"
            "from harness.report.render import render\n"
            "for form in ('table', 'md', 'csv', 'html', 'json'):\n"
            "    render([build(load('reference:gpt-4'))], form)\n"
        )
        env = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return
    kept = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, comma)
        assert [render([build(data())], form) for form in ("table", "md", "csv", "html", "json")] == before
    finally:
        locale.setlocale(locale.LC_ALL, kept)


def test_the_report_needs_pandas_only_for_csv():
    code = (
        "import sys\n"
        "from harness.report.load import load; from harness.report.build import build\n"
        "from harness.report.render import render\n"
        "render([build(load('reference:gpt-4'))], 'table')\n"
        "sys.exit(str([m for m in ('pandas', 'rich', 'aiohttp', 'torch') if m in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr.strip() == "[]"
