"""A report of which every name and text tries to become markup."""

from __future__ import annotations

from dataclasses import replace

from shown_reports import data

from harness.report.build import build
from harness.report.result import Report, Section
from harness.report.rules import Rules
from harness.types import Row

HOSTILE = (
    "<script src=https://evil/x.js>canary()</script>\"'><img src=x onerror=canary()>"
    "</svg></style><svg onload=canary()>|*\x1b[31m\n\u202e\ud800"
)


def hostile() -> Report:
    """The report; its text calls `canary` wherever a browser would run it."""
    run = data(name=HOSTILE, notes=(HOSTILE,))
    run.model, run.head = HOSTILE, {HOSTILE: HOSTILE, "model": HOSTILE}
    task = run.tasks["gsm8k"]
    task.rows = [Row(HOSTILE, 0, "scored", 1.0, {HOSTILE: 1.0}), *task.rows[1:]]
    run.tasks[HOSTILE] = replace(task, name=HOSTILE, metric=HOSTILE, not_comparable=(HOSTILE,))
    report = build(run, Rules("gpt4"))
    report.sections.append(Section(HOSTILE, [HOSTILE], {}))
    return report
