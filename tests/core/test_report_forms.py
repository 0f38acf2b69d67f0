"""A report in HTML, LaTeX, on terminals and under other locales: nothing in it breaks its form."""

import dataclasses
import locale
import os
import re
import subprocess
import sys

import pytest
from shown_reports import data, table

from harness.report.build import build
from harness.report.render import render, show
from harness.report.rules import Rules

HOSTILE = "<script src=https://evil/x.js>alert(1)</script>|*\x1b[31m\n"


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


@pytest.mark.parametrize("columns", [24, 40, 60])
@pytest.mark.parametrize("normalize", ["none", "gpt4"])
def test_on_a_narrow_terminal_names_marks_and_numbers_stay_whole(capsys, monkeypatch, columns, normalize):
    monkeypatch.setenv("COLUMNS", str(columns))
    run = data((0.0, 1.0) * 10, source="fixture", notes=("of this task alone",))
    show([build(run, Rules(normalize, force=True))])
    shown = capsys.readouterr().out.splitlines()
    rows = shown[next(n for n, line in enumerate(shown) if line.startswith("task")) :]
    told = " ".join(rows)
    assert any(line.startswith("  gsm8k (fixture) \u00b2") for line in rows)
    assert all(word in told for word in ("20/20", "50.00", "[25.00, 75.00]", "95 % interval"))
    assert ("87.10" in told) == (normalize == "gpt4")
    assert "\u2026" not in told and all(len(line) <= columns for line in rows)


def test_a_task_of_two_suites_stands_once_and_shared_facts_are_one_line():
    run = data((0.0, 1.0) * 10, notes=("what both runs say",))
    run.suites = {"general": ["mmlu", "gsm8k"], "mine": ["gsm8k"]}
    text = table(run)
    assert text.count("\n  gsm8k") == 1 and text.count("\n  Overall") == 2
    assert "mine, with gsm8k from above" in text
    both = render(
        [build(run), build(data((0.0, 1.0) * 10, name="b", notes=("what both runs say",)))], "table"
    )
    assert both.count("what both runs say") == 1 and "gsm8k: what both runs say" in both
    third = build(data((0.0, 1.0) * 10, name="c"))
    some = render([build(run), third], "table")
    assert "gsm8k (a-run): what both runs say" in some


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
