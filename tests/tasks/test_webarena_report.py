"""What a report says of WebArena: both rates as counts, and how they were got."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from command import harness
from rating_judge import rating_judge

from harness.report.build import build
from harness.report.footnotes import Footnotes
from harness.report.run_data import RunData, TaskData
from harness.types import Row
from tasks._shared.browser import find_browser
from tasks.webarena.options import PUBLISHED_BY
from tasks.webarena.task import TASK

browser = pytest.mark.skipif(
    find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH"
)


def told(settle: str, judge: str = "") -> re.Pattern[str]:
    how = rf"evaluators v2023, browser [\d.]+, settle {settle}, sites own; {judge}published by "
    return re.compile(how + re.escape(PUBLISHED_BY))


def test_both_rates_are_counts_of_the_812() -> None:
    """AgentLM-70B's published 3.81 % are 31 tasks; here two of them pass by timing out, one was errored."""
    rows = [Row(f"{n}", 0, "scored", 1.0, {"strict": 1.0}, {"site": "map"}) for n in range(29)]
    rows += [Row(f"{n}", 0, "limit", 1.0, {"strict": 0.0}, {"site": "map"}) for n in range(29, 31)]
    rows += [Row(f"{n}", 0, "scored", 0.0, {"strict": 0.0}, {"site": "map"}) for n in range(31, 811)]
    rows += [Row("811", 0, "model_error", 0.0, {"strict": 0.0, "errored": 1.0}, {"site": "map"})]
    task = TaskData("webarena", "success_rate", "percent", 812, "gpt-x", rows)
    task.aggregate, task.headline = TASK.aggregate, TASK.spec.headline
    report = build(RunData("r", "m", {"webarena": task}, {}))
    result = report.tasks["webarena"]
    assert result.score == pytest.approx(100 * 31 / 812)
    assert "gpt-x" in result.metric
    (line,) = (one for one in Footnotes([report]).lines() if "passed" in one)
    assert "passed 31/812, strict_passed 29/812, errored 1, " in line
    assert " of " not in line


@browser
@pytest.mark.slow
@pytest.mark.timeout(280)
def test_the_oracle_passes_all_own_tasks_and_the_report_says_how(tmp_path: Path) -> None:
    words = ("run", "--model", "oracle", "--task", "webarena", "--split", "testsites", "--out", "own")
    done = harness(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (passed,) = {int(count) for count in re.findall(r"[ _]passed (\d+)/\1\b", done.stdout)}
    assert passed >= 24
    assert f"passed {passed}/{passed}, strict_passed {passed}/{passed}, errored 0" in done.stdout
    assert told("quiet", "judged by recorded verdicts, ").search(done.stdout)


@browser
@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_judged_run_names_its_judge_and_the_published_one(tmp_path: Path) -> None:
    words = ("run", "--model", "oracle", "--task", "webarena", "--split", "testsites", "--samples", "0,15")
    changed = ("--set", "webarena.judge=judge", "--set", "webarena.settle=fixed")
    with rating_judge() as url:
        done = harness(tmp_path, *words, *changed, "--judge", f"seven@{url}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "success_rate@seven" in done.stdout
    assert "passed 1/2, strict_passed 1/2, errored 0" in done.stdout, "this judge never says yes"
    assert told("fixed").search(done.stdout)
